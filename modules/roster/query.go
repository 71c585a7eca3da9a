package roster

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// foreign refuses requests to somebody else's roster, before it matters whether there is such an account: the answer is
// the same either way.
func (m *module) foreign(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind == stanza.KindIQ && (st.Type == stanza.TypeGet || st.Type == stanza.TypeSet) && p.To.Local() != "" &&
		p.From.Bare() != p.To && len(st.Children) > 0 && st.Children[0].NS == stanza.NSRoster {
		return stanza.Err(stanza.Forbidden, "") // RFC 6121 §2.1.5, §2.3.3
	}
	return nil
}

// query answers jabber:iq:roster on behalf of an account (RFC 6121 §2.1). The account itself asks: see foreign.
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Payload == nil || q.Payload.Name != "query" {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	if q.Set() {
		return nil, refusal(m.set(ctx, q))
	}
	return nil, refusal(m.get(ctx, q))
}

// get sends the roster (RFC 6121 §2.1.3, §2.1.4), or what has changed since the version that the client has (§2.6.3).
func (m *module) get(ctx context.Context, q *modules.IQ) error {
	user, s := q.To.Local(), q.Origin
	if s == nil {
		return stanza.Err(stanza.ServiceUnavailable, "") // only sessions have a roster to see
	}
	// Changes that come meanwhile are told behind the answer. The answer may be long and the client slow: it is sent
	// without the lock, and what little is left to tell with it.
	l, err := m.list(ctx, user)
	if err != nil {
		return err
	}
	s.SetValue(interestKey{}, reading)
	// What fails from here on fails because the session is gone.
	changes, ok := l.news(q.Payload.Attr("ver"))
	answer := q.Stanza.Result(nil)
	if !ok {
		answer.Add(l.query()) // not copied, nor read again, before it is in the outbox
	}
	s.Send(ctx, answer)
	m.pushAll(ctx, s, changes)
	m.inform(ctx, s, user, l)
	return modules.Done
}

// inform begins to tell a session of changes. It has l, so what came since is the first.
func (m *module) inform(ctx context.Context, s modules.Session, user string, l *list) {
	lock := &m.locks[stripe(user)]
	lock.Lock()
	defer lock.Unlock()
	s.SetValue(interestKey{}, informed)
	now, err := m.list(ctx, user)
	if err != nil {
		m.h.Log.Error("roster not read", "user", user, "session", s.ID(), "err", err)
		return
	}
	if now.ver != l.ver {
		changes, _ := now.since(l.ver)
		m.pushAll(quiet(ctx), s, changes)
	}
}

// set adds, changes or removes an item (RFC 6121 §2.3, §2.4, §2.5).
func (m *module) set(ctx context.Context, q *modules.IQ) error {
	owner := q.To.Bare()
	if len(q.Payload.Children) != 1 || q.Payload.Child("", "item") == nil {
		return stanza.Err(stanza.BadRequest, "a roster set has exactly one item") // §2.3.3
	}
	el := q.Payload.Children[0]
	addr := el.Attr("jid")
	if addr == "" {
		return stanza.Err(stanza.BadRequest, "the item has no jid") // §2.1.2.3
	}
	contact, err := stanza.ParseJID(addr)
	switch {
	case err != nil:
		return stanza.Err(stanza.JIDMalformed, "")
	case !contact.IsBare():
		return stanza.Err(stanza.BadRequest, "the item's jid has a resource")
	case contact == owner:
		return stanza.Err(stanza.NotAllowed, "you are not your own contact")
	}
	if el.Attr("subscription") == "remove" { // other values are ignored, §2.1.5
		return m.remove(ctx, owner, contact)
	}
	name, groups, err := m.details(el)
	if err != nil {
		return err
	}
	return m.apply(ctx, &edit{owner: owner, contact: contact, change: func(l *list, it *item) error {
		if err := m.enlist(l, it); err != nil {
			return err
		}
		it.name, it.groups = name, groups
		return nil
	}})
}

// enlist makes an item visible to its owner, within the limit.
func (m *module) enlist(l *list, it *item) error {
	if !it.listed && l.listed >= m.limit() {
		return stanza.Err(stanza.NotAllowed, "the roster is full")
	}
	it.listed = true
	return nil
}

// details reads name and groups of an item and checks them (RFC 6121 §2.3.3).
func (m *module) details(el *stanza.Element) (name string, groups []string, err error) {
	cfg := m.cfg.Load()
	if name = el.Attr("name"); len(name) > cfg.NameSize {
		return "", nil, stanza.Err(stanza.NotAcceptable, "the name is too long")
	}
	for _, c := range el.Children {
		if c.NS != stanza.NSRoster || c.Name != "group" {
			continue
		}
		switch {
		case c.Text == "":
			return "", nil, stanza.Err(stanza.NotAcceptable, "a group has no name")
		case len(c.Text) > cfg.NameSize:
			return "", nil, stanza.Err(stanza.NotAcceptable, "the name of a group is too long")
		case slices.Contains(groups, c.Text):
			return "", nil, stanza.Err(stanza.BadRequest, "the same group twice")
		case len(groups) == cfg.GroupsPerItem:
			return "", nil, stanza.Err(stanza.NotAcceptable, "too many groups")
		}
		groups = append(groups, c.Text)
	}
	return name, groups, nil
}

// remove deletes an item and ends what was between the two (RFC 6121 §2.5.2).
func (m *module) remove(ctx context.Context, owner, contact stanza.JID) error {
	e := &edit{owner: owner, contact: contact, change: func(_ *list, it *item) error {
		if !it.listed {
			return stanza.Err(stanza.ItemNotFound, "") // §2.5.3
		}
		*it = item{jid: it.jid}
		return nil
	}}
	if err := m.apply(ctx, e); err != nil {
		return err
	}
	m.part(ctx, owner, e.old)
	return nil
}

// part tells a contact that an account wants nothing more of it: neither to see nor to be seen. A request that waits
// for an answer is withdrawn, or refused.
func (m *module) part(ctx context.Context, owner stanza.JID, old *item) {
	if old.state&(subTo|pendingOut) != 0 {
		m.send(ctx, stanza.TypeUnsubscribe, owner, old.jid)
	}
	if old.state&subFrom != 0 {
		m.hide(ctx, owner, old.jid) // RFC 6121 §3.2.2
	}
	if old.state&(subFrom|pendingIn) != 0 {
		m.send(ctx, stanza.TypeUnsubscribed, owner, old.jid)
	}
}
