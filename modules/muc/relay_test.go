package muc

import (
	"fmt"
	"strings"
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

// TestErrorOfRequest: an error is passed on, but not whose it is, nor his words.
func TestErrorOfRequest(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	bob.Sent()
	if got := ask(bob, "b", "Olga", lastActivity); got != "" {
		t.Fatal(got)
	}
	id := d.olga.Sent()[0].ID()
	d.olga.Say("<iq type='error' id='" + id + "' to='" + denJID + "/Bob'>" + lastActivity + "<error type='cancel' by='olga@a.test'>" +
		"<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><more xmlns='urn:x'/></error></iq>")
	got := modtest.XML(bob.Sent())
	have(t, got, "id='b'", "from='"+denJID+"/Olga'", "<feature-not-implemented")
	lack(t, got, "olga@a.test", "urn:x")
}

// TestLockedRoomIsNowhere: what is asked of a room that is not configured yet, or of somebody in it, is answered as if there were none
// (§10.1.3).
func TestLockedRoomIsNowhere(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	olga, bob := h.Session("olga@a.test/x"), h.Session("bob@a.test/x")
	enter(t, olga, "den", "Olga")
	for _, xml := range []string{
		"<message type='chat' id='x' to='%/Olga'><body>x</body></message>",
		"<message type='groupchat' id='x' to='%'><body>x</body></message>",
		"<message type='groupchat' id='x' to='%'><subject>x</subject></message>",
		"<message id='x' to='%'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='c@b.test'/></x></message>",
		"<iq type='get' id='x' to='%/Olga'>" + lastActivity + "</iq>",
		"<iq type='get' id='x' to='%/Olga'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='x' to='%'><ping xmlns='urn:xmpp:ping'/></iq>",
		"<iq type='get' id='x' to='%'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
		"<iq type='get' id='x' to='%'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>",
		"<iq type='get' id='x' to='%'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query></iq>",
		"<iq type='set' id='x' to='%'><query xmlns='urn:xmpp:mam:2'/></iq>",
		"<presence id='x' to='%/Olga'/>",
		"<presence type='unavailable' id='x' to='%/Olga'/>",
	} {
		var got [2]string
		for i, room := range []string{"den", "nowhere"} {
			bob.Say(strings.ReplaceAll(xml, "%", room+"@"+service))
			got[i] = strings.ReplaceAll(modtest.XML(bob.Sent()), room+"@", "ROOM@")
		}
		if got[0] != got[1] {
			t.Errorf("%s:\n%s\n%s", xml, got[0], got[1])
		}
	}
	if got := ask(olga, "x", "Olga", "<ping xmlns='urn:xmpp:ping'/>"); !strings.Contains(got, "result") {
		t.Errorf("its maker is not in: %s", got)
	}
}
