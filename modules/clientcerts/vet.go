package clientcerts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The limits on a certificate that a user uploads.
const (
	maxDER  = 8 << 10
	maxText = 4*maxDER/3 + 2<<10 // of base64 with line breaks and armour
	minRSA  = 2048
	maxRSA  = 8192 // beyond it the handshake fails
)

// decode reads what stands in <x509cert/>: base64 of DER (XEP-0257 §2.1).
//
// COMPAT: white space anywhere and PEM armour around are passed over; clients send what openssl wrote.
func decode(text string) ([]byte, error) {
	if len(text) > maxText {
		return nil, errTooBig
	}
	text = strings.TrimSpace(text)
	if rest, armoured := strings.CutPrefix(text, "-----BEGIN CERTIFICATE-----"); armoured {
		body, behind, ok := strings.Cut(rest, "-----END CERTIFICATE-----")
		if !ok || strings.TrimSpace(behind) != "" {
			return nil, errors.New("it is not one certificate")
		}
		text = body
	}
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	der, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, errors.New("it is not base64")
	case len(der) > maxDER:
		return nil, errTooBig
	}
	return der, nil
}

var errTooBig = fmt.Errorf("it has more than %d bytes", maxDER)

// parse reads the DER of one certificate. What package x509 says is not told: it may quote.
func parse(der []byte) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil || !bytes.Equal(leaf.Raw, der) {
		return nil, errors.New("it is not one certificate in DER")
	}
	return leaf, nil
}

// strong refuses keys that can be broken or that no handshake takes, and signatures that can be forged. The signature of a
// certificate that is known by its fingerprint plays no part in a login; it shows how the certificate was made.
func strong(leaf *x509.Certificate) error {
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("its RSA key has %d bits: between %d and %d are taken", n, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return errors.New("its curve is not P-256, P-384 or P-521")
		}
	case ed25519.PublicKey:
	default:
		return errors.New("its key is not RSA, ECDSA or Ed25519")
	}
	switch leaf.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return nil
	}
	return errors.New("it is not signed with SHA-256, SHA-384, SHA-512 or Ed25519")
}

// current tells whether a certificate is valid at a time.
func current(leaf *x509.Certificate, now time.Time) bool {
	return !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter)
}
