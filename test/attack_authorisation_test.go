package test

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackAuthorisation is who may do what in whose name. An attack's name begins with the line of the list that it stands
// for; see doc/testing.md.
func TestAttackAuthorisation(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"localhost", "b.test"}})
	carol := g.Bystander
	const (
		me    = "mallory@localhost"
		bob   = "bob@localhost"
		stErr = "urn:ietf:params:xml:ns:xmpp-stanzas"
	)
	// refused fails the test unless the next thing is a stanza error with the condition.
	refused := func(t *testing.T, c *xtest.Client, from, condition string) {
		t.Helper()
		c.Want("<iq type='error' from='%s'><error><%s xmlns='%s'/></error></iq>", from, condition, stErr)
	}
	roster := func(t *testing.T, c *xtest.Client) *xtest.Node {
		t.Helper()
		c.Send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>")
		return c.Want("<iq type='result' id='look'/>")
	}

	for _, from := range []string{
		"alice@localhost/x", "alice@localhost", bob, bob + "/desk", "localhost", "mallory@b.test", "mallory@b.test/ok", "b.test",
		me + "/other", "ﬀ@localhost", "", "@", me + "/", "bob@localhost&#47;desk",
	} {
		for _, stanza := range []string{
			"<message %s to='bob@localhost' type='chat'><body>it is me</body></message>",
			"<presence %s to='bob@localhost'/>",
			"<presence %s to='bob@localhost' type='subscribe'/>",
			"<iq %s to='bob@localhost/desk' type='get' id='q'><query xmlns='urn:example:x'/></iq>",
			"<iq %s type='set' id='q'><query xmlns='jabber:iq:roster'><item jid='mallory@localhost'/></query></iq>",
			"<presence %s/>",
		} {
			kind, _, _ := strings.Cut(stanza[1:], " ")
			g.Run(t, "Z01 "+kind+" from "+from, func(t *testing.T) {
				c := g.Attacker(t, "ok")
				c.Send(stanza, "from='"+from+"'")
				c.WantStreamError("invalid-from") // RFC 6120 §8.1.2.1
				g.Untouched(t)
			})
		}
	}
	g.Run(t, "Z01 own addresses", func(t *testing.T) {
		// What is true may be said; the recipient sees the full JID.
		c := g.Attacker(t, "ok")
		for _, from := range []string{me, c.JID, strings.ToUpper(me), me + "."} /* RFC 7622 §3.2: the dot is not part of it */ {
			c.Send("<message from='%s' to='bob@localhost' id='m'/>", from)
			g.Victim.Want("<message from='%s' id='m'/>", c.JID)
		}
	})
	g.Run(t, "Z02 another's roster", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		g.Victim.Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='friend@localhost' name='secret'/></query></iq>")
		g.Victim.Want("<iq type='result' id='r'/>")
		roster(t, g.Victim) // it is told of changes from now on
		for _, q := range []string{
			"<iq type='get' id='q' to='%s'><query xmlns='jabber:iq:roster'/></iq>",
			"<iq type='get' id='q' to='%s'><query xmlns='jabber:iq:roster' ver=''/></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='jabber:iq:roster'><item jid='mallory@localhost' subscription='both'/></query></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='jabber:iq:roster'><item jid='friend@localhost' subscription='remove'/></query></iq>",
			"<iq type='set' id='q' to='%s'><x:query xmlns:x='jabber:iq:roster'><x:item jid='mallory@localhost'/></x:query></iq>",
		} {
			for _, to := range []string{bob, "BOB@localhost"} {
				c.Send(q, to)
				refused(t, c, bob, "forbidden")
			}
			c.Send(q, "localhost") // the server itself has none
			refused(t, c, "localhost", "service-unavailable")
		}
		g.Untouched(t)
		if n := roster(t, g.Victim); len(n.Find("query").Children) != 1 || n.Find("item").Attr("name") != "secret" {
			t.Errorf("the roster is now %s", n)
		}
	})
	g.Run(t, "Z03 forged push", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		before := items(roster(t, g.Victim))
		c.Send("<iq type='set' id='push1' to='bob@localhost/desk'><query xmlns='jabber:iq:roster' ver='9'><item jid='mallory@localhost' subscription='both'/></query></iq>")
		g.Victim.Want("<iq type='set' id='push1' from='%s'><query xmlns='jabber:iq:roster'/></iq>", c.JID) // RFC 6121 §2.1.6: by that it is known
		g.Victim.Send("<iq type='result' id='push1' to='%s'/>", c.JID)
		c.Want("<iq type='result' id='push1' from='bob@localhost/desk'/>")
		if after := items(roster(t, g.Victim)); after != before {
			t.Errorf("the roster was %s, and is %s", before, after)
		}
		// A genuine one has no from.
		g.Victim.Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='x@localhost'/></query></iq>")
		g.Victim.Want("<iq type='set' from='-'><query xmlns='jabber:iq:roster'><item jid='x@localhost'/></query></iq>")
		g.Victim.Want("<iq type='result' id='r'/>")
	})
	const enableCopies = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
	g.Run(t, "Z04 carbons", func(t *testing.T) {
		phone := g.Login(t, "bob@localhost/phone") // bob's other device
		phone.Send(enableCopies)
		phone.Want("<iq type='result' id='e'/>")
		c, other := g.Attacker(t, "ok"), g.Login(t, "mallory@localhost/other")
		other.Send(enableCopies)
		other.Want("<iq type='result' id='e'/>")
		for _, to := range []string{bob, "nobody@localhost"} { // nobody is switched on or off by others
			for _, what := range []string{"enable", "disable"} {
				c.Send("<iq type='set' id='q' to='%s'><%s xmlns='urn:xmpp:carbons:2'/></iq>", to, what)
				refused(t, c, to, "service-unavailable")
			}
		}
		c.Send("<message to='bob@localhost/desk' type='chat' id='m1'><body>x</body></message>")
		g.Victim.Want("<message from='%s' id='m1'/>", c.JID)
		phone.Want("<message from='bob@localhost' to='bob@localhost/phone'><received xmlns='urn:xmpp:carbons:2'/></message>")
		other.Want("<message from='%s' to='%[1]s/other'><sent xmlns='urn:xmpp:carbons:2'/></message>", me)
		for i, not := range []string{ // what must not be copied
			"type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/>",
			"type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/>",
			"type='groupchat'><body>x</body>",
			"type='headline'><body>x</body>",
			"type='error'><body>x</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
			"type='chat'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>", // a copy of a copy
			"type='chat'><result xmlns='urn:xmpp:mam:2'/>",
		} {
			c.Send("<message to='bob@localhost/desk' id='n%d' %s</message>", i, not)
			g.Victim.Want("<message from='%s' id='n%d'/>", c.JID, i)
		}
		phone.Quiet()
		other.Quiet()
		// A client that answers a copy with an error troubles nobody.
		phone.Send("<message to='bob@localhost' type='error' id='m1'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		phone.Quiet()
		c.Quiet()
		phone.Quit()
	})
	g.Run(t, "Z05 forged carbon", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		for _, w := range []string{"received", "sent"} {
			for _, to := range []string{bob, bob + "/desk"} {
				c.Send("<message to='%s' type='chat' id='c'><%s xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"+
					"<message xmlns='jabber:client' from='alice@localhost/x' to='bob@localhost'><body>%s</body></message></forwarded></%[2]s></message>", to, w, xtest.Marker)
				g.Victim.Want("<message from='%s' to='%s' id='c'><%s xmlns='urn:xmpp:carbons:2'/></message>", c.JID, to, w)
			}
		}
	})
	g.Run(t, "Z06 forged ids of an archive", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		forged := ""
		for _, by := range []string{bob, "BOB@localhost", "bob@LOCALHOST", "b&#111;b@localhost"} {
			forged += "<stanza-id xmlns='urn:xmpp:sid:0' by='" + by + "' id='FORGED'/><s:stanza-id id='FORGED' by=\"" + by + "\" xmlns:s='urn:xmpp:sid:0'/>"
		}
		for _, to := range []string{bob, bob + "/desk"} {
			for typ, genuine := range map[string]int{"chat": 1, "normal": 1, "headline": 0} {
				c.Send("<message to='%s' type='%s' id='m'>%s<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='room@b.test' id='theirs'/></message>", to, typ, forged)
				n := g.Victim.Want("<message from='%s' id='m'><stanza-id xmlns='urn:xmpp:sid:0' by='room@b.test' id='theirs'/></message>", c.JID)
				if text := n.String(); strings.Contains(text, "FORGED") || strings.Count(text, "<stanza-id") != 1+genuine {
					t.Errorf("%s to %s: %s", typ, to, text)
				}
			}
		}
		g.Victim.Send("<iq type='set' id='look'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><before/></set></query></iq>")
		for n := g.Victim.Must(); n.Attr("id") != "look"; n = g.Victim.Must() {
			if strings.Contains(n.String(), "FORGED") {
				t.Errorf("in the archive: %s", n)
			}
		}
	})
	g.Run(t, "Z10 another's archive", func(t *testing.T) {
		g.Victim.Send("<message to='bob@localhost/desk' type='chat'><body>%s</body></message>", xtest.Marker)
		g.Victim.Want("<message/>")
		c := g.Attacker(t, "ok")
		for _, q := range []string{
			"<iq type='set' id='q' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'><query xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='get' id='q' to='%s'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
			"<iq type='set' id='q' to='%s'><m:prefs xmlns:m='urn:xmpp:mam:2' default='never'/></iq>",
		} {
			for _, to := range []string{bob, "BOB@localhost", "nobody@localhost"} {
				c.Send(q, to)
				refused(t, c, strings.ToLower(to), "forbidden")
			}
			c.Send(q, "localhost") // the server itself has none
			refused(t, c, "localhost", "service-unavailable")
		}
		c.Quiet()
		g.Untouched(t)
		g.Victim.Send("<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>")
		g.Victim.Want("<iq type='result' id='p'><prefs xmlns='urn:xmpp:mam:2' default='always'/></iq>")
	})
	const pubsub = "http://jabber.org/protocol/pubsub"
	options := func(access string) string {
		return "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>" + pubsub + "#publish-options</value></field>" +
			"<field var='pubsub#access_model'><value>" + access + "</value></field></x></publish-options>"
	}
	publish := func(node, access string) string {
		return "<pubsub xmlns='" + pubsub + "'><publish node='" + node + "'><item id='x'><secret xmlns='urn:example:s'>" + xtest.Marker + "</secret></item></publish>" + options(access) + "</pubsub>"
	}
	g.Run(t, "Z11 another's private data and bookmarks", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		g.Victim.Send("<iq type='set' id='s'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><conference jid='secret@muc.localhost'/></storage></query></iq>")
		g.Victim.Want("<iq type='result' id='s'/>")
		for _, q := range []string{
			"<iq type='get' id='q' to='%s'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>",
			"<iq type='set' id='q' to='%s'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>",
		} {
			c.Send(q, bob)
			refused(t, c, bob, "forbidden")
			c.Send(q, "nobody@localhost")
			refused(t, c, "nobody@localhost", "forbidden")
		}
		for _, node := range []string{"storage:bookmarks", "urn:xmpp:bookmarks:1"} {
			c.Send("<iq type='get' id='q' to='%s'><pubsub xmlns='%s'><items node='%s'/></pubsub></iq>", bob, pubsub, node)
			if n := c.Must(); n.Attr("type") != "error" || strings.Contains(n.String(), "secret") {
				t.Errorf("got %s", n)
			}
		}
		g.Untouched(t)
		g.Victim.Send("<iq type='get' id='l'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>")
		g.Victim.Want("<iq type='result' id='l'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><conference jid='secret@muc.localhost'/></storage></query></iq>")
	})
	g.Run(t, "Z12 another's vCard and nodes", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		if n := g.Victim.IQ("set", "", publish("urn:example:open", "open")); n.Attr("type") != "result" {
			t.Fatal(n)
		}
		for _, q := range []string{
			"<vCard xmlns='vcard-temp'><FN>mallory</FN></vCard>",
			publish("urn:example:open", "open"),
			publish("urn:example:new", "open"),
			"<pubsub xmlns='" + pubsub + "'><create node='urn:example:new'/></pubsub>",
			"<pubsub xmlns='" + pubsub + "'><retract node='urn:example:open'><item id='x'/></retract></pubsub>",
			"<pubsub xmlns='" + pubsub + "#owner'><delete node='urn:example:open'/></pubsub>",
			"<pubsub xmlns='" + pubsub + "#owner'><purge node='urn:example:open'/></pubsub>",
			"<pubsub xmlns='" + pubsub + "#owner'><configure node='urn:example:open'><x xmlns='jabber:x:data' type='submit'/></configure></pubsub>",
			"<pubsub xmlns='" + pubsub + "#owner'><affiliations node='urn:example:open'><affiliation jid='" + me + "' affiliation='owner'/></affiliations></pubsub>",
		} {
			for _, to := range []string{bob, "nobody@localhost"} { // who exists is not told
				c.Send("<iq type='set' id='q' to='%s'>%s</iq>", to, q)
				refused(t, c, to, "forbidden")
			}
		}
		g.Untouched(t)
		if n := c.IQ("get", bob, "<pubsub xmlns='"+pubsub+"'><items node='urn:example:open'/></pubsub>"); n.Attr("type") != "result" || n.Find("item").Attr("id") != "x" {
			t.Errorf("the node has %s", n)
		}
		c.Send("<iq type='get' id='q' to='%s'><vCard xmlns='vcard-temp'/></iq>", bob)
		refused(t, c, bob, "service-unavailable")
	})
	g.Run(t, "Z13 nodes that are closed to strangers", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.Send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='z13'/></presence>")
		for range 2 { // presence comes back, and a question
			if n := c.Must(); n.Name.Local == "iq" {
				c.Send("<iq type='result' id='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:example:presence+notify'/><feature var='urn:example:whitelist+notify'/></query></iq>", n.Attr("id"), me)
			}
		}
		secret := func(n *xtest.Node) {
			t.Helper()
			if n.Attr("type") != "error" || strings.Contains(n.String(), xtest.Marker) {
				t.Errorf("got %s", n)
			}
		}
		for _, access := range []string{"presence", "whitelist"} {
			node := "urn:example:" + access
			if n := g.Victim.IQ("set", "", publish(node, access)); n.Attr("type") != "result" {
				t.Fatal(n)
			}
			for _, q := range []string{
				"<pubsub xmlns='" + pubsub + "'><items node='" + node + "'/></pubsub>",
				"<pubsub xmlns='" + pubsub + "'><items node='" + node + "'><item id='x'/></items></pubsub>",
				"<pubsub xmlns='" + pubsub + "'><items node='" + node + "' max_items='1'/></pubsub>",
				"<query xmlns='http://jabber.org/protocol/disco#items' node='" + node + "'/>",
				"<query xmlns='http://jabber.org/protocol/disco#info' node='" + node + "'/>",
				"<pubsub xmlns='" + pubsub + "#owner'><configure node='" + node + "'/></pubsub>",
				"<pubsub xmlns='" + pubsub + "#owner'><subscriptions node='" + node + "'/></pubsub>",
				"<pubsub xmlns='" + pubsub + "#owner'><affiliations node='" + node + "'/></pubsub>",
			} {
				secret(c.IQ("get", bob, q))
			}
			secret(c.IQ("set", bob, "<pubsub xmlns='"+pubsub+"'><subscribe node='"+node+"' jid='"+me+"'/></pubsub>"))
			secret(c.IQ("set", bob, "<pubsub xmlns='"+pubsub+"'><subscribe node='"+node+"' jid='carol@localhost'/></pubsub>"))
		}
		// Somebody else cannot be subscribed to what is open, either.
		secret(c.IQ("set", bob, "<pubsub xmlns='"+pubsub+"'><subscribe node='urn:example:open' jid='carol@localhost'/></pubsub>"))
		// Whom a new access model shuts out hears nothing any more, and his subscription has ended.
		if n := c.IQ("set", bob, "<pubsub xmlns='"+pubsub+"'><subscribe node='urn:example:open' jid='"+me+"'/></pubsub>"); n.Attr("type") != "result" {
			t.Fatal(n)
		}
		configure := func(access string) {
			t.Helper()
			n := g.Victim.IQ("set", "", "<pubsub xmlns='"+pubsub+"#owner'><configure node='urn:example:open'><x xmlns='jabber:x:data' type='submit'>"+
				"<field var='pubsub#access_model'><value>"+access+"</value></field></x></configure></pubsub>")
			if n.Attr("type") != "result" {
				t.Fatal(n)
			}
		}
		c.Barrier()
		configure("presence")
		g.Victim.IQ("set", "", publish("urn:example:open", "presence"))
		secret(c.IQ("get", bob, "<pubsub xmlns='"+pubsub+"'><items node='urn:example:open'/></pubsub>"))
		if n := g.Victim.IQ("set", "", publish("urn:example:open", "open")); n.Attr("type") != "error" || n.Find("conflict") == nil || n.Find("precondition-not-met") == nil {
			t.Errorf("options that do not fit: %s", n)
		}
		configure("open")
		g.Victim.IQ("set", "", publish("urn:example:open", "open"))
		c.Quiet()
		g.Untouched(t)
	})
	g.Run(t, "Z14 capabilities that are not what they say", func(t *testing.T) {
		// What mallory says the verification string of bob's client stands for changes nothing for bob.
		const node = "urn:example:z14"
		features := []string{"http://jabber.org/protocol/disco#info", node + "+notify"}
		sum := sha1.Sum([]byte("client/pc//z14<" + strings.Join(features, "<") + "<"))
		caps := "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='" + base64.StdEncoding.EncodeToString(sum[:]) + "'/></presence>"
		info := "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='z14'/><feature var='" + strings.Join(features, "'/><feature var='") + "'/></query>"
		answer := func(c *xtest.Client, info string) (asked bool) {
			t.Helper()
			c.Send("%s", caps)
			for _, n := range append(c.Barrier(), c.Barrier()...) {
				if n.Name.Local == "iq" {
					asked = true
					c.Send("<iq type='result' id='%s' to='%s'>%s</iq>", n.Attr("id"), n.Attr("from"), info)
				}
			}
			c.Barrier()
			return asked
		}
		c := g.Attacker(t, "ok")
		if !answer(c, strings.Replace(info, node, node+":evil", 1)) {
			t.Fatal("the server did not ask")
		}
		c.Send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='%s'/></presence>", strings.Repeat("v", 257))
		for _, n := range append(c.Barrier(), c.Barrier()...) {
			if n.Name.Local == "iq" {
				t.Errorf("asked about a verification string of 257 bytes: %s", n)
			}
		}
		hears := func(want bool) {
			t.Helper()
			g.Victim.Send("<iq type='set' id='p'>%s</iq>", publish(node, "presence"))
			heard := false
			for _, n := range g.Victim.Barrier() {
				heard = heard || n.Name.Local == "message"
			}
			if heard != want {
				t.Errorf("the victim hears of its node: %v", heard)
			}
		}
		if !answer(g.Victim, info) {
			t.Error("mallory's word was taken")
		}
		hears(true)
		if answer(c, strings.Replace(info, node, node+":evil", 1)) {
			t.Error("asked again about what is known")
		}
		hears(true)
	})
	g.Run(t, "Z15 probe of a stranger", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.Send("<presence/>")
		c.Want("<presence from='%s'/>", c.JID)
		for _, to := range []string{bob, bob + "/desk", bob + "/none", "alice@localhost", "nobody@localhost", "alice@b.test", "localhost", "b.test"} {
			c.Send("<presence type='probe' to='%s'/>", to)
		}
		c.Quiet()
		g.Untouched(t)
	})
	g.Run(t, "Z15 approval nobody asked for", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		before := items(roster(t, g.Victim))
		for _, typ := range []string{"subscribed", "unsubscribed", "unsubscribe"} {
			for _, to := range []string{bob, bob + "/desk"} {
				c.Send("<presence type='%s' to='%s'/>", typ, to)
			}
		}
		c.Barrier()
		g.Untouched(t)
		if after := items(roster(t, g.Victim)); after != before {
			t.Errorf("the roster was %s, and is %s", before, after)
		}
		g.Victim.Send("<presence><status>only for friends</status></presence>")
		g.Victim.Want("<presence from='bob@localhost/desk'/>")
		c.Quiet()
	})
	g.Run(t, "Z15 directed presence and a reset", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.Send("<presence to='bob@localhost/desk'/><presence to='carol@localhost'/>")
		g.Victim.Want("<presence from='%s' type='-'/>", c.JID)
		carol.Want("<presence from='%s' type='-'/>", c.JID)
		tcp := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
		tcp.SetLinger(0) // the end is a RST, not a FIN
		tcp.Close()
		g.Victim.Want("<presence from='%s' to='bob@localhost/desk' type='unavailable'/>", c.JID)
		carol.Want("<presence from='%s' to='carol@localhost' type='unavailable'/>", c.JID)
	})
	g.Run(t, "Z16 who exists", func(t *testing.T) {
		// alice is an account that nobody is connected to, bob one with a session; there is no nobody.
		c := g.Attacker(t, "ok")
		answer := func(t *testing.T, name, resource, format string) string {
			t.Helper()
			c.Barrier()
			since := c.Record()
			jid := name + "@localhost" + resource
			c.Send(format, jid)
			c.Barrier()
			return strings.ReplaceAll(maskBarrier(string(since())), name+"@", "NAME@")
		}
		for _, ns := range []string{
			"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "jabber:iq:last", "jabber:iq:version",
			"urn:xmpp:time", "jabber:iq:register", "jabber:iq:roster", "jabber:iq:private", "vcard-temp", pubsub, pubsub + "#owner", "urn:xmpp:blocking", "urn:xmpp:mam:2", "urn:example:x",
		} {
			el := "query"
			if ns == "urn:xmpp:time" {
				el = "time"
			}
			for _, typ := range []string{"get", "set"} {
				for _, resource := range []string{"", "/gone"} {
					same(t, answer, resource, fmt.Sprintf("<iq type='%s' id='q' to='%%s'><%s xmlns='%s'/></iq>", typ, el, ns))
				}
			}
		}
		for _, resource := range []string{"", "/gone"} {
			same(t, answer, resource, "<iq type='get' id='q' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>")
			same(t, answer, resource, "<iq type='set' id='q' to='%s'><query xmlns='jabber:iq:register'><remove/></query></iq>")
			same(t, answer, resource, "<iq type='get' id='q' to='%s'><query xmlns='jabber:iq:private'><x xmlns='urn:example:x'/></query></iq>")
			for _, typ := range []string{"get", "set"} {
				same(t, answer, resource, "<iq type='"+typ+"' id='q' to='%s'><vCard xmlns='vcard-temp'/></iq>")
			}
			same(t, answer, resource, "<iq type='set' id='q' to='%s'>"+publish("urn:example:n", "open")+"</iq>")
			same(t, answer, resource, "<iq type='get' id='q' to='%s'><pubsub xmlns='"+pubsub+"'><items node='urn:example:n'/></pubsub></iq>")
			same(t, answer, resource, "<iq type='get' id='q' to='%s'><pubsub xmlns='"+pubsub+"#owner'><configure node='urn:example:open'/></pubsub></iq>")
			same(t, answer, resource, "<iq type='get' id='q' to='%s'><query xmlns='http://jabber.org/protocol/disco#info' node='urn:example:n'/></iq>")
			same(t, answer, resource, "<iq type='result' id='q' to='%s'/>")
			for _, typ := range []string{"groupchat", "headline", "error"} {
				same(t, answer, resource, "<message type='"+typ+"' id='q' to='%s'><subject>x</subject></message>")
			}
			for _, typ := range []string{"probe", "unavailable", "unsubscribe", "unsubscribed", "error"} {
				same(t, answer, resource, "<presence type='"+typ+"' to='%s'/>")
			}
		}
		g.Victim.Barrier() // headlines have reached him; that is what they are for
	})
	g.Run(t, "Z19 errors and results end", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		for _, to := range []string{"nobody@localhost", "nobody@localhost/x", "alice@localhost", "localhost", "nobody@b.test", "elsewhere.example", bob + "/none"} {
			c.Send("<iq type='result' id='q' to='%s'/><iq type='error' id='q' to='%[1]s'><error type='cancel'><gone xmlns='%s'/></error></iq>", to, stErr)
			c.Send("<message type='error' id='q' to='%s'><error type='cancel'><gone xmlns='%s'/></error></message><presence type='error' id='q' to='%[1]s'/>", to, stErr)
		}
		c.Quiet()
		g.Untouched(t)
	})
}

