package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// The attacks on memory, files and CPU: what is too large, too deep, too much or too often. See doc/testing.md for what
// stands where. Bounds of memory and time are wide: they tell a limit that is kept from one that is not, nothing more.

const (
	mib       = 1 << 20
	unmanaged = "profile = \"off\"\nresources_per_account = 1000\nhibernated_per_account = 3\n"
)

// letter is a message to the victim of exactly so many bytes.
func letter(id string, size int) string {
	head := "<message to='bob@a.test' type='chat' id='" + id + "'><body>"
	const tail = "</body></message>"
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// deepLetter is a message to somebody, depth elements deep.
func deepLetter(to string, depth int) string {
	n := depth - 1
	return "<message to='" + to + "' type='chat' id='deep'><body>x</body>" + strings.Repeat("<a>", n) + strings.Repeat("</a>", n) + "</message>"
}

// unending are beginnings of what never ends, for a stream before login.
var unending = map[string]func(n int) string{
	"attribute":    func(n int) string { return "<a b='" + strings.Repeat("x", n) },
	"text":         func(n int) string { return "<a>" + strings.Repeat("x", n) },
	"name":         func(n int) string { return "<" + strings.Repeat("x", n) },
	"blank in tag": func(n int) string { return "<a" + strings.Repeat(" ", n) },
	"blank":        func(n int) string { return strings.Repeat(" ", n) },
	"deep":         func(n int) string { return strings.Repeat("<a>", n/3+1) },
	"wide":         func(n int) string { return "<a>" + strings.Repeat("<b/>", n/4) },
	"attributes":   func(n int) string { return "<a" + times(n/6, " a%d=''") },
	"namespaces":   func(n int) string { return "<a" + times(n/12, " xmlns:a%d='u'") },
	"end tag":      func(n int) string { return "<a></a" + strings.Repeat(" ", n) },
}

func times(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestAttackLimits(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: unmanaged + "sm_queue = 20\noffline_messages = 300\n"})
	g.AddUsers("dave@a.test", "erin@a.test")

	g.Run(t, "R01 before login", func(t *testing.T) {
		for what, make := range unending {
			for _, state := range []string{"open", "tls"} {
				t.Run(state+" "+what, func(t *testing.T) {
					c := g.Attacker(t, state)
					c.Send("%s", make(16<<10)) // and no more: it must be enough
					c.WantStreamError("policy-violation")
				})
			}
		}
		for _, what := range []string{"attribute", "blank in tag", "attributes", "namespaces"} {
			t.Run("header "+what, func(t *testing.T) {
				c := g.Attacker(t, "raw")
				c.Send("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' %s", unending[what](16 << 10)[2:])
				c.WantStreamError("policy-violation")
			})
		}
		for _, before := range []string{" ", "\n"} {
			t.Run("blank before the header", func(t *testing.T) {
				c := g.Attacker(t, "raw")
				c.Send("%s", strings.Repeat(before, 16<<10))
				c.WantStreamError("policy-violation", "not-well-formed")
			})
		}
		before := g.RSS(t)
		var all []*xtest.Client
		for range 4 {
			for _, make := range unending {
				c := g.Attacker(t, "tls")
				c.Send("%s", make(5000)) // as much as is allowed
				all = append(all, c)
			}
		}
		g.Bystander.Barrier()
		if grown := g.RSS(t) - before; grown > int64(len(all))*mib {
			t.Errorf("%d connections cost %d kB", len(all), grown>>10)
		}
		for _, c := range all {
			c.Conn.Close()
		}
	})

	g.Run(t, "R02 size of a stanza", func(t *testing.T) {
		limit := func(features *xtest.Node) string {
			if l := features.Child("limits"); l != nil && l.Child("max-bytes") != nil {
				return l.Child("max-bytes").Text
			}
			return ""
		}
		c := g.Dial(t)
		c.Open()
		if got := limit(c.StartTLS()); got != "10000" {
			t.Errorf("announced before login: %q", got)
		}
		if got := limit(c.Auth(sasl.Plain, "mallory", xtest.Password)); got != "262144" {
			t.Errorf("announced after login: %q", got)
		}
		c.Bind("")
		c.Send("%s", letter("largest", 262144))
		c.Send("%s", strings.Repeat(" ", 300_000)) // this is in no stanza
		c.Send("%s", letter("next", 262144))
		g.Victim.Want("<message id='largest' from='%s'><body>*</body></message>", c.JID)
		g.Victim.Want("<message id='next'><body>*</body></message>")
		c.Send("%s", letter("evil", 262145))
		c.WantStreamError("policy-violation")
		g.Untouched(t)
	})

	g.Run(t, "R03 depth", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.Send("%s", deepLetter("bob@a.test", 64))
		c.Send("%s", deepLetter("dave@a.test", 64)) // who is offline
		c.Barrier()
		depth := func(n *xtest.Node) (d int) {
			for ; n != nil; n = n.Child("a") {
				d++
			}
			return d
		}
		if d := depth(g.Victim.Want("<message id='deep'/>")); d != 64 {
			t.Errorf("of 64 elements %d arrived", d)
		}
		for _, n := range []int{65, 100, 1000, 37_000, 100_000} {
			for _, to := range []string{"bob@a.test", "dave@a.test", "mallory@a.test", "a.test", ""} {
				c := g.Attacker(t, "ok")
				c.TrySend(deepLetter(to, n))
				c.WantStreamError("policy-violation")
			}
		}
		g.Untouched(t)
		dave := g.Login(t, "dave@a.test/late")
		dave.Send("<presence/>")
		dave.Barrier2(func(got []*xtest.Node) {
			kept := slices.DeleteFunc(got, func(n *xtest.Node) bool { return n.Name.Local != "message" })
			if len(kept) != 1 || depth(kept[0]) != 64 {
				t.Errorf("kept: %s", kept)
			}
		})
		dave.Quit()
	})

	g.Run(t, "R04 width", func(t *testing.T) {
		message := func(inside string) string { return "<message to='bob@a.test' id='w'>" + inside + "</message>" }
		begin := g.CPU(t)
		for what, text := range map[string]string{
			"elements":                    message("<x>" + strings.Repeat("<a/>", 60_000) + "</x>"),
			"elements at the first level": message(strings.Repeat("<a/>", 60_000)),
			"attributes":                  message("<a" + times(20_000, " a%d=''") + "/>"),
			"attributes of the stanza":    "<message to='bob@a.test'" + times(20_000, " a%d=''") + "/>",
			"namespaces":                  message("<a" + times(5_000, " xmlns:a%d='u'") + "/>"),
			"name":                        message("<" + strings.Repeat("n", mib) + "/>"),
			"name of an attribute":        message("<a " + strings.Repeat("n", mib) + "=''/>"),
			"value":                       message("<a b='" + strings.Repeat("n", 100_000) + "'/>"),
			"value of 200 kB in to":       "<message to='" + strings.Repeat("n", 200_000) + "@a.test'/>",
		} {
			t.Run(what, func(t *testing.T) {
				c := g.Attacker(t, "ok")
				c.TrySend(text)
				c.WantStreamError("policy-violation")
				g.Untouched(t)
			})
		}
		// Names that are all different cost what names that are all the same cost.
		c := g.Attacker(t, "ok")
		cost := func(inside string) time.Duration {
			from := g.CPU(t)
			for range 10 {
				c.Send("%s", message(inside))
			}
			c.Barrier()
			for range 10 {
				g.Victim.Want("<message id='w'/>")
			}
			return g.CPU(t) - from
		}
		same := cost(strings.Repeat("<a1000 xmlns='urn:1000'/>", 8000))
		names := cost(times(8000, "<a%04d xmlns='urn:1000'/>"))
		spaces := cost(times(8000, "<a1000 xmlns='urn:%04d'/>"))
		t.Logf("80,000 elements of one name: %v of CPU, of different names: %v, of different namespaces: %v", same, names, spaces)
		if most := 10*same + 2*time.Second; names > most || spaces > most {
			t.Error("different names are dear")
		}
		if spent := g.CPU(t) - begin; spent > 30*time.Second {
			t.Errorf("%v of CPU in all", spent)
		}
	})

	g.Run(t, "R05 others meanwhile", func(t *testing.T) {
		var stop atomic.Bool
		var wg sync.WaitGroup
		attacks := []string{
			letter("large", 262145), deepLetter("bob@a.test", 30_000), "<message>" + strings.Repeat("<a/>", 60_000),
			"<message" + times(20_000, " a%d=''"), strings.Replace(letter("fits", 262144), "bob@", "nob@", 1),
		}
		for i := range 10 {
			c := g.Attacker(t, "ok")
			wg.Go(func() {
				for n := 0; !stop.Load(); n++ {
					c.TrySend(attacks[(n+i)%len(attacks)])
					c.Conn.Close()
					if c = again(t, g.Server); c == nil {
						return
					}
				}
				c.Conn.Close()
			})
		}
		p := pings(g.Bystander, 2*time.Second)
		stop.Store(true)
		wg.Wait()
		p.log(t, "ten attackers")
		g.Untouched(t)
	})

	g.Run(t, "R15 presence to thousands", func(t *testing.T) {
		// MUC and look-ups of other servers: later, with them.
		before := g.RSS(t)
		c := g.Attacker(t, "ok")
		c.Send("<presence/>")
		c.Barrier()
		for i := range 5000 {
			c.Send("<presence to='bob@a.test/%d' id='p%[1]d'/>", i)
		}
		refused := 0
		for _, n := range c.Barrier() {
			if n.Find("resource-constraint") != nil {
				refused++
			}
		}
		if refused < 3000 {
			t.Errorf("%d of 5,000 refused", refused)
		}
		if grown := g.RSS(t) - before; grown > 64*mib {
			t.Errorf("they cost %d kB", grown>>10)
		}
		c.Quit()
		g.Victim.Barrier()
	})

	g.Run(t, "R18 no compression", func(t *testing.T) {
		for _, state := range []string{"open", "tls", "ok"} {
			c := g.Attacker(t, state)
			c.Send("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>")
			if state == "ok" {
				c.WantStreamError("unsupported-stanza-type")
				continue
			}
			c.Want("<failure xmlns='http://jabber.org/protocol/compress'><unsupported-method/></failure>")
		}
		c := g.Dial(t)
		for _, f := range []*xtest.Node{c.Open(), c.StartTLS(), c.Auth(sasl.Plain, "mallory", xtest.Password)} {
			if f.Find("compression") != nil {
				t.Errorf("offered: %s", f)
			}
		}
	})

	g.Run(t, "R20 XEP-0198", func(t *testing.T) { attackSM(t, g) })

	g.Run(t, "R21 nobody makes us fetch", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		came := make(chan struct{})
		go func() {
			if _, err := l.Accept(); err == nil {
				close(came)
			}
		}()
		url := "http://" + l.Addr().String() + "/x"
		c := g.Attacker(t, "ok")
		c.Send("<presence><x xmlns='vcard-temp:x:update'><photo>%s</photo></x><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='%[1]s' ver='x'/></presence>", url)
		c.Send("<message to='bob@a.test'><body>%s</body><x xmlns='jabber:x:oob'><url>%[1]s</url></x></message>", url)
		for i, payload := range []string{
			"<enable xmlns='urn:xmpp:push:0' jid='%s' node='x'/>", "<enable xmlns='urn:xmpp:push:0' jid='127.0.0.1' node='%s'><x xmlns='jabber:x:data' type='submit'>" +
				"<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='endpoint'><value>%[1]s</value></field></x></enable>", "<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>%s</EXTVAL></PHOTO></vCard>",
			"<query xmlns='jabber:iq:oob'><url>%s</url></query>",
			"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:avatar:metadata'><item><metadata xmlns='urn:xmpp:avatar:metadata'><info url='%s'/></metadata></item></publish></pubsub>",
		} {
			c.Send("<iq type='set' id='f%d'>%s</iq>", i, fmt.Sprintf(payload, url))
			c.Send("<iq type='set' id='g%d' to='a.test'>%s</iq>", i, fmt.Sprintf(payload, url))
		}
		c.Barrier()
		g.Victim.Want("<message><body>*</body></message>")
		c.Quit() // so that there is something to push for
		carol := g.Bystander
		carol.Send("<message to='mallory@a.test' type='chat'><body>hello</body></message>")
		carol.Barrier()
		select {
		case <-came:
			t.Error("the server connected to an address that a client named")
		default:
		}
	})
}

