package pep

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// queue holds what is to be told of an account's changes, in their order.
type queue struct {
	mu   sync.Mutex
	list []func(context.Context)
	busy bool
}

func (q *queue) add(fn func(context.Context)) {
	q.mu.Lock()
	q.list = append(q.list, fn)
	q.mu.Unlock()
}

// run does what waits, unless somebody is at it already: then that one does this too.
func (q *queue) run(ctx context.Context) {
	q.mu.Lock()
	if q.busy {
		q.mu.Unlock()
		return
	}
	q.busy = true
	defer func() { // also where a hook panicked: c2s ends that stream, and the queue must go on
		q.busy = false
		q.mu.Unlock()
	}()
	for len(q.list) > 0 {
		fn := q.list[0]
		q.list = q.list[1:]
		q.step(ctx, fn)
	}
	q.list = nil
}

// step runs fn without the lock.
func (q *queue) step(ctx context.Context, fn func(context.Context)) {
	q.mu.Unlock()
	defer q.mu.Lock()
	fn(ctx)
}

// event is something that is told of a node, to all who are interested.
type event struct {
	owner stanza.JID
	node  *node
	body  []byte // <event/>
}

// published makes the event of a new item (XEP-0060 §7.1.2).
func published(owner stanza.JID, n *node, it entry, payload []byte) event {
	return event{owner, n, itemEvent(n, it, payload)}
}

func itemEvent(n *node, it entry, payload []byte) []byte {
	var x stanza.XML
	x.Start("event", "xmlns", nsEvent).Start("items", "node", n.name)
	if !n.cfg.Payloads {
		payload = nil
	}
	appendItem(&x, n, it, payload)
	return x.Bytes()
}

// appendItem writes an item.
func appendItem(x *stanza.XML, n *node, it entry, payload []byte) {
	by := ""
	if n.cfg.Reply == publisher {
		by = it.by // XEP-0060 §7.1.2.3
	}
	if len(payload) == 0 {
		x.Empty("item", "id", it.id, "publisher", by)
		return
	}
	x.Start("item", "id", it.id, "publisher", by).Raw(payload).End()
}

// retracted makes the event of items that are gone (XEP-0060 §7.2.2).
func retracted(owner stanza.JID, n *node, ids []string) event {
	var x stanza.XML
	x.Start("event", "xmlns", nsEvent).Start("items", "node", n.name)
	for _, id := range ids {
		x.Empty("retract", "id", id)
	}
	return event{owner, n, x.Bytes()}
}

// about makes an event of the node as a whole: purge (XEP-0060 §8.5.2) or delete (§8.4.2).
func about(owner stanza.JID, n *node, what string) event {
	var x stanza.XML
	return event{owner, n, x.Start("event", "xmlns", nsEvent).Empty(what, "node", n.name).Bytes()}
}

// configured makes the event of a changed configuration (XEP-0060 §8.2.5.3).
func configured(owner stanza.JID, n *node) event {
	var x stanza.XML
	x.Start("event", "xmlns", nsEvent)
	if !n.cfg.Payloads {
		return event{owner, n, x.Empty("configuration", "node", n.name).Bytes()}
	}
	x.Start("configuration", "node", n.name)
	appendForm(&x, "result", &n.cfg, nil)
	return event{owner, n, x.Bytes()}
}

// announce tells all who are interested of an event.
func (m *module) announce(ctx context.Context, ev event) {
	f := m.fanout(ev.owner, ev.node, ev.body)
	m.audience(ctx, ev.owner, ev.node, func(to stanza.JID) { f.to(ctx, to) })
}

// fanout sends one message to many.
type fanout struct {
	m     *module
	owner stanza.JID
	base  *stanza.Stanza
	// What is under way: hooks may change it, so each addressee gets it anew.
	st stanza.Stanza
	p  modules.Packet
}

func (m *module) fanout(owner stanza.JID, n *node, body []byte) *fanout {
	typ := stanza.TypeHeadline
	if n.cfg.Style == normal {
		typ = stanza.TypeNormal
	}
	// XEP-0163 §4.3.1: from the account, so that errors come back to us.
	return &fanout{m: m, owner: owner, base: stanza.New(stanza.KindMessage, typ, rand.Text(), owner, stanza.JID{}, body)}
}

// to sends it to one. All events leave here.
func (f *fanout) to(ctx context.Context, to stanza.JID) {
	f.st = *f.base
	f.st.SetTo(to)
	f.p = modules.Packet{Stanza: &f.st, From: f.owner, To: to}
	f.m.h.Router.Route(ctx, &f.p)
}

// audience visits the addresses that an event of a node goes to, each once (XEP-0163 §4.3).
func (m *module) audience(ctx context.Context, owner stanza.JID, n *node, visit func(stanza.JID)) {
	var seen map[stanza.JID]bool // whom we told because of their presence: resources, and their accounts
	if len(n.subs) > 0 {
		seen = map[stanza.JID]bool{}
	}
	tell := func(to stanza.JID) {
		if seen != nil {
			seen[to], seen[to.Bare()] = true, true
		}
		visit(to)
	}
	m.sessions(owner, n.name, tell) // XEP-0163 §4.3: the account itself, always
	contacts, err := m.roster.Contacts(ctx, owner)
	if err != nil {
		m.h.Log.Error("roster not read for an event", "user", owner.Local(), "err", err)
	}
	for _, c := range contacts {
		if !sees(c) || !n.shows(c) {
			continue
		}
		if c.JID.Domain() == m.h.Name {
			m.sessions(c.JID, n.name, tell)
			continue
		}
		m.peers.each(owner.Local(), c.JID, n.name, tell)
	}
	for _, j := range n.subs {
		// XEP-0163 §4.3.2: whose presence we have is told at his resources, others at the address that they subscribed.
		if !seen[j] && m.readable(ctx, owner, n, j) == nil {
			visit(j)
		}
	}
}

// sessions visits the sessions of a local account that want to hear of a node.
func (m *module) sessions(account stanza.JID, node string, visit func(stanza.JID)) {
	for _, s := range m.h.Router.Sessions(account) {
		if s.Presence() != nil && interest(s).Wants(node) {
			visit(s.JID())
		}
	}
}
