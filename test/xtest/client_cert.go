package xtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Login says what a client's certificate is to be. The zero value of all but Names is what a good one has.
type Login struct {
	Names    []string // JIDs, as id-on-xmppAddr
	Common   string
	From, To time.Time
	Key      crypto.Signer
	CA       *CA // nil: self-signed
	Usage    []x509.ExtKeyUsage
	Change   func(*x509.Certificate)
}

// ClientCert is a client's certificate with its key.
type ClientCert struct {
	DER []byte
	TLS tls.Certificate
}

// NewClientCert makes one.
func NewClientCert(t testing.TB, what Login) *ClientCert {
	t.Helper()
	if what.Key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		what.Key = key
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	if what.From.IsZero() {
		what.From = time.Now().Add(-time.Hour)
	}
	if what.To.IsZero() {
		what.To = time.Now().Add(90 * 24 * time.Hour)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: what.Common}, NotBefore: what.From, NotAfter: what.To,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: what.Usage, BasicConstraintsValid: true,
	}
	if len(what.Names) > 0 {
		tmpl.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: altName(t, what.Names)}}
	}
	if what.Change != nil {
		what.Change(tmpl)
	}
	parent, signer := tmpl, what.Key
	if what.CA != nil {
		parent, signer = what.CA.cert, crypto.Signer(what.CA.key)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, what.Key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return &ClientCert{DER: der, TLS: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: what.Key}}
}

// altName writes addresses as RFC 6120 §13.7.1.4 says.
func altName(t testing.TB, jids []string) []byte {
	t.Helper()
	type otherName struct {
		ID    asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	var names []asn1.RawValue
	for _, j := range jids {
		b, err := asn1.MarshalWithParams(otherName{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5}, j}, "tag:0")
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, asn1.RawValue{FullBytes: b})
	}
	b, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// LoadClientCert reads a certificate and its key from PEM files.
func LoadClientCert(t testing.TB, crt, key string) *ClientCert {
	t.Helper()
	c, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	return &ClientCert{DER: c.Certificate[0], TLS: c}
}

// Save writes certificate and key to files in PEM.
func (cc *ClientCert) Save(t testing.TB) (crt, key string) {
	t.Helper()
	dir := t.TempDir()
	crt, key = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	der, err := x509.MarshalPKCS8PrivateKey(cc.TLS.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{crt: {Type: "CERTIFICATE", Bytes: cc.DER}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return crt, key
}

// File writes the authority's certificate to a file.
func (ca *CA) File(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Base64 is the certificate as XEP-0257 has it.
func (cc *ClientCert) Base64() string { return base64.StdEncoding.EncodeToString(cc.DER) }

// Show connects by STARTTLS and shows a certificate, whoever the server's authorities may be. It returns the features.
func (s *Server) Show(t testing.TB, host string, cc *ClientCert, attrs ...string) (*Client, *Node) {
	t.Helper()
	c := s.Dial(t)
	c.Host = host
	c.Open()
	cfg := c.TLSConfig()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cc.TLS, nil }
	c.Handshake(cfg)
	from := ""
	if len(attrs) > 0 {
		from = attrs[0]
	}
	return c, c.OpenWith(from)
}

// External logs in by EXTERNAL as RFC 6120 §6 has it and returns the server's last word.
func (c *Client) External(authzid string) *Node {
	c.T.Helper()
	data := "="
	if authzid != "" {
		data = B64(authzid)
	}
	c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%s</auth>", data)
	return c.Must()
}

// Enter logs in with a certificate and binds a resource.
func (s *Server) Enter(t testing.TB, full string, cc *ClientCert) *Client {
	t.Helper()
	bare, resource, _ := strings.Cut(full, "/")
	_, host, _ := strings.Cut(bare, "@")
	c, _ := s.Show(t, host, cc)
	c.Name = full
	if n := c.External(""); n.Name.Local != "success" {
		t.Fatalf("%s: %s", full, n)
	}
	c.Restart()
	c.Open()
	c.Bind(resource)
	return c
}

// IQ sends a request and returns the answer; what comes before it is dropped. to may be empty.
func (c *Client) IQ(typ, to, payload string) *Node {
	c.T.Helper()
	id := "iq-" + rand.Text()
	if to != "" {
		to = " to='" + to + "'"
	}
	c.Send("<iq type='%s' id='%s'%s>%s</iq>", typ, id, to, payload)
	for {
		if n := c.Must(); n.Name.Local == "iq" && n.Attr("id") == id {
			return n
		}
	}
}

// Below is an authority that the client's certificate, which is none, makes of itself.
func (ca *CA) Below(t testing.TB, cc *ClientCert) *CA {
	t.Helper()
	leaf, err := x509.ParseCertificate(cc.DER)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{cert: leaf, key: cc.TLS.PrivateKey.(*ecdsa.PrivateKey)}
}
