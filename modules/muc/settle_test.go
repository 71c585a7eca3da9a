package muc

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

// TestSettle says what makes a new room one that others can enter, though its maker never asked for its configuration: that he
// speaks, changes the subject or invites; not that he types, and not what others do.
func TestSettle(t *testing.T) {
	for name, tt := range map[string]struct {
		stanza string
		bob    bool   // it is from somebody else
		answer string // in what the sender gets
		in     bool   // others can enter after it
	}{
		"message":    {"<message type='groupchat' id='1' to='den@conference.a.test'><body>hello</body></message>", false, "<body>hello</body>", true},
		"subject":    {"<message type='groupchat' id='1' to='den@conference.a.test'><subject>dens</subject></message>", false, "<subject>dens</subject>", true},
		"invitation": {"<message id='1' to='den@conference.a.test'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='carol@b.test'/></x></message>", false, "", true},
		"chat state": {"<message type='groupchat' id='1' to='den@conference.a.test'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", false, "<item-not-found", false},
		"form":       {"<message id='1' to='den@conference.a.test'><x xmlns='jabber:x:data' type='submit'/></message>", false, "<item-not-found", false},
		"stranger's": {"<message type='groupchat' id='1' to='den@conference.a.test'><body>hello</body></message>", true, "<item-not-found", false},
		"stranger's invitation": {"<message id='1' to='den@conference.a.test'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@a.test'/></x></message>",
			true, "<item-not-found", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
			enter(t, alice, "den", "Alice")
			alice.Sent()
			by := alice
			if tt.bob {
				by = bob
			}
			by.Say(tt.stanza)
			if got := modtest.XML(by.Sent()); !strings.Contains(got, tt.answer) || tt.answer == "" && got != "" {
				t.Errorf("got %q, want %s", got, tt.answer)
			}
			if name == "invitation" {
				have(t, modtest.XML(h.Sent()), "to='carol@b.test'", "<invite from=")
			}
			got := enter(t, bob, "den", "Bob")
			if in := strings.Contains(got, "code='110'"); in != tt.in {
				t.Errorf("bob is in: %v; %s", in, got)
			}
			_, _, found, err := moduleOf(t, h).store.load(t.Context(), "den")
			if err != nil || found != tt.in {
				t.Errorf("on disk: %v, %v", found, err)
			}
		})
	}
}
