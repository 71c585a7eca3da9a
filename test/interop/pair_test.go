package interop

import (
	"os"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// tells starts a script in which two of slixmpp's clients talk, and waits until it has told all that is wanted; see pair.py.
func tells(t *testing.T, s *xtest.Server, script string, wanted ...string) {
	t.Helper()
	s.AddUsers("alice@localhost", "bob@localhost")
	python := os.Getenv("XMPPD_PYTHON")
	if python == "" {
		python = "python3"
	}
	events := make(chan []string, 1000)
	_, err := startProcess(func(words ...string) { events <- words }, nil, python, script, "alice@localhost/one", "bob@localhost/two", xtest.Password, s.C2S, s.CertFile("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, what := range wanted {
		want[what] = true
	}
	for end := time.After(3 * wait); ; {
		select {
		case ev := <-events:
			switch {
			case ev[0] == "ok" && want[ev[1]]:
				delete(want, ev[1])
			case ev[0] == "end":
				for what := range want {
					t.Errorf("not seen: %s", what)
				}
				return
			default:
				t.Fatalf("it told %q; not seen: %v", ev, want)
			}
		case <-end:
			t.Fatalf("not seen: %v", want)
		}
	}
}

// TestPublishSlixmpp lets two of slixmpp's clients publish about themselves and look at each other: moods, tunes, nicknames,
// avatars in both of their forms, read markers, bookmarks old and new, device lists, nodes of their own.
func TestPublishSlixmpp(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	tells(t, s, "publish.py", "disco", "mood, sent last", "mood, own device too", "tune", "nickname", "avatar", "avatar in vCard",
		"picture of a vCard as avatar", "hash in presence", "displayed", "bookmarks for older clients", "device list, to a stranger",
		"configuration", "list of nodes")
}

// TestServicesSlixmpp lets them block and report, execute commands, register for push, and ask for a relay.
func TestServicesSlixmpp(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`,
		Extra: "[modules.mod_extdisco]\nturn_secret = \"north-wind-and-sun\"\nservices = [{type = \"turn\", host = \"turn.localhost\", port = 3478}]\n"})
	tells(t, s, "services.py", "an empty block list", "blocked and reported", "a push of what is blocked", "nothing goes to who is blocked",
		"who is blocked finds nobody", "his messages come back", "unblocked", "commands of a user", "an invitation", "push is offered",
		"push is registered", "credentials of a relay")
}
