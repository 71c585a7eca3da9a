package interop

import (
	"fmt"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestRooms: a room that slixmpp makes by its form is entered by each client: they see the subject, hear what was said before and
// talk, one is kicked and told so, and the archive has what was said.
func TestRooms(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	for i := range clients {
		t.Run(clients[i].name, func(t *testing.T) {
			s.AddUsers(fmt.Sprintf("o%d@localhost", i), fmt.Sprintf("g%d@localhost", i))
			room := fmt.Sprintf("room%d@conference.localhost", i)
			owner := start(t, s, slixmpp, fmt.Sprintf("o%d@localhost/one", i), false)
			owner.do("open", room, "owner", "A Dark Cave")
			if ev := owner.want("opened"); !slices.Equal(ev, []string{"opened", "A Dark Cave", "True"}) {
				t.Errorf("the room: %q", ev)
			}
			owner.do("topic", room, "Fire Burn")
			owner.want("subject", room, "Fire Burn")
			owner.do("say", room, "before")
			owner.want("said", room+"/owner", "before")

			guest := start(t, s, i, fmt.Sprintf("g%d@localhost/two", i), i%2 == 1)
			guest.do("join", room, "guest")
			p, isProfanity := guest.b.(*profanity)
			said := func(nick, text string) {
				t.Helper()
				if isProfanity { // it shows nicknames
					guest.want("message", nick, text)
				} else {
					guest.want("said", room+"/"+nick, text)
				}
			}
			if isProfanity {
				guest.want("joined", "guest")
				guest.want("subject", "Fire Burn")
			} else {
				guest.want("joined", room+"/guest")
				guest.want("subject", room, "Fire Burn")
			}
			said("owner", "before")
			owner.do("say", room, "hello from the owner")
			said("owner", "hello from the owner")
			guest.do("say", room, "hello from the guest")
			owner.want("said", room+"/guest", "hello from the guest")
			owner.do("kick", room, "guest")
			owner.want("kick", "done")
			owner.want("kicked", room+"/guest")
			if isProfanity {
				if err := p.wait("(?i)kicked"); err != nil {
					t.Error(err)
				}
			} else {
				guest.want("kicked", room+"/guest")
			}
			owner.do("log", room)
			var log [][]string
			for ev := owner.want("log"); ev[1] != "end"; ev = owner.want("log") {
				log = append(log, ev[1:])
			}
			want := [][]string{{room + "/owner", "before"}, {room + "/owner", "hello from the owner"}, {room + "/guest", "hello from the guest"}}
			if !slices.EqualFunc(log, want, slices.Equal) {
				t.Errorf("the archive has %q", log)
			}
			owner.do("ban", room, guest.a.bare())
			owner.want("outcasts", guest.a.bare())
		})
	}
}
