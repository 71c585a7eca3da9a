package modules

import "container/list"

// LRU keeps values up to a bound, those used last. Its user locks.
type LRU[K comparable, V any] struct {
	max     int
	weigh   func(V) int
	weight  int
	entries map[K]*list.Element // of *lruEntry[K, V]
	order   list.List           // most recent first
}

type lruEntry[K comparable, V any] struct {
	key    K
	value  V
	weight int // as it was when it came
}

// NewLRU makes an LRU whose values cost at most max together. weigh is what a value costs; nil: each costs 1.
func NewLRU[K comparable, V any](max int, weigh func(V) int) *LRU[K, V] {
	if weigh == nil {
		weigh = func(V) int { return 1 }
	}
	return &LRU[K, V]{max: max, weigh: weigh, entries: map[K]*list.Element{}}
}

// Get returns the value of a key, which is now the one used last.
func (c *LRU[K, V]) Get(k K) (v V, ok bool) {
	e := c.entries[k]
	if e == nil {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

// Put keeps a value in the place of what the key had. One that costs more than all may is not kept, nor is anything else then.
func (c *LRU[K, V]) Put(k K, v V) {
	c.Delete(k)
	e := &lruEntry[K, V]{k, v, c.weigh(v)}
	c.weight += e.weight
	c.entries[k] = c.order.PushFront(e)
	c.trim()
}

// Delete forgets a key.
func (c *LRU[K, V]) Delete(k K) {
	if e := c.entries[k]; e != nil {
		c.remove(e)
	}
}

// Resize changes how much all may cost.
func (c *LRU[K, V]) Resize(max int) {
	c.max = max
	c.trim()
}

// Len returns how many values there are, Weight what they cost together, Max how much they may.
func (c *LRU[K, V]) Len() int    { return len(c.entries) }
func (c *LRU[K, V]) Weight() int { return c.weight }
func (c *LRU[K, V]) Max() int    { return c.max }

func (c *LRU[K, V]) trim() {
	for c.weight > c.max && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *LRU[K, V]) remove(e *list.Element) {
	v := c.order.Remove(e).(*lruEntry[K, V])
	c.weight -= v.weight
	delete(c.entries, v.key)
}
