package muc

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

const lastActivity = "<query xmlns='jabber:iq:last'/>"

// ask sends a request to an occupant, and returns what came back at once.
func ask(s *modtest.Session, id, nick, payload string) string {
	s.Say("<iq type='get' id='" + id + "' to='" + denJID + "/" + nick + "'>" + payload + "</iq>")
	return modtest.XML(s.Sent())
}

// TestUnansweredRequests: who asks a client that never answers, such as another one of his own, keeps nobody else from asking.
func TestUnansweredRequests(t *testing.T) {
	d := newRoom(t, "")
	mallory := d.join("mallory@a.test/x", "Mallory")
	d.join("accomplice@a.test/x", "Accomplice")
	bob := d.join("bob@a.test/x", "Bob")
	mallory.Sent()
	refused := 0
	for i := range maxAsked + 10 {
		if got := ask(mallory, fmt.Sprint(i), "Accomplice", lastActivity); got != "" {
			have(t, got, "resource-constraint")
			refused++
		}
	}
	if want := maxAsked + 10 - maxAskedEach; refused != want {
		t.Errorf("%d refused, want %d", refused, want)
	}
	bob.Sent()
	d.olga.Sent()
	lack(t, ask(bob, "b", "Olga", lastActivity), "error")
	have(t, modtest.XML(d.olga.Sent()), "jabber:iq:last")
}
