package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The life of certificates that the server makes: as long as all clients accept, and renewed in time.
const (
	ownLife  = 825 * 24 * time.Hour
	ownRenew = 30 * 24 * time.Hour
)

// own returns the certificate that the server made for a host, and makes or renews it where it must.
func (l *certLoader) own(host, ascii string) (*certPair, []CertProblem) {
	at := filepath.Join(l.opt.MadeDir, ascii)
	crt, key := at+".crt", at+".key"
	l.look(crt)
	l.look(key)
	if exists(key) {
		if problem := keyAccess(host, key); problem != nil {
			return nil, []CertProblem{*problem} // this is not mended in silence
		}
	}
	if p, problem := l.load(host, crt, key); problem == nil {
		p, problems := l.check(p, host, ascii)
		if p != nil && (l.opt.ReadOnly || l.now.Add(ownRenew).Before(p.cert.Leaf.NotAfter)) {
			p.generated = true
			return p, problems
		}
	}
	if l.opt.ReadOnly {
		return nil, []CertProblem{{Host: host, Warning: true, none: true, Text: "there is none: the server will make one when it starts"}}
	}
	if err := makeCertificate(l.now, ascii, crt, key); err != nil {
		return nil, []CertProblem{{Host: host, File: crt, Text: "cannot make a certificate: " + err.Error()}}
	}
	// The state noted above is the one before: note the new one in its place.
	n := len(l.states)
	l.states[n-2], l.states[n-1] = oneState(crt), oneState(key)
	p, problem := l.load(host, crt, key)
	if problem != nil {
		return nil, []CertProblem{*problem}
	}
	p.generated = true
	return l.check(p, host, ascii)
}

// makeCertificate makes a self-signed certificate and its key. It is no authority: who trusts it trusts this one host.
func makeCertificate(now time.Time, host, crt, key string) error {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(priv.Public())
	if err != nil {
		return err
	}
	id := sha256.Sum256(pub)
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: host},
		DNSNames:              []string{host},
		NotBefore:             now.Add(-time.Hour), // for clients whose clock is late
		NotAfter:              now.Add(ownLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          id[:20],
		AuthorityKeyId:        id[:20], // OpenSSL's strict mode wants it
	}
	if host == "localhost" {
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, priv.Public(), priv)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		return err
	}
	// The key first: with a new key and an old certificate the next start makes both anew.
	if err := writeFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return writeFile(crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// writeFile replaces a file as a whole, with this mode whatever the umask.
func writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
