package muc

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

// TestEnd: at the end all learn that they are out (§16.6), each once, and nobody enters any more who would not.
func TestEnd(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	bob.Sent()
	d.m.End(context.Background())
	for nick, s := range map[string]*modtest.Session{"Olga": d.olga, "Bob": bob} {
		got := s.Sent()
		if len(got) != 1 {
			t.Errorf("%s: %s", nick, modtest.XML(got))
		}
		have(t, modtest.XML(got), "type='unavailable'", "from='"+denJID+"/"+nick+"'", "code='332'", "code='110'")
	}
	for _, room := range []string{"den", "new"} {
		have(t, enter(t, bob, room, "Bob"), "service-unavailable")
	}
	bob.Say("<message type='groupchat' to='" + denJID + "'><body>x</body></message>")
	have(t, modtest.XML(bob.Sent()), "not-acceptable")
	d.m.End(context.Background())
	d.do(func(r *room) {
		if len(r.present)+len(r.nicks)+len(r.sessions) != 0 || !r.exists {
			t.Error("somebody is in it, or it is gone")
		}
	})
}
