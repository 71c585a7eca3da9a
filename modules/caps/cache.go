package caps

import "container/list"

// key is a verification string, with the function that made it. Where that is none of ours, or there is none, client names
// the only one that it stands for.
type key struct{ hash, ver, client string }

// cache keeps what verification strings stand for, those used last. Its user locks.
type cache struct {
	max     int
	entries map[key]*list.Element
	order   list.List // most recent first
}

type entry struct {
	key key
	in  *Interest
}

func newCache(max int) *cache { return &cache{max: max, entries: map[key]*list.Element{}} }

func (c *cache) get(k key) *Interest {
	e := c.entries[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry).in
}

func (c *cache) put(k key, in *Interest) {
	if e := c.entries[k]; e != nil {
		e.Value.(*entry).in = in
		c.order.MoveToFront(e)
		return
	}
	c.entries[k] = c.order.PushFront(&entry{k, in})
	c.trim(c.max)
}

func (c *cache) trim(max int) {
	c.max = max
	for c.order.Len() > c.max {
		delete(c.entries, c.order.Remove(c.order.Back()).(*entry).key)
	}
}
