package test

import (
	"fmt"
	"net"
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
		// Rooms: TestAttackJoinFlood.
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
			// This one: clients of the subtests above, which are cut at their end, fall asleep meanwhile too.
			g.WaitLog(t, from, fmt.Sprintf(`"account":"mallory@a.test","resource":"s%d"`, i))
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
