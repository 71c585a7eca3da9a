package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestCrashRooms: what a room has confirmed is on disk, and who was in it before the crash is not in it after.
func TestCrashRooms(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys})
	s.AddUsers("ann@localhost", "bob@localhost")
	rounds := max(1, crashLoops(t)/10)
	n := 0
	// kills kills the server as soon as the answer to a request is there.
	kills := func(t *testing.T, c *xtest.Client, room, payload string) {
		t.Helper()
		got := c.Ask("set", room, payload)
		s.Kill()
		done(t, got)
	}
	look := func(t *testing.T) *xtest.Client {
		t.Helper()
		return s.Online(t, "ann@localhost/look")
	}
	list := func(t *testing.T, room, affiliation string, want ...string) {
		t.Helper()
		c := look(t)
		defer c.Quit()
		var got []string
		for _, it := range done(t, c.Ask("get", room, adminQuery("affiliation='"+affiliation+"'"))).Find("query").Children {
			got = append(got, it.Attr("jid"))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s are %q, wanted %q", affiliation, got, want)
		}
	}
	info := func(t *testing.T, room string) *xtest.Node {
		t.Helper()
		c := look(t)
		defer c.Quit()
		return c.Ask("get", room, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
	}
	owner := func(what string) string { return "<query xmlns='" + mucOwner + "'>" + what + "</query>" }
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, c *xtest.Client, room string) (after func(*testing.T))
	}{
		{"room", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			c.JoinRoom("new-"+room+"/ann", "")
			kills(t, c, "new-"+room, owner(xtest.RoomForm("persistentroom=1", "roomname=New")))
			return func(t *testing.T) {
				if n := done(t, info(t, "new-"+room)); n.Find("identity").Attr("name") != "New" {
					t.Errorf("it is %s", n)
				}
				list(t, "new-"+room, "owner", "ann@localhost")
			}
		}},
		{"affiliation", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			done(t, c.Ask("set", room, adminQuery("affiliation='member' jid='m1@example.net'")))
			kills(t, c, room, adminQuery("affiliation='outcast' jid='bob@localhost'"))
			return func(t *testing.T) {
				list(t, room, "member", "m1@example.net")
				list(t, room, "outcast", "bob@localhost")
			}
		}},
		{"affiliation removed", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			done(t, c.Ask("set", room, adminQuery("affiliation='outcast' jid='bob@localhost'")))
			kills(t, c, room, adminQuery("affiliation='none' jid='bob@localhost'"))
			return func(t *testing.T) { list(t, room, "outcast") }
		}},
		{"configuration", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			kills(t, c, room, owner(xtest.RoomForm("membersonly=1", "roomname=Renamed")))
			return func(t *testing.T) {
				n := done(t, info(t, room))
				if n.Find("identity").Attr("name") != "Renamed" || !strings.Contains(n.String(), "muc_membersonly") {
					t.Errorf("it is %s", n)
				}
			}
		}},
		{"subject", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			c.Barrier()
			c.Send("<message to='%s' type='groupchat' id='s'><subject>Fire</subject></message>", room)
			for c.Must().Attr("id") != "s" {
			}
			s.Kill()
			return func(t *testing.T) {
				c := look(t)
				defer c.Quit()
				c.Send("<presence to='%s/ann'><x xmlns='%s'/></presence>", room, mucNS)
				for {
					if n := c.Must(); n.Name.Local == "message" && n.Find("subject") != nil {
						if got := n.Find("subject").Text; got != "Fire" {
							t.Errorf("the subject is %q", got)
						}
						return
					}
				}
			}
		}},
		{"retraction", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			c.Barrier()
			c.Send("<message to='%s' type='groupchat' id='m'><body>%s</body></message>", room, xtest.Marker)
			said := c.Must()
			for said.Attr("id") != "m" {
				said = c.Must()
			}
			kills(t, c, room, "<moderate xmlns='urn:xmpp:message-moderate:1' id='"+said.Find("stanza-id").Attr("id")+"'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>")
			return func(t *testing.T) {
				c := look(t)
				defer c.Quit()
				done(t, c.Ask("set", room, "<query xmlns='urn:xmpp:mam:2'/>"))
				for _, n := range c.Barrier() {
					if strings.Contains(n.String(), xtest.Marker) {
						t.Errorf("the archive has %s", n)
					}
				}
			}
		}},
		{"destruction", func(t *testing.T, c *xtest.Client, room string) func(*testing.T) {
			kills(t, c, room, owner("<destroy/>"))
			return func(t *testing.T) { denied(t, info(t, room), "cancel", "item-not-found") }
		}},
	} {
		t.Run("D02 "+tc.name, func(t *testing.T) {
			for range rounds {
				n++
				room := fmt.Sprintf("room%d%s", n, conference)
				c := s.Online(t, "ann@localhost/x")
				c.OpenRoom(room+"/ann", "persistentroom=1")
				after := tc.do(t, c, room) // and the server is killed
				s.Start(xtest.Options{})
				after(t)
				// Nobody is in it (XEP-0410).
				back := s.Online(t, "ann@localhost/x")
				if n := back.Ask("get", room+"/ann", "<ping xmlns='urn:xmpp:ping'/>"); n.Attr("type") != "error" {
					t.Errorf("ann is in it: %s", n)
				}
				if tc.name != "destruction" {
					if n := info(t, room); !strings.Contains(n.String(), "<value>0</value>") { // muc#roominfo_occupants
						t.Errorf("somebody is in it: %s", n)
					}
					done(t, back.Ask("set", room, owner("<destroy/>"))) // there may be fifty
				}
				back.Quit()
			}
		})
	}
}

