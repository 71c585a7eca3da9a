package clientcerts

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// altName makes the subjectAltName of some addresses.
func altName(addrs ...string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range addrs {
			addOther(b, cryptoasn1.UTF8String, a)
		}
	})
	return b.BytesOrPanic()
}

func addOther(b *cryptobyte.Builder, tag cryptoasn1.Tag, text string) {
	explicit := cryptoasn1.Tag(0).ContextSpecific().Constructed()
	b.AddASN1(explicit, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidXMPPAddr)
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
		})
	})
}

// spec says what a certificate is to be; the zero value is a good one that names nobody.
type spec struct {
	names    []string
	critical bool
	from, to time.Duration // from now
	key      crypto.Signer
	ca       *authority // nil: self-signed
	isCA     bool
	usage    []x509.ExtKeyUsage
	common   string
	change   func(*x509.Certificate)
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serial = big.NewInt(1)

func newKey(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, s spec) *x509.Certificate {
	t.Helper()
	if s.key == nil {
		s.key = newKey(t)
	}
	if s.from == 0 {
		s.from = -time.Hour
	}
	if s.to == 0 {
		s.to = 24 * time.Hour
	}
	serial = new(big.Int).Add(serial, big.NewInt(1))
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial, NotBefore: now.Add(s.from), NotAfter: now.Add(s.to), Subject: pkix.Name{CommonName: s.common},
		ExtKeyUsage: s.usage, IsCA: s.isCA, BasicConstraintsValid: true,
	}
	if s.isCA {
		tmpl.KeyUsage = x509.KeyUsageCertSign
	}
	if s.names != nil {
		tmpl.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Critical: s.critical, Value: altName(s.names...)}}
	}
	if s.change != nil {
		s.change(tmpl)
	}
	parent, signer := tmpl, s.key
	if s.ca != nil {
		parent, signer = s.ca.cert, s.ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, s.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func newAuthority(t testing.TB, s spec) *authority {
	t.Helper()
	s.isCA, s.key = true, newKey(t)
	if s.common == "" {
		s.common = "authority"
	}
	return &authority{issue(t, s), s.key}
}

// caFile writes the certificates of authorities to a file.
func caFile(t testing.TB, list ...*authority) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeCA(t, file, list...)
	return file
}

func writeCA(t testing.TB, file string, list ...*authority) {
	t.Helper()
	var b []byte
	for _, a := range list {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// section is a configuration of the module.
func section(lines ...string) string {
	return "[modules.mod_client_certs]\n" + strings.Join(lines, "\n") + "\n"
}

// appendXML is the request to append a certificate.
func appendXML(name string, der []byte) string {
	return "<append xmlns='" + ns + "'><name>" + name + "</name><x509cert>" + base64.StdEncoding.EncodeToString(der) + "</x509cert></append>"
}

func named(what, name string) string {
	return "<" + what + " xmlns='" + ns + "'><name>" + name + "</name></" + what + ">"
}

// upload appends a certificate that must be taken.
func upload(t testing.TB, s *modtest.Session, name string, leaf *x509.Certificate) {
	t.Helper()
	ok(t, s.IQ("set", "", appendXML(name, leaf.Raw)))
}

func ok(t testing.TB, st *stanza.Stanza) {
	t.Helper()
	if e := st.StanzaError(); e != nil {
		t.Fatalf("refused: %s %s", e.Type, e)
	}
}

// refused fails the test unless an answer is that error.
func refused(t testing.TB, st *stanza.Stanza, typ stanza.ErrorType, c stanza.Condition) {
	t.Helper()
	if e := st.StanzaError(); e == nil || e.Type != typ || e.Condition != c {
		t.Errorf("want %s %s, got %v: %s", typ, c, e, st.AppendTo(nil))
	}
}

// conn is the connection of a client that showed certificates.
func conn(host, from string, shown ...*x509.Certificate) *auth.Conn {
	c := &auth.Conn{Host: host, TLS: &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: shown}}
	if from != "" {
		c.From = stanza.MustJID(from)
	}
	return c
}

func mechanism(t testing.TB, h *modtest.Host) auth.Mechanism {
	t.Helper()
	for _, m := range h.Table().Mechanisms {
		if m.Name == "EXTERNAL" {
			return m
		}
	}
	t.Fatal("no EXTERNAL")
	return auth.Mechanism{}
}

// login tries EXTERNAL and returns who is in, or the condition of the failure.
func login(t testing.TB, h *modtest.Host, c *auth.Conn, authzid string) (auth.Identity, string) {
	t.Helper()
	x := auth.NewExchange(mechanism(t, h), c)
	_, more, err := x.Step(context.Background(), []byte(authzid))
	var f *auth.Failure
	if errors.As(err, &f) {
		if f.Cause != nil {
			t.Logf("cause: %v", f.Cause)
		}
		return auth.Identity{}, f.Condition
	}
	if more {
		t.Fatal("goes on")
	}
	return x.Identity(), ""
}

// enter logs in with a certificate and makes the session.
func enter(t testing.TB, h *modtest.Host, full string, leaf *x509.Certificate) *modtest.Session {
	t.Helper()
	j := stanza.MustJID(full)
	id, failure := login(t, h, conn(h.Name, "", leaf), j.Bare().String())
	if failure != "" {
		t.Fatalf("%s: %s", full, failure)
	}
	s := h.Session(full)
	s.Change(func(i *modules.SessionInfo) { i.Mechanism, i.Details = "EXTERNAL", id.Details })
	h.Table().Hooks.SessionOpened.Run(context.Background(), s) // once more, with the details
	return s
}

func printOf(leaf *x509.Certificate) fingerprint { return sha256.Sum256(leaf.Raw) }