// again connects mallory anew, on a goroutine that is not the test's; nil where that failed.
func again(t *testing.T, s *xtest.Server) (c *xtest.Client) {
	defer func() {
		if t.Failed() {
			c = nil
		}
	}()
	return s.Login(t, "mallory@a.test")
}

// latencies are how long answers took.
type latencies []time.Duration

// pings asks the server again and again for some time.
func pings(c *xtest.Client, d time.Duration) (l latencies) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		from := time.Now()
		c.Barrier()
		l = append(l, time.Since(from))
	}
	return l
}

// log says what they were. The machine may be slow; what must not be is that answers wait for a timeout of somebody else.
func (l latencies) log(t *testing.T, during string) {
	t.Helper()
	if len(l) == 0 {
		t.Fatal("no answer at all")
	}
	slices.Sort(l)
	p99 := l[len(l)*99/100]
	t.Logf("%s: %d answers for a bystander, half within %v, 99 %% within %v, the last after %v", during, len(l), l[len(l)/2], p99, l[len(l)-1])
	if p99 > 5*time.Second {
		t.Errorf("99 %% of the answers took up to %v", p99)
	}
}

// attackSM are the limits of XEP-0198.
func attackSM(t *testing.T, g *xtest.Target) {
	enabled := func(t *testing.T, full string) (*xtest.Client, string) {
		c := g.Login(t, full)
		c.Send("<enable %s resume='true'/>", nsSM)
		return c, c.Want("<enabled %s/>", nsSM).Attr("id")
	}
	t.Run("nothing is acknowledged", func(t *testing.T) {
		c, _ := enabled(t, "erin@a.test/lazy")
		c.Send("<presence/>")
		c.Barrier()
		m := g.Attacker(t, "ok")
		const n = 200
		for i := range n {
			m.Send("<message to='erin@a.test' type='chat' id='e%d'><body>x</body></message>", i)
		}
		if got := m.Barrier(); len(got) > 0 {
			t.Errorf("the sender got %s", got)
		}
		c.WantStreamError("resource-constraint")
		c.WantClosed()
		awaitGone(t, g.Server, "erin@a.test/lazy")
		c = g.Login(t, "erin@a.test/back")
		c.Send("<presence/>")
		got := map[string]int{}
		for len(got) < n {
			if m := c.Must(); m.Name.Local == "message" {
				got[m.Attr("id")]++
			}
		}
		for _, m := range c.Barrier() {
			got[m.Attr("id")]++
		}
		for i := range n {
			if k := got[fmt.Sprintf("e%d", i)]; k != 1 {
				t.Errorf("message %d came %d times", i, k)
			}
		}
		c.Quit()
	})
	t.Run("more is acknowledged than was sent", func(t *testing.T) {
		for _, h := range []string{"1", "5", "4294967295"} {
			c, _ := enabled(t, "erin@a.test/greedy")
			c.Send("<a %s h='%s'/>", nsSM, h)
			if n := c.WantStreamError("undefined-condition"); n.Child("handled-count-too-high") == nil {
				t.Errorf("h=%s: %s", h, n)
			}
		}
	})
	t.Run("h is no number", func(t *testing.T) {
		for _, h := range []string{"abc", "", "-1", "4294967296", "1e3", "0x10", "99999999999999999999"} {
			c, _ := enabled(t, "erin@a.test/odd")
			c.Send("<a %s h='%s'/>", nsSM, h)
			c.WantStreamError("bad-format", "undefined-condition", "policy-violation")
		}
		c, _ := enabled(t, "erin@a.test/odd")
		c.Send("<a %s/>", nsSM)
		c.WantStreamError("bad-format", "undefined-condition", "policy-violation")
	})
	loggedIn := func(t *testing.T, user string) *xtest.Client {
		c := g.Secure(t, "a.test")
		c.Auth(sasl.Plain, user, xtest.Password)
		return c
	}
	t.Run("another's session", func(t *testing.T) {
		_, id := enabled(t, "erin@a.test/mine")
		c := loggedIn(t, "mallory")
		c.Send("<resume %s previd='%s' h='0'/>", nsSM, id)
		c.Want("<failed %s h='-'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM)
		c.Send("<resume %s previd='%s' h='0'/>", nsSM, strings.Repeat("x", 5000))
		c.Want("<failed %s><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM)
		c = loggedIn(t, "erin")
		c.Send("<resume %s previd='%s' h='0'/>", nsSM, id)
		c.Want("<resumed %s previd='%s' h='0'/>", nsSM, id)
	})
	t.Run("before login", func(t *testing.T) {
		_, id := enabled(t, "erin@a.test/early")
		c := g.Attacker(t, "tls")
		c.Send("<resume %s previd='%s' h='0'/>", nsSM, id)
		c.Want("<failed %s><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM)
		c.Send("<enable %s/>", nsSM)
		c.Want("<failed %s><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM)
	})
	t.Run("many sleep", func(t *testing.T) { // hibernated_per_account = 3
		var ids []string
		for i := range 6 {
			from := len(g.Log())
			c, id := enabled(t, fmt.Sprintf("mallory@a.test/s%d", i))
			c.Conn.Close()
			g.WaitLog(t, from, "waits to be resumed")
			ids = append(ids, id)
		}
		awaitGone(t, g.Server, "mallory@a.test/s2")
		for i, id := range ids {
			c := loggedIn(t, "mallory")
			c.Send("<resume %s previd='%s' h='0'/>", nsSM, id)
			if n := c.Must(); (n.Name.Local == "resumed") != (i >= 3) {
				t.Errorf("session %d: %s", i, n)
			}
			c.TrySend("</stream:stream>")
		}
	})
}

// awaitGone waits until a session is over.
func awaitGone(t *testing.T, s *xtest.Server, jid string) {
	t.Helper()
	for end := time.Now().Add(xtest.Wait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out, errs, code := s.Run("", "session", "list")
		if code != 0 {
			t.Fatal(errs)
		}
		if !strings.Contains(out, jid) {
			return
		}
	}
	t.Errorf("%s is still there", jid)
}

// TestAttackLimitsOfAccounts has the limits of what an account may have. MAM, rooms: later, with them.
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

// TestAttackRate: reading slows down, nobody else notices, nothing is lost. R07.
func TestAttackRate(t *testing.T) {
	t.Parallel() // it waits more than it works
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test", "b.test", "c.test"}, Limits: "rate_c2s = \"1MiB\"\nburst_c2s = \"512KiB\"\n"})
	elsewhere := []*xtest.Client{g.Online(t, "alice@b.test/x"), g.Online(t, "alice@c.test/x")}
	for _, name := range []string{"R07 burst of 3 MB", "H08 other hosts"} {
		g.Run(t, name, func(t *testing.T) {
			c := g.Attacker(t, "ok")
			const n = 100
			begin := time.Now()
			sent := make(chan error, 1)
			go func() {
				for i := range n {
					if err := c.TrySend(letter(fmt.Sprint("r", i), 30_000)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			got := make(chan string, 1)
			go func() {
				defer close(got)
				for i := range n {
					if m := g.Victim.Must(); m.Attr("id") != fmt.Sprint("r", i) {
						got <- fmt.Sprintf("number %d is %s", i, m.Attr("id"))
						return
					}
				}
			}()
			if name[0] == 'R' {
				pings(g.Bystander, time.Second).log(t, "one who sends too much")
			} else {
				for _, e := range elsewhere {
					e.T = t
					pings(e, time.Second/2).log(t, "one who sends too much, on another host")
				}
			}
			if why := <-got; why != "" {
				t.Error(why)
			}
			// What is beyond the burst takes its time: (3,000,000 - 524,288) bytes at 1,048,576 a second.
			if took := time.Since(begin); took < 1500*time.Millisecond {
				t.Errorf("3 MB were read in %v", took)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if got := c.Barrier(); len(got) > 0 { // still here
				t.Errorf("the sender got %s", got)
			}
		})
	}
}

// TestAttackConnections: an address has so many connections and no more, all others go on. R09.
func TestAttackConnections(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: "connections_per_address = 64\n"})
	fds := g.FDs(t)
	// knock tells whether a new connection from an address is served.
	knock := func(t *testing.T) (nc net.Conn, served bool) {
		d := net.Dialer{Timeout: xtest.Wait, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		nc, err := d.Dial("tcp", g.C2S)
		if err != nil {
			return nil, false
		}
		nc.SetDeadline(time.Now().Add(xtest.Wait))
		io.WriteString(nc, streamHeader)
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			nc.Close()
			return nil, false
		}
		return nc, true
	}
	g.Run(t, "R09 connections of one address", func(t *testing.T) {
		begin, mark := time.Now(), len(g.Log())
		var open []net.Conn
		refused := 0
		for range 3000 {
			if nc, ok := knock(t); ok {
				open = append(open, nc)
			} else {
				refused++
			}
		}
		if len(open) != 64 {
			t.Errorf("%d connections are open", len(open))
		}
		if n := g.FDs(t); n > fds+64+10 {
			t.Errorf("%d files and sockets, %d before", n, fds)
		}
		g.Login(t, "alice@a.test/x", "127.0.0.3").Quit()
		for _, nc := range open {
			nc.Close()
		}
		g.FewerFDs(t, fds+2)
		// In a minute an address may come 120 times.
		again := 0
		for range 200 {
			if nc, ok := knock(t); ok {
				again++
				nc.Close()
			}
		}
		minute := int(time.Since(begin).Minutes()*120) + 1
		if again == 0 || 64+again > 120+minute {
			t.Errorf("%d connections after 64, in %v", again, time.Since(begin))
		}
		g.Login(t, "alice@a.test/x", "127.0.0.3").Quit()
		lines := strings.Count(g.Log()[mark:], "connections refused")
		if limit := 2 + int(time.Since(begin).Minutes()); lines < 1 || lines > limit {
			t.Errorf("%d lines in the log about %d refusals", lines, refused)
		}
	})
}

// TestAttackDescriptors: without file descriptors new connections wait, standing ones are served. R16.
func TestAttackDescriptors(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip("prlimit is missing")
	}
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Prefix: []string{prlimit, "--nofile=256:256"}})
	fds := g.FDs(t)
	g.Run(t, "R16 no descriptors left", func(t *testing.T) {
		mark := len(g.Log())
		var open []net.Conn
		for range 400 {
			nc, err := net.DialTimeout("tcp", g.C2S, xtest.Wait)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			open = append(open, nc)
		}
		g.WaitLog(t, mark, "cannot accept connections")
		cpu := g.CPU(t)
		pings(g.Bystander, 2*time.Second).log(t, "no descriptors")
		if spent := g.CPU(t) - cpu; spent > 1500*time.Millisecond && !xtest.Race {
			t.Errorf("%v of CPU in two seconds: a busy loop", spent)
		}
		g.Bystander.Send("<message to='bob@a.test' type='chat' id='full'><body>x</body></message>")
		g.Victim.Want("<message id='full'/>")
		g.Bystander.Send("<message to='alice@a.test' type='chat' id='kept'><body>x</body></message>") // on disk
		if got := g.Bystander.Barrier(); len(got) > 0 {
			t.Errorf("to alice: %s", got)
		}
		for _, nc := range open {
			nc.Close()
		}
		g.FewerFDs(t, fds+2)
		alice := g.Login(t, "alice@a.test/x")
		alice.Send("<presence/>")
		alice.Barrier2(func(got []*xtest.Node) {
			if !slices.ContainsFunc(got, func(n *xtest.Node) bool { return n.Attr("id") == "kept" }) {
				t.Errorf("alice got %s", got)
			}
		})
		if n := strings.Count(g.Log()[mark:], "cannot accept connections"); n > 3 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// TestAttackLittleMemory has many attacks at once on a server that is to get by with little memory. XMPPD_SOAK=10m makes it
// last. R19.
func TestAttackLittleMemory(t *testing.T) {
	last := 4 * time.Second
	if s := os.Getenv("XMPPD_SOAK"); s != "" {
		var err error
		if last, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: unmanaged, LogLevel: "info", Env: []string{"GOMEMLIMIT=128MiB"}})
	g.Run(t, "R19 little memory", func(t *testing.T) {
		var stop atomic.Bool
		var wg sync.WaitGroup
		attack := func(fn func(i int) bool) {
			wg.Go(func() {
				for i := 0; !stop.Load() && fn(i); i++ {
				}
			})
		}
		var shapes []func(int) string
		for _, f := range unending {
			shapes = append(shapes, f)
		}
		attack(func(i int) bool { // R01
			nc, err := net.Dial("tcp", g.C2S)
			if err == nil {
				io.WriteString(nc, streamHeader+shapes[i%len(shapes)](mib))
				nc.Close()
			}
			return err == nil
		})
		for i := range 2 { // R02 to R04
			attack(func(n int) bool {
				c := again(t, g.Server)
				if c != nil {
					c.TrySend([]string{letter("x", 300_000), deepLetter("bob@a.test", 50_000), "<message>" + strings.Repeat("<a/>", 60_000)}[(n+i)%3])
					c.Conn.Close()
				}
				return c != nil
			})
		}
		for i := range 4 { // R08: who does not read, and is sent much
			to := fmt.Sprintf("mallory@a.test/deaf%d", i)
			attack(func(int) bool {
				deaf := g.DialNarrow(t, 4096)
				deaf.LoginOn(to)
				from := again(t, g.Server)
				if from == nil {
					return false
				}
				for range 30 {
					from.TrySend(strings.Replace(letter("x", 200_000), "bob@a.test", to, 1))
				}
				deaf.Conn.Close()
				from.Conn.Close()
				return true
			})
		}
		var most int64
		var slowest time.Duration
		for end := time.Now().Add(last); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			begin := time.Now()
			g.Login(t, "alice@a.test/x").Quit()
			slowest = max(slowest, time.Since(begin))
			g.Bystander.Barrier()
			most = max(most, g.RSSAnon(t))
		}
		stop.Store(true)
		wg.Wait()
		t.Logf("%d MiB at most; the slowest login took %v", most/mib, slowest)
		if limit := int64(192 * mib); most > limit && !xtest.Race {
			t.Errorf("%d MiB of memory", most/mib)
		}
	})
}
