package roster

import (
	"context"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// BenchmarkBroadcast changes the presence of an account with 100 contacts, 20 of them online here, 20 elsewhere.
func BenchmarkBroadcast(b *testing.B) {
	var m *module
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { m = newModule(c); return m })
	h := modtest.New(b, "a.test", in)
	h.User("alice")
	owner := stanza.MustJID(alice)
	for i := range 100 {
		contact := fmt.Sprintf("c%d@a.test", i)
		switch {
		case i < 20:
			h.Session(contact+"/r").Available(0, "")
		case i < 40:
			contact = fmt.Sprintf("c%d@b.test", i)
		}
		e := &edit{owner: owner, contact: stanza.MustJID(contact), change: func(_ *list, it *item) error {
			it.listed, it.state = true, subTo|subFrom
			return nil
		}}
		if err := m.apply(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
	s := h.Session(alice + "/one")
	s.Available(0, "")
	s.Sent()
	was := s.Presence()
	ev := modules.Presence{Session: mute{s}, Stanza: was.Stanza, Was: was}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		m.presence(context.Background(), ev)
		if n++; n%100 == 0 { // the fakes keep what they get
			b.StopTimer()
			for i := range 20 {
				h.Router.Session(stanza.MustJID(fmt.Sprintf("c%d@a.test/r", i))).(*modtest.Session).Sent()
			}
			h.Sent()
			b.StartTimer()
		}
	}
}

// mute is a session that takes nothing.
type mute struct{ *modtest.Session }

func (mute) Send(context.Context, *stanza.Stanza) error { return nil }

// BenchmarkSubscribed asks what each module asks before it shows something of an account.
func BenchmarkSubscribed(b *testing.B) {
	var m *module
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { m = newModule(c); return m })
	modtest.New(b, "a.test", in)
	owner, contact := stanza.MustJID(alice), stanza.MustJID(romeo)
	b.ReportAllocs()
	for b.Loop() {
		m.Subscribed(context.Background(), owner, contact)
	}
}
