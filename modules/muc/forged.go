package muc

import "github.com/xmppd/xmppd/stanza"

// clean returns a presence of a client without what only a room may say, in bytes of its own.
func (r *room) clean(st *stanza.Stanza) *stanza.Stanza {
	st = st.Clone()
	r.dropForged(st)
	for i := st.Find(nsMUC, "x"); i >= 0; i = st.FindNext(i, nsMUC, "x") {
		st.Drop(i)
	}
	st.SetFrom(stanza.JID{})
	st.SetTo(stanza.JID{})
	return st.Retain()
}

// dropForged takes out what a client says in the name of the room, whether all get it or one.
func (r *room) dropForged(st *stanza.Stanza) {
	for i := range st.Children {
		switch st.Children[i].NS {
		case nsUser, nsOccID: // §7.2.2; XEP-0421 §3.3
			st.Drop(i)
		case stanza.NSDelay, nsDelay0: // §7.2.13: it would look as if it were of the room's history
			if from, err := stanza.ParseJID(st.Element(i).Attr("from")); err == nil && from.Bare() == r.jid {
				st.Drop(i)
			}
		case nsRetract, nsRetract0, nsModerate, nsModerate0, nsFasten0:
			if moderates(st.Element(i)) {
				st.Drop(i)
			}
		}
	}
	st.DropStanzaIDs(r.jid) // XEP-0359 §3.2
}

// moderates tells what says that a moderator has retracted something. Clients are to discard it where it is not the room that says so
// (XEP-0425 §5), and not all do. What people retract of their own (XEP-0424) has nothing of it.
func moderates(e *stanza.Element) bool {
	if e.NS == nsModerate || e.NS == nsModerate0 {
		return true
	}
	for _, c := range e.Children {
		if c.NS == nsModerate || c.NS == nsModerate0 {
			return true
		}
	}
	return false
}
