package roster

import (
	lru "container/list"
	"hash/maphash"
	"sync"
)

// stripes is how many locks the accounts of a host share.
const stripes = 256

var seed = maphash.MakeSeed()

func stripe(owner string) int { return int(maphash.String(seed, owner) % stripes) }

// cache keeps the lists read last, up to a number of items. A list that was read from disk while its account changed
// is not kept: writers count up before and after.
type cache struct {
	mu      sync.Mutex
	max     int
	weight  int
	entries map[string]*lru.Element
	order   lru.List // most recent first
	writes  [stripes]uint64
}

type cached struct {
	owner string
	list  *list
}

// weight is what a list costs; an empty one is not free either.
func (e *cached) weight() int { return 1 + len(e.list.items) }

func newCache(max int) *cache { return &cache{max: max, entries: map[string]*lru.Element{}} }

// get returns a list, or nil and the ticket with which to put what is read from disk now.
func (c *cache) get(owner string) (l *list, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[owner]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(*cached).list, 0
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
	if e := c.entries[owner]; e != nil {
		c.remove(e)
	}
	if l == nil {
		return
	}
	e := &cached{owner, l}
	c.weight += e.weight()
	c.entries[owner] = c.order.PushFront(e)
	c.trim()
}

func (c *cache) remove(e *lru.Element) {
	v := c.order.Remove(e).(*cached)
	c.weight -= v.weight()
	delete(c.entries, v.owner)
}

func (c *cache) trim() {
	for c.weight > c.max && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

// resize changes how many items are kept.
func (c *cache) resize(max int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max = max
	c.trim()
}
