package driver

import "iter"

// chunk is the largest number of entries of an inner slice: an insertion moves at most so many.
const chunk = 256

// Map is a map ordered by key: a slice of short sorted slices. The zero Map is empty. It is not safe for concurrent use.
type Map[V any] struct {
	chunks [][]entry[V] // none empty
	n      int
}

type entry[V any] struct {
	key   string
	value V
}

// Len returns the number of keys.
func (m *Map[V]) Len() int { return m.n }

// find returns where the first entry with a key of at least the given one is or would be. Keys often rise: so it looks at the
// last one first. It searches by hand, because with a function that compares each key that is looked up would be an allocation.
func (m *Map[V]) find(key string) (c, i int, found bool) {
	hi := len(m.chunks)
	if hi == 0 {
		return 0, 0, false
	}
	ch := m.chunks[hi-1]
	if ch[len(ch)-1].key < key {
		return hi, 0, false
	}
	for c < hi {
		mid := int(uint(c+hi) >> 1)
		if ch = m.chunks[mid]; ch[len(ch)-1].key < key {
			c = mid + 1
		} else {
			hi = mid
		}
	}
	ch = m.chunks[c]
	for hi = len(ch); i < hi; {
		mid := int(uint(i+hi) >> 1)
		if ch[mid].key < key {
			i = mid + 1
		} else {
			hi = mid
		}
	}
	return c, i, ch[i].key == key
}

// Get returns the value of a key.
func (m *Map[V]) Get(key string) (v V, ok bool) {
	c, i, ok := m.find(key)
	if ok {
		v = m.chunks[c][i].value
	}
	return v, ok
}

// Ceil returns the first entry whose key is at least the given one or, if after, beyond it.
func (m *Map[V]) Ceil(key string, after bool) (k string, v V, ok bool) {
	c, i, found := m.find(key)
	if found && after {
		i++
		if i == len(m.chunks[c]) {
			c, i = c+1, 0
		}
	}
	if c >= len(m.chunks) {
		return "", v, false
	}
	e := m.chunks[c][i]
	return e.key, e.value, true
}

// Set adds or replaces a key.
func (m *Map[V]) Set(key string, v V) {
	c, i, found := m.find(key)
	if found {
		m.chunks[c][i].value = v
		return
	}
	m.n++
	if c == len(m.chunks) { // beyond the last key: the common case of appending
		if c == 0 || len(m.chunks[c-1]) >= chunk {
			m.chunks = append(m.chunks, []entry[V]{{key, v}})
			return
		}
		m.chunks[c-1] = append(m.chunks[c-1], entry[V]{key, v})
		return
	}
	ch := append(m.chunks[c], entry[V]{})
	copy(ch[i+1:], ch[i:])
	ch[i] = entry[V]{key, v}
	m.chunks[c] = ch
	if len(ch) > chunk {
		half := len(ch) / 2
		right := append([]entry[V](nil), ch[half:]...)
		clear(ch[half:])
		m.chunks = append(m.chunks, nil)
		copy(m.chunks[c+2:], m.chunks[c+1:])
		m.chunks[c], m.chunks[c+1] = ch[:half], right
	}
}

// Delete removes a key.
func (m *Map[V]) Delete(key string) bool {
	c, i, found := m.find(key)
	if !found {
		return false
	}
	m.n--
	ch := m.chunks[c]
	copy(ch[i:], ch[i+1:])
	ch[len(ch)-1] = entry[V]{}
	m.chunks[c] = ch[:len(ch)-1]
	if len(m.chunks[c]) == 0 {
		m.chunks = append(m.chunks[:c], m.chunks[c+1:]...)
	}
	return true
}

// Floor returns the last entry whose key is below the given one.
func (m *Map[V]) Floor(key string) (k string, v V, ok bool) {
	c, i, _ := m.find(key)
	if i--; i < 0 {
		if c--; c < 0 {
			return "", v, false
		}
		i = len(m.chunks[c]) - 1
	}
	e := m.chunks[c][i]
	return e.key, e.value, true
}

// All visits the entries in order.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, ch := range m.chunks {
			for _, e := range ch {
				if !yield(e.key, e.value) {
					return
				}
			}
		}
	}
}
