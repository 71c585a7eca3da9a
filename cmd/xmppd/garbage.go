package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The collector's pace; $GOGC overrides it. Garbage may gather up to gcPercent of what lives: a stanza on its way makes next
// to none, so that collecting earlier than Go does by itself costs little, and memory is what idle connections cost. But a
// collection has a price of its own, which a server with few connections would pay for every second dozen of logins: less
// than gcLeast of garbage is not worth it. See doc/performance.md.
const (
	gcPercent = 50
	gcLeast   = 8 << 20
)

// gcMost is the percentage with which Go itself begins no collection below gcLeast, however little lives: its own least is
// 4 MiB at 100.
const gcMost = 100 * gcLeast / (4 << 20)

// paceGC sets the pace now and after every collection.
func paceGC() { (&gcPace{}).set() }

// gcPace is the percentage in force.
type gcPace struct{ percent int }

// set makes the pace fit what lived at the last collection, and comes again after the next one, which finds that nobody
// refers to the mark.
func (p *gcPace) set() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if percent := gcPercentFor(live[0].Value.Uint64()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new(*gcPace), (*gcPace).set, p) // of a type with a pointer: else it shares its memory with others
}

// gcPercentFor returns the percentage for so many bytes that live. It goes in steps, for each change stops the world.
func gcPercentFor(live uint64) int {
	percent := uint64(gcMost)
	if live > 0 {
		percent = 100 * gcLeast / live / 10 * 10
	}
	return int(min(max(percent, gcPercent), gcMost))
}
