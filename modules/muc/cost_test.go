package muc

import (
	"context"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// sink is a session that takes everything and forgets it.
type sink struct {
	modules.Session
	jid stanza.JID
	n   int
}

func (s *sink) JID() stanza.JID                            { return s.jid }
func (s *sink) Presence() *modules.PresenceState           { return nil }
func (s *sink) Send(context.Context, *stanza.Stanza) error { s.n++; return nil }

// crowd is a room with many people, and what sends a message of one of them to all.
func crowd(t testing.TB, people int, toml string) (all []*sink, send func()) {
	t.Helper()
	h := modtest.NewConfig(t, "a.test", toml, Info)
	owner := h.Session("owner@a.test/x")
	open(t, owner, "den", "owner")
	for i := range people {
		s := &sink{jid: stanza.MustJID(fmt.Sprintf("u%d@a.test/x", i))}
		if !h.Router.Add(s) {
			t.Fatal("not added")
		}
		st := stanza.New(stanza.KindPresence, stanza.TypeNone, "", s.jid, stanza.MustJID(fmt.Sprintf("den@%s/u%d", service, i)), []byte("<x xmlns='"+nsMUC+"'/>"))
		h.Router.Route(context.Background(), modules.NewPacket(st))
		all = append(all, s)
	}
	owner.Say("<presence type='unavailable' to='den@" + service + "/owner'/>")
	was := groupchat(t, "u0@a.test/x", "Wherefore art thou, Romeo?")
	p := new(modules.Packet)
	return all, func() {
		*p = *was
		h.Router.Route(context.Background(), p)
	}
}

const unarchived = "[modules.mod_muc]\nroom_archive = false\nroom_persistent = true\n"

// TestAllocs: what a message costs does not depend on how many hear it.
func TestAllocs(t *testing.T) {
	for _, people := range []int{2, 200} {
		all, send := crowd(t, people, unarchived)
		for _, s := range all {
			s.n = 0
		}
		const runs = 50
		if n := testing.AllocsPerRun(runs, send); n > 16 {
			t.Errorf("%d people: %v allocations", people, n)
		}
		for _, s := range all {
			if s.n != runs+1 {
				t.Errorf("%s heard %d of %d", s.jid, s.n, runs+1)
			}
		}
	}
}

// BenchmarkCrowd is a message to 200 people: 200 times hop 3 to 5.
func BenchmarkCrowd(b *testing.B) {
	_, send := crowd(b, 200, unarchived)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