// items are those of a roster, in an order of our own: the server's is whatever it is.
func items(roster *xtest.Node) string {
	var all []string
	for _, it := range roster.Find("query").Children {
		all = append(all, it.String())
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// same fails the test unless a question is answered alike for an account without a session, with one, and for none.
func same(t *testing.T, answer func(t *testing.T, name, resource, format string) string, resource, format string) {
	t.Helper()
	nobody := answer(t, "nobody", resource, format)
	for _, name := range []string{"alice", "bob"} {
		if got := answer(t, name, resource, format); got != nobody {
			t.Errorf("%s\n%s%s: %s\nnobody: %s", format, name, resource, got, nobody)
		}
	}
}

// maskBarrier takes the answer to a Barrier out of what has arrived.
func maskBarrier(s string) string {
	if i := strings.LastIndex(s, "<iq "); i >= 0 {
		return s[:i]
	}
	return s
}

// TestAttackRemoval is what an account that its owner removes leaves behind.
func TestAttackRemoval(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys + "[modules.mod_register]\nallow_registration = true\n"})
	s.AddUsers("ann@localhost", "friend@localhost")
	t.Run("Z30 removed account", func(t *testing.T) {
		ann, friend := s.Online(t, "ann@localhost/r"), s.Online(t, "friend@localhost/r")
		befriend(t, friend, ann)
		befriend(t, ann, friend)
		sleeper := s.Login(t, "ann@localhost/sleeper")
		sleeper.EnableSM("")
		sleeper.Cut()
		ann.Barrier()
		ann.Send("<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>")
		ann.WantStreamError("not-authorized")
		friend.Want("<presence from='ann@localhost/r' type='unavailable'/>")
		c := s.Secure(t, "localhost")
		c.Send("%s", register("ann"))
		c.Want("<iq type='error' id='reg'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		if out, errs, code := s.Run(xtest.Password+"\n", "user", "add", "ann@localhost"); code != 0 { // the admin decides
			t.Fatalf("%s%s", out, errs)
		}
		if _, n := sleeper.TryResume(t, "ann"); n.Name.Local != "failed" {
			t.Errorf("the session could be resumed: %s", n)
		}
		again := s.Login(t, "ann@localhost/new")
		again.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")
		again.Want("<iq type='result' id='r'><query xmlns='jabber:iq:roster'><none name='item'/></query></iq>")
		again.Want("<presence from='ann@localhost/new'/>")
		again.Quiet()
		friend.Quiet() // the new ann is a stranger
	})
}
