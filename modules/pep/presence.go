package pep

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// interestKey keeps with a session what its client wants to hear of.
type interestKey struct{}

// turnKey keeps with a session which of its presences was the last: what it wants may be learnt late, and out of turn.
type turnKey struct{}

func interest(s modules.Session) *caps.Interest {
	in, _ := s.Value(interestKey{}).(*caps.Interest)
	return in
}

// presence finds out what a session of ours wants to hear of, and lets it hear the last of it (XEP-0163 §4.3.4).
func (m *module) presence(ctx context.Context, ev modules.Presence) {
	s := ev.Session
	if ev.Stanza.Type != stanza.TypeNone {
		s.SetValue(interestKey{}, nil)
		return
	}
	if !ev.Stanza.Has(nsCaps, "c") {
		return // what it said before holds (XEP-0115 §8.4)
	}
	turn := m.turns.Add(1)
	s.SetValue(turnKey{}, turn)
	m.caps.Learn(ctx, ev.Stanza, s.JID(), s.JID().Bare(), func(ctx context.Context, in *caps.Interest) {
		if s.Presence() == nil || s.Value(turnKey{}) != turn {
			return // gone before it answered, or it has said something else since
		}
		old := interest(s)
		if old == in {
			return // §4.3.3: further presence brings nothing again
		}
		s.SetValue(interestKey{}, in)
		m.catchUp(ctx, s.JID(), added(old, in))
	})
}

// added returns the nodes that are new in an interest.
func added(old, now *caps.Interest) []string {
	if old == nil {
		return now.Nodes()
	}
	return slices.DeleteFunc(slices.Clone(now.Nodes()), old.Wants)
}

// catchUp sends a session of ours the last items of its own account and of its contacts on this host. Those of contacts
// elsewhere are sent by their servers.
func (m *module) catchUp(ctx context.Context, to stanza.JID, names []string) {
	if len(names) == 0 {
		return
	}
	self := to.Bare()
	m.sendLast(ctx, self, to, names)
	contacts, err := m.roster.Contacts(ctx, self)
	if err != nil {
		m.h.Log.Error("roster not read for events", "user", self.Local(), "err", err)
		return
	}
	for _, c := range contacts {
		if c.Subscription&roster.To != 0 && c.JID.Domain() == m.h.Name && c.JID.Local() != "" && m.roster.Subscribed(ctx, c.JID, self) {
			m.sendLast(ctx, c.JID, to, names)
		}
	}
}

// sendLast sends the last items of some of an account's nodes, as far as the addressee may read them. They queue up behind
// what the account's changes have to tell, so that nothing old arrives after something new. Together they are not larger than
// pageSize, or one item: all comes at once, and more than the client's queue holds (XEP-0198) would end its session, each time.
// What is left out it can ask for.
func (m *module) sendLast(ctx context.Context, owner, to stanza.JID, names []string) {
	a, err := m.account(ctx, owner.Local())
	if err != nil {
		m.h.Log.Error("last items not sent", "user", owner.Local(), "err", err)
		return
	}
	if !slices.ContainsFunc(names, func(name string) bool { return sendsLast(a.node(name), onSubOrPresent) }) {
		return
	}
	m.later(ctx, owner, func(ctx context.Context) {
		a, err := m.account(ctx, owner.Local())
		sent := 0
		for _, name := range names {
			if err != nil {
				break
			}
			n := a.node(name)
			if !sendsLast(n, onSubOrPresent) || m.readable(ctx, owner, n, to) != nil {
				continue
			}
			if size := n.last().size; sent == 0 || sent+size <= pageSize {
				sent += size
				err = m.last(ctx, owner, n, to)
			}
		}
		if err != nil {
			m.h.Log.Error("last items not sent", "user", owner.Local(), "err", err)
		}
	})
}

// later runs fn in turn with the events of an account.
func (m *module) later(ctx context.Context, owner stanza.JID, fn func(context.Context)) {
	q := &m.queues[stripe(owner.Local())]
	q.add(fn)
	q.run(ctx)
}

// sendsLast tells whether a node's last item is sent on an occasion.
func sendsLast(n *node, on string) bool {
	return n != nil && len(n.items) > 0 && n.cfg.Notify && (n.cfg.SendLast == on || n.cfg.SendLast == onSubOrPresent)
}

// last sends a node's last item to one, with the time when it was published (XEP-0060 §6.1.7).
func (m *module) last(ctx context.Context, owner stanza.JID, n *node, to stanza.JID) error {
	it := n.last()
	payload, err := m.payload(ctx, owner.Local(), n.name, it.seq)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // it was replaced a moment ago, and that is told
	}
	if err != nil {
		return err
	}
	body := stanza.AppendDelay(itemEvent(n, *it, payload), stanza.JID{}, it.at, "")
	m.fanout(owner, n, body).to(ctx, to)
	return nil
}

