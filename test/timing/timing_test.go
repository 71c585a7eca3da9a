package timing

import (
	"bytes"
	"crypto/hmac"
	"math"
	"math/rand/v2"
	"testing"
)

// The arithmetic, on numbers that are no times: two classes that are alike, and two that are apart by a tenth of what they
// scatter.
func TestWelch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for shift, apart := range map[float64]bool{0: false, 10: true} {
		var all []sample
		for range 20_000 {
			class := rnd.IntN(2)
			all = append(all, sample{class, 1000 + rnd.NormFloat64()*100 + float64(class)*shift})
		}
		if r := result(all); r.T > Limit != apart {
			t.Errorf("classes %v apart: |t| is %.2f", shift, r.T)
		}
	}
	// R: t.test(c(1,2,3,4,5), c(2,4,6,8,10)) says t = -1.8974.
	var a, b welford
	for i := range 5 {
		a.add(float64(i + 1))
		b.add(float64(2*i + 2))
	}
	if got := welch(a, b); math.Abs(got+1.8974) > 0.0001 {
		t.Errorf("t is %v", got)
	}
	if welch(welford{}, a) != 0 || welch(welford{n: 3}, welford{n: 3}) != 0 {
		t.Error("t of nothing")
	}
}

// hasty compares as nobody should.
func hasty(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestControl: what is not constant in time is seen, and what is, is not.
func TestControl(t *testing.T) {
	n := Samples(t)
	secret := bytes.Repeat([]byte{7}, 32)
	guess := make([]byte, 32)
	prepare := func(class int) { // the first byte is wrong, or the last one
		copy(guess, secret)
		guess[31*class]++
	}
	try := func(equal func(a, b []byte) bool) func() {
		return func() {
			for range 20 { // the clock is coarse
				equal(secret, guess)
			}
		}
	}
	if r := Compare(n, prepare, try(hasty)); r.T < 10*Limit {
		t.Errorf("the comparison that stops at the first difference: |t| is %.2f only", r.T)
	} else {
		t.Logf("a comparison that stops at the first difference: |t| = %.0f", r.T)
	}
	Check(t, "hmac.Equal: first or last byte", prepare, try(hmac.Equal))
}
