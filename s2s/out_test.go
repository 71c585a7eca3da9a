package s2s

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// pairOf starts a.test and b.test with configurations of their own.
func pairOf(t *testing.T, ofA, ofB string) (a, b *rig) {
	w := newWorld(t)
	return w.newRig("a.test", ofA), w.newRig("b.test", ofB)
}

// Two servers of ours, whatever they ask of each other.
func TestPairs(t *testing.T) {
	const anyCert = "[s2s]\nsecure_auth = false\n"
	for _, c := range []struct {
		name, ofA, ofB string
		cert           bool   // b.test has a certificate that a.test trusts
		method         string // that a.test uses at b.test
	}{
		{"certificates", "", "", true, byExternal},
		{"dialback over TLS", anyCert, anyCert, false, byDialback},
		{"in clear where nobody minds", insecure, insecure, false, byDialback},
		{"one asks for more", anyCert, "", true, byExternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, c.ofA, c.ofB)
				if !c.cert {
					for _, r := range []*rig{a, b} {
						self := issue(t, nil, server("somebody.test"))
						r.cert.Certificate, r.cert.PrivateKey, r.cert.Leaf = [][]byte{self.cert.Raw}, self.key, self.cert
					}
				}
				for i := range 10 {
					a.send("alice@a.test", "bob@b.test", fmt.Sprintf("m%d", i))
				}
				b.inbox.wait(t, 10)
				for i, got := range b.inbox.all() {
					if want := fmt.Sprintf("<message from='alice@a.test' to='bob@b.test' id='m%d'><body>m%d</body></message>", i, i); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				}
				for _, l := range a.srv.all() { // whatever has proved it: a stream that breaks loses nothing
					if l.mu.Lock(); l.out && l.sm == nil {
						t.Errorf("%s: no stream management", l.ID())
					}
					l.mu.Unlock()
				}
				b.send("bob@b.test", "alice@a.test", "back")
				a.inbox.wait(t, 1)
				if !strings.Contains(b.log.String(), "direction=in host=b.test peer=a.test method="+c.method) {
					t.Errorf("log of b.test:\n%s", b.log)
				}
				if a.w.dialed("a.test") > 0 && c.method == byExternal {
					t.Error("b.test opened a stream of its own: the one that stood carries both ways (XEP-0288)")
				}
			})
		})
	}
}

// bounced is what senders at the rig have got.
func (r *rig) bounced(t testing.TB, n int, condition string) {
	t.Helper()
	got := r.inbox.wait(t, n)
	for _, st := range got {
		if !like("<message type='error' *<"+condition+" *", st) {
			t.Errorf("got %s, want %s", st, condition)
		}
	}
	if len(got) != n {
		t.Errorf("%d came back, want %d", len(got), n)
	}
}

// What comes back when there is no stream, and what the log says of it (S18, S19).
func TestNoStream(t *testing.T) {
	other := func(t *testing.T, w *world, names ...string) func(*rig) {
		cert := w.certificate(names...)
		return func(b *rig) {
			b.cert.Certificate, b.cert.PrivateKey, b.cert.Leaf = cert.Certificate, cert.PrivateKey, cert.Leaf
		}
	}
	for _, c := range []struct {
		name, ofA, ofB  string
		set             func(t *testing.T, w *world, a, b *rig)
		condition, says string
	}{
		{"no server", "", "", func(_ *testing.T, w *world, _, _ *rig) { w.open("b.test", nil) }, "remote-server-not-found", "no server"},
		{"no connection", "", "", func(_ *testing.T, w *world, _, _ *rig) {
			w.open("b.test", func() (net.Conn, error) { return nil, ErrRefused })
		}, "remote-server-timeout", "no connection"},
		{"wrong certificate", "", "", func(t *testing.T, w *world, _, b *rig) { other(t, w, "xmpp.b.test")(b) },
			"remote-server-timeout", "is for xmpp.b.test and not for b.test"},
		{"denied here", "[s2s]\nhost_policy = [{host = 'b.test', policy = 'deny'}]\n", "", nil, "not-allowed", ""},
		{"denied there", "", "[s2s]\nhost_policy = [{host = 'a.test', policy = 'deny'}]\n", nil, "remote-server-timeout", "policy-violation"},
		{"our own server", "", "", func(_ *testing.T, w *world, a, _ *rig) { w.open("b.test", a.connect) }, "remote-server-not-found", "host-unknown"},
		{"a server that stalls", "", "", func(_ *testing.T, w *world, _, _ *rig) {
			w.open("b.test", func() (net.Conn, error) {
				c, s := net.Pipe()
				go func() {
					for b := make([]byte, 1024); ; {
						if _, err := s.Read(b); err != nil {
							return
						}
					}
				}()
				return c, nil
			})
		}, "remote-server-timeout", "took too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, c.ofA, c.ofB)
				if c.set != nil {
					c.set(t, a.w, a, b)
				}
				begin := time.Now()
				for i := range 3 {
					a.send("alice@a.test", "bob@b.test", fmt.Sprint("m", i))
				}
				a.bounced(t, 3, c.condition)
				if took := time.Since(begin); took > 61*time.Second { // S18
					t.Errorf("it took %v", took)
				}
				if !strings.Contains(a.log.String(), c.says) || c.says != "" && strings.Count(a.log.String(), "no stream to another server") != 1 {
					t.Errorf("log:\n%s", a.log)
				}
				if n := len(b.inbox.all()); n > 0 {
					t.Errorf("%d arrived", n)
				}
				st, _ := stanza.Parse([]byte("<message type='error' from='alice@a.test' to='bob@b.test'/>"))
				a.router.Route(context.Background(), modules.NewPacket(st)) // an error is answered by nobody
				synctest.Wait()
				a.bounced(t, 3, c.condition)
			})
		})
	}
}

