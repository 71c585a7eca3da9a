package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackLimitsOfAccounts has the limits of what an account may have; those of rooms: TestAttackLimitsOfRooms.
func TestAttackLimitsOfAccounts(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"},
		Limits: "profile = \"off\"\nroster_items = 20\noffline_messages = 5\noffline_size = \"20kB\"\n"})
	g.AddUsers("dave@a.test", "erin@a.test")

	g.Run(t, "R10 sessions", func(t *testing.T) {
		var in []*xtest.Client
		refused := 0
		for i := range 30 {
			c := g.Secure(t, "a.test")
			c.Auth(sasl.Plain, "mallory", xtest.Password)
			c.Send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r%d</resource></bind></iq>", i)
			switch n := c.Must(); n.Attr("type") {
			case "result":
				in = append(in, c)
			case "error":
				refused++
				want, _ := xtest.Parse("<iq type='error' id='b'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
				if why := xtest.Match(want, n); why != "" {
					t.Error(why)
				}
			}
		}
		if len(in) != 10 || refused != 20 {
			t.Fatalf("%d bound, %d refused", len(in), refused)
		}
		for _, c := range in {
			c.Barrier()
		}
		// A resource that is there already is no further one.
		c := g.Login(t, "mallory@a.test/r3")
		in[3].WantStreamError("conflict")
		c.Barrier()
		in[0].Quit()
		g.Login(t, "mallory@a.test/another")
	})

	g.Run(t, "R12 nodes, private data, vCard", func(t *testing.T) {
		const pubsub = "http://jabber.org/protocol/pubsub"
		c := g.Login(t, "dave@a.test/x")
		publish := func(node, id string, size int, max string) *xtest.Node {
			return c.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><publish node='"+node+"'><item id='"+id+"'><x xmlns='urn:x'>"+strings.Repeat("x", size)+"</x></item></publish>"+
				"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"+pubsub+"#publish-options</value></field>"+
				"<field var='pubsub#max_items'><value>"+max+"</value></field></x></publish-options></pubsub>")
		}
		count := func(node string) int {
			n := c.IQ("get", "", "<pubsub xmlns='"+pubsub+"'><items node='"+node+"'/></pubsub>")
			return len(n.Find("items").Children)
		}
		wants := func(n *xtest.Node, typ, condition string) {
			t.Helper()
			if e := n.Find("error"); e == nil || e.Attr("type") != typ || e.Find(condition) == nil {
				t.Errorf("got %.300s, want %s", n, condition)
			}
		}
		for i := range 256 {
			if n := publish("urn:items", fmt.Sprint(i), 1, "max"); n.Attr("type") != "result" {
				t.Fatalf("item %d: %s", i, n)
			}
		}
		wants(publish("urn:items", "more", 1, "max"), "wait", "resource-constraint")
		wants(publish("urn:items", "1", 64<<10, "max"), "modify", "not-acceptable")
		if n := count("urn:items"); n != 256 {
			t.Errorf("there are %d items", n)
		}
		made := 1
		for ; made < 300; made++ {
			if n := publish(fmt.Sprint("urn:node:", made), "x", 1, "1"); n.Attr("type") != "result" {
				wants(n, "wait", "resource-constraint")
				break
			}
		}
		if made != 200 || count("urn:node:199") != 1 {
			t.Errorf("%d nodes could be made", made)
		}
		for i := 0; ; i++ { // 16 MiB for all
			if n := publish("urn:items", fmt.Sprint(i), 60_000, "max"); n.Attr("type") != "result" {
				wants(n, "wait", "resource-constraint")
				break
			}
			if i == 256 {
				t.Fatal("there is no end to it")
			}
		}
		private := func(name string, size int) *xtest.Node {
			return c.IQ("set", "", "<query xmlns='jabber:iq:private'><"+name+" xmlns='urn:x'>"+strings.Repeat("x", size)+"</"+name+"></query>")
		}
		private("a", 200_000)
		wants(private("b", 100_000), "wait", "resource-constraint")
		if n := c.IQ("get", "", "<query xmlns='jabber:iq:private'><a xmlns='urn:x'/></query>"); len(n.Find("a").Text) != 200_000 {
			t.Errorf("what was stored first has %d bytes", len(n.Find("a").Text))
		}
		vcard := func(size int) *xtest.Node {
			return c.IQ("set", "", "<vCard xmlns='vcard-temp'><DESC>"+strings.Repeat("x", size)+"</DESC></vCard>")
		}
		vcard(1000)
		wants(vcard(129<<10), "wait", "resource-constraint")
		if n := c.IQ("get", "", "<vCard xmlns='vcard-temp'/>"); len(n.Find("DESC").Text) != 1000 {
			t.Errorf("the vCard is now %.200s", n)
		}
	})

	g.Run(t, "R11 roster", func(t *testing.T) {
		c := g.Login(t, "erin@a.test/x")
		set := func(jid, inside string) *xtest.Node {
			c.Send("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='%s'%s</item></query></iq>", jid, inside)
			for {
				if n := c.Must(); n.Attr("id") == "s" {
					return n
				}
			}
		}
		size := func() int {
			c.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
			for {
				if n := c.Must(); n.Attr("id") == "g" {
					return len(n.Child("query").Children)
				}
			}
		}
		for i := range 20 {
			if n := set(fmt.Sprintf("c%d@a.test", i), ">"); n.Attr("type") != "result" {
				t.Fatalf("item %d: %s", i, n)
			}
		}
		for what, item := range map[string][2]string{
			"one more":              {"more@a.test", ">"},
			"a name of 1,024 bytes": {"c1@a.test", " name='" + strings.Repeat("n", 1024) + "'>"},
			"a name of 60,000":      {"c1@a.test", " name='" + strings.Repeat("n", 60_000) + "'>"},
			"a group of 1,024":      {"c1@a.test", "><group>" + strings.Repeat("n", 1024) + "</group>"},
			"33 groups":             {"c1@a.test", ">" + times(33, "<group>g%d</group>")},
			"9,000 groups":          {"c1@a.test", ">" + times(9000, "<group>g%d</group>")},
			"a group without name":  {"c1@a.test", "><group/>"},
			"an address too long":   {strings.Repeat("n", 1024) + "@a.test", ">"},
		} {
			if n := set(item[0], item[1]); n.Attr("type") != "error" {
				t.Errorf("%s: %s", what, n)
			}
		}
		// Requests from outside and to outside count as well.
		for i := range 10 {
			c.Send("<presence type='subscribe' to='later%d@a.test'/>", i)
		}
		c.Barrier()
		if n := size(); n != 20 {
			t.Errorf("%d items", n)
		}
		if n := set("c1@a.test", " name='changed'>"); n.Attr("type") != "result" {
			t.Errorf("a change in a full roster: %s", n)
		}
		c.Quit()
	})

	g.Run(t, "R14 pages of an archive", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		for i := range 120 {
			c.Send("<message to='%s' type='chat' id='m%d'><body>%[2]d</body></message>", c.JID, i)
		}
		c.Barrier()
		ask := func(set string) (n int, answer *xtest.Node) {
			t.Helper()
			c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>%s</set></query></iq>", set)
			for answer = c.Must(); answer.Name.Local != "iq"; answer = c.Must() {
				n++
			}
			return n, answer
		}
		for set, want := range map[string]int{
			"<max>100</max>": 100, "<max>101</max>": 100, "<max>4294967297</max>": 100, "<max>99999999999999999999999999</max>": 100,
			"<max>0</max>": 0, "<max>7</max><before/>": 7, "": 50,
		} {
			if n, answer := ask(set); n != want || answer.Attr("type") != "result" {
				t.Errorf("%s: %d messages, %s", set, n, answer)
			}
		}
		for set, want := range map[string]string{
			"<max>-1</max>": "bad-request", "<max>-9223372036854775808</max>": "bad-request", "<max>ten</max>": "bad-request", "<max/>": "bad-request",
			"<before>junk</before>": "item-not-found", "<after>' or 1=1</after>": "item-not-found",
			"<before>" + strings.Repeat("A", 20_000) + "</before>": "item-not-found", "<index>5</index>": "feature-not-implemented",
		} {
			if n, answer := ask(set); n != 0 || answer.Attr("type") != "error" || answer.Find(want) == nil {
				t.Errorf("%.60s: %d messages, %s", set, n, answer)
			}
		}
	})
	g.Run(t, "R11 block list", func(t *testing.T) {
		c := g.Login(t, "erin@a.test/x")
		defer c.Quit()
		block := func(n int, format string) *xtest.Node {
			var items strings.Builder
			for i := range n {
				fmt.Fprintf(&items, "<item jid='"+format+"'/>", i)
			}
			return c.IQ("set", "", "<block xmlns='urn:xmpp:blocking'>"+items.String()+"</block>")
		}
		size := func() int {
			return len(done(t, c.IQ("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>")).Find("blocklist").Children)
		}
		done(t, block(600, "a%d.example"))
		denied(t, block(401, "b%d.example"), "cancel", "not-allowed") // all or nothing
		denied(t, block(5000, "c%d.example"), "cancel", "not-allowed")
		denied(t, c.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='"+strings.Repeat("n", 1024)+"@a.test'/></block>"), "modify", "jid-malformed")
		if n := size(); n != 600 {
			t.Errorf("%d entries", n)
		}
		done(t, block(400, "b%d.example"))
		denied(t, block(1, "more%d.example"), "cancel", "not-allowed")
		done(t, block(600, "a%d.example")) // what is there does not count twice
		if n := size(); n != 1000 {
			t.Errorf("%d entries", n)
		}
		done(t, c.IQ("set", "", "<unblock xmlns='urn:xmpp:blocking'/>"))
	})

	g.Run(t, "R13 messages for who is offline", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		send := func(to, id string, size int) *xtest.Node {
			c.Send("<message to='%s' type='chat' id='%s'><body>%s</body></message>", to, id, strings.Repeat("x", size))
			got := c.Barrier()
			if len(got) == 0 {
				return nil
			}
			return got[0]
		}
		refused := func(n *xtest.Node, id string) {
			t.Helper()
			want, _ := xtest.Parse("<message type='error' id='" + id + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
			if why := xtest.Match(want, n); why != "" {
				t.Error(why)
			}
		}
		for i := range 5 {
			if n := send("dave@a.test", fmt.Sprint("m", i), 10); n != nil {
				t.Errorf("message %d: %s", i, n)
			}
		}
		for i := range 3 { // RFC 6121 §8.5.2.2
			refused(send("dave@a.test", fmt.Sprint("n", i), 10), fmt.Sprint("n", i))
		}
		for i := range 2 {
			if n := send("erin@a.test", fmt.Sprint("m", i), 9000); n != nil {
				t.Errorf("large message %d: %s", i, n)
			}
		}
		refused(send("erin@a.test", "n", 9000), "n")
		if n := send("erin@a.test", "m2", 100); n != nil { // there is room for a small one
			t.Errorf("small message: %s", n)
		}
		for who, n := range map[string]int{"dave": 5, "erin": 3} {
			d := g.Login(t, who+"@a.test/x")
			d.Send("<presence/>")
			d.Barrier2(func(got []*xtest.Node) {
				got = slices.DeleteFunc(got, func(n *xtest.Node) bool { return n.Name.Local != "message" })
				if len(got) != n {
					t.Errorf("%s got %d messages", who, len(got))
				}
				for i, m := range got {
					if m.Attr("id") != fmt.Sprint("m", i) {
						t.Errorf("%s got %s as number %d", who, m.Attr("id"), i)
					}
				}
			})
			d.Quit()
		}
		if n := send("dave@a.test", "again", 10); n != nil { // the box is empty again
			t.Error(n)
		}
	})
}
