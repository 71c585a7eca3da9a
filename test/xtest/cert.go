package xtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA issues certificates.
type CA struct {
	Pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issue says what a certificate is to be. The zero value of all but Names is what a good one has.
type Issue struct {
	Names    []string
	RSA      int // bits; an ECDSA key where 0
	From, To time.Time
	Common   string             // common name of the subject
	Usage    []x509.ExtKeyUsage // serverAuth where empty
	Self     bool               // signed by itself, not by the authority
	By       *Pair              // signed by this certificate, whether it may or not
	Change   func(*x509.Certificate)
}

// Pair is a certificate with its key, as files hold them.
type Pair struct {
	Leaf     *x509.Certificate
	Crt, Key []byte // PEM
}

// NewCA makes an authority.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 365), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := &CA{key: key, Pool: x509.NewCertPool()}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.Pool.AddCert(ca.cert)
	return ca
}

// Issue makes a certificate.
func (ca *CA) Issue(t testing.TB, what Issue) *Pair {
	t.Helper()
	var key crypto.Signer
	var err error
	if what.RSA > 0 {
		key, err = rsa.GenerateKey(rand.Reader, what.RSA)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
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
		SerialNumber: serial, DNSNames: what.Names, NotBefore: what.From, NotAfter: what.To,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Subject: pkix.Name{CommonName: what.Common}, BasicConstraintsValid: true,
	}
	if what.Usage != nil {
		tmpl.ExtKeyUsage = what.Usage
	}
	if what.Change != nil {
		what.Change(tmpl)
	}
	parent, signer := ca.cert, crypto.Signer(ca.key)
	switch {
	case what.Self:
		parent, signer = tmpl, key
	case what.By != nil:
		parent, signer = what.By.Leaf, what.By.TLS().PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{
		Crt: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	if what.By != nil {
		p.Crt = append(p.Crt, what.By.Crt...)
	}
	if p.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return p
}

// TLS is the certificate as crypto/tls takes it.
func (p *Pair) TLS() *tls.Certificate {
	c, err := tls.X509KeyPair(p.Crt, p.Key)
	if err != nil {
		panic(err) // Issue has made both
	}
	return &c
}

// Install puts a certificate where the server looks for that of a host, and returns the two files.
func (s *Server) Install(host string, p *Pair) (crt, key string) {
	s.t.Helper()
	dir := filepath.Join(s.Dir, "certs")
	crt, key = filepath.Join(dir, host+".crt"), filepath.Join(dir, host+".key")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for file, data := range map[string][]byte{crt: p.Crt, key: p.Key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return crt, key
}

// PEM returns the authority's own certificate, for tls.trusted_ca_file.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}
