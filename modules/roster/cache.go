package roster

import (
	"hash/maphash"
	"sync"

	"github.com/xmppd/xmppd/modules"
)

// stripes is how many locks the accounts of a host share.
const stripes = 256

var seed = maphash.MakeSeed()

func stripe(owner string) int { return int(maphash.String(seed, owner) % stripes) }

// cache keeps the lists read last, up to a number of items. A list that was read from disk while its account changed
// is not kept: writers count up before and after.
type cache struct {
	mu     sync.Mutex
	lru    *modules.LRU[string, *list]
	writes [stripes]uint64
}

// weight is what a list costs; an empty one is not free either.
func (l *list) weight() int { return 1 + len(l.items) }

func newCache(max int) *cache { return &cache{lru: modules.NewLRU[string](max, (*list).weight)} }

// get returns a list, or nil and the ticket with which to put what is read from disk now.
func (c *cache) get(owner string) (l *list, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.lru.Get(owner); ok {
		return l, 0
	}
	return nil, c.writes[stripe(owner)]
}

// fill keeps a list that was read from disk, unless it may be out of date.
func (c *cache) fill(owner string, l *list, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ticket%2 == 0 && c.writes[stripe(owner)] == ticket {
		c.put(owner, l)
	}
}

// begin announces a change of the account's list on disk; the caller holds the account's lock until end.
func (c *cache) begin(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes[stripe(owner)]++
}

// end puts the list as it is now, or forgets it (nil) where that is not known.
func (c *cache) end(owner string, l *list) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes[stripe(owner)]++
	c.put(owner, l)
}

func (c *cache) put(owner string, l *list) {
	if l == nil {
		c.lru.Delete(owner)
		return
	}
	c.lru.Put(owner, l)
}

// resize changes how many items are kept.
func (c *cache) resize(max int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Resize(max)
}
