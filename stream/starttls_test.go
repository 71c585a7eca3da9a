package stream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// testKeys are made once: RSA keys are slow.
var testKeys struct {
	sync.Once
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}

func keys(t testing.TB) (*ecdsa.PrivateKey, *rsa.PrivateKey) {
	testKeys.Do(func() {
		testKeys.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		testKeys.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	})
	return testKeys.ec, testKeys.rsa
}

// testCert makes a self-signed certificate.
func testCert(t testing.TB, key any, change func(*x509.Certificate), names ...string) tls.Certificate {
	t.Helper()
	if key == nil {
		key, _ = keys(t)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		DNSNames:     names,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	if change != nil {
		change(tmpl)
	}
	var pub any
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		pub = &k.PublicKey
	case *rsa.PrivateKey:
		pub = &k.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func policy(t testing.TB, profile string, curves ...string) TLSPolicy {
	t.Helper()
	p, err := ParseTLSPolicy(profile, curves)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func serverConfig(t testing.TB) *tls.Config {
	cfg := policy(t, "intermediate").Config("")
	cfg.Certificates = []tls.Certificate{testCert(t, nil, nil, "a.test")}
	return cfg
}

// handshake runs a handshake over loopback and returns both ends, or the two errors.
func handshake(t testing.TB, server *tls.Config, client *tls.Config, o Options) (*Conn, *tls.Conn, error, error) {
	t.Helper()
	s, c := tcpPair(t)
	conn := NewConn(s, o)
	t.Cleanup(conn.Abort)
	tc := tls.Client(c, client)
	errs := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		err := tc.HandshakeContext(ctx)
		if err == nil {
			// In TLS 1.3 the server may refuse afterwards; nothing else is to be read.
			tc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err = tc.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			tc.SetReadDeadline(time.Time{})
		}
		errs <- err
	}()
	serr := conn.StartTLS(ctx, server)
	if serr != nil {
		conn.Abort()
	}
	return conn, tc, serr, <-errs
}

// openTLS returns a Conn that has read its header over TLS.
func openTLS(t testing.TB, o Options) (*Conn, *tls.Conn) {
	t.Helper()
	conn, tc, serr, cerr := handshake(t, serverConfig(t), &tls.Config{InsecureSkipVerify: true}, o)
	if serr != nil || cerr != nil {
		t.Fatal(serr, cerr)
	}
	write(t, tc, clientHeader)
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	return conn, tc
}

func TestStartTLS(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	write(t, c, clientHeader+"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	if st, err := conn.Read(); err != nil || st.NS != stanza.NSTLS {
		t.Fatal(st, err)
	}
	if conn.TLS() != nil || conn.ServerCertificate() != nil {
		t.Error("TLS before TLS")
	}
	queue(t, conn, t.Context(), "<proceed/>")
	expect(t, c, "<proceed/>")
	cfg := serverConfig(t)
	// A deadline set before is not the handshake's.
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	done := make(chan error, 1)
	go func() { done <- conn.StartTLS(t.Context(), cfg) }()
	own := testCert(t, nil, nil)
	tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}})
	write(t, tc, clientHeader+"<iq id='1'/>")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	if st, err := conn.Read(); err != nil || st.Name != "iq" {
		t.Fatal(st, err)
	}
	st := conn.TLS()
	if st == nil || st.Version != tls.VersionTLS13 || st.DidResume {
		t.Errorf("%+v", st)
	}
	if len(st.PeerCertificates) != 1 || !bytes.Equal(st.PeerCertificates[0].Raw, own.Certificate[0]) {
		t.Error("the client's self-signed certificate is not kept")
	}
	if !bytes.Equal(conn.ServerCertificate(), cfg.Certificates[0].Certificate[0]) {
		t.Error("the certificate shown is not noted")
	}
	if conn.StartTLS(t.Context(), cfg) == nil {
		t.Error("TLS in TLS")
	}
	queue(t, conn, t.Context(), "<ok/>")
	expect(t, tc, "<ok/>")
}

