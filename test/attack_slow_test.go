package test

import (
	"crypto/tls"
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

// Peers that are slow, silent or gone, whether they cannot help it or mean it. The times that stand in [limits] are made
// short here; that the defaults are kept to the second is c2s's TestTimesBeforeLogin, TestIdle and TestTrickledStanza.

// trickle writes a byte again and again until the server has closed the connection, or the test is over.
func trickle(t *testing.T, c *xtest.Client, b string) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for c.TrySend(b) == nil {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

func TestAttackSlow(t *testing.T) {
	t.Parallel() // it waits more than it works
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: unmanaged +
		"handshake_timeout = \"1s\"\nlogin_timeout = \"3s\"\nstanza_timeout = \"1s\"\n"})
	g.AddUsers("dave@a.test")

	// All of a kind wait together.
	type slow struct {
		c    *xtest.Client
		want []string
	}
	all := func(list []slow) {
		for _, s := range list {
			s.c.WantStreamError(append(s.want, "connection-timeout")...)
		}
	}

	g.Run(t, "H01 silence", func(t *testing.T) {
		direct := g.DialDirect(t)
		list := []slow{{c: g.Attacker(t, "raw")}, {c: g.Attacker(t, "open")}, {c: g.Attacker(t, "tls")}}
		c := g.Secure(t, "a.test") // login, and then nothing
		c.Auth(sasl.Plain, "mallory", xtest.Password)
		all(append(list, slow{c: c}))
		if _, err := direct.Next(); err != xtest.ErrEnd {
			t.Errorf("on the port of direct TLS: %v", err)
		}
	})

	g.Run(t, "H02 blanks before login", func(t *testing.T) {
		trickling := func(state, first, rest string, want ...string) slow {
			c := g.Attacker(t, state)
			c.Send("%s", first)
			trickle(t, c, rest)
			return slow{c, want}
		}
		all([]slow{
			trickling("raw", "", " ", "not-well-formed"),
			trickling("raw", "", "\n", "not-well-formed"),
			trickling("open", "", " "),
			trickling("tls", "", " "),
			trickling("raw", strings.TrimSuffix(streamHeader, ">"), " "), // a header that never ends
			// Questions win no time either.
			trickling("tls", "", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1tYWxsb3J5LHI9eA==</auth><abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
		})
	})

	g.Run(t, "H03 a stanza that does not come to its end", func(t *testing.T) {
		var list []slow
		for begin, rest := range map[string]string{
			"<": "m", "<message to='bob@a.test'><body>": "x", "<message to='bob@a.test' x='": "x", "<message to='bob@a.test'><body>x</body></message": " ",
			"<message to='bob@a.test'><body>x</body>": "<a/>",
		} {
			c := g.Attacker(t, "ok")
			c.Send("%s", begin)
			trickle(t, c, rest)
			list = append(list, slow{c: c})
		}
		blank := g.Attacker(t, "ok") // blanks between stanzas are no stanza
		trickle(t, blank, " ")
		all(list)
		g.Untouched(t)
		blank.Barrier()
	})
}

func TestAttackSilent(t *testing.T) {
	t.Parallel() // it waits more than it works
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: unmanaged +
		"ping_after = \"1s\"\nidle_timeout_c2s = \"3s\"\nsm_resume_timeout = \"2s\"\n"})
	g.AddUsers("dave@a.test", "erin@a.test")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range []*xtest.Client{g.Victim, g.Bystander} { // give signs of life
		wg.Go(func() {
			for c.TrySend(" ") == nil {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	defer wg.Wait()
	defer close(stop)

	// A client whose process is stopped: its system takes what is sent and acknowledges it, and nothing comes back.
	for who, what := range map[string]string{"dave": "", "erin": "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"} {
		g.Run(t, "H06 client that is stopped, "+who, func(t *testing.T) {
			c := g.Login(t, who+"@a.test/stopped")
			if what != "" {
				c.Send("%s", what)
				c.Want("<enabled xmlns='urn:xmpp:sm:3' resume='true'/>")
			}
			c.Send("<presence/>")
			c.Barrier()
			if what != "" {
				c.Send("<r %s/>", nsSM)
			}
			m := g.Attacker(t, "ok")
			m.Send("<message to='%s@a.test' type='chat' id='before'><body>x</body></message>", who)
			m.Barrier()
			awaitGone(t, g.Server, who+"@a.test/stopped")
			m = g.Attacker(t, "ok") // the first was silent meanwhile, too
			m.Send("<message to='%s@a.test' type='chat' id='after'><body>x</body></message>", who)
			if got := m.Barrier(); len(got) > 0 {
				t.Errorf("the sender got %s", got)
			}
			want := []string{"after"}
			if what != "" { // XEP-0198: what it did not acknowledge is not lost
				want = []string{"before", "after"}
			}
			d := g.Login(t, who+"@a.test/back")
			d.Send("<presence/>")
			var ids []string
			d.Barrier2(func(got []*xtest.Node) {
				for _, n := range got {
					if n.Name.Local == "message" {
						ids = append(ids, n.Attr("id"))
					}
				}
			})
			if !slices.Equal(ids, want) {
				t.Errorf("it finds %q, wanted %q", ids, want)
			}
			d.Quit()
		})
	}
}

// flood sends messages of 16 kB to somebody without waiting, and returns a function that waits for its end and says which
// of them came back.
func flood(c *xtest.Client, to string, n int) (bounced func() map[string]bool) {
	var wg sync.WaitGroup
	body := strings.Repeat("x", 16_000)
	wg.Go(func() {
		for i := range n {
			if c.TrySend(fmt.Sprintf("<message to='%s' type='chat' id='f%d'><body>%s</body></message>", to, i, body)) != nil {
				return
			}
		}
		c.TrySend("<iq type='get' id='flooded' to='a.test'><ping xmlns='urn:xmpp:ping'/></iq>")
	})
	back := map[string]bool{}
	wg.Go(func() {
		for {
			switch n := c.Must(); {
			case n.Attr("id") == "flooded":
				return
			case n.Name.Local == "message" && n.Attr("type") == "error":
				back[n.Attr("id")] = true
			}
		}
	})
	return func() map[string]bool { wg.Wait(); return back }
}

// TestSlowReader: who does not read is sent 20 MB. Nobody else waits for him, he costs bounded memory, and what he does not
// get is kept or comes back.
func TestSlowReader(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, LogLevel: "info", Limits: unmanaged + "write_timeout = \"2s\"\nsm_resume_timeout = \"1s\"\n"})
	g.AddUsers("dave@a.test", "erin@a.test", "frank@a.test")
	const n = 1250
	for who, enable := range map[string]string{"dave": "", "erin": "<enable xmlns='urn:xmpp:sm:3'/>", "frank": "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"} {
		name := "R08 H04 who does not read"
		if enable != "" {
			name += ", XEP-0198"
		}
		if strings.Contains(enable, "resume") {
			name += " with resumption"
		}
		g.Run(t, name, func(t *testing.T) {
			deaf := g.DialNarrow(t, 4096)
			deaf.LoginOn(who + "@a.test/deaf")
			if enable != "" {
				deaf.Send("%s", enable)
				deaf.Want("<enabled xmlns='urn:xmpp:sm:3'/>")
			}
			deaf.Send("<presence/>")
			deaf.Barrier()
			before := g.RSSAnon(t)
			m := g.Attacker(t, "ok")
			bounced := flood(m, who+"@a.test", n)
			var most atomic.Int64
			done := make(chan struct{})
			go func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(20 * time.Millisecond):
						most.Store(max(most.Load(), g.RSSAnon(t)))
					}
				}
			}()
			pings(g.Bystander, 2*time.Second).log(t, "one who does not read")
			back := bounced()
			awaitGone(t, g.Server, who+"@a.test/deaf")
			close(done)
			if grown := most.Load() - before; grown > 96*mib {
				t.Errorf("he cost %d MiB", grown/mib)
			} else {
				t.Logf("he cost %d MiB at most", grown/mib)
			}
			// Where is each of them? He may find some of them on his line when he reads at last.
			got := map[string]int{}
			for {
				e, err := deaf.Next()
				if err != nil {
					break
				}
				if e.Name.Local == "message" {
					got[e.Attr("id")]++
				}
			}
			onLine := len(got)
			kept := 0
			back2 := g.Login(t, who+"@a.test/back")
			back2.Send("<presence/>")
			idle := func() []*xtest.Node { // offline messages come in rounds
				var all []*xtest.Node
				for quiet := 0; quiet < 5; quiet++ {
					got := slices.DeleteFunc(back2.Barrier(), func(n *xtest.Node) bool { return n.Name.Local != "message" })
					if len(got) > 0 {
						quiet = 0
					}
					all = append(all, got...)
					time.Sleep(20 * time.Millisecond)
				}
				return all
			}
			for _, e := range idle() {
				if e.Child("delay") == nil {
					t.Errorf("without delay: %s", e.Attr("id"))
				}
				kept++
				got[e.Attr("id")]++
			}
			lost := 0
			for i := range n {
				if id := fmt.Sprint("f", i); got[id] == 0 && !back[id] {
					lost++
				}
			}
			t.Logf("of %d messages %d were on his line, %d kept, %d came back, %d are lost", n, onLine, kept, len(back), lost)
			if kept == 0 {
				t.Error("nothing was kept")
			}
			// Without XEP-0198 what was in the outbox is lost; with it nothing is.
			if limit := 2 * mib / 16_000; enable == "" && lost > limit || enable != "" && lost > 0 {
				t.Errorf("%d messages are lost", lost)
			}
			back2.Quit()
		})
	}
}

