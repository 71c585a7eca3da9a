package authtoken

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// FuzzToken: no message makes the reader fall over; what has a right MAC and is read is written again as it was.
func FuzzToken(f *testing.F) {
	for _, v := range vectors {
		v.account, v.expiry = stanza.MustJID("alice@localhost"), 63934444800
		f.Add(v.sign([]byte(vectorKey)))
	}
	f.Add(sealed(vectorKey, "access\x00alice@localhost/x\x000"))
	f.Add(sealed(vectorKey, "provision\x00alice@localhost\x001\x00<vCard xmlns='vcard-temp'><a><![CDATA[x]]>&amp;</a></vCard>"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		// As it is, and as a body that is signed: what is behind the MAC is to be read too.
		for _, raw := range [][]byte{raw, sealed(vectorKey, string(raw))} {
			l, err := open(raw)
			if err != nil {
				continue
			}
			account, ok := l.account("localhost")
			if ok && (account.Local() == "" || account.Domain() != "localhost" || !account.IsBare()) {
				t.Errorf("%q is of %v", raw, account)
			}
			if !l.signed([][]byte{[]byte(vectorKey)}) {
				continue
			}
			got, err := l.read("localhost")
			if err != nil {
				continue
			}
			if !ok || got.account != account {
				t.Errorf("%q is of %v, then of %v", raw, account, got.account)
			}
			if again := got.sign([]byte(vectorKey)); !bytes.Equal(again, raw) && bytes.Equal(l.fields[1], []byte(account.String())) {
				t.Errorf("%q is written %q", raw, again)
			}
		}
	})
}

// FuzzXToken: a token has one spelling.
func FuzzXToken(f *testing.F) {
	f.Add([]byte("8095230900000000000000000000000000000001 N6QVoygOyGmO1lR78zk09yEKi00/QxxroQWtNda4YIo="), 32)
	f.Add([]byte("8095230912345678 N6QVoygOyGmO1lR78zk09yEKi00/QxxroQWtNda4YIo="), 8)
	f.Add([]byte(" "), 8)
	f.Add([]byte(""), 64)
	f.Fuzz(func(t *testing.T, raw []byte, nonce int) {
		if nonce < minNonce || nonce > maxNonce {
			return
		}
		x := &xtoken{nonce: nonce}
		s, ok := x.parse(raw)
		if !ok {
			return
		}
		if len(s.otp) != 8 || len(s.nonce) != nonce || len(s.signature) != 32 {
			t.Errorf("%q: %+v", raw, s)
		}
		if again := s.otp + s.nonce + " " + base64.StdEncoding.EncodeToString(s.signature); again != string(raw) {
			t.Errorf("%q is written %q", raw, again)
		}
	})
}

// FuzzRecord: what lies in the database may be damaged.
func FuzzRecord(f *testing.F) {
	f.Add((&record{Generation: 1}).encode())
	f.Add((&record{Generation: 7, Parents: []string{"certificate:a", "b"}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(r.encode())
		if err != nil || again.Generation != r.Generation || len(again.Parents) != len(r.Parents) {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
