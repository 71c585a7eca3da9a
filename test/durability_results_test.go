package test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestCrashResults: what was answered with a result, or with exit code 0, is on disk.
func TestCrashResults(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`,
		Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n[modules.mod_register]\nallow_registration = true\nrequire_encryption = true\n"})
	rounds := max(1, crashLoops(t)/10)
	n := 0
	login := func(user, password string) string {
		return xtest.Condition(s.Secure(t, "localhost").TryPlain("\x00" + user + "\x00" + password))
	}
	roster := func(user string) []string {
		c := s.Login(t, user+"@localhost/look")
		c.Send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>")
		var out []string
		for _, it := range c.Want("<iq type='result' id='look'><query xmlns='jabber:iq:roster'/></iq>").Find("query").Children {
			out = append(out, it.Attr("jid")+" "+it.Attr("name")+" "+it.Attr("subscription")+it.Attr("ask"))
		}
		slices.Sort(out)
		return out
	}
	wantRoster := func(t *testing.T, user string, want ...string) {
		t.Helper()
		if got := roster(user); !slices.Equal(got, want) {
			t.Errorf("the roster has %q, wanted %q", got, want)
		}
	}
	// result sends a request and kills the server as soon as its result is there.
	result := func(t *testing.T, c *xtest.Client, request string) {
		t.Helper()
		c.Send("%s", request)
		for {
			if n := c.Must(); n.Attr("id") == "now" {
				s.Kill()
				if n.Attr("type") != "result" {
					t.Fatalf("got %s", n)
				}
				return
			}
		}
	}
	set := func(ns, payload string) string {
		return "<iq type='set' id='now'><query xmlns='" + ns + "'>" + payload + "</query></iq>"
	}
	command := func(t *testing.T, stdin string, args ...string) {
		t.Helper()
		out, errs, code := s.Run(stdin, append([]string{"user"}, args...)...)
		s.Kill()
		if code != 0 {
			t.Fatalf("%v: %s%s", args, out, errs)
		}
	}
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, user string) (after func(t *testing.T))
	}{
		{"roster set", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:roster", "<item jid='b@localhost' name='B'/>"))
			return func(t *testing.T) { wantRoster(t, user, "b@localhost B none") }
		}},
		{"roster remove", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			for _, jid := range []string{"b@localhost", "c@localhost"} {
				c.Send("%s", strings.Replace(set("jabber:iq:roster", "<item jid='"+jid+"'/>"), "now", "first", 1))
			}
			c.Barrier()
			result(t, c, set("jabber:iq:roster", "<item jid='b@localhost' subscription='remove'/>"))
			return func(t *testing.T) { wantRoster(t, user, "c@localhost  none") }
		}},
		{"subscription", func(t *testing.T, user string) func(*testing.T) {
			s.AddUsers("peer-" + user + "@localhost")
			a, b := s.Online(t, user+"@localhost/x"), s.Online(t, "peer-"+user+"@localhost/x")
			a.Send("<iq type='get' id='ask'><query xmlns='jabber:iq:roster'/></iq>") // interested in pushes from here on
			a.Barrier()
			a.Send("<presence to='peer-%s@localhost' type='subscribe'/>", user)
			for n := b.Must(); n.Attr("type") != "subscribe"; n = b.Must() {
			}
			b.Send("<presence to='%s@localhost' type='subscribed'/>", user)
			for {
				n := a.Must()
				if it := n.Find("item"); it != nil && it.Attr("subscription") == "to" {
					break // the push is the server's word
				}
			}
			s.Kill()
			return func(t *testing.T) { wantRoster(t, user, "peer-"+user+"@localhost  to") }
		}},
		{"publish", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			node := func(what, inside string) string {
				return "<iq type='set' id='now'><pubsub xmlns='http://jabber.org/protocol/pubsub'><" + what + " node='urn:example:n'" + inside + "</" + what + "></pubsub></iq>"
			}
			for _, id := range []string{"x", "y"} {
				c.Send("%s", strings.Replace(strings.Replace(node("publish", "><item id='"+id+"'><a xmlns='urn:example:a'/></item>"), "now", "first", 1), "</pubsub>",
					"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'><value>max</value></field></x></publish-options></pubsub>", 1))
			}
			c.Barrier()
			c.Send("%s", strings.Replace(node("retract", "><item id='x'/>"), "now", "second", 1))
			c.Barrier()
			result(t, c, node("publish", "><item id='z'><b xmlns='urn:example:b'/></item>"))
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:n'/></pubsub>")
				var ids []string
				for _, it := range n.Find("items").Children {
					ids = append(ids, it.Attr("id"))
				}
				if !slices.Equal(ids, []string{"y", "z"}) {
					t.Errorf("the node has %q", ids)
				}
			}
		}},
		{"node configuration", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			form := "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>%s</value></field></x>"
			c.IQ("set", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='urn:example:n'/><configure>"+fmt.Sprintf(form, "open")+"</configure></pubsub>")
			result(t, c, "<iq type='set' id='now'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:example:n'>"+fmt.Sprintf(form, "whitelist")+"</configure></pubsub></iq>")
			return func(t *testing.T) {
				s.AddUsers("other-" + user + "@localhost")
				n := s.Login(t, "other-"+user+"@localhost/look").IQ("get", user+"@localhost", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:n'/></pubsub>")
				if n.Find("closed-node") == nil {
					t.Errorf("the node is open again: %s", n)
				}
			}
		}},
		{"vCard", func(t *testing.T, user string) func(*testing.T) {
			// The avatar and the rest are two places: a result means both.
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><vCard xmlns='vcard-temp'><FN>F</FN><PHOTO><BINVAL>R0lGODlh</BINVAL></PHOTO></vCard></iq>")
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<vCard xmlns='vcard-temp'/>")
				if n.Find("FN") == nil || n.Find("BINVAL") == nil {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"private data", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:private", "<a xmlns='urn:example:a'>x</a>"))
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<query xmlns='jabber:iq:private'><a xmlns='urn:example:a'/></query>")
				if a := n.Find("a"); a == nil || a.Text != "x" {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"archive preferences", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>b@localhost</jid></always><never/></prefs></iq>")
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<prefs xmlns='urn:xmpp:mam:2'/>")
				if p := n.Find("prefs"); p == nil || p.Attr("default") != "never" || p.Find("jid") == nil || p.Find("jid").Text != "b@localhost" {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"bookmarks", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:private", "<storage xmlns='storage:bookmarks'><conference jid='r@muc.localhost'/></storage>"))
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/look")
				for _, node := range []string{"urn:xmpp:bookmarks:1", "storage:bookmarks"} {
					n := c.IQ("get", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='"+node+"'/></pubsub>")
					if n.Find("conference") == nil {
						t.Errorf("%s has %s", node, n)
					}
				}
			}
		}},
		{"block", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><block xmlns='urn:xmpp:blocking'><item jid='mallory.example'/></block></iq>")
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/y")
				if n := c.IQ("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>"); n.Find("item") == nil || n.Find("item").Attr("jid") != "mallory.example" {
					t.Errorf("the list is %s", n)
				}
			}
		}},
		{"unblock", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			done(t, c.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='mallory.example'/></block>"))
			result(t, c, "<iq type='set' id='now'><unblock xmlns='urn:xmpp:blocking'/></iq>")
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/y")
				if n := c.IQ("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>"); n.Find("item") != nil {
					t.Errorf("the list is %s", n)
				}
			}
		}},
		{"push service", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><enable xmlns='urn:xmpp:push:0' jid='peer-"+user+"@localhost/push' node='n'/></iq>")
			return func(t *testing.T) {
				s.AddUsers("peer-" + user + "@localhost")
				p := s.Online(t, "peer-"+user+"@localhost/push")
				p.Send("<message to='%s@localhost' type='chat'><body>x</body></message>", user)
				for n := p.Must(); n.Name.Local != "iq"; n = p.Must() {
				}
			}
		}},
		{"invitation", func(t *testing.T, user string) func(*testing.T) {
			var link string
			c := s.Login(t, user+"@localhost/x")
			c.Send("<iq type='set' id='now' to='localhost'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite'/></iq>")
			link = c.Want("<iq type='result' id='now'><command xmlns='http://jabber.org/protocol/commands' status='completed'/></iq>").String()
			s.Kill()
			token := regexp.MustCompile(`preauth=([A-Z2-7]+)`).FindStringSubmatch(link)
			if token == nil {
				t.Fatalf("no token in %s", link)
			}
			return func(t *testing.T) {
				s.AddUsers("peer-" + user + "@localhost")
				p := s.Online(t, "peer-"+user+"@localhost/x")
				p.Send("<presence type='subscribe' to='%s@localhost'><preauth xmlns='urn:xmpp:pars:0' token='%s'/></presence>", user, token[1])
				p.Barrier()
				wantRoster(t, user, "peer-"+user+"@localhost  fromsubscribe")
			}
		}},
		{"import", func(t *testing.T, user string) func(*testing.T) {
			out, errs, code := s.Run("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='new-"+user+"' password='made'>"+
				"<query xmlns='jabber:iq:roster'><item jid='b@localhost' name='B'/></query></user></host></server-data>", "import", "-")
			s.Kill()
			if code != 0 {
				t.Fatalf("%s%s", out, errs)
			}
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"password change", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:register", "<username>"+user+"</username><password>changed</password>"))
			return func(t *testing.T) {
				if got := login(user, "changed") + " " + login(user, xtest.Password); got != "success not-authorized" {
					t.Errorf("new and old password: %s", got)
				}
			}
		}},
		{"registration", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Secure(t, "localhost"), set("jabber:iq:register", "<username>new-"+user+"</username><password>made</password>"))
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"removal", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:register", "<remove/>"))
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "not-authorized" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user add", func(t *testing.T, user string) func(*testing.T) {
			command(t, "made\n", "add", "new-"+user+"@localhost")
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user passwd", func(t *testing.T, user string) func(*testing.T) {
			command(t, "changed\n", "passwd", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, "changed") + " " + login(user, xtest.Password); got != "success not-authorized" {
					t.Errorf("new and old password: %s", got)
				}
			}
		}},
		{"user disable", func(t *testing.T, user string) func(*testing.T) {
			command(t, "", "disable", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "account-disabled" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user delete", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			c.Send("%s", set("jabber:iq:roster", "<item jid='b@localhost'/>"))
			c.Barrier()
			command(t, "", "delete", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "not-authorized" {
					t.Errorf("login: %s", got)
				}
				s.AddUsers(user + "@localhost")
				wantRoster(t, user) // nothing of the old one (A27)
			}
		}},
		{"user import", func(t *testing.T, user string) func(*testing.T) {
			var in strings.Builder
			for i := range 20 {
				fmt.Fprintf(&in, "%s-%d@localhost made\n", user, i)
			}
			command(t, in.String(), "import")
			return func(t *testing.T) {
				out, _, _ := s.Run("", "user", "list")
				if n := strings.Count(out, user+"-"); n != 20 {
					t.Errorf("%d of 20 accounts are there", n)
				}
			}
		}},
	} {
		t.Run("D02 "+tc.name, func(t *testing.T) {
			for range rounds {
				n++
				user := fmt.Sprintf("user%d", n)
				s.AddUsers(user + "@localhost")
				after := tc.do(t, user)
				s.Start(xtest.Options{})
				after(t)
			}
		})
	}
}
