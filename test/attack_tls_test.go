package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// The attacks on TLS. See doc/testing.md for what stands where.

const (
	tlsNS      = "urn:ietf:params:xml:ns:xmpp-tls"
	saslNS     = "urn:ietf:params:xml:ns:xmpp-sasl"
	compressNS = "http://jabber.org/protocol/compress"
)

// tlsTarget is a server with an ECDSA certificate for a.test, an RSA one for b.test, and one for both c.test and d.test.
func tlsTarget(t *testing.T, o xtest.Options) (*xtest.Target, *xtest.CA) {
	t.Helper()
	ca := xtest.NewCA(t)
	o.Hosts = []string{"a.test", "b.test", "c.test", "d.test"}
	o.Certs = map[string]*xtest.Pair{
		"a.test": ca.Issue(t, xtest.Issue{Names: []string{"a.test"}}),
		"b.test": ca.Issue(t, xtest.Issue{Names: []string{"b.test"}, RSA: 2048}),
		"c.test": ca.Issue(t, xtest.Issue{Names: []string{"c.test", "d.test"}}),
	}
	o.TLS += "\nself_signed = false"
	o.CA = ca
	return xtest.NewTarget(t, o), ca
}

func TestAttackTLS(t *testing.T) {
	g, ca := tlsTarget(t, xtest.Options{})
	good := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}

	g.Run(t, "T01 old versions", func(t *testing.T) {
		old := append([]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA}, good...)
		for name, h := range map[string]xtest.Hello{
			"SSL 3.0":              {Record: 0x0300, Version: 0x0300},
			"TLS 1.0":              {Version: 0x0301},
			"TLS 1.1":              {Version: 0x0302},
			"TLS 1.0 by extension": {Version: 0x0303, Versions: []uint16{0x0301}},
			"TLS 1.1, 1.0":         {Version: 0x0303, Versions: []uint16{0x0302, 0x0301}},
		} {
			h.Suites, h.Host = old, "a.test"
			if a := h.Ask(t, g.Server); a.Alert != xtest.AlertProtocolVersion {
				t.Errorf("%s: the answer is %+v, wanted alert protocol_version", name, a)
			}
		}
		h := xtest.Hello{Version: 0x0303, Suites: good, Host: "a.test"}
		if a := h.Ask(t, g.Server); a.Alert != 0 || a.Version != 0x0303 {
			t.Errorf("TLS 1.2: the answer is %+v, so the others prove nothing", a)
		}
		// A hello of SSL 2.0, which has no records.
		c := g.Dial(t)
		c.Open()
		c.Send("<starttls xmlns='%s'/>", tlsNS)
		c.Want("<proceed xmlns='%s'/>", tlsNS)
		c.TrySend("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40\x07\x00\xc0" + strings.Repeat("\x42", 16))
		dead(t, c)
	})
	g.Run(t, "T02 weak ciphers", func(t *testing.T) {
		// By host, since each is refused only where the certificate would allow it.
		for name, suites := range map[string][]uint16{
			"aNULL":              {0x0018, 0x001b, 0x0034, 0x003a, 0x006c, 0x006d, 0x00a6, 0x00a7, 0xc015, 0xc016, 0xc017, 0xc018, 0xc019},
			"eNULL":              {0x0001, 0x0002, 0x003b, 0xc006, 0xc010, 0xc001, 0xc00b},
			"RC4":                {0x0004, 0x0005, 0xc007, 0xc011, 0x0066},
			"3DES, DES, RC2":     {0x0006, 0x0009, 0x000a, 0xc008, 0xc012, 0x0016, 0x0015},
			"export":             {0x0003, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, 0x0017},
			"RSA key exchange":   {0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d, 0xc09c, 0xc09d},
			"CBC":                {0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028},
			"DHE of any size":    {0x0033, 0x0039, 0x0067, 0x006b, 0x009e, 0x009f, 0xccaa, 0x0032},
			"static ECDH":        {0xc004, 0xc005, 0xc00e, 0xc00f, 0xc02d, 0xc031},
			"PSK":                {0x008c, 0x00a8, 0xccac},
			"Camellia, SEED":     {0x0041, 0x0084, 0x0096, 0x009a, 0xc076},
			"nothing known":      {0xfafa, 0x0000},
			"TLS 1.3 suites, 12": {0x1301, 0x1302, 0x1303},
		} {
			for _, host := range []string{"a.test", "b.test"} {
				for _, s := range append(suites, 0) {
					h := xtest.Hello{Version: 0x0303, Suites: []uint16{s}, Host: host}
					if s == 0 {
						h.Suites = suites
					}
					if a := h.Ask(t, g.Server); a.Alert != xtest.AlertHandshakeFailure {
						t.Errorf("%s %04x at %s: the answer is %+v, wanted alert handshake_failure", name, h.Suites, host, a)
					}
				}
			}
		}
		for host, suite := range map[string]uint16{"a.test": good[0], "b.test": good[1]} {
			h := xtest.Hello{Version: 0x0303, Suites: append([]uint16{0x002f, 0xc013, 0x000a}, good...), Host: host}
			if a := h.Ask(t, g.Server); a.Suite != suite {
				t.Errorf("%s: the answer is %+v, wanted suite %04x", host, a, suite)
			}
		}
	})
	g.Run(t, "T03 STARTTLS injection", func(t *testing.T) { injection(t, g) })
	g.Run(t, "T04 login in clear", func(t *testing.T) {
		c := g.Dial(t)
		f := c.Open()
		if f.Child("mechanisms") != nil || f.Find("mechanism") != nil || f.Child("authentication") != nil {
			t.Errorf("login is offered in clear: %s", f)
		}
		if st := f.Child("starttls"); st == nil || st.Child("required") == nil {
			t.Errorf("TLS is not said to be required: %s", f)
		}
		plain := xtest.B64("\x00mallory\x00" + xtest.Password)
		for _, auth := range []string{
			"<auth xmlns='" + saslNS + "' mechanism='PLAIN'>" + plain + "</auth>",
			"<auth xmlns='" + saslNS + "' mechanism='SCRAM-SHA-1'>" + xtest.B64("n,,n=mallory,r=abc") + "</auth>",
			"<auth xmlns='" + saslNS + "' mechanism='EXTERNAL'>=</auth>",
			"<auth xmlns='" + saslNS + "' mechanism='ANONYMOUS'/>",
			"<auth xmlns='" + saslNS + "' mechanism='NOPE'/>",
		} {
			c.Send("%s", auth)
			c.Want("<failure xmlns='%s'><encryption-required/></failure>", saslNS)
		}
		// SASL2 likewise, or where it is not known, as anything else before login.
		c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>%s</initial-response></authenticate>", plain)
		switch n := c.Must(); {
		case n.Name.Local == "failure" && n.Child("encryption-required") != nil:
		case n.Name.Local == "error" && n.Child("not-authorized") != nil:
		default:
			t.Errorf("SASL2 in clear is answered %s", n)
		}
	})
	g.Run(t, "T05 compression", func(t *testing.T) {
		compress := "<compress xmlns='" + compressNS + "'><method>zlib</method></compress>"
		refused := "<failure xmlns='" + compressNS + "'><unsupported-method/></failure>"
		c := g.Dial(t)
		offersNone := func(f *xtest.Node) {
			t.Helper()
			if f.Child("compression") != nil {
				t.Errorf("compression is offered: %s", f)
			}
		}
		offersNone(c.Open())
		c.Send("%s", compress)
		c.Want("%s", refused)
		offersNone(c.StartTLS())
		c.Send("%s", compress)
		c.Want("%s", refused)
		offersNone(c.Auth(sasl.Plain, "mallory", xtest.Password))
		c.Send("%s", compress)
		c.Want("%s", refused)
		h := xtest.Hello{Version: 0x0303, Suites: good, Host: "a.test", Compression: []byte{1, 64, 0}}
		if a := h.Ask(t, g.Server); a.Alert != 0 || a.Compression != 0 {
			t.Errorf("to a hello with DEFLATE the answer is %+v", a)
		}
		h.Compression = []byte{1}
		if a := h.Ask(t, g.Server); a.Alert == 0 && !a.Closed {
			t.Errorf("to a hello with DEFLATE alone the answer is %+v", a)
		}
	})
	g.Run(t, "T06 renegotiation", func(t *testing.T) { renegotiation(t, g) })
	g.Run(t, "T07 no new stream", func(t *testing.T) {
		for _, first := range []string{toVictim, "<auth xmlns='" + saslNS + "' mechanism='PLAIN'>" + xtest.B64("\x00mallory\x00"+xtest.Password) + "</auth>",
			"<starttls xmlns='" + tlsNS + "'/>", "</stream:stream>"} {
			c := g.Dial(t)
			c.Open()
			c.Handshake(c.TLSConfig())
			c.Send("%s", first)
			c.WantStreamError("bad-format", "invalid-namespace", "not-well-formed")
		}
		for _, first := range []string{toVictim, "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</stream:stream>"} {
			c := g.Secure(t, "a.test")
			if n := c.TryAuth(sasl.Plain, "mallory", xtest.Password); n.Name.Local != "success" {
				t.Fatal(n)
			}
			c.Restart()
			c.Send("%s", first)
			c.WantStreamError("bad-format", "invalid-namespace", "not-well-formed")
		}
		g.Untouched(t)
	})
	g.Run(t, "T08 TLS in TLS", func(t *testing.T) {
		c := g.Dial(t)
		c.Open()
		if f := c.StartTLS(); f.Child("starttls") != nil {
			t.Errorf("the features under TLS offer it again: %s", f)
		}
		c.Send("<starttls xmlns='%s'/>", tlsNS)
		c.Want("<failure xmlns='%s'/>", tlsNS) // RFC 6120 §5.4.2.2
		c.WantClosed()
		c = g.DialTLS(t, "a.test")
		c.Send("<starttls xmlns='%s'/>", tlsNS)
		c.Want("<failure xmlns='%s'/>", tlsNS)
		c.WantClosed()
		c = g.Secure(t, "a.test")
		c.Auth(sasl.Plain, "mallory", xtest.Password)
		c.Send("<starttls xmlns='%s'/>", tlsNS)
		c.WantClosed()
	})
	g.Run(t, "T09 direct TLS", func(t *testing.T) { directTLS(t, g, ca) })
	g.Run(t, "T10 SNI of another host", func(t *testing.T) {
		dial := func(sni, to string, skip bool) *xtest.Client {
			c := g.Dial(t)
			c.Host = to
			c.Open()
			c.Handshake(&tls.Config{RootCAs: ca.Pool, ServerName: sni, InsecureSkipVerify: skip})
			c.Send("%s", strings.Replace(streamHeader, "a.test", to, 1))
			return c
		}
		dial("a.test", "b.test", false).WantStreamError("host-unknown", "policy-violation")
		dial("b.test", "a.test", false).WantStreamError("host-unknown", "policy-violation")
		dial("c.test", "a.test", false).WantStreamError("host-unknown", "policy-violation")
		dial("c.test", "d.test", false).ReadOpen() // whose certificate covers both
		dial("d.test", "c.test", false).ReadOpen()
		dial("", "b.test", true).ReadOpen()             // no SNI: the client judges by itself
		dial("host.example", "b.test", true).ReadOpen() // as after a look-up of SRV
		dial("A.TEST", "a.test", false).ReadOpen()
	})
	g.Run(t, "T12 no resumption, no early data", func(t *testing.T) {
		cache := &sessions{}
		for range 2 {
			for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c := g.Dial(t)
				c.Open()
				cfg := c.TLSConfig()
				cfg.ClientSessionCache, cfg.MinVersion, cfg.MaxVersion = cache, v, v
				c.StartTLS(cfg) // reads the features, and with them tickets
				if c.Conn.(*tls.Conn).ConnectionState().DidResume {
					t.Error("a TLS session was resumed")
				}
			}
		}
		if cache.puts > 0 {
			t.Errorf("the server gave %d tickets out", cache.puts)
		}
		h := xtest.Hello{Version: 0x0303, Versions: []uint16{0x0304}, Suites: []uint16{0x1301}, Host: "a.test", KeyShare: true}
		if a := h.Ask(t, g.Server); a.Alert != 0 || a.Suite != 0x1301 {
			t.Errorf("a hello without early data is answered %+v, so the next proves nothing", a)
		}
		h.EarlyData = true
		if a := h.Ask(t, g.Server); a.Alert == 0 && !a.Closed {
			t.Errorf("a hello with early data is answered %+v", a)
		}
	})
}

