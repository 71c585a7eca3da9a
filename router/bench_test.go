package router

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// sink is a session that takes everything and forgets it.
type sink struct {
	modules.Session
	jid      stanza.JID
	presence *modules.PresenceState
	n        int
}

func (s *sink) JID() stanza.JID                            { return s.jid }
func (s *sink) Presence() *modules.PresenceState           { return s.presence }
func (s *sink) Send(context.Context, *stanza.Stanza) error { s.n++; return nil }

// full is a router with many accounts of two devices each.
func full(t testing.TB, accounts int) (*Router, []*sink) {
	t.Helper()
	r := New(Options{})
	r.Publish(map[string]*modules.Table{"a.test": {Host: "a.test"}})
	var all []*sink
	for i := range accounts {
		for _, res := range []string{"phone", "desk"} {
			s := &sink{jid: stanza.MustJID(fmt.Sprintf("u%d@a.test/%s", i, res)), presence: &modules.PresenceState{}}
			if !r.Add(s) {
				t.Fatal("not added")
			}
			all = append(all, s)
		}
	}
	return r, all
}

func message(t testing.TB, to string) func(r *Router) {
	t.Helper()
	st, err := stanza.Parse([]byte("<message to='" + to + "' type='chat' id='m1'><body>Wherefore art thou, Romeo?</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	from := stanza.MustJID("u0@a.test/phone")
	st.SetFrom(from)
	p := modules.Packet{}
	return func(r *Router) {
		p = modules.Packet{Stanza: st, From: from, To: st.To()}
		r.Route(context.Background(), &p)
	}
}

// TestAllocs: to find who gets a message allocates nothing.
func TestAllocs(t *testing.T) {
	for to, takers := range map[string]int{"u7@a.test/phone": 1, "u7@a.test": 2} {
		r, all := full(t, 10)
		send := message(t, to)
		if n := testing.AllocsPerRun(100, func() { send(r) }); n != 0 {
			t.Errorf("to %s: %v allocations", to, n)
		}
		took := 0
		for _, s := range all {
			if s.n > 0 {
				took++
				if s.jid.Local() != "u7" || s.n != 101 {
					t.Errorf("%s took %d", s.jid, s.n)
				}
			}
		}
		if took != takers {
			t.Errorf("to %s: %d took it", to, took)
		}
	}
}

// BenchmarkRoute is hops 3 and 4: whose is it, and which of his sessions get it.
func BenchmarkRoute(b *testing.B) {
	const accounts = 10_000
	r, _ := full(b, accounts)
	for name, resource := range map[string]string{"full JID": "/phone", "bare JID": ""} {
		b.Run(name, func(b *testing.B) {
			var send []func(*Router)
			for i := range 1000 {
				send = append(send, message(b, "u"+strconv.Itoa(i*7919%accounts)+"@a.test"+resource))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				send[i%len(send)](r)
			}
		})
	}
}
