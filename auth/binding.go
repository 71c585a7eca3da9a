package auth

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
)

// The channel binding types that there are. tls-unique does not exist in TLS 1.3 and is not worth having in 1.2.
const (
	tlsExporter       = "tls-exporter"         // RFC 9266
	tlsServerEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// Bindings returns the channel bindings that a connection has, as XEP-0440 announces them: tls-exporter on TLS 1.3 only,
// tls-server-end-point on any TLS.
func Bindings(c *Conn) []string {
	var bs []string
	if c.TLS == nil {
		return bs
	}
	// On TLS 1.2 peers disagree about the exporter's context, none or empty (RFC 5705 §4), and get different bytes.
	if c.TLS.Version >= tls.VersionTLS13 {
		bs = append(bs, tlsExporter)
	}
	if len(c.Leaf) > 0 {
		bs = append(bs, tlsServerEndPoint)
	}
	return bs
}

// Binding returns the data of a channel binding type. A type that was not announced on this stream is refused.
func Binding(c *Conn, kind string) ([]byte, error) {
	if !slices.Contains(c.Bindings, kind) || !slices.Contains(Bindings(c), kind) {
		return nil, fmt.Errorf("auth: channel binding %q is not there", kind)
	}
	if kind == tlsExporter {
		return c.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32) // RFC 9266 §2
	}
	return endPoint(c.Leaf)
}

// endPoint hashes a certificate with the hash of its own signature. RFC 5929 §4.1.
func endPoint(der []byte) ([]byte, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("auth: the server's own certificate: %w", err)
	}
	switch signatureHash(cert.SignatureAlgorithm) {
	case crypto.SHA384:
		sum := sha512.Sum384(der)
		return sum[:], nil
	case crypto.SHA512:
		sum := sha512.Sum512(der)
		return sum[:], nil
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// signatureHash is SHA-256 also for MD5 and SHA-1, as RFC 5929 §4.1 has it, and where a signature has no hash of its own
// (Ed25519), which the RFC leaves open.
func signatureHash(a x509.SignatureAlgorithm) crypto.Hash {
	switch a {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		return crypto.SHA512
	}
	return crypto.SHA256
}