// sessions counts the tickets of a client.
type sessions struct{ puts int }

func (s *sessions) Get(string) (*tls.ClientSessionState, bool)  { return nil, false }
func (s *sessions) Put(_ string, state *tls.ClientSessionState) { s.puts++ }

// dead fails the test unless the server closes the connection.
func dead(t *testing.T, c *xtest.Client) {
	t.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(xtest.Wait))
	if _, err := io.Copy(io.Discard, c.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// injection is T03 (RFC 6120 §5.4.3.3): what was sent in clear behind <starttls/> must not count as sent under TLS.
func injection(t *testing.T, g *xtest.Target) {
	starttls := "<starttls xmlns='" + tlsNS + "'/>"
	ping := "<iq type='get' id='inj'><ping xmlns='urn:xmpp:ping'/></iq>"
	auth := "<auth xmlns='" + saslNS + "' mechanism='PLAIN'>" + xtest.B64("\x00mallory\x00"+xtest.Password) + "</auth>"
	for name, text := range map[string]string{
		"stream and login": starttls + streamHeader + auth,
		"stream and ping":  starttls + streamHeader + ping,
		"ping":             starttls + ping,
		"login":            starttls + auth,
		"half an element":  starttls + "<iq type='get' id='inj' to='",
		"white space":      starttls + "\n",
		"later segment":    starttls, // the rest follows below
		"twice":            starttls + starttls,
	} {
		t.Run(name, func(t *testing.T) {
			c := g.Dial(t)
			c.Open()
			c.Send("%s", text)
			if name == "later segment" {
				c.TrySend(streamHeader + ping + auth)
			}
			if n, err := c.Next(); errors.Is(err, xtest.ErrEnd) {
				return
			} else if err != nil || n.Name.Local != "proceed" {
				t.Fatalf("%v %v", n, err)
			}
			tc := tls.Client(c.Conn, c.TLSConfig())
			tc.SetDeadline(time.Now().Add(xtest.Wait))
			if err := tc.Handshake(); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the server neither goes on nor closes")
				}
				return
			}
			if name != "white space" {
				t.Log("the handshake went on: all that came before must be forgotten")
			}
			c.Use(tc)
			if f := c.Open(); f.Child("mechanisms") == nil {
				t.Errorf("after TLS the features are %s", f)
			}
			c.Send("</stream:stream>")
			for _, n := range c.WantClosed() {
				t.Errorf("what was injected was answered: %s", n)
			}
		})
	}
}