// plainPeer is the server of a domain as the test plays it: run gets each connection whose stream and dialback are through.
func (w *world) plainPeer(domain, features string, run func(p *peer)) {
	w.open(domain, func() (net.Conn, error) {
		c, s := net.Pipe()
		go func() {
			p := newPeer(w.t, s)
			defer s.Close()
			p.next()
			p.send("%sfrom='%s' id='theirs'><stream:features>%s<dialback xmlns='urn:xmpp:features:dialback'/></stream:features>", header, domain, features)
			for {
				switch got := p.next(); {
				case got == "<bidi xmlns='urn:xmpp:bidi'/>":
				case like("<db:result from='a.test' to='"+domain+"'>*</db:result>", got):
					p.send("<db:result from='%s' to='a.test' type='valid'/>", domain)
					if features != "" && strings.Contains(features, "urn:xmpp:sm:3") {
						if p.next() == "<enable xmlns='urn:xmpp:sm:3'/>" {
							p.send("<enabled xmlns='urn:xmpp:sm:3'/>")
						}
					}
					run(p)
					return
				default:
					return
				}
			}
		}()
		return c, nil
	})
}

// S18: where TLS is needed, nothing but the stream header is said without.
func TestNoTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", "")
		said := make(chan string, 10)
		w.open("b.test", func() (net.Conn, error) {
			c, s := net.Pipe()
			go func() {
				p := newPeer(t, s)
				said <- p.next()
				p.send("%sfrom='b.test' id='1'><stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>", header)
				for got := p.next(); got != ""; got = p.next() {
					said <- got
				}
				close(said)
			}()
			return c, nil
		})
		a.send("alice@a.test", "bob@b.test", "secret")
		a.bounced(t, 1, "remote-server-timeout")
		var all []string
		for s := range said {
			all = append(all, s)
		}
		if len(all) != 3 || !like("<stream:error><policy-violation *", all[1]) {
			t.Errorf("%q", all)
		}
	})
}

// After a failure nothing is tried for a while, longer each time, and stanzas come back at once with the same reason.
func TestBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", "")
		want, n := time.Second, 0
		var last time.Time
		for ; n < 400; time.Sleep(want / 20) {
			before := w.dialed("b.test")
			a.send("alice@a.test", "bob@b.test", "x")
			n++
			synctest.Wait()
			if w.dialed("b.test") == before {
				continue
			}
			if gap := time.Since(last); !last.IsZero() {
				if gap < want*7/10 || gap > want*13/10 {
					t.Errorf("%v, want about %v", gap, want)
				}
				want = min(2*want, 5*time.Minute)
			}
			last = time.Now()
		}
		a.bounced(t, n, "remote-server-not-found")
		if want < 5*time.Minute {
			t.Errorf("the wait is still %v", want)
		}
		time.Sleep(20 * time.Minute)
		if s := a.srv.Stats(); s.Routes != 0 {
			t.Errorf("%+v: nothing is to be remembered", s)
		}
	})
}

