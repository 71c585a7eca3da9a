package offline

import "github.com/xmppd/xmppd/stanza"

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