// renegotiation is T06. Nobody but openssl still knows how.
func renegotiation(t *testing.T, g *xtest.Target) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is missing: no client can ask for a renegotiation")
	}
	ctx, cancel := context.WithTimeout(context.Background(), xtest.Wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, "s_client", "-connect", g.C2STLS, "-servername", "a.test", "-tls1_2", "-msg")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out xtest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	if !out.Await("Secure Renegotiation IS supported", ended) || !out.Await("---\n", ended) {
		t.Fatalf("openssl does not connect:\n%s", out.String())
	}
	for range 10 {
		if _, err := io.WriteString(in, "R\n"); err != nil || !out.Await("Alert [", ended) {
			break // a fatal alert ends it
		}
	}
	in.Close()
	<-ended
	text := out.String()
	_, after, tried := strings.Cut(text, "RENEGOTIATING")
	if !tried {
		t.Fatalf("openssl did not try:\n%s", text)
	}
	if strings.Contains(after, "ServerHello") || !strings.Contains(after, "Alert [") {
		t.Errorf("the server renegotiated, or did not answer:\n%s", after)
	}
}

// directTLS is T09 (XEP-0368 §2, §4).
func directTLS(t *testing.T, g *xtest.Target, ca *xtest.CA) {
	ask := func(cfg *tls.Config) (*tls.Conn, error) {
		c := g.DialDirect(t)
		tc := tls.Client(c.Conn, cfg)
		tc.SetDeadline(time.Now().Add(xtest.Wait))
		return tc, tc.Handshake()
	}
	shown := func(tc *tls.Conn) string {
		return strings.Join(tc.ConnectionState().PeerCertificates[0].DNSNames, " ")
	}
	for _, tt := range []struct {
		sni    string
		protos []string
		proto  string
		cert   string
	}{
		{"a.test", []string{"xmpp-client"}, "xmpp-client", "a.test"},
		{"b.test", []string{"xmpp-client"}, "xmpp-client", "b.test"},
		{"d.test", []string{"xmpp-client"}, "xmpp-client", "c.test d.test"},
		{"B.Test", []string{"h2", "xmpp-client", "http/1.1"}, "xmpp-client", "b.test"},
		{"a.test", nil, "", "a.test"},
		{"", []string{"xmpp-client"}, "xmpp-client", "a.test"}, // the first host
		{"nobody.test", []string{"xmpp-client"}, "xmpp-client", "a.test"},
	} {
		tc, err := ask(&tls.Config{RootCAs: ca.Pool, ServerName: tt.sni, NextProtos: tt.protos, InsecureSkipVerify: tt.sni == "" || tt.sni == "nobody.test"})
		if err != nil {
			t.Errorf("SNI %q, ALPN %q: %v", tt.sni, tt.protos, err)
			continue
		}
		if p := tc.ConnectionState().NegotiatedProtocol; p != tt.proto {
			t.Errorf("SNI %q, ALPN %q: negotiated %q", tt.sni, tt.protos, p)
		}
		if got := shown(tc); got != tt.cert {
			t.Errorf("SNI %q: was shown the certificate of %s", tt.sni, got)
		}
	}
	for _, protos := range [][]string{{"http/1.1"}, {"h2", "http/1.1"}, {"xmpp-server"}, {"xmpp"}} {
		_, err := ask(&tls.Config{RootCAs: ca.Pool, ServerName: "a.test", NextProtos: protos})
		if err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("ALPN %q: wanted alert no_application_protocol: %v", protos, err)
		}
	}
}

