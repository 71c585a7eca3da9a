// Package timing looks for what the time of a computation tells of a secret: it measures two classes of input in a random order
// and compares them by Welch's t-test, as dudect does (O. Reparaz, J. Balasch, I. Verbauwhede, "Dude, is my code constant
// time?", 2016). It is a tool for people: what it says depends on the machine and on what else that does, so the tests that use it
// only run where XMPPD_TIMING says how many measurements of each class to make.
package timing

import (
	"cmp"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Env is the variable of the environment that has the number of measurements.
const Env = "XMPPD_TIMING"

// Limit is the |t| above which two classes are taken for different.
const Limit = 4.5

// Samples returns how many measurements are wanted; without any it skips the test.
func Samples(t *testing.T) int {
	t.Helper()
	text := os.Getenv(Env)
	if text == "" {
		t.Skipf("measures time, which is for people to look at: run it with %s=200000", Env)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatalf("%s is %q, wanted a number of 1000 at least", Env, text)
	}
	return n
}

// Result is what came of a comparison.
type Result struct {
	T      float64          // the largest |t|, over all and without the slowest ones
	Median [2]time.Duration // of each class
}

// Compare measures run after prepare has put in place what is of class 0 or 1, in the same memory for both: addresses take
// their time, too.
func Compare(n int, prepare func(class int), run func()) Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // rare; who is hit is chance
	all := make([]sample, 0, 2*n)
	for i := range 2*n + n/10 {
		class := rand.IntN(2)
		prepare(class)
		begin := time.Now()
		run()
		took := time.Since(begin)
		if i >= n/10 { // the first ones warm caches up
			all = append(all, sample{class, float64(took)})
		}
	}
	return result(all)
}

type sample struct {
	class int
	took  float64 // ns
}

// crops are the parts of the measurements that are looked at: what is slow for other reasons hides small differences.
var crops = []float64{1, 0.999, 0.99, 0.95, 0.9, 0.75, 0.5}

func result(all []sample) (r Result) {
	slices.SortFunc(all, func(x, y sample) int { return cmp.Compare(x.took, y.took) })
	for _, part := range crops {
		// Where many took equally long, the cut would be between equals, by class.
		limit := all[int(part*float64(len(all)-1))].took
		var w [2]welford
		for _, s := range all {
			if s.took <= limit {
				w[s.class].add(s.took)
			}
		}
		r.T = max(r.T, math.Abs(welch(w[0], w[1])))
	}
	var seen [2]int
	var counts [2]int
	for _, s := range all {
		counts[s.class]++
	}
	for _, s := range all {
		if seen[s.class]++; seen[s.class] == counts[s.class]/2 {
			r.Median[s.class] = time.Duration(s.took)
		}
	}
	return r
}

// welford is a running mean and variance.
type welford struct{ n, mean, m2 float64 }

func (w *welford) add(x float64) {
	w.n++
	d := x - w.mean
	w.mean += d / w.n
	w.m2 += d * (x - w.mean)
}

// welch is Welch's t of two classes; 0 where they do not vary or are too few.
func welch(a, b welford) float64 {
	if a.n < 2 || b.n < 2 {
		return 0
	}
	variance := a.m2/(a.n-1)/a.n + b.m2/(b.n-1)/b.n
	if variance == 0 {
		return 0
	}
	return (a.mean - b.mean) / math.Sqrt(variance)
}

// Report compares and says what came of it.
func Report(t *testing.T, what string, prepare func(class int), run func()) Result {
	t.Helper()
	n := Samples(t)
	r := Compare(n, prepare, run)
	t.Logf("%-52s |t| = %5.2f, medians %v and %v, 2×%d", what, r.T, r.Median[0], r.Median[1], n)
	return r
}

// Check is Report, and fails the test where the classes differ.
func Check(t *testing.T, what string, prepare func(class int), run func()) {
	t.Helper()
	if r := Report(t, what, prepare, run); r.T >= Limit {
		t.Errorf("%s: |t| is %.2f, wanted less than %v: run it again on a quiet machine; a real difference grows with the number", what, r.T, Limit)
	}
}
