package fast

import (
	"crypto/hmac"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/timing"
)

// TestTiming: K12, what a login takes for guesses of two kinds; see the package timing.
func TestTiming(t *testing.T) {
	timing.Samples(t)
	h, m := newModule(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	right := initiator(token, nil)
	guess := make([]byte, len(right))
	r := request{local: "alice", client: "c", mech: none, knows: func(token string) bool { return hmac.Equal(initiator(token, nil), guess) }}
	now := time.Now()
	login := func() {
		if _, _, err := m.login(t.Context(), r, now); err != errWrong {
			t.Fatal(err)
		}
	}
	timing.Check(t, "HT: hash wrong in its first or last byte", func(class int) {
		copy(guess, right)
		guess[31*class]++
	}, login)
	timing.Report(t, "HT: client there or not", func(class int) { r.client = [2]string{"c", "d"}[class] }, login)
	timing.Report(t, "HT: account there or not", func(class int) { r.client, r.local = "d", [2]string{"alice", "nobod"}[class] }, login)
}
