package fast

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The examples of both sides' proofs, computed by an implementation of its own.
func TestVectors(t *testing.T) {
	const token = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"
	counting := make([]byte, 32)
	for i := range counting {
		counting[i] = byte(0x20 + i)
	}
	der := sha256.Sum256([]byte("xmppd test certificate DER bytes"))
	for _, v := range []struct {
		name             string
		binding          []byte
		i, r             string
		initial, success string
	}{
		{"NONE", nil, "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed",
			"4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62",
			"dXNlcgCQl3h0YaGE4PqE7ADBOBGQtsTRao7ERTx7KsXn/Pk17Q==", "TlE0CWMUdIY7mGyfPoweJ8op0derntQJfnr9YAe/nGI="},
		{"UNIQ", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "a5e8b4e6d44b1aa65b774707ad98fbc31a277a0925353ff239b4be1b732bc571",
			"e8457e8886672aad0dcf612546816e1b3c9cb50810b3324880ad93c1cc88065e",
			"dXNlcgCl6LTm1Esaplt3RwetmPvDGid6CSU1P/I5tL4bcyvFcQ==", "6EV+iIZnKq0Nz2ElRoFuGzyctQgQszJIgK2TwcyIBl4="},
		{"EXPR", counting, "e338438fed9b2c2e86499e71495ae74eca5205786d45968d0e94b018c3a1552f",
			"6e98933c68b7029a6bc376f5c7023c8eb11567e02caa9a7b4c7d3f705e2befd7",
			"dXNlcgDjOEOP7ZssLoZJnnFJWudOylIFeG1Flo0OlLAYw6FVLw==", "bpiTPGi3Apprw3b1xwI8jrEVZ+Asqpp7TH0/cF4r79c="},
		{"ENDP", der[:], "e637d3f835a5a5f522f8f88c4046f1e4d88b1cf26b5ea3b9d569e11aaf076109",
			"68d3ae7b63e8dce4e6202c274ddc8a5eb3ae1639508d731ec80d658c73fb1f4b",
			"dXNlcgDmN9P4NaWl9SL4+IxARvHk2Isc8mteo7nVaeEarwdhCQ==", ""},
	} {
		i, r := initiator(token, v.binding), responder(token, v.binding)
		if hex.EncodeToString(i) != v.i || hex.EncodeToString(r) != v.r {
			t.Errorf("%s: %x %x", v.name, i, r)
		}
		message, err := base64.StdEncoding.DecodeString(v.initial)
		if err != nil {
			t.Fatal(err)
		}
		user, mac, err := parseMessage(message)
		if err != nil || user != "user" || !bytes.Equal(mac, i) {
			t.Errorf("%s: %q %x %v", v.name, user, mac, err)
		}
		if v.success != "" && base64.StdEncoding.EncodeToString(r) != v.success {
			t.Errorf("%s: success data %s", v.name, base64.StdEncoding.EncodeToString(r))
		}
	}
}

func TestParseMessage(t *testing.T) {
	mac := strings.Repeat("m", 32)
	for in, ok := range map[string]bool{
		"u\x00" + mac: true, "u@a.test\x00" + mac: true, "u\x00" + mac[1:]: false, "u\x00" + mac + "x": false,
		"\x00" + mac: false, "u" + mac: false, "": false, "\x00": false, "\xff\x00" + mac: false,
		"u\x00" + mac[1:] + "\x00": true, "z\x00u\x00" + mac: false,
	} {
		if _, _, err := parseMessage([]byte(in)); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzMessage: whatever comes, it is refused or a login of exactly this account.
func FuzzMessage(f *testing.F) {
	h := newHost(f)
	d := newDevice(f, h, "c")
	token := d.password("alice", none)
	right := append([]byte("alice\x00"), initiator(token, nil)...)
	f.Add(right, "")
	f.Add([]byte("alice"), "1")
	f.Add([]byte("\x00\x00"), "-1")
	f.Add(append([]byte("Alice@a.test\x00"), make([]byte, 32)...), "x")
	m := h.Table().Mechanisms
	f.Fuzz(func(t *testing.T, in []byte, count string) {
		e := &stanza.Element{NS: "urn:xmpp:sasl:2", Name: "authenticate", Children: []*stanza.Element{
			{NS: ns, Name: "fast", Attrs: []stanza.Attr{{Name: "count", Value: count}}}}}
		l := &modules.Login{Conn: &d.conn, Request: e, Agent: modules.UserAgent{Client: "c"}}
		for i := range m {
			if !m[i].Offer(&d.conn) {
				continue
			}
			x := auth.NewExchange(m[i], &d.conn)
			_, more, err := x.Step(modules.WithLogin(context.Background(), l), in)
			if more {
				t.Fatal("more")
			}
			if err == nil && (x.Identity().JID != stanza.MustJID("alice@a.test") || !bytes.HasSuffix(in, right[6:])) {
				t.Fatalf("%q got in", in)
			}
		}
	})
}