// TestAttackTLSStall is T11: who begins a handshake and falls silent is not waited for for long.
func TestAttackTLSStall(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: "profile = \"off\"\nhandshake_timeout = \"1s\""})
	hello := xtest.Hello{Version: 0x0303, Suites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, Host: "a.test"}.Bytes()
	var stalled []*xtest.Client
	start := func(c *xtest.Client) { stalled = append(stalled, c) }
	for _, n := range []int{0, 1, 5, len(hello) / 2, len(hello) - 1, len(hello)} {
		c := g.DialDirect(t)
		c.Send("%s", hello[:n])
		start(c)
		c = g.Dial(t)
		c.Open()
		c.Send("<starttls xmlns='%s'/>", tlsNS)
		c.Want("<proceed xmlns='%s'/>", tlsNS)
		c.Send("%s", hello[:n])
		start(c)
	}
	for range 2 {
		c := g.Dial(t)
		c.Open()
		start(c) // and says nothing more
	}
	start(g.Dial(t)) // never says anything
	g.Run(t, "T11 stalled handshakes", func(t *testing.T) {
		for _, c := range stalled {
			dead(t, c)
		}
	})
}

// TestAttackTLSStart is T13: a server that could not serve all of its hosts does not start, and says why in a line.
func TestAttackTLSStart(t *testing.T) {
	ca := xtest.NewCA(t)
	now := time.Now()
	good := ca.Issue(t, xtest.Issue{Names: []string{"a.test"}})
	other := ca.Issue(t, xtest.Issue{Names: []string{"a.test"}})
	mixed := &xtest.Pair{Crt: good.Crt, Key: other.Key}
	for _, tt := range []struct {
		name string
		pair *xtest.Pair
		harm func(t *testing.T, crt, key string)
		file string // the one to be named
		want string
	}{
		{"T13 key of another certificate", mixed, nil, ".key", "does not belong"},
		{"T13 expired", ca.Issue(t, xtest.Issue{Names: []string{"a.test"}, From: now.Add(-48 * time.Hour), To: now.Add(-24 * time.Hour)}), nil, ".crt", "expired"},
		{"T13 not yet valid", ca.Issue(t, xtest.Issue{Names: []string{"a.test"}, From: now.Add(24 * time.Hour)}), nil, ".crt", "not valid before"},
		{"T13 of another host", ca.Issue(t, xtest.Issue{Names: []string{"b.test"}}), nil, ".crt", "does not cover"},
		{"T13 of no host", ca.Issue(t, xtest.Issue{}), nil, ".crt", "no host"},
		{"T13 weak key", ca.Issue(t, xtest.Issue{Names: []string{"a.test"}, RSA: 1024}), nil, ".crt", "1024 bits"},
		{"T13 no certificate in the file", &xtest.Pair{Crt: []byte("hello"), Key: good.Key}, nil, ".crt", "certificate"},
		{"T13 no key in the file", &xtest.Pair{Crt: good.Crt, Key: []byte("hello")}, nil, "", "key"},
		{"T13 cut off", &xtest.Pair{Crt: good.Crt[:len(good.Crt)/2], Key: good.Key}, nil, ".crt", "certificate"},
		{"T13 key with a passphrase", &xtest.Pair{Crt: good.Crt, Key: bytes.ReplaceAll(good.Key, []byte("PRIVATE"), []byte("ENCRYPTED PRIVATE"))}, nil, ".key", "passphrase"},
		{"T13 key missing", good, func(t *testing.T, crt, key string) { os.Remove(key) }, ".key", "no such file"},
		{"T13 certificate missing", good, func(t *testing.T, crt, key string) { os.Remove(crt) }, ".crt", "no such file"},
		{"T13 key is a directory", good, func(t *testing.T, crt, key string) { os.Remove(key); os.Mkdir(key, 0o700) }, ".key", ""},
		{"T13 key for all to read", good, func(t *testing.T, crt, key string) { os.Chmod(key, 0o644) }, ".key", "chmod 600"},
		{"T13 key for all to write", good, func(t *testing.T, crt, key string) { os.Chmod(key, 0o602) }, ".key", "chmod 600"},
		{"T13 key unreadable", good, func(t *testing.T, crt, key string) {
			if os.Geteuid() == 0 {
				os.Chown(key, 65534, 65534) // root reads all; a stranger's key is refused like one that cannot be read
			} else {
				os.Chmod(key, 0)
			}
		}, ".key", ""},
		{"T13 none at all", good, func(t *testing.T, crt, key string) { os.Remove(crt); os.Remove(key) }, "", "there is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := xtest.New(t, xtest.Options{Hosts: []string{"a.test"}, TLS: "self_signed = false", NoStart: true})
			crt, key := s.Install("a.test", tt.pair)
			if tt.harm != nil {
				tt.harm(t, crt, key)
			}
			file := map[string]string{".crt": crt, ".key": key, "": filepath.Join(s.Dir, "certs")}[tt.file]
			out, errs, code := s.Run("", "serve")
			if code != 1 || out != "" {
				t.Errorf("exit %d, wanted 1; stdout %q", code, out)
			}
			line, more, _ := strings.Cut(strings.TrimSpace(errs), "\n")
			if !strings.Contains(line, file) || !strings.Contains(line, tt.want) || !strings.Contains(line, "a.test") {
				t.Errorf("wanted a line with %s and %q:\n%s", file, tt.want, errs)
			}
			if more != "" {
				t.Errorf("more than one line:\n%s", errs)
			}
			if bytes.Contains([]byte(errs), []byte("PRIVATE KEY")) {
				t.Errorf("the key is quoted:\n%s", errs)
			}
		})
	}
}