// approved lets a contact of this host hear the last of an account that has just let it see its presence (XEP-0163 §4.1):
// its sessions are there already, and nothing of theirs will change.
func (m *module) approved(ctx context.Context, p *modules.Packet) error {
	if p.Stanza.Kind != stanza.KindPresence || p.Stanza.Type != stanza.TypeSubscribed || p.From.Domain() != m.h.Name || p.From.Local() == "" {
		return nil
	}
	owner := p.From.Bare()
	if !m.roster.Subscribed(ctx, owner, p.To) {
		return nil
	}
	for _, s := range m.h.Router.Sessions(p.To.Bare()) {
		if in := interest(s); in != nil && s.Presence() != nil {
			m.sendLast(ctx, owner, s.JID(), in.Nodes())
		}
	}
	return nil
}

// foreign looks at what comes for accounts from elsewhere: the presence of contacts, and errors that our events caused.
func (m *module) foreign(ctx context.Context, p *modules.Packet) error {
	if p.From.Domain() == m.h.Name || p.To.Local() == "" {
		return nil
	}
	owner, st := p.To.Bare(), p.Stanza
	switch {
	case st.Kind == stanza.KindMessage && st.Type == stanza.TypeError, st.Kind == stanza.KindPresence && st.Type == stanza.TypeUnavailable:
		m.peers.remove(owner.Local(), p.From)
	case st.Kind == stanza.KindPresence && st.Type == stanza.TypeNone && !p.From.IsBare() && st.Has(nsCaps, "c") && m.roster.Subscribed(ctx, owner, p.From):
		from, turn := p.From, m.turns.Add(1)
		m.peers.come(owner.Local(), from, turn)
		m.caps.Learn(ctx, st, from, owner, func(ctx context.Context, in *caps.Interest) {
			if names := m.peers.set(owner.Local(), from, turn, in); len(names) > 0 {
				m.sendLast(ctx, owner, from, names)
			}
		})
	}
	return nil
}

// maxResources is of how many resources of a contact elsewhere we know what they want.
const maxResources = 10

// peers are the available resources of contacts elsewhere, with what they want to hear, by account of ours and contact. It
// grows with the accounts' rosters: others are not kept.
type peers struct {
	mu sync.Mutex
	of map[string]map[stanza.JID][]peer
}

type peer struct {
	jid  stanza.JID
	turn uint64         // of its last presence
	in   *caps.Interest // nil: not known yet
}

// come notes that a resource sent presence.
func (p *peers) come(local string, full stanza.JID, turn uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bare := full.Bare()
	list := p.of[local][bare]
	for i := range list {
		if list[i].jid == full {
			list[i].turn = turn
			return
		}
	}
	if len(list) >= maxResources {
		list = slices.Delete(list, 0, 1)
	}
	if p.of == nil {
		p.of = map[string]map[stanza.JID][]peer{}
	}
	if p.of[local] == nil {
		p.of[local] = map[stanza.JID][]peer{}
	}
	p.of[local][bare] = append(list, peer{jid: full, turn: turn})
}

// set notes what a resource said that it wants, with the presence of that turn, and returns what of it is new. If it is gone
// or has said something else since, nothing.
func (p *peers) set(local string, full stanza.JID, turn uint64, in *caps.Interest) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.of[local][full.Bare()]
	for i := range list {
		if x := &list[i]; x.jid == full && x.turn == turn {
			names := added(x.in, in)
			x.in = in
			return names
		}
	}
	return nil
}

// remove forgets a resource, or for a bare JID all of them.
func (p *peers) remove(local string, j stanza.JID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.of[local]
	list := m[j.Bare()]
	if len(list) == 0 {
		return
	}
	if j.IsBare() {
		list = nil
	}
	list = slices.DeleteFunc(list, func(x peer) bool { return x.jid == j })
	if len(list) > 0 {
		m[j.Bare()] = list
		return
	}
	if delete(m, j.Bare()); len(m) == 0 {
		delete(p.of, local)
	}
}

func (p *peers) drop(local string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, local)
}

// each visits the resources of a contact that want to hear of a node.
func (p *peers) each(local string, contact stanza.JID, node string, visit func(stanza.JID)) {
	var found [maxResources]stanza.JID
	n := 0
	p.mu.Lock()
	for _, x := range p.of[local][contact] {
		if x.in.Wants(node) {
			found[n] = x.jid
			n++
		}
	}
	p.mu.Unlock()
	for _, j := range found[:n] {
		visit(j)
	}
}
