package authtoken

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/test/timing"
)

// TestTiming: K12, what it takes to check tokens that are wrong in two ways; see the package timing.
func TestTiming(t *testing.T) {
	timing.Samples(t)
	key := []byte(vectorKey)
	alice := stanza.MustJID("alice@a.test")
	l, err := open((&token{kind: access, account: alice, expiry: 1}).sign(key))
	if err != nil || !l.signed([][]byte{key}) {
		t.Fatal(err)
	}
	right := append([]byte{}, l.mac...)
	timing.Check(t, "X-OAUTH: MAC wrong in its first or last byte", func(class int) {
		copy(l.mac, right)
		l.mac[47*class]++
	}, func() {
		if l.signed([][]byte{key}) {
			t.Fatal("let in")
		}
	})

	w := xhost(t, "a.test", vectorTime, "")
	otp := otpAt(w.wall(), 0)
	s, ok := w.m.xtoken.parse([]byte(slipOf(secretText, otp, nonce(1), "alice@a.test")))
	if !ok {
		t.Fatal("no token")
	}
	verify := func() {
		if _, err := w.m.xtoken.verify(s, alice, w.wall()); err == nil {
			t.Fatal("let in")
		}
	}
	right = append([]byte{}, s.signature...)
	timing.Check(t, "X-TOKEN: signature wrong in its first or last byte", func(class int) {
		copy(s.signature, right)
		s.signature[31*class]++
	}, verify)
	timing.Check(t, "X-TOKEN: password wrong in its first or last digit", func(class int) {
		digits := []byte(otp)
		digits[7*class] ^= 1
		s.otp = string(digits)
	}, verify)
}
