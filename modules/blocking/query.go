package blocking

import (
	"context"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// interestKey marks a session that has asked for the list and is told of changes (XEP-0191 §3.3).
type interestKey struct{}

// query answers urn:xmpp:blocking on behalf of an account (XEP-0191 §3). To others there is nothing here.
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case q.Origin == nil || !q.Own():
		return nil, refused
	case q.Payload == nil:
		return nil, stanza.Err(stanza.BadRequest, "")
	case q.Payload.Name == "blocklist" && !q.Set():
		return nil, m.get(ctx, q)
	case q.Payload.Name == "block" && q.Set():
		return nil, m.block(ctx, q)
	case q.Payload.Name == "unblock" && q.Set():
		return nil, m.unblock(ctx, q)
	}
	return nil, stanza.Err(stanza.BadRequest, "it is blocklist to get, block and unblock to set")
}

// get sends the list (XEP-0191 §3.2). The answer is sent while nothing can change, so that changes come behind it.
func (m *module) get(ctx context.Context, q *modules.IQ) error {
	err := m.lists.Change(ctx, q.From.Local(), func(l *list) (*list, error) {
		q.Origin.SetValue(interestKey{}, true)
		// What fails here fails because the session is gone.
		q.Origin.Send(quiet(ctx), q.Stanza.Result(element("blocklist", l.all())))
		return l, nil
	})
	if err != nil {
		return err
	}
	return modules.Done
}

// element writes a list of addresses.
func element(name string, jids []stanza.JID) []byte {
	var x stanza.XML
	if len(jids) == 0 {
		return x.Empty(name, "xmlns", ns).Bytes()
	}
	x.Start(name, "xmlns", ns)
	for _, j := range jids {
		x.Empty("item", "jid", j.String())
	}
	return x.Bytes()
}

// quiet returns a context for what is sent while a list must not change: nobody waits there for a client.
func quiet(ctx context.Context) context.Context { return stream.WithBatch(ctx, nil) }

// items reads the addresses of a block or an unblock.
func items(e *stanza.Element) (jids []stanza.JID, els []*stanza.Element, err error) {
	for _, c := range e.Children {
		if c.NS != ns || c.Name != "item" {
			continue
		}
		addr := c.Attr("jid")
		if addr == "" {
			return nil, nil, stanza.Err(stanza.BadRequest, "an item has no jid")
		}
		j, err := stanza.ParseJID(addr)
		if err != nil {
			return nil, nil, stanza.Err(stanza.JIDMalformed, "")
		}
		jids, els = append(jids, j), append(els, c)
	}
	return jids, els, nil
}

// block puts addresses on the list (XEP-0191 §3.3), all or none.
func (m *module) block(ctx context.Context, q *modules.IQ) error {
	owner := q.From.Bare()
	jids, els, err := items(q.Payload)
	switch {
	case err != nil:
		return err
	case len(jids) == 0:
		return stanza.Err(stanza.BadRequest, "a block names whom")
	}
	for _, j := range jids {
		if j.Bare() == owner {
			return stanza.Err(stanza.NotAllowed, "nobody blocks himself") // XEP-0191 §4.1
		}
	}
	reports, err := readReports(owner, jids, els)
	if err != nil {
		return err
	}
	var added []stanza.JID
	err = m.lists.Change(ctx, owner.Local(), func(l *list) (*list, error) {
		next := l.with(jids, nil)
		if next.len() > m.cfg.MaxEntries && next.len() > l.len() {
			return l, stanza.Err(stanza.NotAllowed, "the block list is full")
		}
		for _, j := range next.all() {
			if !l.has(j) {
				added = append(added, j)
			}
		}
		if err := m.write(ctx, owner.Local(), added, nil, reports); err != nil {
			return nil, err
		}
		m.push(ctx, owner, element("block", jids))
		return next, nil
	})
	if err != nil {
		return err
	}
	for _, j := range added {
		m.roster.Hide(lift(ctx, owner), owner, j)
	}
	m.audit(reports, q.Origin)
	return nil
}

// unblock takes addresses off the list, or all (XEP-0191 §3.4, §3.5). Those that are not on it do not matter.
func (m *module) unblock(ctx context.Context, q *modules.IQ) error {
	owner := q.From.Bare()
	jids, _, err := items(q.Payload)
	if err != nil {
		return err
	}
	everything := len(jids) == 0
	if everything && len(q.Payload.Children) > 0 {
		return stanza.Err(stanza.BadRequest, "whom?") // something we do not know is no reason to unblock everybody
	}
	var removed []stanza.JID
	var next *list
	err = m.lists.Change(ctx, owner.Local(), func(l *list) (*list, error) {
		named := jids
		if everything {
			named = l.all()
		}
		for _, j := range named {
			if l.has(j) {
				removed = append(removed, j)
			}
		}
		if err := m.write(ctx, owner.Local(), nil, removed, nil); err != nil {
			return nil, err
		}
		m.push(ctx, owner, element("unblock", jids))
		next = l.with(nil, removed)
		return next, nil
	})
	if err != nil {
		return err
	}
	for _, j := range removed {
		if !next.covers(j) {
			m.roster.Show(ctx, owner, j)
		}
	}
	return nil
}

// push tells the account's sessions that have asked for the list of a change. It runs while the list cannot change again.
func (m *module) push(ctx context.Context, owner stanza.JID, payload []byte) {
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Value(interestKey{}) == nil {
			continue
		}
		id := "block" + strconv.FormatUint(m.ids.Add(1), 36)
		st := stanza.New(stanza.KindIQ, stanza.TypeSet, id, stanza.JID{}, s.JID(), payload)
		s.Send(quiet(ctx), st) // a session that is gone asks for the list when it comes back
	}
}
