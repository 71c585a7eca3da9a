package roster

import (
	"context"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

type interestKey struct{}

// interest is what a session is told of the roster; a session without one has not asked for it (RFC 6121 §2.2).
type interest uint8

const (
	reading  interest = iota // the roster is on its way: changes wait, subscription stanzas do not
	informed                 // it has it, and hears of changes
)

// interested tells whether a session has asked for the roster.
func interested(s modules.Session) bool { return s.Value(interestKey{}) != nil }

// quiet returns a context for what is sent under an account's lock: a session whose client reads slowly may make those
// wait that come on the client's own behalf, and nobody must wait under a lock.
func quiet(ctx context.Context) context.Context { return stream.WithBatch(ctx, nil) }

// push tells an account's interested resources of a changed item, the one that changed it included (RFC 6121 §2.1.6).
// The caller holds the account's lock.
func (m *module) push(ctx context.Context, owner stanza.JID, it *item) {
	var st *stanza.Stanza
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Value(interestKey{}) != informed {
			continue
		}
		if st == nil {
			st = m.pushed(it)
		}
		st.SetTo(s.JID())
		s.Send(quiet(ctx), st) // a session that is gone reads the list when it comes back
	}
}

// pushAll tells one session of changed items.
func (m *module) pushAll(ctx context.Context, s modules.Session, items []*item) {
	for _, it := range items {
		st := m.pushed(it)
		st.SetTo(s.JID())
		s.Send(ctx, st)
	}
}

// pushed makes a roster push. It has no from: it can only come from the account itself.
func (m *module) pushed(it *item) *stanza.Stanza {
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSRoster, "ver", strconv.FormatUint(it.ver, 10)) // RFC 6121 §2.6.3
	it.write(&x)
	x.End()
	id := "push" + strconv.FormatUint(m.ids.Add(1), 36)
	return stanza.New(stanza.KindIQ, stanza.TypeSet, id, stanza.JID{}, stanza.JID{}, x.Bytes())
}
