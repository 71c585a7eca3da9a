package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
)

func TestBindings(t *testing.T) {
	leaf := []byte("der")
	for name, tc := range map[string]struct {
		c    Conn
		want []string
	}{
		"no TLS":  {Conn{Leaf: leaf}, nil},
		"no leaf": {Conn{TLS: &tls.ConnectionState{Version: tls.VersionTLS12}}, nil},
		"1.2":     {Conn{Leaf: leaf, TLS: &tls.ConnectionState{Version: tls.VersionTLS12}}, []string{tlsServerEndPoint}},
		"1.3":     {Conn{Leaf: leaf, TLS: &tls.ConnectionState{Version: tls.VersionTLS13}}, []string{tlsExporter, tlsServerEndPoint}},
	} {
		if got := Bindings(&tc.c); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
		for _, kind := range tc.want {
			if _, err := Binding(&tc.c, kind); err == nil {
				t.Errorf("%s: gave %s, which was not announced", name, kind)
			}
		}
	}
}

// TestEndPoint: RFC 5929 §4.1, the hash of the certificate's own signature.
func TestEndPoint(t *testing.T) {
	for alg, want := range map[x509.SignatureAlgorithm]func([]byte) []byte{
		x509.ECDSAWithSHA256:  sum256,
		x509.ECDSAWithSHA384:  func(b []byte) []byte { s := sha512.Sum384(b); return s[:] },
		x509.ECDSAWithSHA512:  func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
		x509.SHA384WithRSAPSS: func(b []byte) []byte { s := sha512.Sum384(b); return s[:] },
		x509.PureEd25519:      sum256,
	} {
		der := newCert(t, alg).Certificate[0]
		got, err := endPoint(der)
		must(t, err)
		if !bytes.Equal(got, want(der)) {
			t.Errorf("%v: %d bytes of another hash", alg, len(got))
		}
	}
	for _, alg := range []x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1} {
		if h := signatureHash(alg); h.Size() != sha256.Size {
			t.Errorf("%v: %v", alg, h) // Go signs no such certificates any more
		}
	}
	if _, err := endPoint([]byte("x")); err == nil {
		t.Error("hashed what is no certificate")
	}
}

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
