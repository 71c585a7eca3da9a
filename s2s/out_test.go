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