// TestSlowReaders: many who do not read cost no more than their outboxes.
func TestSlowReaders(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, LogLevel: "info", Limits: unmanaged + "write_buffer = \"512KiB\"\noffline_messages = 0\nroster_items = 600\n"})

	g.Run(t, "H04 thirty of them", func(t *testing.T) {
		const readers = 30
		for i := range readers {
			c := g.DialNarrow(t, 4096)
			c.LoginOn(fmt.Sprintf("alice@a.test/deaf%d", i))
			c.Send("<presence/>")
		}
		before := g.RSSAnon(t)
		m := g.Attacker(t, "ok")
		bounced := flood(m, "alice@a.test", 400) // 6 MB to each
		pings(g.Bystander, 2*time.Second).log(t, "thirty who do not read")
		bounced()
		if grown := g.RSSAnon(t) - before; grown > (readers+64)*mib {
			t.Errorf("they cost %d MiB", grown/mib)
		} else {
			t.Logf("they cost %d MiB", grown/mib)
		}
	})

	g.Run(t, "H04 large answers to small questions", func(t *testing.T) {
		c := g.Login(t, "mallory@a.test/collector")
		for i := range 500 {
			c.Send("<iq type='set' id='s%d'><query xmlns='jabber:iq:roster'><item jid='c%[1]d@a.test' name='%s'/></query></iq>", i, strings.Repeat("n", 400))
		}
		c.Barrier()
		c.Quit()
		before := g.RSSAnon(t)
		for i := range 4 {
			deaf := g.DialNarrow(t, 4096)
			deaf.LoginOn(fmt.Sprintf("mallory@a.test/deaf%d", i))
			go deaf.TrySend(strings.Repeat("<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>", 2000)) // 200 kB each
		}
		pings(g.Bystander, 2*time.Second).log(t, "four who ask for 400 MB and do not read")
		if grown := g.RSSAnon(t) - before; grown > 64*mib {
			t.Errorf("they cost %d MiB", grown/mib)
		} else {
			t.Logf("they cost %d MiB", grown/mib)
		}
		begin := time.Now() // a device that comes back does not wait for what its lost connection waits for
		g.Login(t, "mallory@a.test/deaf2").Quit()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("to come back took %v", took)
		}
	})
}

