package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackLimitsOfRooms has the limits of what rooms, and those who make them, may have.
func TestAttackLimitsOfRooms(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Extra: "[modules.mod_muc]\nrooms_per_account = 4\nmax_affiliations = 6\nnick_size = 16\n"})
	g.AddUsers("owner@localhost", "guest@localhost")
	owner := g.Online(t, "owner@localhost/x")
	const room = "cave" + conference
	owner.OpenRoom(room+"/owner", "persistentroom=1", "roomname=Cave")
	owner.Barrier()
	// bounded fails the test unless a stanza came back with one of the errors of a limit.
	bounded := func(t *testing.T, what string, n *xtest.Node) {
		t.Helper()
		e := n.Find("error")
		if n.Attr("type") != "error" || e == nil {
			t.Errorf("%s: not refused: %.300s", what, n)
			return
		}
		for _, c := range []string{"resource-constraint", "policy-violation", "not-acceptable"} {
			if e.Find(c) != nil {
				return
			}
		}
		t.Errorf("%s: refused with %.300s", what, n)
	}

	g.Run(t, "R12 rooms of an account", func(t *testing.T) {
		owner.T = t
		for i := range 3 { // with the first
			owner.OpenRoom(fmt.Sprintf("more%d%s/owner", i, conference), "persistentroom=1")
		}
		owner.Barrier()
		for i := range 20 {
			owner.Send("<presence to='toomany%d%s/owner'><x xmlns='%s'/></presence>", i, conference, mucNS)
			bounded(t, "a room too many", owner.Must())
		}
		// By another resource, after leaving all, and in temporary rooms that nobody configures: the account is the same.
		owner.Send("<presence type='unavailable'/>")
		owner.Barrier()
		c := g.Online(t, "owner@localhost/another")
		c.Send("<presence to='toomany%s/owner'><x xmlns='%s'/></presence>", conference, mucNS)
		bounded(t, "a room too many", c.Must())
		goes(c)
		owner.Send("<presence/>")
		owner.Barrier()
		for i := range 3 {
			owner.JoinRoom(fmt.Sprintf("more%d%s/owner", i, conference), "")
		}
		owner.JoinRoom(room+"/owner", "")
		// One that is gone makes room for another; others make rooms all along.
		done(t, owner.Ask("set", "more0"+conference, "<query xmlns='"+mucOwner+"'><destroy/></query>"))
		owner.OpenRoom("instead" + conference + "/owner")
		guest := g.Online(t, "guest@localhost/r")
		guest.OpenRoom("mine" + conference + "/guest")
		goes(guest)
		owner.Barrier()
	})

	g.Run(t, "R12 affiliations of a room", func(t *testing.T) {
		owner.T = t
		for i := range 5 { // with the owner
			done(t, owner.Ask("set", room, adminQuery(fmt.Sprintf("affiliation='member' jid='m%d@example.net'", i))))
		}
		for _, a := range []string{"member", "outcast", "admin", "owner"} {
			bounded(t, "one more "+a, owner.Ask("set", room, adminQuery("affiliation='"+a+"' jid='more@example.net'")))
		}
		// All or none of several.
		var many strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&many, "<item affiliation='outcast' jid='o%d@x.net'/>", i)
		}
		bounded(t, "thousands at once", owner.Ask("set", room, "<query xmlns='"+mucAdmin+"'>"+many.String()+"</query>"))
		if n := owner.Ask("get", room, adminQuery("affiliation='outcast'")); n.Find("item") != nil {
			t.Errorf("the outcasts are %.300s", n)
		}
		if n := owner.Ask("get", room, adminQuery("affiliation='member'")); strings.Count(n.String(), "<item") != 5 {
			t.Errorf("the members are %.300s", n)
		}
		// A full list can change, and shrink.
		done(t, owner.Ask("set", room, adminQuery("affiliation='admin' jid='m0@example.net'")))
		done(t, owner.Ask("set", room, adminQuery("affiliation='none' jid='m1@example.net'")))
		done(t, owner.Ask("set", room, adminQuery("affiliation='outcast' jid='more@example.net'")))
		owner.Barrier()
	})

	g.Run(t, "R12 nicknames", func(t *testing.T) {
		owner.T = t
		guest := g.Online(t, "guest@localhost/n")
		for _, nick := range []string{strings.Repeat("n", 17), strings.Repeat("ü", 9), strings.Repeat("n", 1000)} {
			guest.Send("<presence to='%s/%s'><x xmlns='%s'/></presence>", room, nick, mucNS)
			bounded(t, "entering", guest.Must())
		}
		owner.Quiet()
		guest.JoinRoom(room+"/"+strings.Repeat("n", 16), "")
		owner.Barrier()
		guest.Send("<presence to='%s/%s'/>", room, strings.Repeat("m", 17))
		bounded(t, "a new nickname", guest.Must())
		owner.Quiet()
		goes(guest)
		owner.Barrier()
	})

	g.Run(t, "R12 subjects and configurations", func(t *testing.T) {
		owner.T = t
		owner.Send("<message to='%s' type='groupchat' id='first'><subject>first</subject></message>", room)
		owner.Barrier()
		owner.Send("<message to='%s' type='groupchat' id='long'><subject>%s</subject></message>", room, strings.Repeat("s", 60_000))
		bounded(t, "a subject", owner.Must())
		for _, f := range []string{"roomname", "roomdesc", "roomsecret", "lang"} {
			fields := []string{f + "=" + strings.Repeat("f", 60_000)}
			if f == "roomsecret" {
				fields = append(fields, "passwordprotectedroom=1")
			}
			bounded(t, f, owner.ConfigureRoom(room, fields...))
		}
		owner.Barrier()
		guest := g.Online(t, "guest@localhost/s")
		guest.Send("<presence to='%s/guest'><x xmlns='%s'/></presence>", room, mucNS)
		subject := ""
		for subject == "" {
			if n := guest.Must(); n.Name.Local == "message" && n.Find("subject") != nil {
				subject = n.Find("subject").Text
			} else if n.Attr("type") == "error" {
				t.Fatalf("not let in: %.300s", n)
			}
		}
		if subject != "first" {
			t.Errorf("the subject is now %.100s", subject)
		}
		if n := guest.Ask("get", room, "<query xmlns='http://jabber.org/protocol/disco#info'/>"); n.Find("identity") == nil || n.Find("identity").Attr("name") != "Cave" {
			t.Errorf("the room is now %.300s", n)
		}
		goes(guest)
		owner.Barrier()
	})
}

