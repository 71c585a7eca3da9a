package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

const stanzasNS = "urn:ietf:params:xml:ns:xmpp-stanzas"

// bounced fails the test unless a message to somebody is returned with that condition, and returned once.
func bounced(t *testing.T, c *xtest.Client, to, condition string) {
	t.Helper()
	c.Send("<message to='%s' type='chat' id='out'><body>%s</body></message>", to, xtest.Marker)
	c.Want("<message type='error' id='out' from='%s'><error><%s xmlns='%s'/></error></message>", to, condition, stanzasNS)
	c.Quiet()
}

// TestAttackPeersOut is about servers that are connected to.
func TestAttackPeersOut(t *testing.T) {
	g := newPeerTarget(t, "login_timeout = '4s'\n")
	strict := g.Login(t, "alice@a.test/out")
	strict.Ignore = unanswered
	lenient := g.alice
	lenient.T = t

	// clear notes what a peer gets before TLS, by name.
	clear := func(o xtest.PeerOptions) (xtest.PeerOptions, func() string) {
		var mu sync.Mutex
		var got []string
		on := o.On
		o.On = func(st *xtest.PeerStream, n *xtest.Node) bool {
			if _, secure := st.Conn.(*tls.Conn); !secure {
				mu.Lock()
				got = append(got, n.Name.Local)
				mu.Unlock()
			}
			return on != nil && on(st, n)
		}
		return o, func() string {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(got, " ")
		}
	}
	n := 0
	fresh := func() string { n++; return fmt.Sprintf("peer%d.test", n) }
	issue := func(what xtest.Issue) *tls.Certificate { return g.ca.Issue(t, what).TLS() }

	for name, make := range map[string]func(domain string) (o xtest.PeerOptions, inClear string){
		"no TLS": func(string) (xtest.PeerOptions, string) { return xtest.PeerOptions{NoTLS: true}, "stream error" },
		"no TLS, and EXTERNAL in clear": func(string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{NoTLS: true, Features: func(bool, string) string {
				return "<mechanisms xmlns='" + saslNS + "'><mechanism>EXTERNAL</mechanism><mechanism>PLAIN</mechanism></mechanisms>"
			}}, "stream error"
		},
		"TLS refused": func(string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
				if n.Name.Local != "starttls" {
					return false
				}
				st.TrySend("<failure xmlns='" + tlsNS + "'/></stream:stream>")
				return true
			}}, "stream starttls"
		},
		"bytes behind proceed": func(string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
				if n.Name.Local != "starttls" {
					return false
				}
				st.TrySend("<proceed xmlns='" + tlsNS + "'/><stream:features><mechanisms xmlns='" + saslNS + "'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>")
				return true
			}}, "stream starttls"
		},
		"no TLS behind proceed": func(string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
				if n.Name.Local != "starttls" {
					return false
				}
				st.TrySend("<proceed xmlns='" + tlsNS + "'/>")
				io.WriteString(st.Conn, "<stream:stream>")
				st.Conn.Close()
				return true
			}}, "stream starttls"
		},
		"another's certificate": func(d string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{"else.test"}, Common: d})}, "stream starttls"
		},
		"certificate of the SRV target": func(d string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{"xmpp." + d}})}, "stream starttls"
		},
		"certificate made by itself": func(d string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{d}, Self: true})}, "stream starttls"
		},
		"TLS 1.1": func(string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }}, "stream starttls"
		},
		"RSA key exchange": func(d string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{d}, RSA: 2048}), TLS: func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
			}}, "stream starttls"
		},
		"expired certificate": func(d string) (xtest.PeerOptions, string) {
			return xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{d}, From: time.Now().Add(-48 * time.Hour), To: time.Now().Add(-time.Hour)})}, "stream starttls"
		},
	} {
		g.Run(t, "S18 "+name, func(t *testing.T) {
			strict.T = t
			d := fresh()
			o, want := make(d)
			o, sent := clear(o)
			p := g.peer(t, d, o)
			began := time.Now()
			bounced(t, strict, "eve@"+d, "remote-server-timeout")
			if took := time.Since(began); took > xtest.Wait {
				t.Errorf("the answer took %v", took)
			}
			p.Hangup()
			if got := sent(); !strings.HasPrefix(want, got) {
				t.Errorf("in clear it got %q", got)
			}
			if len(p.Got) > 0 {
				t.Errorf("it got %s", (<-p.Got).Node)
			}
		})
	}
	g.Run(t, "S18 name of the domain, not of the SRV target", func(t *testing.T) {
		strict.T = t
		d := fresh()
		p := g.peer(t, d, xtest.PeerOptions{Cert: issue(xtest.Issue{Names: []string{d}}), Roots: g.ca.Pool})
		strict.Send("<message to='eve@%s' type='chat'><body>hello</body></message>", d)
		if st, body := p.Message(t); st.How != "EXTERNAL" || !st.TLS || body != "hello" || st.Attr("from") != strict.JID {
			t.Errorf("%+v", st)
		}
	})

	g.Run(t, "S19 nowhere to connect to", func(t *testing.T) {
		strict.T = t
		for what, to := range map[string]struct {
			host string
			port uint16
			want string
		}{
			"our own port":      {"127.0.0.1", portOf(g.S2S), ""},
			"our direct port":   {"127.0.0.1", portOf(g.S2STLS), ""},
			"nobody's port":     {"127.0.0.1", 1, "remote-server-timeout"},
			"no port":           {"127.0.0.1", 0, ""},
			"no service at all": {".", 0, "remote-server-not-found"},
		} {
			d := fresh()
			target := "."
			if to.host != "." {
				target = "xmpp." + d
				g.dns.Address(target, to.host)
			}
			g.dns.SRV("_xmpp-server._tcp."+d, 0, 0, to.port, target)
			from := len(g.Log())
			strict.Send("<message to='eve@%s' type='chat' id='%s'><body>x</body></message>", d, d)
			answer := strict.Want("<message type='error' id='%s' from='eve@%s'><error/></message>", d, d).Child("error")
			if to.want == "" && answer.Child("remote-server-not-found") == nil && answer.Child("remote-server-timeout") == nil || to.want != "" && answer.Child(to.want) == nil {
				t.Errorf("%s: %s", what, answer)
			}
			strict.Quiet()
			if n := strings.Count(g.Log()[from:], "no stream to another server"); n != 1 {
				t.Errorf("%s: %d attempts", what, n)
			}
		}
		bounced(t, strict, "eve@no-such.test", "remote-server-not-found")
	})

	// What a peer says on a stream that we opened.
	answering := func(name string, text func(p *xtest.PeerStream, n *xtest.Node) string) xtest.PeerOptions {
		return xtest.PeerOptions{NoExternal: true, On: func(st *xtest.PeerStream, n *xtest.Node) bool {
			if n.Name.Local != name || n.Attr("type") != "" {
				return false
			}
			st.TrySend(text(st, n))
			return true
		}}
	}
	for name, o := range map[string]xtest.PeerOptions{
		"invalid": answering("result", func(p *xtest.PeerStream, n *xtest.Node) string {
			return "<db:result from='" + p.From + "' to='open.test' type='invalid'/>"
		}),
		"error": answering("result", func(p *xtest.PeerStream, n *xtest.Node) string {
			return "<db:result from='" + p.From + "' to='open.test' type='error'><error type='cancel'><not-acceptable xmlns='" + stanzasNS + "'/></error></db:result>"
		}),
		"stream error": answering("result", func(*xtest.PeerStream, *xtest.Node) string {
			return "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\x1b[31m&#xA;forged</text></stream:error>"
		}),
		"bad XML":                answering("result", func(*xtest.PeerStream, *xtest.Node) string { return "<a><b></a>" }),
		"never an end":           answering("result", func(*xtest.PeerStream, *xtest.Node) string { return "<a>" + strings.Repeat("<b/>", 10000) }),
		"no features":            {Features: func(bool, string) string { return "</stream:features><a/>" }},
		"large features":         {Features: func(bool, string) string { return strings.Repeat("<x xmlns='urn:x'/>", 2000) }},
		"no way to authenticate": {NoExternal: true, NoDialback: true},
		"another protocol":       {Raw: func(nc net.Conn) { io.WriteString(nc, "220 mail.test ESMTP\r\n"); io.Copy(io.Discard, nc) }},
		"the end":                {Raw: func(nc net.Conn) {}},
	} {
		g.run(t, "S09 answer: "+name, func(t *testing.T) {
			d := fresh()
			p := g.peer(t, d, o)
			condition := "remote-server-timeout"
			if name == "invalid" {
				condition = "internal-server-error"
			}
			bounced(t, lenient, "eve@"+d, condition)
			if len(p.Got) > 0 {
				t.Errorf("it got %s", (<-p.Got).Node)
			}
		})
	}
	g.run(t, "S09 answers that are none", func(t *testing.T) {
		waiting := map[string]string{}
		for name, o := range map[string]xtest.PeerOptions{
			"valid for another pair": answering("result", func(p *xtest.PeerStream, n *xtest.Node) string {
				return "<db:result from='c.test' to='open.test' type='valid'/><db:result from='" + p.From + "' to='a.test' type='valid'/>" +
					"<db:result from='open.test' to='" + p.From + "' type='valid'/><db:verify from='" + p.From + "' to='open.test' id='x' type='valid'/>"
			}),
			"stanzas instead": answering("result", func(p *xtest.PeerStream, n *xtest.Node) string {
				return letterTo("eve@"+p.From, "alice@open.test")
			}),
			"nothing": answering("result", func(*xtest.PeerStream, *xtest.Node) string { return " " }),
		} {
			d := fresh()
			waiting["eve@"+d] = name
			p := g.peer(t, d, o)
			defer func() {
				if len(p.Got) > 0 {
					t.Errorf("%s: it got %s", name, (<-p.Got).Node)
				}
			}()
			lenient.Send("<message to='eve@%s' type='chat' id='w'><body>x</body></message>", d)
		}
		for range len(waiting) {
			n := lenient.Want("<message type='error' id='w'><error><remote-server-timeout xmlns='%s'/></error></message>", stanzasNS)
			delete(waiting, n.Attr("from"))
		}
		for _, name := range waiting {
			t.Errorf("%s: no answer", name)
		}
	})
	g.run(t, "S06 stanzas on a stream of ours", func(t *testing.T) {
		for _, more := range []string{"", "<bidi xmlns='urn:xmpp:features:bidi'/>"} {
			for _, from := range []string{"eve@c.test", "bob@a.test", "alice@open.test", "eve@DOMAIN"} {
				if more != "" && from == "eve@DOMAIN" {
					continue // it may
				}
				d := fresh()
				ended := make(chan string, 10)
				p := g.peer(t, d, xtest.PeerOptions{
					Features: func(_ bool, f string) string { return f + more },
					On: func(st *xtest.PeerStream, n *xtest.Node) bool {
						switch n.Name.Local {
						case "bidi":
							return true
						case "message":
							st.TrySend(letterTo(strings.Replace(from, "DOMAIN", d, 1), "alice@open.test"))
						case "error":
							ended <- n.Children[0].Name.Local
						}
						return false
					},
				})
				lenient.Send("<message to='eve@%s' type='chat'><body>x</body></message>", d)
				p.Message(t)
				select {
				case got := <-ended:
					if got != "invalid-from" && got != "not-authorized" {
						t.Errorf("%s: %s", from, got)
					}
				case <-time.After(xtest.Wait):
					t.Errorf("%s: the stream goes on", from)
				}
			}
		}
	})
}

func portOf(addr string) uint16 {
	_, port, _ := net.SplitHostPort(addr)
	var n uint16
	fmt.Sscan(port, &n)
	return n
}
