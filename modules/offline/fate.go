package offline

import (
	"github.com/xmppd/xmppd/stanza"
)

// What becomes of a message that no session took.
const (
	store  = iota
	refuse // the sender is told that it was not delivered
	forget // nobody misses it
)

// fate decides by type (XEP-0160 §3), hint (XEP-0334 §4) and content.
func fate(st *stanza.Stanza) int {
	switch st.Type {
	case stanza.TypeNone, stanza.TypeUnknown, stanza.TypeNormal, stanza.TypeChat: // RFC 6121 §5.2.2: an unknown type is normal
	default:
		return refuse
	}
	if st.Has(stanza.NSHints, "no-store") { // XEP-0334 §4.2: not even until the recipient comes
		return refuse
	}
	if st.Has("", "body") || st.Has(stanza.NSHints, "store") { // XEP-0334 §4.4
		return store
	}
	for _, c := range st.Children {
		if !passing(st, c) {
			return store
		}
	}
	return forget // XEP-0160 §3: nothing but a chat state, or nothing at all
}

// passing tells whether an element says something only to who sees it at once, or nothing of its own.
func passing(st *stanza.Stanza, c stanza.Child) bool {
	switch c.NS {
	case "http://jabber.org/protocol/chatstates", // XEP-0085
		stanza.NSHints, stanza.NSDelay,
		"urn:xmpp:sid:0": // XEP-0359
		return true
	}
	return c.NS == st.NS && string(st.Raw[c.Name.A:c.Name.B]) == "thread" // RFC 6121 §5.2.5
}

// stamped tells whether a message carries this host's delay stamp: it was taken in before, and came back from a session
// that ended without acknowledging it. The time of the first stamp holds.
func stamped(st *stanza.Stanza, host string) bool {
	for i, c := range st.Children {
		if c.NS == stanza.NSDelay && st.Element(i).Attr("from") == host {
			return true
		}
	}
	return false
}
