package pep

import (
	"context"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// crowd is an account with contacts who are online here and want to hear of tune.
func crowd(t testing.TB, contacts int) (h *modtest.Host, m *module, a *modtest.Session) {
	t.Helper()
	h = modtest.New(t, "a.test", with(&m)...)
	a = h.Session(alice + "/one")
	for i := range contacts {
		s := h.Session(fmt.Sprintf("c%d@a.test/r", i))
		befriend(a, s)
		s.Available(0, "")
		s.SetValue(interestKey{}, caps.NewInterest(tune))
		s.Sent()
		s.Refuse(errMute) // the fakes keep what they get
	}
	a.Sent()
	return h, m, a
}

var errMute = stanza.Err(stanza.ServiceUnavailable, "")

// BenchmarkPublish publishes to 100 contacts, who are all here: the change on disk (in memory here), one encoding of the event,
// and its way to each of them up to c2s.
func BenchmarkPublish(b *testing.B) {
	for _, contacts := range []int{0, 100} {
		b.Run(fmt.Sprint(contacts), func(b *testing.B) {
			_, m, _ := crowd(b, contacts)
			st, err := stanza.Parse([]byte("<iq type='set' id='p' from='" + alice + "/one' to='" + alice + "'>" + publishXML(tune, "current", song) + "</iq>"))
			if err != nil {
				b.Fatal(err)
			}
			q := &modules.IQ{Packet: modules.NewPacket(st), Payload: st.Payload()}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.request(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFanoutAllocs: an event is encoded once; each further contact costs no allocation.
func TestFanoutAllocs(t *testing.T) {
	cost := func(contacts int) float64 {
		_, m, a := crowd(t, contacts)
		publish(t, a, tune, "current", song)
		acc, err := m.account(context.Background(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		ev := about(stanza.MustJID(alice), acc.node(tune), "purge")
		return testing.AllocsPerRun(100, func() { m.announce(context.Background(), ev) })
	}
	few, many := cost(1), cost(101)
	if each := (many - few) / 100; each > 0.5 {
		t.Errorf("each contact costs %v allocations (%v for 1, %v for 101)", each, few, many)
	}
}
