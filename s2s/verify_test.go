package s2s

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// TestVerify judges a certificate of every kind.
func TestVerify(t *testing.T) {
	root := issue(t, nil, authority("root"))
	inter := issue(t, root, authority("intermediate"))
	stranger := issue(t, nil, authority("stranger"))
	v, err := NewVerifier(VerifierOptions{RootsFile: rootsFile(t, root)})
	if err != nil {
		t.Fatal(err)
	}
	old := func(c x509.Certificate) x509.Certificate {
		c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
		return c
	}
	future := func(c x509.Certificate) x509.Certificate {
		c.NotBefore, c.NotAfter = time.Date(2120, 4, 5, 0, 0, 0, 0, time.UTC), time.Date(2121, 1, 1, 0, 0, 0, 0, time.UTC)
		return c
	}
	use := func(c x509.Certificate, uses ...x509.ExtKeyUsage) x509.Certificate { c.ExtKeyUsage = uses; return c }
	named := func(c x509.Certificate, cn string) x509.Certificate { c.Subject = pkix.Name{CommonName: cn}; return c }
	oldInter := issue(t, root, old(authority("old intermediate")))
	leaf := issue(t, root, server("leaf.test"))
	constrain := func(permit, exclude []string) *signer {
		c := authority("constrained")
		c.PermittedDNSDomains, c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = permit, exclude, true
		return issue(t, root, c)
	}
	only := constrain([]string{"corp.test"}, nil)
	allBut := constrain(nil, []string{"peer.test"})
	ip := server()
	ip.IPAddresses = []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("fd00::1")}

	type row struct {
		name   string
		by     *signer // nil: itself
		cert   x509.Certificate
		chain  []*signer // sent with it
		domain string    // peer.test where empty
		kind   CertKind  // 0: valid
		reason string
	}
	for _, r := range []row{
		{name: "valid", by: root, cert: server("peer.test")},
		{name: "valid for several", by: root, cert: server("a.test", "PEER.test", "b.test")},
		{name: "valid by an intermediate", by: inter, cert: server("peer.test"), chain: []*signer{inter}},
		{name: "valid with useless certificates", by: root, cert: server("peer.test"), chain: []*signer{stranger, root, inter}},
		{name: "intermediate not sent", by: inter, cert: server("peer.test"), kind: UnknownAuthority, reason: "was signed by an unknown authority, CN=intermediate"},
		{name: "expired", by: root, cert: old(server("peer.test")), kind: Expired, reason: "expired on 2021-02-03"},
		{name: "expired intermediate", by: oldInter, cert: server("peer.test"), chain: []*signer{oldInter}, kind: Expired,
			reason: "was signed by CN=old intermediate, whose own certificate expired on 2021-02-03"},
		{name: "not yet valid", by: root, cert: future(server("peer.test")), kind: NotYetValid, reason: "is not valid before 2120-04-05"},
		{name: "wrong name", by: root, cert: server("a.test", "b.test"), kind: WrongName, reason: "is for a.test, b.test and not for peer.test"},
		{name: "name of a subdomain", by: root, cert: server("xmpp.peer.test"), kind: WrongName, reason: "is for xmpp.peer.test and not for peer.test"},
		{name: "name of the parent", by: root, cert: server("test"), kind: WrongName, reason: "is for test and not for peer.test"},
		{name: "many names", by: root, cert: server("a.test", "b.test", "c.test", "d.test", "e.test", "f.test"), kind: WrongName,
			reason: "is for a.test, b.test, c.test, d.test, e.test, … and not for peer.test"},
		{name: "CN only", by: root, cert: named(server(), "peer.test"), kind: WrongName,
			reason: "names no server in its subjectAltName (a common name does not count), and not for peer.test"},
		{name: "CN beside another name", by: root, cert: named(server("a.test"), "peer.test"), kind: WrongName, reason: "is for a.test and not for peer.test"},
		{name: "self-signed", cert: named(server("peer.test"), "peer.test"), kind: SelfSigned, reason: "is self-signed"},
		{name: "self-signed with an authority's name", cert: named(server("peer.test"), "root"), kind: SelfSigned, reason: "is self-signed"},
		{name: "unknown authority", by: stranger, cert: server("peer.test"), chain: []*signer{stranger}, kind: UnknownAuthority,
			reason: "was signed by an unknown authority, CN=stranger"},
		{name: "serverAuth and clientAuth", by: root, cert: use(server("peer.test"), x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)},
		{name: "clientAuth only", by: root, cert: use(server("peer.test"), x509.ExtKeyUsageClientAuth)},
		{name: "no extended use", by: root, cert: use(server("peer.test"))},
		{name: "any extended use", by: root, cert: use(server("peer.test"), x509.ExtKeyUsageAny)},
		{name: "neither use", by: root, cert: use(server("peer.test"), x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageCodeSigning), kind: WrongUse,
			reason: "was made for neither servers nor clients of TLS"},
		{name: "S02 signed by a leaf", by: leaf, cert: server("peer.test"), chain: []*signer{leaf}, kind: WrongUse,
			reason: "was signed by leaf.test, which is no authority"},

		{name: "wildcard", by: root, cert: server("*.peer.test"), domain: "rooms.peer.test"},
		{name: "wildcard for the domain itself", by: root, cert: server("*.peer.test"), kind: WrongName, reason: "is for *.peer.test and not for peer.test"},
		{name: "wildcard for two labels", by: root, cert: server("*.peer.test"), domain: "a.b.peer.test", kind: WrongName},
		{name: "wildcard within a label", by: root, cert: server("p*.test", "*r.test", "pe*er.test"), kind: WrongName},
		{name: "wildcard not first", by: root, cert: server("peer.*"), kind: WrongName},
		{name: "two wildcards", by: root, cert: server("*.*.test"), domain: "a.peer.test", kind: WrongName},
		{name: "wildcard alone", by: root, cert: server("*"), domain: "test", kind: WrongName},

		{name: "A-label", by: root, cert: server("xn--bcher-kva.test"), domain: "bücher.test"},
		{name: "A-label in capitals", by: root, cert: server("XN--BCHER-KVA.TEST"), domain: "bücher.test"},
		{name: "A-label under a wildcard", by: root, cert: server("*.test"), domain: "bücher.test"},
		{name: "without the umlaut", by: root, cert: server("bucher.test"), domain: "bücher.test", kind: WrongName},
		{name: "IPv4 address", by: root, cert: ip, domain: "10.0.0.1"},
		{name: "IPv6 address", by: root, cert: ip, domain: "[fd00::1]"},
		{name: "another address", by: root, cert: ip, domain: "10.0.0.2", kind: WrongName, reason: "is for 10.0.0.1, fd00::1 and not for 10.0.0.2"},
		{name: "address as a name", by: root, cert: withNames(t, false, []otherName{srvName("_xmpp-server.10.0.0.1")}, "a.test"), domain: "10.0.0.1", kind: WrongName},

		{name: "SRVName", by: root, cert: withNames(t, false, []otherName{srvName("_xmpp-server.peer.test")}, "a.test")},
		{name: "SRVName in capitals", by: root, cert: withNames(t, false, []otherName{srvName("_XMPP-server.Peer.test")})},
		{name: "SRVName as UTF8String", by: root, cert: withNames(t, false, []otherName{{oidDNSSRV, cryptoasn1.UTF8String, "_xmpp-server.peer.test"}})},
		{name: "SRVName of clients", by: root, cert: withNames(t, false, []otherName{srvName("_xmpp-client.peer.test")}, "a.test"), kind: WrongName, reason: "is for a.test and not for peer.test"},
		{name: "SRVName of another", by: root, cert: withNames(t, false, []otherName{srvName("_xmpp-server.a.test")}), kind: WrongName, reason: "is for _xmpp-server.a.test and not for peer.test"},
		{name: "SRVName without service", by: root, cert: withNames(t, false, []otherName{srvName("peer.test")}), kind: WrongName},
		{name: "SRVName of another type", by: root, cert: withNames(t, false, []otherName{{oidDNSSRV, cryptoasn1.OCTET_STRING, "_xmpp-server.peer.test"}}, "a.test"), kind: WrongName},
		{name: "xmppAddr", by: root, cert: withNames(t, false, []otherName{xmppAddr("peer.test")}, "a.test")},
		{name: "xmppAddr to be prepared", by: root, cert: withNames(t, false, []otherName{xmppAddr("BÜCHER.Test")}), domain: "bücher.test"},
		{name: "xmppAddr in A-labels", by: root, cert: withNames(t, false, []otherName{{oidXMPPAddr, cryptoasn1.IA5String, "xn--bcher-kva.test"}}), domain: "bücher.test"},
		{name: "xmppAddr of a user", by: root, cert: withNames(t, false, []otherName{xmppAddr("me@peer.test")}, "a.test"), kind: WrongName},
		{name: "xmppAddr with a resource", by: root, cert: withNames(t, false, []otherName{xmppAddr("peer.test/x")}, "a.test"), kind: WrongName},
		{name: "xmppAddr with a wildcard", by: root, cert: withNames(t, false, []otherName{xmppAddr("*.test")}, "a.test"), kind: WrongName},
		{name: "critical names, otherNames only", by: root, cert: withNames(t, true, []otherName{srvName("_xmpp-server.peer.test")})},
		{name: "critical names, xmppAddr only", by: root, cert: withNames(t, true, []otherName{xmppAddr("peer.test")})},
		{name: "critical names of another", by: root, cert: withNames(t, true, []otherName{xmppAddr("a.test")}), kind: WrongName, reason: "is for a.test and not for peer.test"},
		{name: "critical names that nobody knows", by: root, cert: withNames(t, true, []otherName{{[]int{1, 2, 3}, cryptoasn1.UTF8String, "peer.test"}}), kind: Broken,
			reason: "has a critical extension that is not understood"},

		{name: "name within constraints", by: only, cert: server("x.corp.test"), chain: []*signer{only}, domain: "x.corp.test"},
		{name: "name beyond constraints", by: only, cert: server("peer.test"), chain: []*signer{only}, kind: WrongUse,
			reason: "was signed by an authority that may not vouch for such names or uses"},
		{name: "SRVName within constraints", by: only, cert: withNames(t, false, []otherName{srvName("_xmpp-server.corp.test")}), chain: []*signer{only}, domain: "corp.test"},
		{name: "SRVName beyond constraints", by: only, cert: withNames(t, false, []otherName{srvName("_xmpp-server.peer.test")}), chain: []*signer{only}, kind: WrongName},
		{name: "xmppAddr beyond constraints", by: only, cert: withNames(t, false, []otherName{xmppAddr("peer.test")}, "x.corp.test"), chain: []*signer{only}, kind: WrongName},
		{name: "xmppAddr of the excluded", by: allBut, cert: withNames(t, false, []otherName{xmppAddr("a.peer.test")}), chain: []*signer{allBut}, domain: "a.peer.test", kind: WrongName},
		{name: "xmppAddr of one not excluded", by: allBut, cert: withNames(t, false, []otherName{xmppAddr("speer.test")}), chain: []*signer{allBut}, domain: "speer.test"},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.domain == "" {
				r.domain = "peer.test"
			}
			cs := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{issue(t, r.by, r.cert).cert}}
			for _, c := range r.chain {
				cs.PeerCertificates = append(cs.PeerCertificates, c.cert)
			}
			before := len(cs.PeerCertificates[0].UnhandledCriticalExtensions)
			err := v.Check(cs, r.domain)
			if len(cs.PeerCertificates[0].UnhandledCriticalExtensions) != before {
				t.Error("the handshake's certificate was changed")
			}
			if r.kind == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *CertError
			if !errors.As(err, &e) || e.Kind != r.kind || e.Domain != r.domain || e.Reason == "" || r.reason != "" && e.Reason != r.reason {
				t.Errorf("%#v", err)
			}
		})
	}
	for _, cs := range []*tls.ConnectionState{nil, {}} {
		var e *CertError
		if err := v.Check(cs, "peer.test"); !errors.As(err, &e) || e.Kind != NoCertificate || e.Error() != "the certificate of peer.test was not shown" {
			t.Errorf("none: %#v", err)
		}
	}
}

