package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackBlocking is Z17: nothing of who is blocked comes through, whatever it is, by whichever form of entry, from this
// host and from another, and nothing that tells him why (XEP-0191 §3.3, §5).
func TestAttackBlocking(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"localhost", "b.test"}})
	const to, full = "bob@localhost", "bob@localhost/desk"
	// The attacks, each with what the attacker hears: a condition, or silence.
	ways := []struct{ name, xml, answer string }{
		{"message", "<message to='%s' type='chat' id='a'><body>x</body></message>", "service-unavailable"},
		{"message of no type", "<message to='%s' id='a'><body>x</body></message>", "service-unavailable"},
		{"headline", "<message to='%s' type='headline' id='a'><body>x</body></message>", ""},
		{"presence", "<presence to='%s' id='a'/>", ""},
		{"unavailable", "<presence to='%s' type='unavailable' id='a'/>", ""},
		{"probe", "<presence to='%s' type='probe' id='a'/>", ""},
		{"subscribe", "<presence to='%s' type='subscribe' id='a'/>", ""},
		{"subscribed", "<presence to='%s' type='subscribed' id='a'/>", ""},
		{"unsubscribe", "<presence to='%s' type='unsubscribe' id='a'/>", ""},
		{"get", "<iq to='%s' type='get' id='a'><query xmlns='urn:example:x'/></iq>", "service-unavailable"},
		{"set", "<iq to='%s' type='set' id='a'><query xmlns='urn:example:x'/></iq>", "service-unavailable"},
		{"last activity", "<iq to='%s' type='get' id='a'><query xmlns='jabber:iq:last'/></iq>", "service-unavailable"},
		{"result", "<iq to='%s' type='result' id='a'/>", ""},
		{"event", "<message to='%s' type='headline' id='a'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:mood'/></event></message>", ""},
		{"carbon", "<message to='%s' id='a'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received></message>", "service-unavailable"},
		{"invitation's token", "<presence to='%s' type='subscribe' id='a'><preauth xmlns='urn:xmpp:pars:0' token='x'/></presence>", ""},
	}
	block := func(t *testing.T, what, jid string) {
		t.Helper()
		done(t, g.Victim.IQ("set", "", fmt.Sprintf("<%s xmlns='urn:xmpp:blocking'><item jid='%s'/></%[1]s>", what, jid)))
	}
	for _, from := range []struct{ host, user string }{{"localhost", "mallory"}, {"b.test", "alice"}} {
		for _, form := range []string{"bare", "full", "domain"} {
			g.Run(t, "Z17 "+form+" from "+from.host, func(t *testing.T) {
				c := g.Login(t, from.user+"@"+from.host+"/evil")
				other := g.Login(t, from.user+"@"+from.host+"/other")
				entry := map[string]string{"bare": from.user + "@" + from.host, "full": c.JID, "domain": from.host}[form]
				block(t, "block", entry)
				defer block(t, "unblock", entry)
				for _, w := range ways {
					if form == "full" && strings.Contains(w.xml, "subscribe") {
						continue // these are the account's, whichever resource sends them (RFC 6121 §3.1.2)
					}
					for _, addr := range []string{to, full} {
						c.Send(w.xml, addr)
						got := c.Barrier()
						switch {
						case w.answer == "" && len(got) > 0:
							t.Errorf("%s to %s was answered %s", w.name, addr, got)
						case w.answer != "" && (len(got) != 1 || got[0].Find(w.answer) == nil || got[0].Find("blocked") != nil):
							t.Errorf("%s to %s was answered %s", w.name, addr, got)
						}
					}
				}
				g.Untouched(t)
				// What the victim sends is refused, and does not arrive.
				for _, w := range ways {
					if strings.Contains(w.xml, "'result'") || w.name == "unavailable" || w.name == "probe" {
						continue // these are never answered
					}
					g.Victim.Send(w.xml, c.JID)
					g.Victim.Want("<%s type='error' from='%s'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><blocked xmlns='urn:xmpp:blocking:errors'/></error></%[1]s>",
						strings.SplitN(w.xml[1:], " ", 2)[0], c.JID)
				}
				if got := c.Barrier(); len(got) > 0 {
					t.Errorf("the attacker got %s", got)
				}
				// Another resource of the attacker's is blocked as well, but where the entry is of one.
				other.Send("<message to='%s' type='chat' id='o'><body>x</body></message>", to)
				if form == "full" {
					g.Victim.Want("<message from='%s' id='o'/>", other.JID)
				} else {
					other.Want("<message type='error' id='o'/>")
				}
				other.Quit()
				c.Quit()
			})
		}
	}
	g.Run(t, "Z17 offline", func(t *testing.T) {
		// To an account that is away the answer is the same, and nothing waits for it.
		g.AddUsers("away@localhost")
		v := g.Login(t, "away@localhost/x")
		done(t, v.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></block>"))
		v.Quit()
		c := g.Attacker(t, "ok")
		c.Send("<message to='away@localhost' type='chat' id='a'><body>x</body></message><presence to='away@localhost' type='subscribe'/>")
		c.Want("<message type='error' id='a'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		c.Quiet()
		v = g.Login(t, "away@localhost/x")
		v.Send("<presence/>")
		v.Want("<presence from='away@localhost/x'/>")
		v.Quiet()
	})
	g.Run(t, "Z17 events, archive, copies", func(t *testing.T) {
		// Each has subscribed to what the other publishes for everybody.
		c := g.Attacker(t, "ok")
		second := g.Online(t, "bob@localhost/second")
		defer second.Quit()
		g.Victim.Barrier()
		done(t, second.IQ("set", "", "<enable xmlns='urn:xmpp:carbons:2'/>"))
		const pubsub = "http://jabber.org/protocol/pubsub"
		publish := func(who *xtest.Client, item string) {
			t.Helper()
			done(t, who.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><publish node='urn:example:z17'><item id='"+item+"'><x xmlns='urn:example:x'/></item></publish>"+
				"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"+pubsub+"#publish-options</value></field>"+
				"<field var='pubsub#access_model'><value>open</value></field></x></publish-options></pubsub>"))
		}
		publish(c, "before")
		publish(g.Victim, "before")
		for _, s := range []struct {
			who *xtest.Client
			at  string
		}{{c, to}, {g.Victim, "mallory@localhost"}} {
			bare, _, _ := strings.Cut(s.who.JID, "/")
			done(t, s.who.IQ("set", s.at, "<pubsub xmlns='"+pubsub+"'><subscribe node='urn:example:z17' jid='"+bare+"'/></pubsub>"))
		}
		for _, x := range []*xtest.Client{c, second, g.Victim} {
			x.Barrier()
			x.Barrier()
		}
		block(t, "block", "mallory@localhost")
		publish(c, "theirs")
		publish(g.Victim, "ours")
		c.Send("<message to='%s' type='chat' id='gone'><body>%s</body></message>", to, "between us")
		c.Want("<message type='error' id='gone'/>")
		for _, got := range [][]*xtest.Node{c.Barrier(), second.Barrier(), g.Victim.Barrier()} {
			for _, n := range got {
				if s := n.String(); strings.Contains(s, "theirs") && !strings.Contains(n.Attr("from"), "mallory") || strings.Contains(n.Attr("from"), "mallory@") && strings.HasPrefix(n.Attr("to"), "bob@") ||
					strings.Contains(s, "'ours'") || strings.HasPrefix(n.Attr("from"), "bob@") && strings.HasPrefix(n.Attr("to"), "mallory@") || strings.Contains(s, "between us") {
					t.Errorf("came through: %s", n)
				}
			}
		}
		g.Victim.Send("<iq type='set' id='look'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>" +
			"<field var='with'><value>mallory@localhost</value></field></x></query></iq>")
		for n := g.Victim.Must(); n.Attr("id") != "look"; n = g.Victim.Must() {
			if strings.Contains(n.String(), "gone") {
				t.Errorf("in the archive: %s", n)
			}
		}
		block(t, "unblock", "mallory@localhost")
		c.Send("<message to='%s' type='chat' id='again'><body>x</body></message>", to)
		g.Victim.Want("<message id='again'/>")
	})
	g.Run(t, "Z17 who looks for it", func(t *testing.T) {
		// What who is blocked can ask of the account is answered as for one that does not exist.
		block(t, "block", "mallory@localhost")
		defer block(t, "unblock", "mallory@localhost")
		c := g.Attacker(t, "ok")
		for _, ns := range []string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "jabber:iq:last", "jabber:iq:roster",
			"jabber:iq:version", "urn:xmpp:blocking", "vcard-temp", "urn:xmpp:mam:2", "jabber:iq:private", "urn:example:x"} {
			var answers []string
			for _, addr := range []string{"bob", "nobody"} {
				c.Send("<iq to='%s@localhost' type='get' id='q'><query xmlns='%s'/></iq>", addr, ns)
				answers = append(answers, strings.ReplaceAll(c.Must().String(), addr, "X"))
			}
			if answers[0] != answers[1] {
				t.Errorf("%s tells: %s\n%s", ns, answers[0], answers[1])
			}
		}
	})
}

