package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// After a storm of logins a third of the memory is garbage, and as clients that say nothing make none, the collector would
// not run for as long as they are silent: it waits for as much garbage again. So once the server is quiet, and if there is
// something to gain, it is run, and what is free goes back to the system.

const (
	tidyEvery = 3 * time.Second // how often to look
	quietHeap = 1 << 20         // a server that allocates less than this in that time, or than a sixteenth of its heap, is quiet
	tidyWorth = 1 << 20         // bytes, or a sixteenth of the heap, that must have been allocated for another run
)

// tidier decides when. All it is told is bytes since the start of the process, and bytes alive.
type tidier struct {
	seen uint64 // allocated when it was asked last
	done uint64 // allocated at the last run
}

// due tells whether to run the collector now.
func (t *tidier) due(allocated, live uint64) bool {
	quiet := allocated-t.seen < max(quietHeap, live/16)
	t.seen = allocated
	if !quiet || allocated-t.done < max(tidyWorth, live/16) {
		return false
	}
	t.done = allocated
	return true
}

// tidy gives memory back while the server is quiet, until ctx ends. A store that keeps something in memory gives it back first.
func tidy(ctx context.Context, store storage.Store) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	var t tidier
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(sample)
		if t.due(sample[0].Value.Uint64(), sample[1].Value.Uint64()) {
			if s, ok := store.(interface{ Tidy(context.Context) error }); ok {
				s.Tidy(ctx) // its errors are told where something is written
			}
			debug.FreeOSMemory()
		}
	}
}