// T03: what was sent in the clear behind <starttls/> is never executed.
func TestStartTLSInjection(t *testing.T) {
	const starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	for _, more := range []string{"<iq type='get' id='inj'/>", "<iq type='get' id=", "\n<iq", clientHeader} {
		s, c := tcpPair(t)
		conn := NewConn(s, testOptions())
		write(t, c, clientHeader+starttls+more)
		var h Header
		if err := conn.ReadHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(); err != nil {
			t.Fatal(err)
		}
		if err := conn.StartTLS(t.Context(), serverConfig(t)); err != ErrInjected {
			t.Errorf("%q behind <starttls/>: %v", more, err)
		}
		conn.Abort()
	}
	// The same in a segment of its own is no TLS, so the handshake fails.
	conn, c := open(t, testOptions())
	write(t, c, "<iq type='get' id='inj'/>")
	if err := conn.StartTLS(t.Context(), serverConfig(t)); err == nil {
		t.Error("the handshake took XML")
	}
}

// T11: half a ClientHello, then silence.
func TestHandshakeDeadline(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	write(t, c, "\x16\x03\x01\x02\x00\x01")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := conn.StartTLS(ctx, serverConfig(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestCloseInHandshake(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	write(t, c, "\x16\x03\x01\x02\x00\x01")
	done := make(chan error, 1)
	go func() { done <- conn.StartTLS(t.Context(), serverConfig(t)) }()
	for held := false; !held; {
		conn.mu.Lock()
		held = conn.held
		conn.mu.Unlock()
	}
	conn.CloseWith(&Error{Condition: "system-shutdown"})
	if err := <-done; err == nil {
		t.Error("the handshake went on")
	}
	<-conn.Done()
}

func TestProfiles(t *testing.T) {
	ec, rs := keys(t)
	const old, tls12, tls13 = tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	tests := []struct {
		profile string
		key     any
		version uint16
		suite   uint16
		ok      bool
	}{
		{"modern", ec, tls13, 0, true},
		{"modern", ec, tls12, 0, false},
		{"modern", ec, old, 0, false},
		{"intermediate", ec, tls13, 0, true},
		{"intermediate", rs, tls12, 0, true},
		{"intermediate", ec, tls12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, true},
		{"intermediate", rs, tls12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true},
		{"intermediate", rs, tls12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, false},
		{"intermediate", rs, tls12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, false},
		{"intermediate", rs, tls12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, false},
		{"intermediate", rs, tls12, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, false},
		{"intermediate", rs, tls12, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, false},
		{"intermediate", rs, old, 0, false},
		{"intermediate", rs, tls.VersionTLS10, 0, false},
		{"old", ec, tls13, 0, true},
		{"old", rs, tls12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, true},
		{"old", ec, tls12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, true},
		{"old", rs, tls12, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, true},
		{"old", rs, tls12, tls.TLS_RSA_WITH_AES_128_CBC_SHA, false},
		{"old", rs, tls12, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, false},
		{"old", rs, tls12, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA, false},
		{"old", rs, old, 0, false},
	}
	for _, tt := range tests {
		name := tt.profile + " " + tls.VersionName(tt.version) + " " + tls.CipherSuiteName(tt.suite)
		cfg := policy(t, tt.profile).Config("")
		cfg.Certificates = []tls.Certificate{testCert(t, tt.key, nil, "a.test")}
		client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tt.version}
		if tt.suite != 0 {
			client.CipherSuites = []uint16{tt.suite}
		}
		conn, _, serr, cerr := handshake(t, cfg, client, testOptions())
		if (serr == nil) != tt.ok || (cerr == nil) != tt.ok {
			t.Errorf("%s: server %v, client %v", name, serr, cerr)
			continue
		}
		if st := conn.TLS(); tt.ok && (st.Version != tt.version || tt.suite != 0 && st.CipherSuite != tt.suite) {
			t.Errorf("%s: %s", name, tls.CipherSuiteName(st.CipherSuite))
		}
		if !tt.ok && tt.version < tls12 && !strings.Contains(cerr.Error(), "protocol version") {
			t.Errorf("%s: %v, not an alert of the version", name, cerr) // T01
		}
		conn.Abort()
	}
}

func TestCurves(t *testing.T) {
	for _, tt := range []struct {
		server []string
		client tls.CurveID
		ok     bool
	}{
		{nil, tls.X25519MLKEM768, true},
		{nil, tls.X25519, true},
		{nil, tls.CurveP384, true},
		{nil, tls.CurveP521, false},
		{[]string{"P-521", "p-256"}, tls.CurveP521, true},
		{[]string{"P-521", "p-256"}, tls.X25519, false},
	} {
		cfg := policy(t, "intermediate", tt.server...).Config("")
		cfg.Certificates = []tls.Certificate{testCert(t, nil, nil, "a.test")}
		conn, _, serr, cerr := handshake(t, cfg, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tt.client}}, testOptions())
		if (serr == nil) != tt.ok || (cerr == nil) != tt.ok {
			t.Errorf("%v, client with %v: %v, %v", tt.server, tt.client, serr, cerr)
		} else if tt.ok && conn.TLS().CurveID != tt.client {
			t.Errorf("%v: %v", tt.client, conn.TLS().CurveID)
		}
		conn.Abort()
	}
	for _, bad := range [][]string{{"secp160r1"}, {"X25519", "x25519"}, {""}} {
		if _, err := ParseTLSPolicy("intermediate", bad); err == nil {
			t.Errorf("curves %q pass", bad)
		}
	}
	if _, err := ParseTLSPolicy("legacy", nil); err == nil {
		t.Error("profile legacy passes")
	}
}

