package stream

import (
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dhPEM writes parameters as PEM.
func dhPEM(t *testing.T, values ...any) []byte {
	t.Helper()
	var der []byte
	for _, v := range values {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		der = append(der, b...)
	}
	seq, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSequence, IsCompound: true, Bytes: der})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: dhPEMType, Bytes: seq})
}

func TestDHParam(t *testing.T) {
	good, err := os.ReadFile("testdata/dh2048.pem") // RFC 3526 §3
	if err != nil {
		t.Fatal(err)
	}
	var params struct{ P, G *big.Int }
	block, _ := pem.Decode(good)
	if _, err := asn1.Unmarshal(block.Bytes, &params); err != nil {
		t.Fatal(err)
	}
	p, two := params.P, big.NewInt(2)
	less := func(n int64) *big.Int { return new(big.Int).Sub(p, big.NewInt(n)) }
	prime, err := rand.Prime(rand.Reader, 2048) // safe once in a thousand
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string // empty: good
	}{
		{"good", good, ""},
		{"with text before", append([]byte("# made by hand\n"), good...), ""},
		{"with length", dhPEM(t, p, two, 225), ""},
		{"empty", nil, "no PEM block"},
		{"certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}), `PEM block "CERTIFICATE"`},
		{"x9.42", pem.EncodeToMemory(&pem.Block{Type: dhPEMType2, Bytes: block.Bytes}), "X9.42"},
		{"cut", pem.EncodeToMemory(&pem.Block{Type: dhPEMType, Bytes: block.Bytes[:100]}), "not Diffie-Hellman"},
		{"trailing", pem.EncodeToMemory(&pem.Block{Type: dhPEMType, Bytes: append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)}), "not Diffie-Hellman"},
		{"one number", dhPEM(t, p), "not Diffie-Hellman"},
		{"negative", dhPEM(t, new(big.Int).Neg(p), two), "not positive"},
		{"zero", dhPEM(t, big.NewInt(0), two), "not positive"},
		{"even", dhPEM(t, less(1), two), "not a prime"},
		{"composite", dhPEM(t, less(2), two), "not a prime"},
		{"not safe", dhPEM(t, prime, two), "not safe"},
		{"huge", dhPEM(t, new(big.Int).Lsh(p, 10000), two), "more than 8192"},
		{"generator 0", dhPEM(t, p, big.NewInt(0)), "generator"},
		{"generator 1", dhPEM(t, p, big.NewInt(1)), "generator"},
		{"generator p-1", dhPEM(t, p, less(1)), "generator"},
		{"generator p-2", dhPEM(t, p, less(2)), ""},
		{"generator beyond", dhPEM(t, p, new(big.Int).Add(p, two)), "generator"},
	} {
		bits, err := ParseDHParam(tt.data)
		if tt.want == "" && (err != nil || bits != 2048) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %d, %v, want %q", tt.name, bits, err, tt.want)
		}
	}
}

func TestDHParamFile(t *testing.T) {
	if err := CheckDHParam("testdata/dh2048.pem"); err != nil {
		t.Error(err)
	}
	if err := CheckDHParam("testdata/dh1536.pem"); err == nil ||
		err.Error() != "testdata/dh1536.pem: the prime has 1536 bits, must have 2048 or more" {
		t.Error(err)
	}
	if err := CheckDHParam(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there passes")
	}
	if err := CheckDHParam(t.TempDir()); err == nil {
		t.Error("a directory passes")
	}
}

func FuzzDHParam(f *testing.F) {
	for _, name := range []string{"testdata/dh1536.pem"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bits, err := ParseDHParam(data); err == nil && bits < minDHBits {
			t.Error(bits)
		}
	})
}