// TestAttackLargeInRooms sends what is as deep and as large as may be to a room: all get it whole, live, as history, and out of
// the archive.
func TestAttackLargeInRooms(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{})
	g.AddUsers("owner@localhost")
	const room = "cave" + conference
	depth := func(n *xtest.Node) (d int) {
		for ; n != nil; n = n.Child("a") {
			d++
		}
		return d
	}
	size := func(n *xtest.Node) int { return len(n.Child("body").Text) }
	largest := letter("large", 256<<10) // R02
	largest = strings.Replace(strings.Replace(largest, "to='bob@a.test'", "to='"+room+"'", 1), "'chat'", "'groupchat'", 1)
	largest = strings.Replace(largest, strings.Repeat("x", 100), "", 1) // the addresses are longer
	for _, tc := range []struct {
		name, id, text string
		measure        func(*xtest.Node) int
	}{
		{"R03 depth", "deep", strings.Replace(deepLetter(room, 64), "'chat'", "'groupchat'", 1), depth},
		{"R02 size", "large", largest, size},
	} {
		g.Run(t, tc.name, func(t *testing.T) {
			owner := g.Online(t, "owner@localhost/x")
			owner.OpenRoom(room + "/owner")
			c := g.Online(t, "mallory@localhost/x")
			c.JoinRoom(room+"/mallory", "")
			sent, err := xtest.Parse(tc.text)
			must(t, err)
			want := tc.measure(sent)
			got := func(what string, n *xtest.Node) {
				t.Helper()
				if n == nil || n.Attr("id") != tc.id || tc.measure(n) != want {
					t.Errorf("%s: %.300s", what, n)
				}
			}
			c.Send("%s", tc.text)
			for _, who := range []*xtest.Client{c, owner} {
				n := who.Must()
				for n.Name.Local != "message" || n.Child("body") == nil {
					n = who.Must()
				}
				got("live", n)
			}
			late := g.Online(t, "alice@localhost/late")
			late.Send("<presence to='%s/late'><x xmlns='%s'/></presence>", room, mucNS)
			n := late.Must()
			for n.Name.Local != "message" {
				n = late.Must()
			}
			got("history", n)
			late.Barrier()
			done(t, late.Ask("set", room, "<query xmlns='urn:xmpp:mam:2'/>"))
			var archived *xtest.Node
			for _, n := range late.Barrier() {
				if f := n.Find("forwarded"); f != nil {
					archived = f.Child("message")
				}
			}
			got("archive", archived)
			for _, c := range []*xtest.Client{late, c, owner} {
				goes(c)
			}
		})
	}
}

