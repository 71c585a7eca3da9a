package authtoken

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

const vectorCard = `<vCard xmlns="vcard-temp"><FN>Alice</FN></vCard>`

// vectors are tokens that other software made of the format.
var vectors = []struct {
	name, key, mac, base64 string
	token
}{
	{name: "access", key: vectorKey, token: token{kind: access},
		mac: "d1988a77974e96a0989ace476db798d0b49e63b3690c7ddd97596c2f7bd498d2cd49907a6c2ae6f6b6a29c96b3049efa"},
	{name: "refresh", key: vectorKey, token: token{kind: refresh, sequence: 4},
		mac:    "5818641e8c1d61855bf362b15437d2bc56109043f68098abe8a8dcf7c10ece3c26bac5ba28d02e0d5450cbe5f014aed6",
		base64: "cmVmcmVzaABhbGljZUBsb2NhbGhvc3QANjM5MzQ0NDQ4MDAANAA1ODE4NjQxZThjMWQ2MTg1NWJmMzYyYjE1NDM3ZDJiYzU2MTA5MDQzZjY4MDk4YWJlOGE4ZGNmN2MxMGVjZTNjMjZiYWM1YmEyOGQwMmUwZDU0NTBjYmU1ZjAxNGFlZDY="},
	{name: "provision", key: vectorProvision, token: token{kind: provision, vcard: []byte(vectorCard)},
		mac: "c8d392e337d1b4d5ff0cf3898fe67d73427e4a15a80410968f1d331b110b6960120d22e87ce86cb58787f162650f4322"},
}

// TestVectors signs and reads them.
func TestVectors(t *testing.T) {
	if got := date(time.Unix(vectorTime, 0)); got != 63934444800 {
		t.Errorf("the vectors' date is %d", got)
	}
	if got := date(time.Date(2055, 10, 27, 10, 54, 14, 0, time.UTC)); got != 64875466454 {
		t.Errorf("the date in MongooseIM's documentation is %d", got)
	}
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			v.account, v.expiry = stanza.MustJID("alice@localhost"), 63934444800
			raw := v.sign([]byte(v.key))
			if !strings.HasSuffix(string(raw), "\x00"+v.mac) || !strings.HasPrefix(string(raw), v.name+"\x00alice@localhost\x0063934444800\x00") {
				t.Errorf("signed %q", raw)
			}
			if b64 := base64.StdEncoding.EncodeToString(raw); v.base64 != "" && b64 != v.base64 {
				t.Errorf("in base64 %s", b64)
			}
			l, err := open(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, keys := range [][][]byte{{[]byte(v.key)}, {[]byte("other"), []byte(v.key)}, {[]byte(v.key), []byte("other")}} {
				if !l.signed(keys) {
					t.Errorf("not signed by %q", keys)
				}
			}
			if l.signed([][]byte{[]byte("other")}) || l.signed(nil) {
				t.Error("signed by another key")
			}
			got, err := l.read("localhost")
			if err != nil || got.kind != v.kind || got.account != v.account || got.expiry != v.expiry || got.sequence != v.sequence || string(got.vcard) != string(v.vcard) {
				t.Errorf("read %+v, %v", got, err)
			}
		})
	}
}

// TestVectorsLogIn: they do, until they end.
func TestVectorsLogIn(t *testing.T) {
	w := newWorld(t, "localhost", "")
	w.User("alice")
	for _, v := range vectors {
		v.account, v.expiry = stanza.MustJID("alice@localhost"), 63934444800
		raw := v.sign([]byte(v.key))
		if v.kind == refresh {
			w.fails(raw, auth.NotAuthorized, errRevoked) // none of ours
			continue
		}
		if id, out := w.oauth(raw, ""); id.JID != v.account || out != nil || id.Mechanism != "X-OAUTH" || id.Made {
			t.Errorf("%s: %+v, %q", v.name, id, out)
		}
	}
	w.pass(time.Hour - time.Second)
	w.oauth(signed(access, "alice@localhost", 63934444800, 0, ""), "")
	w.pass(time.Second) // valid as long as now < expiry
	w.fails(signed(access, "alice@localhost", 63934444800, 0, ""), auth.CredentialsExpired, errExpired)
}

