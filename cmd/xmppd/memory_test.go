package main

import "testing"

func TestTidier(t *testing.T) {
	const mib = 1 << 20
	var td tidier
	for i, c := range []struct {
		allocated, live uint64
		due             bool
		why             string
	}{
		{10 * mib, 4 * mib, false, "busy: ten in one period"},
		{10*mib + 1000, 4 * mib, true, "quiet, and there is something to gain"},
		{10*mib + 2000, 4 * mib, false, "quiet, and has just been done"},
		{11*mib + 1500, 4 * mib, true, "quiet as servers are: a little all the time adds up"},
		{14 * mib, 4 * mib, false, "busy"},
		{200 * mib, 160 * mib, false, "busy"},
		{205 * mib, 160 * mib, true, "quiet for its size"},
		{209 * mib, 160 * mib, false, "quiet for its size, but little to gain"},
		{214 * mib, 160 * mib, false, "still"},
		{216 * mib, 160 * mib, true, "a sixteenth"},
	} {
		if got := td.due(c.allocated, c.live); got != c.due {
			t.Errorf("step %d, %s: %t", i, c.why, got)
		}
	}
}
