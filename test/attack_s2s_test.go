package test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// The attacks of other servers. See doc/testing.md for what stands where.
//
// The server under test is a.test, which wants valid certificates of others, and open.test, which takes dialback. Both shun
// *.shunned.test.

type peerTarget struct {
	*xtest.Target
	ca    *xtest.CA
	dns   *xtest.DNS
	alice *xtest.Client // alice@open.test/x, a victim behind dialback
}

// newPeerTarget starts it. The times are short, for what has to wait for them.
func newPeerTarget(t *testing.T, limits string) *peerTarget {
	t.Helper()
	ca, dns := xtest.NewCA(t), xtest.NewDNS(t)
	certs := map[string]*xtest.Pair{}
	for _, h := range []string{"a.test", "open.test"} {
		certs[h] = ca.Issue(t, xtest.Issue{Names: []string{h}})
	}
	g := &peerTarget{ca: ca, dns: dns, Target: xtest.NewTarget(t, xtest.Options{
		Hosts: []string{"a.test", "open.test"}, Certs: certs, CA: ca,
		TLS: fmt.Sprintf("trusted_ca_file = %q", ca.File(t)),
		S2S: fmt.Sprintf("listen = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\ndns_server = %q\nconnect_timeout = '3s'\n"+
			"host_policy = [{host = '*.shunned.test', policy = 'deny'}]\n", dns.Addr),
		Limits: unmanaged + limits,
		Extra:  "[[host_config]]\nhost = 'open.test'\ns2s = {secure_auth = false}\n",
	})}
	g.alice = g.Online(t, "alice@open.test/x")
	g.alice.Ignore, g.Victim.Ignore = unanswered, unanswered
	return g
}

// unanswered tells whether an element says that a message may not have arrived, one without an id, so that nobody asks what
// becomes of it: the peer has ended without an answer to the ping behind it.
func unanswered(n *xtest.Node) bool {
	return n.Attr("type") == "error" && n.Attr("id") == "" && n.Child("error") != nil && n.Child("error").Child("remote-server-timeout") != nil
}

// run runs an attack that nothing of may reach anybody.
func (g *peerTarget) run(t *testing.T, name string, attack func(t *testing.T)) {
	t.Helper()
	g.Run(t, name, func(t *testing.T) {
		t.Helper()
		was := g.alice.T
		g.alice.T = t
		defer func() { g.alice.T = was }()
		attack(t)
		g.Untouched(t)
		if got := g.alice.Barrier(); len(got) > 0 {
			t.Errorf("alice got %s", got)
		}
	})
}

// cert makes a certificate of the authority that all trust.
func (g *peerTarget) cert(t *testing.T, names ...string) *tls.Certificate {
	t.Helper()
	return g.ca.Issue(t, xtest.Issue{Names: names}).TLS()
}

// locate lets DNS say where a domain's server is.
func (g *peerTarget) locate(domain, addr string) {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	g.dns.SRV("_xmpp-server._tcp."+domain, 0, 0, uint16(n), "xmpp."+domain)
	g.dns.Address("xmpp."+domain, host)
}

// peer starts a domain's server, with a valid certificate unless the options have another or say that there is no TLS.
func (g *peerTarget) peer(t *testing.T, domain string, o xtest.PeerOptions) *xtest.Peer {
	t.Helper()
	if o.Cert == nil {
		o.Cert = g.cert(t, domain)
	}
	p := xtest.NewPeer(t, domain, o)
	g.locate(domain, p.Addr)
	return p
}

// letterTo is a message that must not arrive.
func letterTo(from, to string) string {
	return fmt.Sprintf("<message from='%s' to='%s' type='chat'><body>forged</body></message>", from, to)
}

// arrives fails the test unless a message of a peer's reaches its reader.
func arrives(t *testing.T, p *xtest.PeerStream, from, to string, reader *xtest.Client, wantFrom string) {
	t.Helper()
	p.Send("<message from='%s' to='%s' type='chat' id='in'><body>hello</body></message>", from, to)
	reader.Want("<message type='chat' id='in' from='%s'><body>hello</body></message>", wantFrom)
}