// TestCrashRoomArchive: what a room has passed on is in its archive, under the id that it was passed on with.
func TestCrashRoomArchive(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys})
	s.AddUsers("ann@localhost", "bob@localhost")
	const messages, room = 200, "room" + conference
	ann := s.Online(t, "ann@localhost/x")
	ann.OpenRoom(room+"/ann", "persistentroom=1")
	ann.Quit()
	total := 0
	t.Run("D02 what a room passed on", func(t *testing.T) {
		for loop := range crashLoops(t) {
			bob, ann := s.Online(t, "bob@localhost/x"), s.Online(t, "ann@localhost/x")
			bob.JoinRoom(room+"/bob", "<history maxstanzas='0'/>")
			ann.JoinRoom(room+"/ann", "<history maxstanzas='0'/>")
			delay := time.Duration(rand.IntN(300)) * time.Millisecond
			kill := time.AfterFunc(delay, func() { s.Signal(syscall.SIGKILL) })
			go func() {
				for i := range messages {
					if ann.TrySend(fmt.Sprintf("<message to='%s' type='groupchat' id='%d-%d'><body>%s</body></message>", room, loop, i, xtest.Marker)) != nil {
						return
					}
				}
			}()
			type said struct{ id, archived string }
			var live []said
			for {
				n, err := bob.Next()
				if err != nil {
					break
				}
				if n.Name.Local == "message" && n.Find("body") != nil {
					live = append(live, said{n.Attr("id"), n.Find("stanza-id").Attr("id")})
				}
			}
			if err := s.Exited(); err == nil {
				t.Error("the server was not killed")
			}
			kill.Stop()
			s.Start(xtest.Options{})
			total += len(live)
			look := s.Online(t, "bob@localhost/look")
			var kept []said
			for after := ""; ; {
				fin := done(t, look.Ask("set", room, "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>100</max>"+after+"</set></query>"))
				for _, n := range look.Barrier() {
					if m := n.Find("forwarded").Find("message"); m != nil {
						after = "<after>" + n.Find("result").Attr("id") + "</after>"
						if strings.HasPrefix(m.Attr("id"), fmt.Sprint(loop, "-")) {
							kept = append(kept, said{m.Attr("id"), n.Find("result").Attr("id")})
						}
					}
				}
				if fin.Find("fin").Attr("complete") == "true" {
					break
				}
			}
			look.Quit()
			if len(live) > len(kept) || !slices.Equal(live, kept[:len(live)]) {
				t.Fatalf("round %d, killed after %v: passed on %v, archived %v", loop, delay, live, kept)
			}
			for i, k := range kept { // each once, in order
				if want := fmt.Sprintf("%d-%d", loop, i); k.id != want {
					t.Fatalf("round %d: message %d is %s, wanted %s", loop, i, k.id, want)
				}
			}
		}
	})
	if total == 0 {
		t.Error("nothing was ever passed on")
	}
	t.Logf("%d messages were passed on", total)
}