// Stanzas of many senders at once wait for one stream, and only so many of them (S20).
func TestQueue(t *testing.T) {
	for _, c := range []struct {
		name, limits string
		body         int
		kept         int
	}{
		{"count", "s2s_queue = 100", 10, 100},
		{"bytes", "s2s_queue_size = '100000'", 5000, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, "[limits]\n"+c.limits+"\n", "")
				w := a.w
				w.open("b.test", func() (net.Conn, error) {
					time.Sleep(10 * time.Second)
					return b.connect()
				})
				for i := range 200 {
					a.send("alice@a.test", "bob@b.test", strings.Repeat("x", c.body)+fmt.Sprint(i))
				}
				synctest.Wait()
				a.bounced(t, 200-c.kept, "resource-constraint")
				time.Sleep(11 * time.Second)
				for i, got := range b.inbox.wait(t, c.kept) {
					if !strings.Contains(got, fmt.Sprintf("x%d</body>", i)) {
						t.Errorf("%d: %s", i, got)
					}
				}
				if n := w.dialed("b.test"); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// How many pairs there may be is bounded.
func TestRoutesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newWorld(t).newRig("a.test", "[limits]\ns2s_routes = 10\n")
		for i := range 15 {
			a.send("alice@a.test", fmt.Sprintf("x@d%d.test", i), "x")
		}
		synctest.Wait()
		crowded := 0
		for _, st := range a.inbox.wait(t, 15) {
			if strings.Contains(st, "<resource-constraint ") {
				crowded++
			}
		}
		if crowded != 5 || a.srv.Stats().Routes != 10 {
			t.Errorf("%d refused, %+v", crowded, a.srv.Stats())
		}
	})
}

const offersSM = "<sm xmlns='urn:xmpp:sm:3'/>"

// A stream that breaks loses nothing where the other server acknowledges: what it has not goes out again, in order, before
// what came later (XEP-0198).
func TestResent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		var got []string
		first := true
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for {
				s := p.next()
				switch {
				case s == "":
					return
				case strings.HasPrefix(s, "<message"):
					got = append(got, s[strings.Index(s, "<body>")+6:strings.Index(s, "</body>")])
				}
				if first && len(got) == 5 {
					first = false
					p.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
					return // the connection is gone; two are not acknowledged
				}
			}
		})
		for i := range 5 {
			a.send("alice@a.test", "bob@b.test", fmt.Sprint(i))
		}
		synctest.Wait()
		a.send("alice@a.test", "bob@b.test", "5")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := strings.Join(got, " "); s != "0 1 2 3 4 3 4 5" {
			t.Error(s)
		}
		if n := len(a.inbox.all()); n > 0 {
			t.Errorf("%d came back", n)
		}
	})
}

// Who never comes back is waited for so long; then the senders are told.
func TestResentInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure+"[limits]\ns2s_queue_time = '2m'\n")
		w.plainPeer("b.test", offersSM, func(p *peer) {
			p.next()
			w.open("b.test", func() (net.Conn, error) { return nil, ErrRefused })
		})
		a.send("alice@a.test", "bob@b.test", "0")
		time.Sleep(time.Minute)
		if n := len(a.inbox.all()); n > 0 {
			t.Fatalf("%d came back too early", n)
		}
		if n := w.dialed("b.test"); n < 3 {
			t.Errorf("%d attempts", n)
		}
		time.Sleep(3 * time.Minute)
		a.bounced(t, 1, "remote-server-timeout")
	})
}

// Who acknowledges nothing is taken for dead after a minute.
func TestNothingAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		n := 0
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for s := p.next(); s != ""; s = p.next() {
				if strings.HasPrefix(s, "<message") {
					n++
				}
				if n == 2 && strings.HasPrefix(s, "<r") {
					p.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
				}
			}
		})
		a.send("alice@a.test", "bob@b.test", "0")
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if n != 2 {
			t.Errorf("sent %d times", n)
		}
		time.Sleep(time.Hour)
		if s := a.srv.Stats(); n != 2 || s.Out != 0 || s.Routes != 0 {
			t.Errorf("sent %d times, %+v", n, s)
		}
	})
}

