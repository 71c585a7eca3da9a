package clientcerts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	der := []byte("some bytes \xff\x00")
	b64 := base64.StdEncoding.EncodeToString(der)
	armour := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, test := range map[string]struct {
		text string
		ok   bool
	}{
		"plain":            {b64, true},
		"white space":      {"\r\n\t " + b64[:5] + "\n   " + b64[5:] + "\n", true},
		"armour":           {armour, true},
		"armour, indented": {"\n    " + strings.ReplaceAll(armour, "\n", "\n    "), true},
		"armour, CRLF":     {strings.ReplaceAll(armour, "\n", "\r\n"), true},
		"two certificates": {armour + armour, false},
		"key first":        {"-----BEGIN PRIVATE KEY-----\n" + b64 + "\n-----END PRIVATE KEY-----\n" + armour, false},
		"armour, cut":      {armour[:len(armour)-10], false},
		"url alphabet":     {strings.ReplaceAll(strings.ReplaceAll(b64, "/", "_"), "+", "-") + "_-", false},
		"no padding":       {strings.TrimRight(b64, "=") + "A", false},
		"other characters": {"!" + b64, false},
		"other spaces":     {b64[:4] + "\u00a0" + b64[4:], false},
	} {
		got, err := decode(test.text)
		if (err == nil) != test.ok || test.ok && !bytes.Equal(got, der) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, n := range []int{maxDER, maxDER + 1} {
		if _, err := decode(base64.StdEncoding.EncodeToString(make([]byte, n))); (err == nil) != (n <= maxDER) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := decode(strings.Repeat(" ", maxText+1)); err != errTooBig {
		t.Error(err)
	}
}

func TestStrong(t *testing.T) {
	rsaKey := func(bits int) *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	for name, test := range map[string]struct {
		leaf *x509.Certificate
		ok   bool
	}{
		"P-256":    {issue(t, spec{}), true},
		"P-521":    {issue(t, spec{key: p521}), true},
		"P-224":    {issue(t, spec{key: p224}), false},
		"Ed25519":  {issue(t, spec{key: ed}), true},
		"RSA 2048": {issue(t, spec{key: rsaKey(2048)}), true},
		"RSA 1024": {issue(t, spec{key: rsaKey(1024)}), false},
		"RSA-PSS": {issue(t, spec{key: rsaKey(2048), change: func(c *x509.Certificate) {
			c.SignatureAlgorithm = x509.SHA384WithRSAPSS
		}}), true},
	} {
		if err := strong(test.leaf); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	leaf := *issue(t, spec{})
	for _, alg := range []x509.SignatureAlgorithm{x509.UnknownSignatureAlgorithm, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA256} {
		leaf.SignatureAlgorithm = alg
		if strong(&leaf) == nil {
			t.Errorf("%v is taken", alg)
		}
	}
}

func TestParseIsExact(t *testing.T) {
	der := issue(t, spec{names: []string{"a@a.test"}}).Raw
	if _, err := parse(der); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]byte{
		"trailing byte": append(bytes.Clone(der), 0), "cut": der[:len(der)-1], "empty": nil, "twice": append(bytes.Clone(der), der...),
		"no certificate": {0x30, 0},
	} {
		if _, err := parse(bad); err == nil || strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCurrent(t *testing.T) {
	leaf := issue(t, spec{from: -time.Hour, to: time.Hour})
	for _, test := range []struct {
		at   time.Time
		want bool
	}{
		{leaf.NotBefore, true}, {leaf.NotBefore.Add(-1), false}, {leaf.NotAfter, true}, {leaf.NotAfter.Add(1), false}, {time.Now(), true},
	} {
		if current(leaf, test.at) != test.want {
			t.Errorf("at %v", test.at)
		}
	}
}

// Certificates for alice@a.test until 2126, made by openssl.
const (
	opensslEC = "MIIBbTCCARKgAwIBAgIURuDvjoh6cMuvAOVyaqiFIJulA+wwCgYIKoZIzj0EAwIwEDEOMAwGA1UEAwwFYWxpY2UwIBcNMjYxMTIzMjMxMTE0Wh" +
		"gPMjEyNjEwMzAyMzExMTRaMBAxDjAMBgNVBAMMBWFsaWNlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKVvMMY7xySpk1U7DPQTy8/GyZ5lR" +
		"rF6XVtzkdwQIpWLyAOIpnct/kX4x2DEoInnBEZh1VaZx5qReV8WCIsxQlqNIMEYwJQYDVR0RBB4wHKAaBggrBgEFBQcIBaAODAxhbGljZUBhLn" +
		"Rlc3QwHQYDVR0OBBYEFLqFjQsBJ7Ce+2dbtzZosfvzJBdoMAoGCCqGSM49BAMCA0kAMEYCIQC4CwR+H4o54N+ndMrva2CCieU/6kXqbztLVjok" +
		"zGeTyQIhAIuTDObHm0E4U7IRb7aQm0mH5V0PpZa+Xvl9qIp8qq9J"
	opensslEd448 = "MIIBdjCB96ADAgECAhRxFuFooIxpvGi4TL/OimpFYrkIQzAFBgMrZXEwEDEOMAwGA1UEAwwFYWxpY2UwIBcNMjYxMTIzMjMxMTE0WhgPMjEyNj" +
		"EwMzAyMzExMTRaMBAxDjAMBgNVBAMMBWFsaWNlMEMwBQYDK2VxAzoAelp+lCKIsJBQeytY/2IeduHqlsU8sih3zjXL8ky04TEccGr1+8djwl4S" +
		"Ng6a51dEIoTT3zgAjFWAo0gwRjAlBgNVHREEHjAcoBoGCCsGAQUFBwgFoA4MDGFsaWNlQGEudGVzdDAdBgNVHQ4EFgQUb92KnQq37M54+Uf5TR" +
		"zsPwUpxFMwBQYDK2VxA3MASf5b9WaJiHIfqjaF64EFjL/IeHaaMy0TG7sbwXJiexe7OeAUze8l7iW7Z4eJgk+25gOHBPwH07iAvQZZLP+2MByP" +
		"NuuCOqjrLjZRcSdgx5McMNpG7ifcvppP/WDB0EZVXkZK3bOOXZh4h0gEXLKx8AMA"
)

// The extension as openssl writes it is read, and an unknown kind of key refused.
func TestOpenSSL(t *testing.T) {
	m := &module{cfg: Config{RequireXMPPAddr: true}}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if c, err := m.vet(alice, opensslEC, at); err != nil || c.id() == "" {
		t.Error(err)
	}
	if _, err := m.vet(alice, opensslEd448, at); err == nil || !strings.Contains(err.Error(), "its key is not") {
		t.Error(err)
	}
	if _, err := m.vet(alice, opensslEC, at.AddDate(100, 0, 0)); err == nil || err.Error() != "it has expired" {
		t.Error(err)
	}
}

// FuzzCertificate: whatever a client uploads, it is taken or refused with a reason that does not quote it.
func FuzzCertificate(f *testing.F) {
	f.Add(opensslEC)
	f.Add(opensslEd448)
	f.Add("-----BEGIN CERTIFICATE-----\n" + opensslEC + "\n-----END CERTIFICATE-----\n")
	f.Add("MIIB")
	f.Add("")
	m := &module{cfg: Config{RequireXMPPAddr: true}}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := m.vet(alice, text, now)
		if err != nil {
			if c != nil || len(err.Error()) > 120 {
				t.Fatalf("%v, %v", c, err)
			}
			return
		}
		again, err := m.vet(alice, base64.StdEncoding.EncodeToString(c.DER), now)
		if err != nil || again.print != c.print || len(c.DER) > maxDER || c.Expires.Before(now) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
