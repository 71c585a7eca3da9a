package authtoken

import (
	"sync"
	"time"
)

// clock is the time by which tokens expire. Where the machine's clock is set back by less than a day it stands still until that
// has caught up, so that no token lives twice. More than that, it was wrong before.
type clock struct {
	wall func() time.Time
	mu   sync.Mutex
	last time.Time
}

const setBack = 24 * time.Hour

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.wall().Round(0) // the wall clock, not the monotonic one
	if back := c.last.Sub(now); back <= 0 || back >= setBack {
		c.last = now
	}
	return c.last
}

// date is now as tokens have it.
func (c *clock) date() uint64 { return date(c.now()) }

// epoch is 1970 in the seconds that tokens count: those since the year 0 of the Gregorian calendar.
const epoch = 62167219200

func date(t time.Time) uint64 { return uint64(t.Unix() + epoch) }