// TestAttackTLSReload is T14.
func TestAttackTLSReload(t *testing.T) {
	g, ca := tlsTarget(t, xtest.Options{})
	serial := func(t *testing.T) string {
		t.Helper()
		c := g.Secure(t, "a.test")
		defer c.Conn.Close()
		return certSerial(c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0])
	}
	hup := func(t *testing.T, answer string) {
		t.Helper()
		before := len(g.Log())
		g.Signal(syscall.SIGHUP)
		g.WaitLog(t, before, answer)
	}
	first := serial(t)
	g.Run(t, "T14 a new certificate", func(t *testing.T) {
		old := g.Login(t, "alice@a.test/old")
		next := ca.Issue(t, xtest.Issue{Names: []string{"a.test"}})
		g.Install("a.test", next)
		hup(t, "configuration reloaded")
		if got := serial(t); got != certSerial(next.Leaf) || got == first {
			t.Errorf("new connections still get the old certificate")
		}
		old.Quiet() // it is still served
		first = certSerial(next.Leaf)
	})
	other := ca.Issue(t, xtest.Issue{Names: []string{"a.test"}})
	for name, bad := range map[string]*xtest.Pair{
		"half a file":            {Crt: other.Crt[:100], Key: other.Key},
		"key of another":         {Crt: other.Crt, Key: ca.Issue(t, xtest.Issue{Names: []string{"a.test"}}).Key},
		"certificate of another": ca.Issue(t, xtest.Issue{Names: []string{"b.test"}}),
		"expired":                ca.Issue(t, xtest.Issue{Names: []string{"a.test"}, From: time.Now().Add(-48 * time.Hour), To: time.Now().Add(-time.Hour)}),
	} {
		g.Run(t, "T14 broken: "+name, func(t *testing.T) {
			before := len(g.Log())
			crt, _ := g.Install("a.test", bad)
			hup(t, "reload refused")
			if log := g.Log()[before:]; !strings.Contains(log, crt) && !strings.Contains(log, strings.TrimSuffix(crt, ".crt")+".key") {
				t.Errorf("the log names no file:\n%s", log)
			}
			if got := serial(t); got != first {
				t.Error("the certificate has changed")
			}
		})
	}
	g.Run(t, "T14 mended", func(t *testing.T) {
		g.Install("a.test", other)
		hup(t, "configuration reloaded")
		if got := serial(t); got != certSerial(other.Leaf) {
			t.Error("the mended certificate is not in use")
		}
	})
}

func certSerial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber) }