// TestAttackChurn connects and vanishes at each step of a connection's life. H05.
func TestAttackChurn(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, LogLevel: "info", Limits: unmanaged + "sm_resume_timeout = \"1s\"\n"})
	var previd string // of a session that can be resumed
	hello := xtest.Hello{Version: 0x0303, Versions: []uint16{0x0304}, Suites: []uint16{0x1301}, KeyShare: true, Host: "a.test"}.Bytes()
	login := func(c *xtest.Client) { c.Auth(sasl.Plain, "mallory", xtest.Password) }
	steps := []struct {
		name string
		do   func(t *testing.T) *xtest.Client
	}{
		{"connection", func(t *testing.T) *xtest.Client { return g.Attacker(t, "raw") }},
		{"half a header", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "raw")
			c.Send("%s", streamHeader[:60])
			return c
		}},
		{"header", func(t *testing.T) *xtest.Client { return g.Attacker(t, "open") }},
		{"starttls", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "open")
			c.Send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
			return c
		}},
		{"hello", func(t *testing.T) *xtest.Client {
			c := g.DialDirect(t)
			c.Conn.Write(hello)
			return c
		}},
		{"half a hello", func(t *testing.T) *xtest.Client {
			c := g.DialDirect(t)
			c.Conn.Write(hello[:len(hello)/2])
			return c
		}},
		{"tls", func(t *testing.T) *xtest.Client { return g.Attacker(t, "tls") }},
		{"scram-1", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "tls")
			c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>%s</auth>", xtest.B64("n,,n=mallory,r=abcdefgh"))
			c.Want("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>*</challenge>")
			return c
		}},
		{"login", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "tls")
			login(c)
			return c
		}},
		{"bind", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "tls")
			login(c)
			c.Send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>") // and does not wait
			return c
		}},
		{"presence", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "ok")
			c.Send("<presence/><presence to='bob@a.test/desk'/><message to='bob@a.test/nobody' type='chat'><bo")
			return c
		}},
		{"enable", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "ok")
			c.Send("<enable %s resume='true'/>", nsSM)
			previd = c.Want("<enabled %s/>", nsSM).Attr("id")
			return c
		}},
		{"resume", func(t *testing.T) *xtest.Client {
			c := g.Attacker(t, "tls")
			login(c)
			c.Send("<resume %s h='0' previd='%s'/>", nsSM, previd)
			return c
		}},
	}
	fds := g.FDs(t)
	var rss int64
	rounds := 40
	if xtest.Race || testing.Short() {
		rounds = 8
	}
	for half := range 2 {
		for _, s := range steps {
			g.Run(t, "H05 gone after "+s.name, func(t *testing.T) {
				for round := range rounds / 2 {
					c := s.do(t)
					nc := c.Conn
					if tc, ok := nc.(*tls.Conn); ok && round%2 == 1 {
						nc = tc.NetConn() // not even a word of TLS
					}
					if tc, ok := nc.(*net.TCPConn); ok && round%4 == 3 {
						tc.SetLinger(0) // TCP RST
					}
					nc.Close()
				}
			})
		}
		if half == 0 {
			rss = g.RSSAnon(t)
		}
	}
	g.Run(t, "H05 all as before", func(t *testing.T) {
		g.FewerFDs(t, fds)
		if grown := g.RSSAnon(t) - rss; grown > 32*mib {
			t.Errorf("%d connections cost %d kB", rounds*len(steps), grown>>10)
		}
		awaitGone(t, g.Server, "mallory@a.test")
		g.Victim.Barrier()
	})
}
