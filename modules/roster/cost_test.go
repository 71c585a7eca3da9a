package roster

import (
	"context"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// A roster is written once, whatever is in it; a presence is made once, however many are told.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	m, q := fetch(t, 20)
	if n := testing.AllocsPerRun(100, func() { m.get(context.Background(), q) }); n > 3 {
		t.Errorf("%v allocations for a roster of 20", n)
	}
	cost := func(contacts int) float64 {
		m, ev := told(t, contacts)
		return testing.AllocsPerRun(100, func() { m.presence(context.Background(), ev) })
	}
	few, many := cost(3), cost(103)
	if few > 8 || many > few {
		t.Errorf("%v allocations to tell 3 contacts of a presence, %v for 103", few, many)
	}
}

// BenchmarkFetch answers a request for a roster of 20.
func BenchmarkFetch(b *testing.B) {
	m, q := fetch(b, 20)
	b.ReportAllocs()
	for b.Loop() {
		m.get(context.Background(), q)
	}
}

// start gives alice contacts, each way.
func start(t testing.TB, contacts int) (h *modtest.Host, m *module) {
	t.Helper()
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { m = newModule(c); return m })
	h = modtest.New(t, "a.test", in)
	h.User("alice")
	for i := range contacts {
		e := &edit{owner: stanza.MustJID(alice), contact: stanza.MustJID(contact(i)), change: func(_ *list, it *item) error {
			it.listed, it.state = true, subTo|subFrom
			return nil
		}}
		if err := m.apply(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	return h, m
}

func contact(i int) string { return fmt.Sprintf("u%05d@a.test", i) }

// fetch returns a request for a roster, of a session that takes nothing.
func fetch(t testing.TB, contacts int) (*module, *modules.IQ) {
	t.Helper()
	h, m := start(t, contacts)
	s := h.Session(alice + "/one")
	st, err := stanza.Parse([]byte("<iq type='get' id='r' from='alice@a.test/one' to='alice@a.test'><query xmlns='jabber:iq:roster'/></iq>"))
	if err != nil {
		t.Fatal(err)
	}
	p := modules.NewPacket(st)
	p.Origin = mute{s}
	return m, &modules.IQ{Packet: p, Payload: st.Payload()}
}

// told returns a change of alice's presence that all her contacts are told, who are there and take nothing.
func told(t testing.TB, contacts int) (*module, modules.Presence) {
	t.Helper()
	h, m := start(t, contacts)
	for i := range contacts {
		s := h.Session(contact(i) + "/r")
		h.Router.Remove(s)
		h.Router.Add(mute{s})
	}
	s := h.Session(alice + "/one")
	s.Available(0, "")
	s.Sent()
	was := s.Presence()
	return m, modules.Presence{Session: mute{s}, Stanza: was.Stanza, Was: was}
}
