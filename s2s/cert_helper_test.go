package s2s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate of a template that by signs, or that signs itself.
func issue(t testing.TB, by *signer, tmpl x509.Certificate) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{key: key}
	if tmpl.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore = time.Now().Add(-time.Hour)
	}
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if by == nil {
		by = &signer{&tmpl, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

// authority is the template of one that may sign.
func authority(name string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// server is the template of a server's certificate.
func server(names ...string) x509.Certificate {
	return x509.Certificate{
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
}

// otherName is one of a subjectAltName.
type otherName struct {
	id    asn1.ObjectIdentifier
	tag   cryptoasn1.Tag
	value string
}

func srvName(s string) otherName  { return otherName{oidDNSSRV, cryptoasn1.IA5String, s} }
func xmppAddr(s string) otherName { return otherName{oidXMPPAddr, cryptoasn1.UTF8String, s} }

// altName makes a subjectAltName of otherNames and dNSNames.
func altName(t testing.TB, critical bool, others []otherName, dns ...string) pkix.Extension {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, o := range others {
			b.AddASN1(cryptoasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(o.id)
				b.AddASN1(cryptoasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(o.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.value)) })
				})
			})
		}
		for _, d := range dns {
			b.AddASN1(cryptoasn1.Tag(2).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(d)) })
		}
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidSubjectAltName, Critical: critical, Value: der}
}

// withNames is the template of a server's certificate with otherNames.
func withNames(t testing.TB, critical bool, others []otherName, dns ...string) x509.Certificate {
	tmpl := server()
	tmpl.ExtraExtensions = []pkix.Extension{altName(t, critical, others, dns...)}
	return tmpl
}
