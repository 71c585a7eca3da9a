package pep

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// XEP-0163 §3, §4.3: an event goes to the own devices and to contacts, as far as they want to hear of the node, from the
// bare JID, as a headline.
func TestPublishNotifies(t *testing.T) {
	h := newHost(t)
	a, b, e := h.Session(alice+"/one"), h.Session(bob+"/b"), h.Session(eve+"/e")
	deaf, away := h.Session(bob+"/deaf"), h.Session(bob+"/away")
	befriend(a, b)
	listen(t, a, tune)
	listen(t, b, tune, "urn:other")
	listen(t, e, tune)
	listen(t, deaf, "urn:other")
	listen(t, away, tune)
	away.Unavailable()
	away.Sent()
	b.Sent()
	a.Sent()
	publish(t, a, tune, "x", song)
	for _, s := range []struct {
		who  string
		got  []*stanza.Stanza
		want int
	}{{"alice", a.Sent(), 1}, {"bob", b.Sent(), 1}, {"eve", e.Sent(), 0}, {"deaf", deaf.Sent(), 0}, {"away", away.Sent(), 0}} {
		n := 0
		for _, st := range s.got {
			if st.Kind == stanza.KindMessage {
				n++
				if st.Type != stanza.TypeHeadline || st.From().String() != alice || st.ID() == "" || !strings.HasPrefix(items(st), "x=<tune") {
					t.Errorf("%s got %s", s.who, st.AppendTo(nil))
				}
			}
		}
		if n != s.want {
			t.Errorf("%s got %d events", s.who, n)
		}
	}
}
