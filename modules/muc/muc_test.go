package muc

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

const service = "conference.a.test"

// enter has a session enter a room, and returns what it is sent.
func enter(t testing.TB, s *modtest.Session, room, nick string) string {
	t.Helper()
	s.Say("<presence to='" + room + "@" + service + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	return modtest.XML(s.Sent())
}

// open makes a room that others can enter.
func open(t testing.TB, s *modtest.Session, room, nick string) {
	t.Helper()
	enter(t, s, room, nick)
	st := s.IQ("set", room+"@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>")
	if st == nil || st.Type.String() != "result" {
		t.Fatalf("room not configured: %v", st)
	}
	s.Sent()
}

func TestTalk(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/phone"), h.Session("bob@a.test/desk")
	got := enter(t, alice, "den", "Alice")
	if !strings.Contains(got, "code='201'") || !strings.Contains(got, "code='110'") || !strings.Contains(got, "<subject/>") {
		t.Fatalf("got %s", got)
	}
	if got := enter(t, bob, "den", "Bob"); !strings.Contains(got, "item-not-found") {
		t.Fatalf("a locked room lets in: %s", got)
	}
	open(t, alice, "den", "Alice")
	got = enter(t, bob, "den", "Bob")
	t.Log(got)
	alice.Sent()
	bob.Say("<message type='groupchat' to='den@" + service + "' id='1'><body>hello</body></message>")
	t.Log(modtest.XML(alice.Sent()))
	t.Log(modtest.XML(bob.Sent()))
	bob.Say("<message type='chat' to='den@" + service + "/Alice' id='1'><body>psst</body></message>")
	t.Log(modtest.XML(alice.Sent()))
	bob.Say("<presence to='den@" + service + "/Robert'/>")
	t.Log(modtest.XML(alice.Sent()))
	bob.Say("<presence type='unavailable' to='den@" + service + "/Robert'/>")
	t.Log(modtest.XML(alice.Sent()), modtest.XML(bob.Sent()))
}
