package roster

import (
	"context"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

type interestedKey struct{}

// interested tells whether a session has asked for the roster and so hears of its changes (RFC 6121 §2.2).
func interested(s modules.Session) bool { return s.Value(interestedKey{}) != nil }

// push tells an account's interested resources of a changed item, the one that changed it included (RFC 6121 §2.1.6).
func (m *module) push(ctx context.Context, owner stanza.JID, it *item) {
	var st *stanza.Stanza
	for _, s := range m.h.Router.Sessions(owner) {
		if !interested(s) {
			continue
		}
		if st == nil {
			st = m.pushed(it)
		}
		st.SetTo(s.JID())
		s.Send(ctx, st) // a session that is gone reads the list when it comes back
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
