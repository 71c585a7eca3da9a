package muc

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/mam"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
)

const unavailableError = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

// TestBlockedOccupant: who is blocked by his nickname cannot put who blocks him out of the room, though his private messages come back
// (XEP-0191 §3.3).
func TestBlockedOccupant(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", denHead, roster.Info, blocking.Info, Info)
	olga, mallory := h.Session("olga@a.test/desk"), h.Session("mallory@a.test/x")
	open(t, olga, "den", "Olga")
	enter(t, mallory, "den", "Mallory")
	olga.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='"+denJID+"/Mallory'/></block>")
	olga.Sent()
	mallory.Say("<message type='chat' id='pm' to='" + denJID + "/Olga'><body>spam</body></message>")
	have(t, modtest.XML(mallory.Sent()), "service-unavailable", "id='pm'", "from='"+denJID+"/Olga'")
	lack(t, modtest.XML(olga.Sent()), "spam", "code='110'")
	mallory.Say("<message type='groupchat' to='" + denJID + "'><body>all</body></message>")
	lack(t, modtest.XML(olga.Sent()), "all")
	ping := olga.IQ("get", denJID+"/Olga", "<ping xmlns='urn:xmpp:ping'/>")
	if ping.Type.String() != "result" {
		t.Errorf("the one who blocks is not in the room any more: %s", modtest.XML(mallory.Sent()))
	}
}

// TestErrorsOfPrivateMessages: an error is handed on for what it is: to who sent a private message, once, without anything that the other
// one wrote. It is no way to speak where the room allows no private messages, and who says something to all hears nothing of
// those whom it does not reach.
func TestErrorsOfPrivateMessages(t *testing.T) {
	d := newRoom(t, "")
	bob, bob2 := d.join("bob@a.test/x", "Bob"), d.join("bob@a.test/y", "Bob")
	bob.Sent()
	d.olga.Say("<message type='chat' id='pm' to='" + denJID + "/Bob'><body>psst</body></message>")
	for _, s := range []*modtest.Session{bob, bob2} {
		have(t, modtest.XML(s.Sent()), "psst")
		s.Say("<message type='error' id='pm' to='" + denJID + "/Olga'><body>words</body>" + unavailableError + "</message>")
	}
	got := modtest.XML(d.olga.Sent())
	have(t, got, "service-unavailable", "id='pm'", "from='"+denJID+"/Bob'", "occupant-id")
	lack(t, got, "words", "unavailable'/>\n<", "<body")
	if strings.Count(got, "<message") != 1 || strings.Contains(got, "<presence") {
		t.Errorf("got %s", got)
	}

	d.settings(func(s *Settings) { s.AllowPM = pmNone })
	bob.Say("<message type='error' id='other' to='" + denJID + "/Olga'><body>words</body><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	if got := modtest.XML(d.olga.Sent()); got != "" {
		t.Errorf("words by way of an error: %s", got)
	}

	d.olga.Say("<message type='groupchat' id='gc' to='" + denJID + "'><body>all</body></message>")
	d.olga.Sent()
	bob.Say("<message type='error' id='gc' to='" + denJID + "/Olga'>" + unavailableError + "</message>")
	got = modtest.XML(d.olga.Sent())
	lack(t, got, "<message")

	// Whose client is gone for good is out by a private message, too.
	d.settings(func(s *Settings) { s.AllowPM = pmAnyone })
	d.olga.Say("<message type='chat' id='pm2' to='" + denJID + "/Bob'><body>psst</body></message>")
	bob2.Say("<message type='error' id='pm2' to='" + denJID + "/Olga'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	have(t, modtest.XML(d.olga.Sent()), "<gone", "type='unavailable'", "code='333'")
}

// TestPassedBound: what a room remembers of private messages has an end.
func TestPassedBound(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	for range 3 * maxPassed {
		bob.Say("<message type='chat' id='" + strings.Repeat("i", 1000) + "' to='" + denJID + "/Olga'><body>psst</body></message>")
	}
	d.do(func(r *room) {
		if n := len(r.passed); n == 0 || n > maxPassed || len(r.passed[0].id) > maxPassedID {
			t.Errorf("%d are remembered", n)
		}
	})
}

// TestPrivateMessageToDevices: a private message goes once to each client that is in the room, to no other one, whatever its type; it is in
// the archive of the account once, and all clients have it by the ID that it has there.
func TestPrivateMessageToDevices(t *testing.T) {
	for _, typ := range []string{"chat", "normal"} {
		t.Run(typ, func(t *testing.T) {
			h := modtest.NewConfig(t, "a.test", "", roster.Info, mam.Info, carbons.Info, Info)
			olga, one, two, out := h.Session("olga@a.test/desk"), h.Session("bob@a.test/1"), h.Session("bob@a.test/2"), h.Session("bob@a.test/out")
			open(t, olga, "den", "Olga")
			for _, s := range []*modtest.Session{one, two, out} {
				s.Available(0, "")
				s.IQ("set", "", "<enable xmlns='urn:xmpp:carbons:2'/>")
			}
			enter(t, one, "den", "Bob")
			enter(t, two, "den", "Bob")
			for _, s := range []*modtest.Session{one, two, out} {
				s.Sent()
			}
			for i := range 2 { // nor do two messages have one ID
				olga.Say("<message type='" + typ + "' id='pm' to='" + denJID + "/Bob'><body>psst</body></message>")
				ids := map[string]bool{}
				for _, s := range []*modtest.Session{one, two} {
					got := s.Sent()
					if len(got) != 1 || got[0].To() != s.JID() || strings.Count(modtest.XML(got), "<stanza-id") != 1 {
						t.Fatalf("%s got %s", s.JID(), modtest.XML(got))
					}
					ids[got[0].StanzaID(s.JID().Bare())] = true
				}
				if len(ids) != 1 || ids[""] {
					t.Errorf("IDs %v", ids)
				}
				if got := modtest.XML(out.Sent()); got != "" {
					t.Errorf("who is not in the room got %s", got)
				}
				for _, s := range []*modtest.Session{one, olga} {
					s.IQ("set", "", "<query xmlns='urn:xmpp:mam:2'/>")
					got := modtest.XML(s.Sent())
					if n := strings.Count(got, "psst"); n != i+1 {
						t.Errorf("%d times in the archive of %s: %s", n, s.JID(), got)
					}
					for id := range ids {
						if s == one {
							have(t, got, id)
						}
					}
				}
			}
		})
	}
}