func rootsFile(t testing.TB, roots ...*signer) string {
	t.Helper()
	var text []byte
	for _, r := range roots {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})...)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNewVerifier(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + ".none"} {
		if _, err := NewVerifier(VerifierOptions{RootsFile: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	v, err := NewVerifier(VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Whom the system trusts does not know this one.
	cert := issue(t, issue(t, nil, authority("nobody")), server("peer.test")).cert
	if err := v.CheckChain([]*x509.Certificate{cert}, "peer.test"); err == nil {
		t.Error("the system trusts a stranger")
	}
}

// TestVerifyPinned: a private federation may trust the servers' own certificates.
func TestVerifyPinned(t *testing.T) {
	own := issue(t, nil, server("peer.test"))
	v, err := NewVerifier(VerifierOptions{RootsFile: rootsFile(t, own)})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CheckChain([]*x509.Certificate{own.cert}, "peer.test"); err != nil {
		t.Error(err)
	}
	if err := v.CheckChain([]*x509.Certificate{own.cert}, "other.test"); err == nil {
		t.Error("valid for another")
	}
	forged := issue(t, own, server("other.test")) // it is no authority
	if err := v.CheckChain([]*x509.Certificate{forged.cert, own.cert}, "other.test"); err == nil {
		t.Error("it signed for another")
	}
}

// TestVerifyClock: an error tells the date, and the clock is the one that was given.
func TestVerifyClock(t *testing.T) {
	root := issue(t, nil, authority("root"))
	leaf := issue(t, root, server("peer.test")).cert
	now := time.Now().Add(2 * time.Hour)
	v, err := NewVerifier(VerifierOptions{RootsFile: rootsFile(t, root), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CheckChain([]*x509.Certificate{leaf}, "peer.test"); err != nil {
		t.Error(err)
	}
	now = now.Add(48 * time.Hour)
	if err := v.CheckChain([]*x509.Certificate{leaf}, "peer.test"); err == nil || !strings.Contains(err.Error(), "the certificate of peer.test expired on "+day(leaf.NotAfter)) {
		t.Error(err)
	}
}

// TestWordsOfStrangers: what a certificate says about itself is repeated in logs and stream errors.
func TestWordsOfStrangers(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                   "plain",
		"a\x00b\nc\x1b[0m\u0085d": "a?b?c?[0m?d",
		"\xff\xfe":                "?",
		"bücher\ufffe":            "bücher?",
		strings.Repeat("ü", 101):  strings.Repeat("ü", 100) + "…",
		strings.Repeat("x", 100):  strings.Repeat("x", 100),
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
	root := issue(t, nil, authority("root"))
	evil := issue(t, nil, authority("evil\n<script>\x00"+strings.Repeat("x", 1000)))
	v, err := NewVerifier(VerifierOptions{RootsFile: rootsFile(t, root)})
	if err != nil {
		t.Fatal(err)
	}
	err = v.CheckChain([]*x509.Certificate{issue(t, evil, server("peer.test")).cert}, "peer.test")
	if err == nil || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("%q", err)
	}
}
