package test

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

const (
	mucNS      = "http://jabber.org/protocol/muc"
	mucAdmin   = mucNS + "#admin"
	mucOwner   = mucNS + "#owner"
	mucUser    = mucNS + "#user"
	occupantNS = "urn:xmpp:occupant-id:0"
	conference = "@conference.localhost"
)

// adminQuery is a request about an affiliation or a role (XEP-0045 §8, §9).
func adminQuery(item string) string {
	return "<query xmlns='" + mucAdmin + "'><item " + item + "/></query>"
}

// goes has a client go offline and then close its stream, so that all who hear of it have heard.
func goes(c *xtest.Client) {
	c.T.Helper()
	c.Send("<presence type='unavailable'/>")
	c.Barrier()
	c.Quit()
}

// TestAttackRooms is what strangers, and those who may be in a room, may not do there.
func TestAttackRooms(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{})
	g.AddUsers("owner@localhost", "member@localhost")
	owner := g.Online(t, "owner@localhost/x")

	g.Run(t, "Z07 forged occupant ids", func(t *testing.T) {
		owner.T = t
		const room = "open" + conference
		owner.OpenRoom(room+"/owner", "changesubject=1")
		c := g.Attacker(t, "ok")
		c.Send("<presence/>")
		forged := "<occupant-id xmlns='" + occupantNS + "' id='FORGED'/><o:occupant-id id='FORGED' xmlns:o='" + occupantNS + "'/>"
		var ids []string
		one := func(what string, n *xtest.Node) {
			t.Helper()
			text := n.String()
			if strings.Contains(text, "FORGED") || strings.Count(text, "<occupant-id") != 1 {
				t.Errorf("%s: %s", what, text)
			}
			if id := n.Find("occupant-id"); id == nil || id.Name.Space != occupantNS || id.Attr("id") == "" || len(id.Attr("id")) > 128 {
				t.Errorf("%s has no id: %s", what, text)
			} else {
				ids = append(ids, id.Attr("id"))
			}
		}
		next := func(kind string) *xtest.Node {
			t.Helper()
			for {
				if n := owner.Must(); n.Name.Local == kind && strings.HasPrefix(n.Attr("from"), room+"/") && n.Attr("from") != room+"/owner" {
					return n
				}
			}
		}
		owner.Barrier()
		c.Send("<presence to='%s/mallory'><x xmlns='%s'/>%s</presence>", room, mucNS, forged)
		one("entering", next("presence"))
		c.Send("<presence to='%s/mallory'>%s<show>away</show>%[2]s</presence>", room, forged)
		one("presence", next("presence"))
		c.Send("<message to='%s' type='groupchat' id='m'>%s<body>x</body>%[2]s</message>", room, forged)
		one("message", next("message"))
		c.Send("<message to='%s' type='groupchat' id='s'>%s<subject>x</subject></message>", room, forged)
		one("subject", next("message"))
		c.Send("<message to='%s/owner' type='chat' id='p'>%s<body>x</body></message>", room, forged)
		one("private message", next("message"))
		c.Send("<presence to='%s/mallory2'>%s</presence>", room, forged)
		one("old nickname", next("presence"))
		one("new nickname", next("presence"))
		c.Send("<presence to='%s/mallory2' type='unavailable'>%s</presence>", room, forged)
		one("leaving", next("presence"))
		c.Barrier()
		done(t, c.Ask("set", room, "<query xmlns='urn:xmpp:mam:2'/>"))
		archived := 0
		for _, n := range c.Barrier() {
			if m := n.Find("forwarded").Find("message"); m != nil && m.Attr("id") == "m" {
				one("archive", m)
				archived++
			}
		}
		if archived != 1 {
			t.Errorf("%d of the messages are archived", archived)
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("one account has the ids %q", ids)
			}
		}
		// In another room it is another, and no plain hash of the address (XEP-0421 §4.1).
		const other = "other" + conference
		c.Send("<presence to='%s/mallory'><x xmlns='%s'/></presence>", other, mucNS)
		n := c.Must()
		for n.Attr("from") != other+"/mallory" {
			n = c.Must()
		}
		if id := n.Find("occupant-id").Attr("id"); id == ids[0] {
			t.Errorf("two rooms know the account by the same id %s", id)
		}
		for _, known := range []string{"mallory@localhost", room + "mallory@localhost", "mallory@localhost" + room} {
			if ids[0] == fmt.Sprintf("%x", sha1.Sum([]byte(known))) || ids[0] == fmt.Sprintf("%x", sha256.Sum256([]byte(known))) {
				t.Errorf("the id is a hash of %s", known)
			}
		}
		goes(c)
	})

	g.Run(t, "Z19 rooms do not answer each other", func(t *testing.T) {
		owner.T = t
		const one, two, gone = "one" + conference, "two" + conference, "gone" + conference
		c := g.Online(t, "mallory@localhost/loop")
		c.OpenRoom(one+"/mallory", "membersonly=1", "allowinvites=1")
		c.OpenRoom(two+"/mallory", "membersonly=1", "allowinvites=1")
		c.Barrier()
		busy := func() time.Duration { // what goes round keeps the processor busy
			before := g.CPU(t)
			pings(c, 300*time.Millisecond)
			return g.CPU(t) - before
		}
		idle := busy()
		// What one room sends to another, or to itself, is answered by nobody: an invitation, a refusal, the news of an affiliation.
		for _, from := range []string{one, two} {
			for _, to := range []string{one, two, gone, "conference.localhost", one + "/mallory", two + "/mallory", two + "/nobody"} {
				c.Send("<message to='%s' id='i'><x xmlns='%s'><invite to='%s'/></x></message>", from, mucUser, to)
				c.Send("<message to='%s' id='d'><x xmlns='%s'><decline to='%s'/></x></message>", from, mucUser, to)
				c.Send("<iq type='set' id='a' to='%s'>%s</iq>", from, adminQuery("affiliation='member' jid='"+to+"'"))
			}
		}
		// Errors and results are not answered, whoever they are for.
		for _, to := range []string{one, one + "/mallory", one + "/nobody", gone, gone + "/x", "conference.localhost", "conference.localhost/x"} {
			c.Send("<iq type='result' id='q' to='%s'/><iq type='error' id='q' to='%[1]s'><error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", to)
			c.Send("<message type='error' id='q' to='%s'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", to)
			c.Send("<presence type='error' id='q' to='%s'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", to)
		}
		count := map[string]int{}
		c.Barrier2(func(got []*xtest.Node) {
			for _, n := range got {
				count[n.Name.Local+" "+n.Attr("id")]++
				if n.Attr("id") == "q" && (n.Name.Local != "message" || n.Attr("from") != one+"/mallory") { // that is what he told himself
					t.Errorf("an error or a result was answered: %s", n)
				}
			}
		})
		for what, n := range count {
			if limit := 14; n > limit && !strings.HasSuffix(what, " ") { // one answer for each of what was sent
				t.Errorf("%d of %s", n, what)
			}
		}
		if after := busy(); after > 2*idle+100*time.Millisecond {
			t.Errorf("the server computes for %v, and did for %v before", after, idle)
		}
		c.Quiet()
		goes(c)
	})

	g.Run(t, "Z20 outsiders of a hidden room", func(t *testing.T) {
		owner.T = t
		const room = "hidden" + conference
		owner.OpenRoom(room+"/owner", "publicroom=0", "membersonly=1", "persistentroom=1", "roomname="+xtest.Marker)
		done(t, owner.Ask("set", room, adminQuery("affiliation='member' jid='member@localhost'")))
		owner.Send("<message to='%s' type='groupchat' id='said'><body>%s</body></message>", room, xtest.Marker)
		member := g.Online(t, "member@localhost/x")
		member.JoinRoom(room+"/member", "")
		owner.Barrier()
		c := g.Online(t, "mallory@localhost/out")
		refused := func(what string) {
			t.Helper()
			n := c.Must()
			if n.Attr("type") != "error" || n.Find("error") == nil || strings.Contains(n.String(), xtest.Marker) {
				t.Errorf("%s: %s", what, n)
			}
		}
		c.Send("<presence to='%s/mallory'><x xmlns='%s'/></presence>", room, mucNS)
		refused("entering")
		c.Send("<presence to='%s/member'><x xmlns='%s'/></presence>", room, mucNS)
		refused("entering by a member's nickname")
		c.Send("<message to='%s' type='groupchat' id='g'><body>x</body></message>", room)
		refused("a message")
		c.Send("<message to='%s' type='groupchat' id='g'><subject>x</subject></message>", room)
		refused("a subject")
		c.Send("<message to='%s/owner' type='chat' id='p'><body>x</body></message>", room)
		refused("a private message")
		c.Send("<message to='%s' id='i'><x xmlns='%s'><invite to='mallory@localhost'/></x></message>", room, mucUser)
		refused("an invitation")
		c.Send("<message to='%s' id='v'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>%s#request</value></field><field var='muc#role'><value>participant</value></field></x></message>", room, mucNS)
		refused("a request for voice")
		for _, q := range []string{
			"<iq type='set' id='q' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("affiliation='owner'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("affiliation='admin'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("affiliation='member'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("affiliation='outcast'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("role='moderator'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("role='participant'") + "</iq>",
			"<iq type='get' id='q' to='%s'>" + adminQuery("role='visitor'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("affiliation='owner' jid='mallory@localhost'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("affiliation='member' jid='mallory@localhost'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("affiliation='outcast' jid='owner@localhost'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("affiliation='none' jid='member@localhost'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("nick='owner' role='none'") + "</iq>",
			"<iq type='set' id='q' to='%s'>" + adminQuery("nick='mallory' role='moderator'") + "</iq>",
			"<iq type='get' id='q' to='%s'><query xmlns='" + mucOwner + "'/></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='" + mucOwner + "'>" + xtest.RoomForm("membersonly=0") + "</query></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='" + mucOwner + "'>" + xtest.RoomForm() + "</query></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='" + mucOwner + "'><destroy/></query></iq>",
			"<iq type='set' id='q' to='%s'><moderate xmlns='urn:xmpp:message-moderate:1' id='x'><retract xmlns='urn:xmpp:message-retract:1'/></moderate></iq>",
			"<iq type='get' id='q' to='%s/owner'><query xmlns='jabber:iq:version'/></iq>",
			"<iq type='get' id='q' to='%s/member'><ping xmlns='urn:xmpp:ping'/></iq>",
			"<iq type='get' id='q' to='%s/owner'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
		} {
			c.Send(q, room)
			refused(q)
		}
		for _, q := range []string{"conference.localhost", room} {
			c.Send("<iq type='get' id='items' to='%s'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>", q)
			n := c.Must()
			if list := n.Child("query"); list != nil && (strings.Contains(list.String(), room) || strings.Contains(list.String(), xtest.Marker)) {
				t.Errorf("items of %s: %s", q, n)
			}
		}
		// Silence and nothing else.
		c.Send("<presence to='%s/mallory' type='unavailable'/><presence to='%[1]s/member' type='unavailable'/>", room)
		c.Send("<message to='%s' id='d'><x xmlns='%s'><decline to='owner@localhost'><reason>x</reason></decline></x></message>", room, mucUser)
		c.Barrier()
		owner.Quiet()
		member.Quiet()
		goes(c)
	})

	g.Run(t, "Z20 mere members", func(t *testing.T) {
		owner.T = t
		const room = "private" + conference
		owner.OpenRoom(room+"/owner", "publicroom=0", "membersonly=1", "persistentroom=1")
		done(t, owner.Ask("set", room, adminQuery("affiliation='member' jid='member@localhost'")))
		m := g.Online(t, "member@localhost/y")
		m.JoinRoom(room+"/member", "")
		owner.Barrier()
		for _, q := range []string{
			adminQuery("affiliation='owner'"), adminQuery("affiliation='admin'"), adminQuery("affiliation='outcast'"), adminQuery("affiliation='member'"),
			adminQuery("role='moderator'"), adminQuery("role='participant'"), "<query xmlns='" + mucOwner + "'/>",
		} {
			denied(t, m.Ask("get", room, q), "auth", "forbidden")
		}
		for _, q := range []string{
			adminQuery("affiliation='member' jid='mallory@localhost'"), adminQuery("affiliation='admin' jid='member@localhost'"),
			adminQuery("affiliation='owner' jid='member@localhost'"), adminQuery("affiliation='outcast' jid='mallory@localhost'"),
			adminQuery("nick='member' role='moderator'"), adminQuery("nick='owner' role='none'"), adminQuery("nick='owner' role='visitor'"),
			"<query xmlns='" + mucOwner + "'>" + xtest.RoomForm("membersonly=0") + "</query>", "<query xmlns='" + mucOwner + "'><destroy/></query>",
		} {
			denied(t, m.Ask("set", room, q), "auth", "forbidden")
		}
		owner.Quiet()
		if n := owner.Ask("get", room, adminQuery("affiliation='owner'")); strings.Count(n.String(), "<item") != 1 {
			t.Errorf("the owners are now %s", n)
		}
		goes(m)
		owner.Barrier()
	})

	g.Run(t, "Z20 banned", func(t *testing.T) {
		owner.T = t
		const room = "banned" + conference
		owner.OpenRoom(room + "/owner")
		c := g.Online(t, "mallory@localhost/banned")
		c.JoinRoom(room+"/mallory", "")
		done(t, owner.Ask("set", room, adminQuery("affiliation='outcast' jid='mallory@localhost'")))
		owner.Barrier()
		c.Barrier()
		for _, jid := range []string{"/mallory", "/other", "/Mallory", "/owner"} {
			c.Send("<presence to='%s%s'><x xmlns='%s'/></presence>", room, jid, mucNS)
			c.Want("<presence type='error' from='%s%s'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", room, jid)
		}
		for _, m := range []string{"<message to='%s' type='groupchat' id='m'><body>x</body></message>", "<message to='%s/owner' type='chat' id='m'><body>x</body></message>",
			"<iq type='set' id='m' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>"} {
			c.Send(m, room)
			if n := c.Must(); n.Attr("type") != "error" || n.Attr("id") != "m" {
				t.Errorf("%s: %s", m, n)
			}
		}
		owner.Quiet()
		goes(c)
	})
}