// TestAttackBlockingPeer is Z17 between two servers: what comes from a blocked user of another server, and what this server
// sends for the one who blocks.
func TestAttackBlockingPeer(t *testing.T) {
	f := federate(t, "", false, true)
	alice, bob := f.a.Online(t, "alice@a.test/x"), f.b.Online(t, "bob@b.test/y")
	alice.Send("<presence type='subscribe' to='bob@b.test'/><presence type='subscribed' to='bob@b.test'/>")
	until(bob, "presence", "subscribe")
	bob.Send("<presence type='subscribed' to='alice@a.test'/><presence type='subscribe' to='alice@a.test'/>")
	until(alice, "presence", "")
	until(bob, "presence", "")
	// ping asks the other server something: what was sent before has arrived there, and what that causes comes before the answer.
	ping := func(c *xtest.Client, host string) []*xtest.Node {
		t.Helper()
		var got []*xtest.Node
		c.Send("<iq type='get' id='sync' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", host)
		for n := c.Must(); n.Attr("id") != "sync"; n = c.Must() {
			got = append(got, n)
		}
		return got
	}
	ping(alice, "b.test")
	ping(bob, "a.test")
	for _, form := range []string{"bob@b.test", "b.test"} {
		t.Run("Z17 s2s "+form, func(t *testing.T) {
			alice.Barrier()
			done(t, alice.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='"+form+"'/></block>"))
			bob.Want("<presence type='unavailable' from='alice@a.test/x'/>")
			for _, to := range []string{"alice@a.test", "alice@a.test/x"} {
				bob.Send("<message to='%s' type='chat' id='m'><body>x</body></message>", to)
				bob.Want("<message type='error' id='m'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><none name='blocked'/></error></message>")
				bob.Send("<iq to='%s' type='get' id='q'><query xmlns='urn:example:x'/></iq>", to)
				bob.Want("<iq type='error' id='q'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
				bob.Send("<message to='%s' type='headline'><body>x</body></message><presence to='%[1]s'/><presence to='%[1]s' type='probe'/>", to)
			}
			bob.Send("<presence><show>away</show></presence>")
			bob.Want("<presence from='bob@b.test/y'/>")
			if got := ping(bob, "a.test"); len(got) > 0 {
				t.Errorf("who is blocked got %s", got)
			}
			alice.Send("<presence><show>dnd</show></presence>")
			alice.Want("<presence from='alice@a.test/x'/>")
			alice.Send("<message to='bob@b.test' type='chat' id='o'><body>x</body></message>")
			alice.Want("<message type='error' id='o' from='bob@b.test'><error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><blocked xmlns='urn:xmpp:blocking:errors'/></error></message>")
			if form != "b.test" { // a server that is blocked answers nothing
				if got := ping(alice, "b.test"); len(got) > 0 {
					t.Errorf("who blocks got %s", got)
				}
			}
			if got := ping(bob, "a.test"); len(got) > 0 {
				t.Errorf("who is blocked got %s", got)
			}
			done(t, alice.IQ("set", "", "<unblock xmlns='urn:xmpp:blocking'/>"))
			alice.Want("<presence type='-' from='bob@b.test/y'><show>away</show></presence>")
			bob.Want("<presence type='-' from='alice@a.test/x'><show>dnd</show></presence>")
		})
	}
}

// TestBlockedMeanwhile: what a session had taken and not read when its account blocked the sender comes to no other session.
func TestBlockedMeanwhile(t *testing.T) {
	s := xtest.New(t, xtest.Options{Extra: weakKeys})
	s.AddUsers("bob@localhost", "mallory@localhost")
	mallory := s.Login(t, "mallory@localhost/x")
	for _, to := range []string{"bob@localhost/phone", "bob@localhost"} {
		t.Run("Z17 taken before the block, for "+to, func(t *testing.T) {
			phone := s.Online(t, "bob@localhost/phone")
			phone.EnableSM("")
			mallory.Send("<message to='%s' type='chat' id='m'><body>x</body></message>", to)
			if n := phone.Must(); n.Attr("id") != "m" {
				t.Fatalf("phone got %s", n)
			}
			phone.Cut()
			desk := s.Online(t, "bob@localhost/desk")
			defer desk.Quit()
			done(t, desk.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='mallory@localhost'/></block>"))
			if out, errs, code := s.Run("", "session", "close", "bob@localhost/phone"); code != 0 {
				t.Fatalf("%s%s", out, errs)
			}
			n := mallory.Must()
			if n.Attr("id") != "m" || n.Find("service-unavailable") == nil || n.Find("blocked") != nil {
				t.Errorf("mallory got %s", n)
			}
			for _, n := range desk.Barrier() {
				if n.Name.Local == "message" {
					t.Errorf("desk got %s", n)
				}
			}
			done(t, desk.IQ("set", "", "<unblock xmlns='urn:xmpp:blocking'/>"))
		})
	}
}
