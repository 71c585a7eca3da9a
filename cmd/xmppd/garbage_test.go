package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// A small heap is not collected for little, a large one is for half of it.
func TestPercent(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, gcMost}, {1, gcMost}, {4 << 20, gcMost}, {8 << 20, 100}, {10 << 20, 80}, {16 << 20, gcPercent}, {1 << 40, gcPercent},
	} {
		if got := gcPercentFor(test.live); got != test.want {
			t.Errorf("%d bytes live: %d percent, want %d", test.live, got, test.want)
		}
	}
}

// The pace follows what lives, collection after collection.
func TestPace(t *testing.T) {
	old := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(old) })
	now := func() int { // there is no way to ask but to set
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	paceGC()
	if p := now(); p != gcMost {
		t.Fatalf("a small heap: %d percent", p)
	}
	until := func(want int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); now() != want; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("%d percent, want %d", now(), want)
			}
		}
	}
	large := make([]byte, 4*gcLeast)
	until(gcPercent)
	runtime.KeepAlive(large)
	large = nil
	until(gcMost)
}