func TestDescribeProfile(t *testing.T) {
	for profile, want := range map[string]string{
		"modern": "TLS 1.3 only", "intermediate": "key exchange: X25519MLKEM768, X25519, P-256, P-384",
		"old": "TLS_RSA_WITH_AES_128_GCM_SHA256", "legacy": "unknown TLS profile",
	} {
		if got := strings.Join(DescribeProfile(profile, nil), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", profile, got)
		}
	}
}

// T09: XEP-0368 §4.
func TestALPN(t *testing.T) {
	for _, tt := range []struct {
		offer []string
		ok    bool
	}{{[]string{"xmpp-client"}, true}, {nil, true}, {[]string{"h2", "xmpp-client"}, true}, {[]string{"http/1.1"}, false}} {
		cfg := policy(t, "intermediate").Config("xmpp-client")
		cfg.Certificates = []tls.Certificate{testCert(t, nil, nil, "a.test")}
		conn, tc, serr, cerr := handshake(t, cfg, &tls.Config{InsecureSkipVerify: true, NextProtos: tt.offer}, testOptions())
		if (serr == nil) != tt.ok || (cerr == nil) != tt.ok {
			t.Errorf("%q: %v, %v", tt.offer, serr, cerr)
		} else if tt.ok && tt.offer != nil && tc.ConnectionState().NegotiatedProtocol != "xmpp-client" {
			t.Errorf("%q: nothing negotiated", tt.offer)
		} else if !tt.ok && !strings.Contains(cerr.Error(), "no application protocol") {
			t.Errorf("%q: %v", tt.offer, cerr)
		}
		conn.Abort()
	}
}

// T12, T15: there is nothing to resume.
func TestNoResumption(t *testing.T) {
	cfg := serverConfig(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: version}
		for range 2 {
			conn, _, serr, cerr := handshake(t, cfg, client, testOptions())
			if serr != nil || cerr != nil || conn.TLS().DidResume {
				t.Error(serr, cerr)
			}
			if conn.ServerCertificate() == nil {
				t.Error("certificate not noted")
			}
			conn.Abort()
		}
	}
}

// A configuration made by GetConfigForClient is asked for its certificate, too.
func TestNotingConfigForClient(t *testing.T) {
	inner := serverConfig(t)
	other := testCert(t, nil, nil, "b.test")
	inner.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "b.test" {
			return &other, nil
		}
		return nil, nil
	}
	cfg := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner, nil }}
	for name, want := range map[string][]byte{"b.test": other.Certificate[0], "a.test": inner.Certificates[0].Certificate[0]} {
		conn, _, serr, cerr := handshake(t, cfg, &tls.Config{InsecureSkipVerify: true, ServerName: name}, testOptions())
		if serr != nil || cerr != nil || !bytes.Equal(conn.ServerCertificate(), want) {
			t.Error(name, serr, cerr)
		}
		conn.Abort()
	}
	conn, _, serr, _ := handshake(t, &tls.Config{}, &tls.Config{InsecureSkipVerify: true}, testOptions())
	if serr == nil {
		t.Error("a handshake without a certificate")
	}
	conn.Abort()
}

var _ net.Conn = (*wire)(nil)

// COMPAT: go-xmpp 0.3.6 ends <starttls/> with a newline, before it has seen <proceed/>.
func TestStartTLSWhiteSpace(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	write(t, c, clientHeader+"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\n")
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	go tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
	if err := conn.StartTLS(t.Context(), serverConfig(t)); err != nil {
		t.Fatal(err)
	}
	conn.Abort()
}