// An outbound link carries stanzas back only where both sides have agreed (XEP-0288), and only of its pair.
func TestStanzasBack(t *testing.T) {
	for _, c := range []struct{ name, features, from, condition string }{
		{"agreed", "<bidi xmlns='urn:xmpp:features:bidi'/>", "bob@b.test", ""},
		{"another domain's", "<bidi xmlns='urn:xmpp:features:bidi'/>", "bob@c.test", "invalid-from"},
		{"ours", "<bidi xmlns='urn:xmpp:features:bidi'/>", "alice@a.test", "invalid-from"},
		{"not agreed", "", "bob@b.test", "not-authorized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.newRig("a.test", insecure)
				var end string
				w.plainPeer("b.test", c.features, func(p *peer) {
					p.next()
					p.send("<db:result from='c.test' to='a.test' type='valid'/><db:verify from='c.test' to='a.test' id='1' type='valid'/>")
					p.send("<message from='%s' to='alice@a.test' id='1'><body>hi</body></message>", c.from)
					for s := p.next(); s != ""; s = p.next() {
						end += s
					}
				})
				a.send("alice@a.test", "bob@b.test", "0")
				time.Sleep(time.Second)
				synctest.Wait()
				n := 0
				for _, got := range a.inbox.all() {
					if !like("<message type='error' *", got) || !strings.Contains(got, " id='0'") { // it is not answered, so it comes back with the end
						n++
					}
				}
				if (n == 1) != (c.condition == "") {
					t.Errorf("%d arrived", n)
				}
				if c.condition != "" && !strings.Contains(end, c.condition) {
					t.Errorf("it ended with %q", end)
				}
			})
		})
	}
}

// A link that another server opened carries ours back where it has asked for it, and after its end there is another one.
func TestBidiIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.admitted("<bidi xmlns='urn:xmpp:bidi'/>")
		r.send("alice@a.test", "bob@b.test", "one")
		p.want("<message from='alice@a.test' to='bob@b.test' id='one'>*")
		p.send("<iq type='result' from='b.test' to='a.test' id='%s'/>", pinged(p.next()))
		p.send("<enable xmlns='urn:xmpp:sm:3'/>")
		p.want("<enabled *")
		r.send("alice@a.test", "bob@b.test", "two")
		p.want("<message *id='two'>*")
		p.want("<r xmlns='urn:xmpp:sm:3'/>")
		r.send("alice@a.test", "x@c.test", "three") // that is not whom the link is for
		synctest.Wait()
		r.bounced(t, 1, "remote-server-not-found")
		if w.dialed("b.test") > 0 {
			t.Error("it opened a stream")
		}
		b := w.newRig("b.test", "")
		p.c.Close() // "two" is not acknowledged
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := b.inbox.wait(t, 1); !strings.Contains(got[0], "id='two'") {
			t.Errorf("%q", got)
		}

		r.admitted("") // without asking for it nothing comes
		b.srv.Close("a.test", nil)
		time.Sleep(3 * time.Second)
		r.send("alice@a.test", "bob@b.test", "four")
		b.inbox.wait(t, 2)
	})
}

// Where both sides can do without, a server that does not accept our certificate may still accept our key.
func TestFallBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := pairOf(t, "", "[s2s]\nsecure_auth = false\n")
		own := issue(t, nil, server("a.test")) // b.test does not know who signed it
		a.cert.Certificate, a.cert.PrivateKey, a.cert.Leaf = [][]byte{own.cert.Raw}, own.key, own.cert
		a.send("alice@a.test", "bob@b.test", "x")
		b.inbox.wait(t, 1)
		if !strings.Contains(b.log.String(), "method=dialback") {
			t.Error(b.log)
		}
	})
}

// A server that stops gives back what waits while there is somebody to tell.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := pairOf(t, "", "")
		a.send("alice@a.test", "bob@b.test", "x")
		b.inbox.wait(t, 1)
		a.w.open("c.test", func() (net.Conn, error) { time.Sleep(5 * time.Second); return nil, ErrRefused })
		a.send("alice@a.test", "bob@c.test", "y")
		a.srv.Drain()
		synctest.Wait()
		a.bounced(t, 1, "remote-server-timeout")
		a.send("alice@a.test", "bob@c.test", "z")
		a.bounced(t, 2, "remote-server-timeout")
		a.send("alice@a.test", "bob@b.test", "unavailable") // where a stream stands it goes on
		b.inbox.wait(t, 2)
	})
}

