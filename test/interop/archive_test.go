package interop

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// slixmpp is which of the clients speaks of archives and copies here.
const slixmpp = 1

// TestArchivesAndCopies: a client reads its archive in pages, both ways and with one contact, sets its preferences, and sees on
// one device what the other says and hears.
func TestArchivesAndCopies(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost", "bob@localhost", "carol@localhost")
	desk, phone := start(t, s, slixmpp, "alice@localhost/desk", false), start(t, s, slixmpp, "alice@localhost/phone", true)
	bob := start(t, s, slixmpp, "bob@localhost/x", false)
	phone.do("carbons")
	phone.want("carbons")
	ids := map[string]bool{}
	for i := range 4 {
		desk.do("chat", "bob@localhost", fmt.Sprint("to bob ", i))
		bob.want("message", "alice@localhost/desk", fmt.Sprint("to bob ", i))
		ev := phone.want("copy")
		if ev[1] != "sent" || ev[2] != "alice@localhost/desk" || ev[4] != fmt.Sprint("to bob ", i) {
			t.Fatalf("copied: %q", ev)
		}
		ids[ev[5]] = true
		bob.do("chat", "alice@localhost/desk", fmt.Sprint("from bob ", i))
		desk.want("message", "bob@localhost/x", fmt.Sprint("from bob ", i))
		ev = phone.want("copy")
		if ev[1] != "received" || ev[2] != "bob@localhost/x" || ev[4] != fmt.Sprint("from bob ", i) {
			t.Fatalf("copied: %q", ev)
		}
		ids[ev[5]] = true
	}
	desk.do("chat", "carol@localhost", "to carol")
	phone.want("copy", "sent")
	history := func(args ...string) (list [][]string) {
		t.Helper()
		phone.do("history", args...)
		for {
			ev := phone.want("history")
			if ev[1] == "end" {
				return list
			}
			list = append(list, ev)
		}
	}
	all, back, withBob := history(), history("", "back"), history("bob@localhost")
	if len(all) != 9 || len(back) != 9 || len(withBob) != 8 {
		t.Fatalf("%d messages, %d from the end, %d with bob", len(all), len(back), len(withBob))
	}
	for i, ev := range withBob {
		who, what := "alice@localhost", fmt.Sprint("to bob ", i/2)
		if i%2 == 1 {
			who, what = "bob@localhost", fmt.Sprint("from bob ", i/2)
		}
		if ev[1] != who || ev[2] != what || !ids[ev[3]] || ev[3] != all[i][3] || ev[3] != back[8-i][3] {
			t.Errorf("message %d: %q; all %q, back %q", i, ev, all[i], back[8-i])
		}
	}
	phone.do("archive")
	if ev := phone.want("archive"); ev[1] != all[0][3] || ev[2] != all[8][3] {
		t.Errorf("metadata: %q", ev)
	}
	phone.want("fields", "FORM_TYPE", "after-id", "before-id", "end", "ids", "include-groupchat", "start", "with")
	phone.do("prefer", "always", "bob@localhost")
	phone.want("prefs", "always", "bob@localhost")
	desk.do("chat", "bob@localhost", "not for the archive")
	phone.want("copy", "sent")
	if n := len(history()); n != 9 {
		t.Errorf("%d messages after the preference", n)
	}
}