// TestSyntax: what is no token, before any key is looked at.
func TestSyntax(t *testing.T) {
	good := string(signed(access, "alice@localhost", 63934444800, 0, ""))
	mac := good[strings.LastIndexByte(good, 0)+1:]
	for name, raw := range map[string]string{
		"empty":              "",
		"no NUL":             "access",
		"NULs only":          strings.Repeat("\x00", 200),
		"only a MAC":         "\x00" + mac,
		"short MAC":          good[:len(good)-1],
		"long MAC":           good + "0",
		"K25 upper case":     strings.Replace(good, mac, strings.ToUpper(mac), 1),
		"not hex":            good[:len(good)-1] + "g",
		"line feed":          good + "\n",
		"other type":         "session" + strings.TrimPrefix(good, "access"),
		"K25 type":           "Access" + strings.TrimPrefix(good, "access"),
		"missing part":       "access\x00alice@localhost\x00" + mac,
		"part too many":      "access\x00alice@localhost\x001\x002\x00" + mac,
		"refresh as access":  "refresh\x00alice@localhost\x001\x00" + mac,
		"NUL in the vCard":   "provision\x00alice@localhost\x001\x00<vCard\x00/>\x00" + mac,
		"base64 of the real": base64.StdEncoding.EncodeToString([]byte(good)),
	} {
		if l, err := open([]byte(raw)); err != errSyntax {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

// TestSpelling: a right MAC does not make a wrong spelling right. Whoever signs writes things as they are, or is told no.
func TestSpelling(t *testing.T) {
	w := newWorld(t, "localhost", "")
	w.User("alice")
	for name, tc := range map[string]struct {
		body string
		why  error
	}{
		"as it is":           {"access\x00alice@localhost\x0063934444800", nil},
		"full JID":           {"access\x00alice@localhost/phone\x0063934444800", nil},
		"K25 case of JID":    {"access\x00ALICE@localhost\x0063934444800", errHost},
		"K25 case of host":   {"access\x00alice@LOCALHOST\x0063934444800", errHost},
		"host with dot":      {"access\x00alice@localhost.\x0063934444800", errHost},
		"K26 other host":     {"access\x00alice@b.test\x0063934444800", errHost},
		"a host":             {"access\x00localhost\x0063934444800", errHost},
		"no JID":             {"access\x00@\x0063934444800", errHost},
		"empty JID":          {"access\x00\x0063934444800", errHost},
		"nobody":             {"access\x00nobody@localhost\x0063934444800", errNobody},
		"K25 plus":           {"access\x00alice@localhost\x00+63934444800", errSyntax},
		"K25 zero in front":  {"access\x00alice@localhost\x00063934444800", errSyntax},
		"K25 blank":          {"access\x00alice@localhost\x00 63934444800", errSyntax},
		"negative":           {"access\x00alice@localhost\x00-1", errSyntax},
		"empty":              {"access\x00alice@localhost\x00", errSyntax},
		"hex":                {"access\x00alice@localhost\x000xEE2C0F9C0", errSyntax},
		"Arabic digits":      {"access\x00alice@localhost\x00٦٣٩٣٤٤٤٤٨٠٠", errSyntax},
		"beyond 63 bits":     {"access\x00alice@localhost\x009223372036854775808", errSyntax},
		"largest":            {"access\x00alice@localhost\x009223372036854775807", nil},
		"sequence with plus": {"refresh\x00alice@localhost\x0063934444800\x00+4", errSyntax},
		"sequence missing":   {"refresh\x00alice@localhost\x0063934444800\x00", errSyntax},
		"long ago":           {"access\x00alice@localhost\x001", errExpired},
	} {
		t.Run(name, func(t *testing.T) {
			raw := sealed(vectorKey, tc.body)
			switch {
			case tc.why == nil:
				w.oauth(raw, "")
			case tc.why == errExpired:
				w.fails(raw, auth.CredentialsExpired, tc.why)
			default:
				w.fails(raw, auth.NotAuthorized, tc.why)
			}
		})
	}
	// Without the MAC nobody hears that a token would have expired, or that there is no such account.
	w.fails(sealed("guessed", "access\x00alice@localhost\x000"), auth.NotAuthorized, errMAC)
	w.fails(sealed("guessed", "access\x00nobody@localhost\x0063934444800"), auth.NotAuthorized, errMAC)
}

// TestBitFlips is K24: each bit of each kind of token.
func TestBitFlips(t *testing.T) {
	w := newWorld(t, "localhost", "provision_creates_account = true\n")
	alice := w.Session("alice@localhost/x")
	short, long := w.tokens(alice)
	tokens := map[string][]byte{access: short, refresh: long, provision: signed(provision, "alice@localhost", 63934444800, 0, vectorCard)}
	for kind, raw := range tokens {
		w.oauth(raw, "")
		for i := range raw {
			for bit := range 8 {
				raw[i] ^= 1 << bit
				if id, _, condition, _ := w.try("X-OAUTH", raw); condition != auth.NotAuthorized {
					t.Errorf("K24 %s with bit %d of byte %d changed: %q, %v", kind, bit, i, condition, id.JID)
				}
				raw[i] ^= 1 << bit
			}
		}
		w.oauth(raw, "")
		for i := range raw {
			if _, _, condition, _ := w.try("X-OAUTH", raw[:i]); condition != auth.NotAuthorized {
				t.Errorf("K24 %s cut after %d bytes: %q", kind, i, condition)
			}
		}
	}
	// No kind passes for another, even where an admin has given both the same key.
	w.keys.keys[keyProvision] = w.keys.keys[keyTokens]
	body := strings.TrimPrefix(string(short[:len(short)-97]), access)
	macs := hex.EncodeToString(mac([]byte(vectorKey), short[:len(short)-97]))
	for _, kind := range []string{refresh, provision} {
		w.fails([]byte(kind+body+"\x00"+macs), auth.NotAuthorized, errSyntax)
		w.fails([]byte(kind+body+"\x00"+vectorCard+"\x00"+macs), auth.NotAuthorized, errMAC)
	}
}

func TestVCards(t *testing.T) {
	deep := func(n int) string {
		return "<vCard xmlns='vcard-temp'>" + strings.Repeat("<a>", n) + strings.Repeat("</a>", n) + "</vCard>"
	}
	for text, want := range map[string]bool{
		vectorCard:                                 true,
		"<vCard xmlns='vcard-temp'/>":              true,
		"<v:vCard xmlns:v='vcard-temp'></v:vCard>": true,
		deep(7):                           true,
		deep(8):                           false,
		deep(3000):                        false,
		"":                                false,
		"Alice":                           false,
		"<vCard/>":                        false,
		"<vCard xmlns='jabber:client'/>":  false,
		"<vcard xmlns='vcard-temp'/>":     false,
		"<vCard xmlns='vcard-temp'>":      false,
		"<vCard xmlns='vcard-temp'/><x/>": false,
		"<!DOCTYPE v [<!ENTITY a 'b'>]><vCard xmlns='vcard-temp'>&a;</vCard>": false,
		"<?xml version='1.0'?><vCard xmlns='vcard-temp'/>":                    false,
		"<vCard xmlns='vcard-temp'><!-- x --></vCard>":                        false,
		"<vCard xmlns='vcard-temp'>\xff</vCard>":                              false,
	} {
		if got := isVCard([]byte(text)); got != want {
			t.Errorf("%.80s: %v", text, got)
		}
	}
}