// A peer that reads slowly is waited for, and nobody waits with it.
func TestSlowPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure+"[limits]\nwrite_buffer = '10000'\n")
		go_ := make(chan struct{})
		n := 0
		w.plainPeer("b.test", "", func(p *peer) {
			<-go_
			for s := p.next(); s != ""; s = p.next() {
				if pinged(s) != "" { // it goes unanswered
					continue
				}
				if !strings.Contains(s, fmt.Sprintf("x%d</body>", n)) {
					t.Errorf("%d: %s", n, s)
				}
				n++
			}
		})
		for i := range 100 {
			a.send("alice@a.test", "bob@b.test", strings.Repeat("x", 1000)+fmt.Sprint(i))
		}
		time.Sleep(10 * time.Second)
		close(go_)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n != 100 || len(a.inbox.all()) > 0 {
			t.Errorf("%d arrived, %d came back", n, len(a.inbox.all()))
		}
	})
}

// A server that does not believe our certificate may say so and go, or go without a word: it is asked once more, by dialback.
func TestNotBelieved(t *testing.T) {
	for name, answer := range map[string]string{
		"failure and end": "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure></stream:stream>",
		"stream error":    "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
		"end":             "",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.newRig("a.test", "")
				cert := w.certificate("b.test")
				var got []string
				w.open("b.test", func() (net.Conn, error) {
					c, s := net.Pipe()
					go func() {
						defer s.Close()
						p := newPeer(t, s)
						p.next()
						p.send("%sid='1'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>", header)
						p.next()
						p.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
						p.c = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequestClientCert})
						p.fresh()
						p.next()
						p.send("%sid='2'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"+
							"<dialback xmlns='urn:xmpp:features:dialback'/></stream:features>", header)
						for {
							switch s := p.next(); {
							case like("<auth *", s):
								p.send("%s", answer)
								return
							case like("<db:result *", s):
								p.send("<db:result from='b.test' to='a.test' type='valid'/>")
							case s == "":
								return
							default:
								got = append(got, s)
							}
						}
					}()
					return c, nil
				})
				a.send("alice@a.test", "bob@b.test", "x")
				synctest.Wait()
				if len(got) != 2 || !strings.Contains(got[0], "id='x'") || pinged(got[1]) == "" || w.dialed("b.test") != 2 {
					t.Errorf("%q after %d connections\n%s", got, w.dialed("b.test"), a.log)
				}
			})
		})
	}
}

// What waits when a new configuration forbids its way comes back.
func TestReloadQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for p.next() != "" { // and acknowledges nothing
			}
		})
		w.open("c.test", func() (net.Conn, error) { time.Sleep(10 * time.Second); return nil, ErrRefused })
		a.send("alice@a.test", "bob@b.test", "1")
		a.send("alice@a.test", "carol@c.test", "2")
		synctest.Wait()
		a.srv.Reload(a.parse("a.test", insecure+"default_policy = 'deny'\n"), w, a.verify)
		time.Sleep(time.Minute)
		a.bounced(t, 2, "not-allowed")
		a.send("alice@a.test", "bob@b.test", "3")
		a.bounced(t, 3, "not-allowed")
	})
}

// What breaks the stream again and again is given up, and what comes after it arrives.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		var got []string
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for n := 0; ; {
				switch s := p.next(); {
				case s == "" || strings.Contains(s, "poison"):
					return
				case strings.HasPrefix(s, "<message"):
					got = append(got, s)
					n++
				default:
					p.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n)
				}
			}
		})
		a.send("alice@a.test", "bob@b.test", "poison")
		synctest.Wait()
		a.send("alice@a.test", "bob@b.test", "food")
		time.Sleep(time.Minute)
		synctest.Wait()
		a.bounced(t, 1, "remote-server-timeout")
		if len(got) != 1 || !strings.Contains(got[0], "food") {
			t.Errorf("%q", got)
		}
		if n := w.dialed("b.test"); n != maxTries+1 {
			t.Errorf("%d connections", n)
		}
	})
}

// What the other server has said it does not take is not sent (XEP-0478).
func TestTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := pairOf(t, "", "[limits]\nstanza_size_s2s = '10000'\n")
		for i := range 2 { // before there is a stream, and after
			a.send("alice@a.test", "bob@b.test", strings.Repeat("x", 5000))
			a.send("alice@a.test", "bob@b.test", "small")
			b.inbox.wait(t, i+1)
			synctest.Wait()
			a.bounced(t, i+1, "policy-violation")
		}
		if n := a.w.dialed("b.test"); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
