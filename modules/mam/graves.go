package mam

import (
	"sync"
	"time"
)

// graves know the accounts that were deleted lately. A message may be on its way into an archive while the account goes, and
// its last session may outlive it for a moment. Nothing is archived for who is gone; and whoever stored something looks
// afterwards whether the account was deleted meanwhile, and takes it back if so, lest the next account of that name find it.
// After an hour a grave is forgotten: nothing of then is under way.
type graves struct {
	mu sync.Mutex
	m  map[string]grave
}

type grave struct {
	n    uint64 // how often the name was deleted
	gone bool   // there is no new account of that name
	at   time.Time
}

func (g *graves) of(local string) grave {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m[local]
}

func (g *graves) dig(local string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.m == nil {
		g.m = map[string]grave{}
	}
	g.m[local] = grave{g.m[local].n + 1, true, time.Now()}
}

// reuse notes a new account of a name.
func (g *graves) reuse(local string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.m[local]; ok {
		g.m[local] = grave{old.n, false, old.at}
	}
}

func (g *graves) forget(before time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, v := range g.m {
		if v.at.Before(before) {
			delete(g.m, k)
		}
	}
}