func TestAttackPeers(t *testing.T) {
	g := newPeerTarget(t, "")
	good := g.cert(t, "b.test")
	expired := xtest.Issue{Names: []string{"b.test"}, From: time.Now().Add(-48 * time.Hour), To: time.Now().Add(-24 * time.Hour)}

	g.run(t, "S01 certificate", func(t *testing.T) {
		for name, what := range map[string]xtest.Issue{
			"name":           {Names: []string{"b.test"}},
			"one of many":    {Names: []string{"x.test", "B.TEST", "y.test"}},
			"wildcard":       {Names: []string{"*.test"}},
			"for clients":    {Names: []string{"b.test"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
			"for both":       {Names: []string{"b.test"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}},
			"RSA":            {Names: []string{"b.test"}, RSA: 2048},
			"another's name": {Names: []string{"b.test"}, Common: "somebody.else.test"},
		} {
			t.Run(name, func(t *testing.T) {
				for authzid, to := range map[string]string{"": "a.test", "b.test": "open.test", "B.test": "a.test"} {
					p := g.DialPeer(t, "b.test", to)
					if f := p.Secure(g.ca.Issue(t, what).TLS()); !slices.Equal(xtest.Mechanisms(f), []string{"EXTERNAL"}) {
						t.Fatalf("%s offers %s", to, f)
					}
					if n := p.External(authzid); n.Name.Local != "success" {
						t.Fatal(n)
					}
					if f := p.Open(); f.Child("mechanisms") != nil || f.Child("starttls") != nil {
						t.Errorf("offered after login: %s", f)
					}
					arrives(t, p, "eve@b.test/x", map[string]string{"a.test": "bob@a.test/desk", "open.test": "alice@open.test/x"}[to],
						map[string]*xtest.Client{"a.test": g.Victim, "open.test": g.alice}[to], "eve@b.test/x")
				}
			})
		}
	})

	bad := map[string]*tls.Certificate{
		"S02 no certificate":         nil,
		"S02 another's":              g.ca.Issue(t, xtest.Issue{Names: []string{"c.test"}, Common: "b.test"}).TLS(),
		"S02 one above":              g.cert(t, "test"),
		"S02 one below":              g.cert(t, "x.b.test", "*.b.test"),
		"S02 part of a label":        g.cert(t, "b*.test", "*b.test"),
		"S02 made by itself":         g.ca.Issue(t, xtest.Issue{Names: []string{"b.test"}, Self: true}).TLS(),
		"S02 of unknown authority":   xtest.NewCA(t).Issue(t, xtest.Issue{Names: []string{"b.test"}}).TLS(),
		"S02 expired":                g.ca.Issue(t, expired).TLS(),
		"S02 not yet valid":          g.ca.Issue(t, xtest.Issue{Names: []string{"b.test"}, From: time.Now().Add(time.Hour)}).TLS(),
		"S02 signed by a leaf":       g.ca.Issue(t, xtest.Issue{Names: []string{"b.test"}, By: g.ca.Issue(t, xtest.Issue{Names: []string{"c.test"}})}).TLS(),
		"S02 for something else":     g.ca.Issue(t, xtest.Issue{Names: []string{"b.test"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}).TLS(),
		"S02 as an address of email": g.ca.Issue(t, xtest.Issue{Common: "x", Change: func(c *x509.Certificate) { c.EmailAddresses = []string{"b@b.test"} }}).TLS(),
		"S03 common name alone":      g.ca.Issue(t, xtest.Issue{Common: "b.test"}).TLS(),
	}
	for name, cert := range bad {
		g.run(t, name, func(t *testing.T) {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Open()
			p.Handshake(p.TLS(cert))
			p.Greet("")
			p.Send("%s", letterTo("eve@b.test", "bob@a.test"))
			p.WantStreamError("not-authorized")
			// Who takes dialback, too, does not take this.
			p = g.DialPeer(t, "b.test", "open.test")
			if f := p.Secure(cert); f.Child("mechanisms") != nil || f.Child("dialback") == nil {
				t.Errorf("open.test offers %s", f)
			}
			p.External("b.test")
			p.Send("%s", letterTo("eve@b.test", "alice@open.test"))
			p.WantStreamError("not-authorized")
		})
	}

	g.run(t, "S04 somebody else's name", func(t *testing.T) {
		for authzid, condition := range map[string]string{
			"c.test": "invalid-authzid", "eve@b.test": "invalid-authzid", "b.test/x": "invalid-authzid", "a.test": "invalid-authzid", "\x00": "invalid-authzid",
		} {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Secure(good)
			if n := p.External(authzid); n.Name.Local != "failure" || n.Child(condition) == nil {
				t.Errorf("%q: %s", authzid, n)
			}
			p.Send("%s", letterTo("eve@c.test", "bob@a.test"))
			p.WantStreamError("not-authorized")
		}
		for data, condition := range map[string]string{
			"=YmI": "incorrect-encoding", "Yi50ZXN0=": "incorrect-encoding", "Yi50\nZXN0": "incorrect-encoding", "<a/>": "incorrect-encoding",
		} {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Secure(good)
			p.Send("<auth xmlns='%s' mechanism='EXTERNAL'>%s</auth>", saslNS, data)
			p.Want("<failure xmlns='%s'><%s/></failure>", saslNS, condition)
		}
		for _, mech := range []string{"PLAIN", "SCRAM-SHA-1", "ANONYMOUS", "external", ""} {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Secure(good)
			p.Send("<auth xmlns='%s' mechanism='%s'>%s</auth>", saslNS, mech, xtest.B64("\x00bob\x00"+xtest.Password))
			p.Want("<failure xmlns='%s'><invalid-mechanism/></failure>", saslNS)
		}
	})

	g.run(t, "S05 EXTERNAL only where it would pass", func(t *testing.T) {
		p := g.DialPeer(t, "b.test", "a.test")
		if f := p.Open(); f.Child("mechanisms") != nil || f.Child("dialback") != nil || f.Child("starttls") == nil || f.Child("starttls").Child("required") == nil {
			t.Errorf("offered in clear: %s", f)
		}
		p = g.DialPeer(t, "", "a.test") // who it is it does not say
		if f := p.Secure(good); f.Child("mechanisms") != nil {
			t.Errorf("offered to nobody: %s", f)
		}
		if n := p.External("b.test"); n.Child("invalid-authzid") == nil {
			t.Error(n)
		}
	})

	g.run(t, "S06 foreign sender", func(t *testing.T) {
		for _, from := range []string{"admin@c.test", "c.test", "eve@x.b.test", "eve@test", "bob@a.test", "a.test", "alice@open.test"} {
			p := g.Authenticated(t, "b.test", "a.test", good)
			p.Send("%s", letterTo(from, "bob@a.test/desk"))
			p.WantStreamError("invalid-from")
		}
		for _, kind := range []string{"presence", "iq"} {
			p := g.Authenticated(t, "b.test", "a.test", good)
			p.Send("<%s from='admin@c.test' to='bob@a.test/desk' id='x' type='%s'/>", kind, map[string]string{"presence": "subscribe", "iq": "get"}[kind])
			p.WantStreamError("invalid-from")
		}
		for text, condition := range map[string]string{
			"<message to='bob@a.test'><body>x</body></message>":                                                         "improper-addressing",
			"<message from='eve@b.test'><body>x</body></message>":                                                       "improper-addressing",
			"<message from='' to=''><body>x</body></message>":                                                           "improper-addressing",
			letterTo("eve@b.test", "bob@nohost.test"):                                                                   "host-unknown",
			letterTo("eve@b.test", "eve@c.test"):                                                                        "host-unknown", // no relay
			letterTo("eve@b.test", "alice@open.test"):                                                                   "not-authorized",
			letterTo("eve@@b.test", "bob@a.test"):                                                                       "improper-addressing",
			"<message from='eve@b.test' to='bob@a.test' from='b.test'/>":                                                "not-well-formed",
			"<message xmlns='jabber:client' from='eve@b.test' to='bob@a.test'/>":                                        "unsupported-stanza-type",
			"<message xmlns='jabber:component:accept' from='eve@b.test' to='bob@a.test'/>":                              "unsupported-stanza-type",
			"<auth xmlns='" + saslNS + "' mechanism='EXTERNAL'>=</auth>":                                                "policy-violation",
			"<route from='eve@b.test' to='bob@a.test'/>":                                                                "unsupported-stanza-type",
			"<iq type='set' id='b' from='b.test' to='a.test'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><x/>": "unsupported-stanza-type",
		} {
			t.Run(condition, func(t *testing.T) {
				p := g.Authenticated(t, "b.test", "a.test", good)
				p.Send("%s", text)
				p.WantStreamError(condition)
			})
		}
	})

	g.run(t, "S07 header", func(t *testing.T) {
		for _, c := range []struct{ from, to, want string }{
			{"b.test", "nohost.test", "host-unknown"},
			{"b.test", "x.a.test", "host-unknown"},
			{"b.test", "", "improper-addressing"},
			{"", "", "improper-addressing"},
			{"b.test", "bob@a.test", "improper-addressing"},
			{"eve@b.test", "a.test", "improper-addressing"},
			{"b.test", "a.test/x", "improper-addressing"},
			{"a.test", "a.test", "invalid-from"},
			{"open.test", "a.test", "invalid-from"},
			{"x.shunned.test", "a.test", "policy-violation"},
			{"x.shunned.test", "open.test", "policy-violation"},
		} {
			p := g.DialPeer(t, c.from, c.to)
			p.Greet("")
			p.WantStreamError(c.want)
		}
		// What was said before TLS, and what is said after, must be the same (RFC 6120 §4.3.3).
		for _, changed := range []xtest.PeerStream{{From: "b.test", To: "open.test"}, {From: "c.test", To: "a.test"}} {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Secure(good)
			if n := p.External("b.test"); n.Name.Local != "success" {
				t.Fatal(n)
			}
			p.From, p.To = changed.From, changed.To
			p.Greet("")
			p.WantStreamError("not-authorized", "invalid-from")
		}
		for text, want := range map[string]string{
			"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='b.test' to='a.test'>": "invalid-namespace",
			"<stream:stream xmlns='jabber:server' xmlns:stream='urn:x' version='1.0' from='b.test' to='a.test'>":                            "invalid-namespace",
			"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='b.test' to='a.test'>":               "unsupported-version",
			"<!DOCTYPE x [<!ENTITY a 'b'>]>": "restricted-xml",
			"<!-- x -->":                     "restricted-xml",
			"GET / HTTP/1.1\r\n\r\n":         "not-well-formed",
		} {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Send("%s", text)
			p.WantStreamError(want)
		}
	})

	g.run(t, "S08 stanza before authentication", func(t *testing.T) {
		for _, to := range []string{"a.test", "open.test"} {
			user := map[string]string{"a.test": "bob@a.test", "open.test": "alice@open.test"}[to]
			for _, kind := range []string{"message", "presence", "iq"} {
				text := fmt.Sprintf("<%s from='eve@b.test' to='%s' id='x'/>", kind, user)
				p := g.DialPeer(t, "b.test", to)
				p.Open()
				p.Send("%s", text)
				p.WantStreamError("not-authorized")
				p = g.DialPeer(t, "b.test", to)
				p.Secure(good)
				p.Send("%s", text)
				p.WantStreamError("not-authorized")
			}
		}
	})

	g.run(t, "S09 answers that nobody asked for", func(t *testing.T) {
		silent := g.peer(t, "silent.test", xtest.PeerOptions{Verify: func(*xtest.Node) string { return "-" }})
		p := g.DialPeer(t, "silent.test", "open.test")
		p.Secure(nil)
		for _, text := range []string{
			"<db:result from='silent.test' to='open.test' type='valid'/>",
			"<db:result from='open.test' to='silent.test' type='valid'/>",
			"<db:verify from='silent.test' to='open.test' id='" + p.Header.Attr("id") + "' type='valid'/>",
		} {
			p.Send("%s", text)
		}
		p.Ping()
		p.Send("%s", letterTo("eve@silent.test", "alice@open.test"))
		p.WantStreamError("not-authorized")
		// While a key is being verified, the answer does not count where it was not asked for.
		p = g.DialPeer(t, "silent.test", "open.test")
		p.Secure(nil)
		p.Result("silent.test", "open.test", "made-up")
		for end := time.Now().Add(xtest.Wait); len(silent.Asked()) == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody asks the authoritative server")
			}
		}
		id := strings.Fields(silent.Asked()[0])[2]
		other := g.DialPeer(t, "silent.test", "open.test")
		other.Secure(nil)
		for _, on := range []*xtest.PeerStream{p, other} {
			on.Send("<db:verify from='silent.test' to='open.test' id='%s' type='valid'/><db:result from='silent.test' to='open.test' type='valid'/>", id)
			on.Ping()
			on.Send("%s", letterTo("eve@silent.test", "alice@open.test"))
			on.WantStreamError("not-authorized")
		}
		silent.Hangup()
	})

	g.run(t, "S10 random key", func(t *testing.T) {
		p := g.DialPeer(t, "b.test", "open.test")
		p.Secure(nil)
		for i, key := range []string{"", "none", strings.Repeat("0", 64), strings.Repeat("é", 1000), "&lt;x/&gt;"} {
			p.Send("<db:verify from='b.test' to='open.test' id='i%d'>%s</db:verify>", i, key)
			p.Want("<db:verify from='open.test' to='b.test' id='i%d' type='invalid'/>", i)
		}
		p.Send("<db:verify from='b.test' to='nohost.test' id='n'>none</db:verify>")
		p.Want("<db:verify from='nohost.test' to='b.test' id='n' type='error'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>")
		// The authoritative server says that it is not its own.
		g.peer(t, "liar.test", xtest.PeerOptions{Verify: func(*xtest.Node) string { return "invalid" }})
		p = g.DialPeer(t, "liar.test", "open.test")
		p.Secure(nil)
		p.Result("liar.test", "open.test", "made-up")
		p.Want("<db:result from='open.test' to='liar.test' type='invalid'/>")
		p.WantEnd()
	})

	g.run(t, "S11 no such host", func(t *testing.T) {
		p := g.DialPeer(t, "b.test", "open.test")
		p.Secure(nil)
		p.Result("b.test", "nohost.test", "key")
		p.Want("<db:result from='nohost.test' to='b.test' type='error'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>")
		for _, bad := range [][2]string{{"b.test", ""}, {"", "open.test"}, {"eve@b.test", "open.test"}, {"b.test", "alice@open.test"}} {
			p := g.DialPeer(t, "b.test", "open.test")
			p.Secure(nil)
			p.Result(bad[0], bad[1], "key")
			p.WantStreamError("improper-addressing")
		}
	})

	g.run(t, "S12 keys of ours", func(t *testing.T) {
		type request struct{ from, to, id, key string }
		asked := make(chan request, 10)
		keys := g.peer(t, "keys.test", xtest.PeerOptions{NoExternal: true, On: func(st *xtest.PeerStream, n *xtest.Node) bool {
			if n.Name.Local == "result" && n.Attr("type") == "" {
				asked <- request{n.Attr("from"), n.Attr("to"), st.ID, n.Text}
			}
			return false
		}})
		g.alice.Send("<message to='eve@keys.test' type='chat'><body>x</body></message>")
		keys.Message(t)
		r := soon(t, asked)
		id := r.id
		if len(r.key) < 64 || r.from != "open.test" || r.to != "keys.test" {
			t.Errorf("%+v", r)
		}
		p := g.DialPeer(t, "keys.test", "open.test")
		p.Secure(nil)
		verify := func(from, to, id, key, typ string) {
			t.Helper()
			p.Send("<db:verify from='%s' to='%s' id='%s'>%s</db:verify>", from, to, id, key)
			p.Want("<db:verify from='%s' to='%s' id='%s' type='%s'/>", to, from, id, typ)
		}
		verify("keys.test", "open.test", id, r.key, "valid")
		verify("keys.test", "open.test", id, r.key, "valid") // as often as one likes
		verify("b.test", "open.test", id, r.key, "invalid")
		verify("keys.test", "a.test", id, r.key, "invalid")
		verify("keys.test", "open.test", id+"x", r.key, "invalid")
		verify("keys.test", "open.test", id, r.key[1:], "invalid")
		verify("keys.test", "open.test", id, "0"+r.key[1:], map[bool]string{true: "valid", false: "invalid"}[r.key[0] == '0'])
		verify("keys.test", "open.test", id, strings.ToUpper(r.key), "invalid")
	})

	g.run(t, "S13 one of ours", func(t *testing.T) {
		ours := g.cert(t, "a.test", "open.test")
		for _, from := range []string{"a.test", "A.TEST", "open.test", "open。test"} {
			p := g.DialPeer(t, from, "a.test")
			p.Greet("")
			p.WantStreamError("invalid-from")
			p = g.DialPeer(t, "b.test", "open.test")
			p.Secure(ours)
			p.Result(from, "open.test", "key")
			p.Want("<db:result type='error' to='*'><error><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>")
			p.Send("%s", letterTo("admin@"+from, "alice@open.test"))
			p.WantStreamError("not-authorized")
		}
	})

	g.run(t, "S15 TLS skipped", func(t *testing.T) {
		for _, to := range []string{"a.test", "open.test"} {
			for _, text := range []string{
				"<db:result from='b.test' to='" + to + "'>key</db:result>",
				"<db:verify from='b.test' to='" + to + "' id='x'>key</db:verify>",
			} {
				p := g.DialPeer(t, "b.test", to)
				p.Open()
				p.Send("%s", text)
				p.WantStreamError("policy-violation")
			}
			p := g.DialPeer(t, "b.test", to)
			p.Open()
			if n := p.External("b.test"); n.Child("encryption-required") == nil {
				t.Error(n)
			}
			p.Send("<bidi xmlns='urn:xmpp:bidi'/>%s", letterTo("eve@b.test", "bob@a.test"))
			p.WantStreamError("not-authorized")
		}
	})

	g.run(t, "S21 spellings", func(t *testing.T) {
		bücher := g.cert(t, "xn--bcher-kva.test")
		for _, from := range []string{"bücher.test", "BÜCHER.Test", "xn--bcher-kva.test", "bücher。test", "bu\u0308cher.test"} {
			p := g.Authenticated(t, from, "A.Test", bücher)
			for _, sender := range []string{"eve@bücher.test", "EVE@BÜCHER.TEST", "eve@xn--bcher-kva.test", "eve@bücher。test"} {
				arrives(t, p, sender, "BOB@A.TEST/desk", g.Victim, "eve@bücher.test")
			}
			p.Send("%s", letterTo("eve@bucher.test", "bob@a.test"))
			p.WantStreamError("invalid-from")
		}
	})

	shunned(t, g)
	peersTLS(t, g, good)
	attackPeersSM(t, g, good)
}

// shunned is about domains that the policy forbids.
func shunned(t *testing.T, g *peerTarget) {
	refused := func(p *xtest.PeerStream, from, condition string) {
		p.T.Helper()
		p.Result(from, "a.test", "key")
		p.Want("<db:result from='a.test' to='%s' type='error'><error><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>", from, condition)
	}
	g.run(t, "policy: second domain on a stream", func(t *testing.T) {
		p := g.Authenticated(t, "b.test", "a.test", g.cert(t, "b.test", "c.test", "x.shunned.test"))
		refused(p, "x.shunned.test", "policy-violation")
		refused(p, "d.test", "not-authorized") // which the certificate does not cover
		p.Result("c.test", "a.test", "key")    // and this one it does: XEP-0344
		p.Want("<db:result from='a.test' to='c.test' type='valid'/>")
		arrives(t, p, "eve@c.test", "bob@a.test/desk", g.Victim, "eve@c.test")
		arrives(t, p, "eve@b.test", "bob@a.test/desk", g.Victim, "eve@b.test")
		p.Send("%s", letterTo("eve@x.shunned.test", "bob@a.test"))
		p.WantStreamError("invalid-from")
	})
	g.run(t, "policy: to who is shunned", func(t *testing.T) {
		before := len(g.dns.Asked())
		for _, c := range []*xtest.Client{g.Victim, g.alice} {
			c.Send("<message to='eve@x.shunned.test' type='chat' id='s'><body>x</body></message>")
			c.Want("<message type='error' id='s' from='eve@x.shunned.test'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		}
		if asked := g.dns.Asked()[before:]; len(asked) > 0 {
			t.Errorf("DNS was asked %s", asked)
		}
	})
}

// peersTLS is what of the T lines is of use to other servers.
func peersTLS(t *testing.T, g *peerTarget, good *tls.Certificate) {
	g.run(t, "T03 STARTTLS injection by a server", func(t *testing.T) {
		const starttls = "<starttls xmlns='" + tlsNS + "'/>"
		verify := "<db:verify from='b.test' to='open.test' id='injected'>key</db:verify>"
		for name, text := range map[string]string{
			"dialback": starttls + verify, "stream": starttls + peerHeader + verify, "login": starttls + "<auth xmlns='" + saslNS + "' mechanism='EXTERNAL'>=</auth>",
			"half": starttls + "<db:verify from='", "stanza": starttls + letterTo("eve@b.test", "alice@open.test"),
		} {
			t.Run(name, func(t *testing.T) {
				p := g.DialPeer(t, "b.test", "open.test")
				p.Open()
				p.Send("%s", text)
				if n, err := p.Next(); err == xtest.ErrEnd {
					return
				} else if err != nil || n.Name.Local != "proceed" {
					t.Fatalf("%v %v", n, err)
				}
				tc := tls.Client(p.Conn, p.TLS(good))
				tc.SetDeadline(time.Now().Add(xtest.Wait))
				if tc.Handshake() != nil {
					return
				}
				p.Use(tc)
				p.Open()
				p.Send("<db:verify from='b.test' to='open.test' id='mine'>key</db:verify>")
				p.Want("<db:verify id='mine' type='invalid'/>")
			})
		}
	})
	g.run(t, "T09 direct TLS of servers", func(t *testing.T) {
		for _, alpn := range [][]string{{"xmpp-server"}, {"http/1.1", "xmpp-server"}, nil} {
			cfg := (&xtest.PeerStream{To: "a.test"}).TLS(good)
			cfg.NextProtos = alpn
			p, err := g.Direct(t, "b.test", "a.test", cfg)
			if err != nil {
				t.Fatalf("%q: %v", alpn, err)
			}
			if cs := p.Conn.(*tls.Conn).ConnectionState(); !slices.Contains(cs.PeerCertificates[0].DNSNames, "a.test") {
				t.Errorf("shows the certificate of %s", cs.PeerCertificates[0].DNSNames)
			}
			if f := p.Open(); f.Child("starttls") != nil || !slices.Contains(xtest.Mechanisms(f), "EXTERNAL") {
				t.Errorf("offers %s", f)
			}
			if n := p.External(""); n.Name.Local != "success" {
				t.Fatal(n)
			}
			p.Open()
			arrives(t, p, "eve@b.test", "bob@a.test/desk", g.Victim, "eve@b.test")
		}
		for _, alpn := range []string{"http/1.1", "xmpp-client", "h2"} {
			cfg := (&xtest.PeerStream{To: "a.test"}).TLS(good)
			cfg.NextProtos = []string{alpn}
			if _, err := g.Direct(t, "b.test", "a.test", cfg); err == nil || !strings.Contains(err.Error(), "no application protocol") {
				t.Errorf("%s: %v", alpn, err)
			}
		}
	})
	g.run(t, "T10 name of the handshake and of the stream", func(t *testing.T) {
		p, err := g.Direct(t, "b.test", "open.test", (&xtest.PeerStream{To: "a.test"}).TLS(good))
		if err != nil {
			t.Fatal(err)
		}
		p.Greet("")
		p.WantStreamError("host-unknown")
	})
}

// peerHeader opens a stream of b.test's.
const peerHeader = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' " +
	"from='b.test' to='open.test' version='1.0'>"