// TestAttackJoinFlood is one user who enters thousands of times.
func TestAttackJoinFlood(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{})
	g.AddUsers("owner@localhost", "nicks@localhost", "same@localhost")
	owner := g.Online(t, "owner@localhost/x")
	const room = "cave" + conference
	owner.OpenRoom(room + "/owner")
	owner.Barrier()
	const joins = 5000
	// flood enters rooms, some hundreds at a time, so that who hears of it is not overrun, and hands on what comes back.
	flood := func(t *testing.T, c *xtest.Client, to func(i int) string, back, heard func(*xtest.Node)) {
		t.Helper()
		const some = 500
		for from := 0; from < joins; from += some {
			go func() {
				for i := from; i < from+some; i++ {
					if c.TrySend(fmt.Sprintf("<presence id='j%d' to='%s'><x xmlns='%s'/></presence>", i, to(i), mucNS)) != nil {
						return
					}
				}
				c.TrySend("<iq type='get' id='over' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
			}()
			for n := c.Must(); n.Attr("id") != "over"; n = c.Must() {
				back(n)
			}
			for _, n := range owner.Barrier() {
				heard(n)
			}
		}
	}
	nothing := func(*xtest.Node) {}
	cheap := func(t *testing.T, before int64) {
		t.Helper()
		if grown := g.RSS(t) - before; grown > 64*mib {
			t.Errorf("they cost %d kB", grown>>10)
		}
	}
	g.Run(t, "R15 rooms that are not there", func(t *testing.T) {
		owner.T = t
		before := g.RSS(t)
		c := g.Online(t, "mallory@localhost/many")
		made, refused := 0, 0
		flood(t, c, func(i int) string { return fmt.Sprintf("room%d%s/m", i, conference) }, func(n *xtest.Node) {
			switch {
			case n.Name.Local == "presence" && n.Attr("type") == "error":
				refused++
			case n.Name.Local == "presence" && strings.Contains(n.String(), `code="201"`):
				made++
			}
		}, nothing)
		if made != 50 || refused != joins-50 { // rooms_per_account
			t.Errorf("%d rooms were made, %d were refused", made, refused)
		}
		cheap(t, before)
		goes(c)
		// Nothing of them is left: he can make as many again.
		c = g.Online(t, "mallory@localhost/again")
		c.OpenRoom("again" + conference + "/m")
		goes(c)
	})
	g.Run(t, "R15 one nickname after the other", func(t *testing.T) {
		owner.T = t
		before := g.RSS(t)
		c := g.Online(t, "nicks@localhost/x")
		in := map[string]bool{}
		heard := func(n *xtest.Node) {
			if n.Name.Local == "presence" && n.Attr("from") != room+"/owner" {
				in[n.Attr("from")] = n.Attr("type") != "unavailable"
			}
		}
		flood(t, c, func(i int) string { return fmt.Sprintf("%s/m%d", room, i) }, nothing, heard)
		goes(c)
		for _, n := range owner.Barrier() {
			heard(n)
		}
		for who, is := range in {
			if is {
				t.Errorf("%s is still there", who)
			}
		}
		cheap(t, before)
	})
	g.Run(t, "R15 the same room again and again", func(t *testing.T) {
		owner.T = t
		before := g.RSS(t)
		c := g.Online(t, "same@localhost/x")
		heard := 0
		flood(t, c, func(int) string { return room + "/m" }, nothing, func(*xtest.Node) { heard++ })
		if heard < 1 || heard > 50 { // that he came, and what the pace allows
			t.Errorf("others heard of it %d times", heard)
		}
		goes(c)
		owner.Barrier()
		cheap(t, before)
	})
}
