package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzClientFirst(f *testing.F) {
	for _, s := range []string{"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "p=tls-exporter,a=x@y,n=a=2Cb=3Dc,r=x,g=1", "y,,m=1,n=a,r=b",
		"n,,n=,r=", "n,a=,n=a,r=b", "F,,n=a,r=b", ",,", "n,,n=\xff,r=b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseClientFirst(in)
		if err != nil {
			if condition(t, err) != MalformedRequest {
				t.Fatal(err)
			}
			return
		}
		// What was taken apart is all there is, and gives the message again.
		flag, authzid := string(m.flag), ""
		if m.flag == 'p' {
			flag += "=" + m.kind
		}
		if m.authzid != "" {
			authzid = "a=" + escapeSaslname.Replace(m.authzid)
		}
		if gs2 := flag + "," + authzid + ","; m.gs2 != gs2 || m.gs2+m.bare != string(in) {
			t.Fatalf("%q + %q of %q, header %q", m.gs2, m.bare, in, gs2)
		}
		bare := "n=" + escapeSaslname.Replace(m.username) + ",r=" + m.nonce
		if rest, ok := strings.CutPrefix(m.bare, bare); !ok || rest != "" && rest[0] != ',' || strings.Contains(rest, ",m=") {
			t.Fatalf("%q of %q", bare, m.bare)
		}
		if m.username == "" || m.nonce == "" || !utf8.ValidString(m.username) || strings.ContainsAny(m.nonce, ", \x00") {
			t.Fatalf("name %q, nonce %q", m.username, m.nonce)
		}
	})
}

func FuzzClientFinal(f *testing.F) {
	for _, s := range []string{"c=biws,r=abc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "c=biws,r=abc,x=1,p=AAAA", "c=,r=,p=", "c=biws,r=a,p=A\n",
		"c=biws,r=a,p=AAAA,x=1", "c=biws,r=a,m=1,p=AAAA", ",,,"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseClientFinal(in)
		if err != nil {
			if condition(t, err) != MalformedRequest {
				t.Fatal(err)
			}
			return
		}
		b64 := base64.StdEncoding.EncodeToString
		if m.withoutProof+",p="+b64(m.proof) != string(in) {
			t.Fatalf("%q of %q", m.withoutProof, in)
		}
		want := "c=" + b64(m.binding) + ",r=" + m.nonce
		if rest, ok := strings.CutPrefix(m.withoutProof, want); !ok || rest != "" && rest[0] != ',' {
			t.Fatalf("%q of %q", want, in)
		}
	})
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"\x00user\x00pencil", "a@b\x00a\x00p", "\x00\x00", "", "a\x00b\x00c\x00d", "\x00\xff\x00x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		authzid, authcid, password, err := parsePlain(in)
		if err != nil {
			if condition(t, err) != MalformedRequest {
				t.Fatal(err)
			}
			return
		}
		if authcid == "" || password == "" || authzid+"\x00"+authcid+"\x00"+password != string(in) {
			t.Fatalf("%q, %q, %q of %q", authzid, authcid, password, in)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add((&record{}).encode())
	f.Add((&record{Created: time.Unix(1, 2), Disabled: true, Keys: []credential{
		{"SHA-1", 4096, []byte("salt"), []byte("sealed")}, {"SHA-256", 1, nil, nil}}}).encode())
	f.Add([]byte{1})
	f.Add([]byte{0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := decodeRecord(in)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

// FuzzExchange plays whole exchanges: nobody gets in, nothing panics, and every error is an answer.
func FuzzExchange(f *testing.F) {
	a := newAccounts(f, newStore(f))
	conn := &Conn{Host: testHost, Mechanisms: []string{"PLAIN", "SCRAM-SHA-256"}}
	ms := a.Mechanisms(testHost)
	f.Add(byte(0), []byte("\x00alice\x00x"), []byte(""))
	f.Add(byte(1), []byte("n,,n=alice,r=x"), []byte("c=biws,r=NONCE,p=AAAA"))
	f.Add(byte(2), []byte("p=tls-exporter,,n=alice,r=x"), []byte("c=biws,r=NONCE,p="))
	f.Fuzz(func(t *testing.T, n byte, first, second []byte) {
		x := NewExchange(ms[int(n)%len(ms)], conn)
		if bytes.Contains(first, []byte(testPassword)) || bytes.Contains(second, []byte(testPassword)) {
			t.Skip("knows the password")
		}
		x.nonce = func() string { return "NONCE" }
		_, more, err := x.Step(context.Background(), first)
		if err == nil && more {
			_, more, err = x.Step(context.Background(), second)
		}
		if condition(t, err) == "" || more {
			t.Fatalf("got in, or further: %v, more %v", err, more)
		}
		if c := condition(t, err); c == TemporaryAuthFailure || c == AccountDisabled {
			t.Fatal(c)
		}
	})
}
