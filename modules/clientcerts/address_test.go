package clientcerts

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xmppd/xmppd/stanza"
)

// vector is the subjectAltName that OpenSSL writes for hamlet@shakespeare.lit.
const vector = "3026a02406082b06010505070805a0180c1668616d6c6574407368616b657370656172652e6c6974"

func TestParseAltName(t *testing.T) {
	build := func(fn func(b *cryptobyte.Builder)) string {
		var b cryptobyte.Builder
		b.AddASN1(cryptoasn1.SEQUENCE, fn)
		return hex.EncodeToString(b.BytesOrPanic())
	}
	other := func(tag cryptoasn1.Tag, text string) string {
		return build(func(b *cryptobyte.Builder) { addOther(b, tag, text) })
	}
	many := func(n int) string {
		return build(func(b *cryptobyte.Builder) {
			for range n {
				b.AddASN1(cryptoasn1.Tag(2).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte("a.test")) })
			}
		})
	}
	long := strings.Repeat("a", 1000)
	tests := []struct {
		name, der, want string
		err             error
	}{
		{"the vector", vector, "hamlet@shakespeare.lit", nil},
		{"what this test writes is the vector", hex.EncodeToString(altName("hamlet@shakespeare.lit")), "hamlet@shakespeare.lit", nil},
		{"two, one of them twice and to be prepared", hex.EncodeToString(altName("a@B.test/X", "b@b.test", "B@b.test")), "a@b.test/X b@b.test", nil},
		{"IA5String", other(cryptoasn1.IA5String, "a@b.test"), "a@b.test", nil},
		{"IA5String that is none", other(cryptoasn1.IA5String, "ä@b.test"), "", errAddress},
		{"UTF8String", other(cryptoasn1.UTF8String, "ä@b.test"), "ä@b.test", nil},
		{"UTF8String that is none", other(cryptoasn1.UTF8String, "\xff@b.test"), "", errAddress},
		{"BMPString", other(cryptoasn1.Tag(30), "a@b.test"), "", errAddress},
		{"no address", other(cryptoasn1.UTF8String, "@"), "", errAddress},
		{"a zero byte", other(cryptoasn1.UTF8String, "alice@a.test\x00.evil.test"), "", errAddress},
		{"empty", other(cryptoasn1.UTF8String, ""), "", errAddress},
		{"long", other(cryptoasn1.UTF8String, long+"@"+strings.Repeat("a.", 400)+"b/"+long+long), "", errAddress},
		{"other names", many(maxNames), "", nil},
		{"too many names", many(maxNames + 1), "", errNames},
		{"another otherName", "3013a01106082b06010505070804a0050c03612e62", "", nil},
		{"nothing in it", "3000", "", nil},
		{"nothing", "", "", errAltName},
		{"not a sequence", "0c0161", "", errAltName},
		{"trailing bytes", vector + "00", "", errAltName},
		{"cut", vector[:len(vector)-2], "", errAltName},
		{"indefinite length", "3080" + vector[4:] + "0000", "", errAltName},
		{"a length in more bytes than needed", "308126" + vector[4:], "", errAltName},
		{"otherName with nothing behind the identifier", "300ca00a06082b06010505070805", "", errAltName},
		{"otherName with two values", "3015a01306082b06010505070805a0070c01610c0161", "", errAltName},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			der, err := hex.DecodeString(test.der)
			if err != nil {
				t.Fatal(err)
			}
			list, err := parseAltName(der)
			var got []string
			for _, j := range list {
				got = append(got, j.String())
			}
			if strings.Join(got, " ") != test.want || err != test.err {
				t.Errorf("got %q, %v; want %q, %v", got, err, test.want, test.err)
			}
		})
	}
}

// A critical subjectAltName is read like any other.
func TestAddressesOfCertificate(t *testing.T) {
	for _, critical := range []bool{false, true} {
		leaf := issue(t, spec{names: []string{"hamlet@shakespeare.lit"}, critical: critical})
		got, err := addresses(leaf)
		if err != nil || !slices.Equal(got, []stanza.JID{stanza.MustJID("hamlet@shakespeare.lit")}) {
			t.Errorf("critical %v: %v, %v", critical, got, err)
		}
	}
	if got, err := addresses(issue(t, spec{})); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzAltName: whatever the DER, what comes out are prepared addresses that stand in it, and a second reading agrees.
func FuzzAltName(f *testing.F) {
	v, _ := hex.DecodeString(vector)
	f.Add(v)
	f.Add(altName("a@b.test/r", "ä@b.test", "b.test"))
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		list, err := parseAltName(der)
		if err != nil && list != nil || len(list) > maxNames {
			t.Fatalf("%v with %v", list, err)
		}
		for _, j := range list {
			if j.IsZero() {
				t.Fatal("an address that is none")
			}
			if again, err := stanza.ParseJID(j.String()); err != nil || again != j {
				t.Fatalf("%q is not prepared: %v", j, err)
			}
		}
		if err == nil {
			texts := make([]string, len(list))
			for i, j := range list {
				texts[i] = j.String()
			}
			if again, err := parseAltName(altName(texts...)); err != nil || !slices.Equal(again, list) {
				t.Fatalf("%v, written again: %v, %v", list, again, err)
			}
		}
		if !bytes.HasPrefix(der, []byte{0x30}) && err == nil {
			t.Fatal("no sequence, and no mistake")
		}
	})
}
