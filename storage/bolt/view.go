package bolt

import (
	"bytes"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// snapshot is one state of the store: its layers, the newest first, over one of the file. Whoever uses one that shares a layer
// with the writer holds the store's lock for reading. The layers are taken before the file's transaction begins: what a
// checkpoint moves meanwhile is then in both of them, and not in neither.
type snapshot struct {
	s      *Store
	layers [3]*layer // nil: none
	tx     *bolt.Tx  // nil: not begun yet
}

// snapshot takes the state that is committed now.
func (s *Store) snapshot() snapshot {
	return snapshot{s: s, layers: [3]*layer{s.active, s.frozen}}
}

// file returns the transaction of the file. It runs under guard.
func (v *snapshot) file() (*bolt.Tx, error) {
	if v.tx == nil {
		tx, err := v.s.db.Begin(false)
		if err != nil {
			return nil, readError(err)
		}
		v.tx = tx
	}
	return v.tx, nil
}

func (v *snapshot) end() {
	if v.tx != nil {
		v.tx.Rollback()
		v.tx = nil
	}
}

// view runs fn, which must not call callers' functions, on the state that is committed now.
func (s *Store) view(fn func(v *snapshot) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	v := s.snapshot()
	defer v.end()
	return guard(func() error { return fn(&v) })
}

// tab is a bucket as a snapshot has it. Its methods run under guard.
type tab struct {
	v      *snapshot
	in     [][]byte
	id     string
	tables [3]*table // the newest first; nil: none
	hidden bool      // what the file has of it does not count
	opened bool
	b      *bolt.Bucket // the file's; nil: none
}

func (v *snapshot) tab(id string, in [][]byte) *tab {
	t := &tab{v: v, id: id, in: in}
	for i, l := range v.layers {
		if l == nil {
			continue
		}
		t.tables[i] = l.tables[id]
		if l.hides(t.tables[i], in) {
			t.hidden = true
			break
		}
	}
	return t
}

// file returns what the file has of the bucket; nil where that is nothing.
func (t *tab) file() (*bolt.Bucket, error) {
	if t.hidden {
		return nil, nil
	}
	if !t.opened {
		tx, err := t.v.file()
		if err != nil {
			return nil, err
		}
		if t.b, err = open(tx, t.in); err != nil {
			return nil, err
		}
		t.opened = true
	}
	return t.b, nil
}

// layered finds a key in the layers; found says whether they know of it, also that it is deleted. That it is fresh holds no longer
// in one that a checkpoint has begun with, which a writer's snapshot has as its last.
func (t *tab) layered(key []byte) (c cell, found bool) {
	for i, m := range t.tables {
		if m != nil {
			if c, found = m.m.Get(string(key)); found {
				c.fresh = c.fresh && i < 2
				return c, true
			}
		}
	}
	return cell{}, false
}

// filed returns the record of a key that the file has, sound or not; nil where there is none.
func (t *tab) filed(key []byte) ([]byte, error) {
	b, err := t.file()
	if err != nil || b == nil {
		return nil, err
	}
	return b.Get(key), nil
}

// holds tells whether a layer has a record whose key begins with a byte, as the last of those.
func (t *tab) holds(kind byte) bool {
	for _, m := range t.tables {
		if m != nil {
			if k, c, ok := m.m.Floor(string([]byte{kind + 1})); ok && c.rec != nil && k[0] == kind {
				return true
			}
		}
	}
	return false
}

// gone returns up to which ID an archive's items are known to be gone, so that nobody need walk over all that layers have of
// their deletion.
func (t *tab) gone() (id uint64) {
	for _, m := range t.tables {
		if m != nil {
			id = max(id, m.gone)
		}
	}
	return id
}

// record returns the record of a key as it is, sound or not; nil where there is none.
func (t *tab) record(key []byte) ([]byte, error) {
	if c, found := t.layered(key); found {
		return c.rec, nil
	}
	return t.filed(key)
}

// get returns the payload of a key; nil without error where there is none.
func (t *tab) get(key []byte) ([]byte, error) {
	if c, found := t.layered(key); found {
		if c.rec == nil {
			return nil, nil
		}
		p, ok := payload(key, c.rec)
		if !ok {
			return nil, damaged(t.in, key)
		}
		return p, nil
	}
	b, err := t.file()
	if err != nil || b == nil {
		return nil, err
	}
	return get(b, t.in, key)
}

// any tells whether there is a key.
func (t *tab) any() (bool, error) {
	_, k, _, err := t.seek(nil, nil, false)
	return k != nil, err
}

// cursor walks a tab's keys in one direction.
type cursor struct {
	t      *tab
	prefix string // of the keys that are wanted
	back   bool
	nests  bool         // buckets lie among the keys
	c      *bolt.Cursor // nil: the file has nothing
	k, v   []byte       // where that is; nil: at its end
	at     []byte       // the key that the walk is at
}

// seek begins a walk: with the first key from the given one on or, going back, the last one below it. Of keys without the
// prefix it may find some and not others: that they are there ends a walk, and that what lies between is deleted must not.
func (t *tab) seek(prefix, key []byte, back bool) (c *cursor, k, rec []byte, err error) {
	c = &cursor{t: t, prefix: string(prefix), back: back, nests: len(t.in) == 2 && isArchive(t.in[1])}
	b, err := t.file()
	if err != nil {
		return nil, nil, nil, err
	}
	if b != nil {
		c.c = b.Cursor()
		switch c.k, c.v = c.c.Seek(key); {
		case !back:
		case c.k == nil:
			c.k, c.v = c.c.Last()
		default:
			c.k, c.v = c.c.Prev()
		}
	}
	k, rec = c.first(key, false)
	return c, k, rec, nil
}

// next goes on.
func (c *cursor) next() (k, rec []byte) { return c.first(c.at, true) }

// first finds what comes first of all that the layers and the file have from a key on, or beyond it. A key that the newest of
// them deleted is passed over, and so are buckets of the file.
func (c *cursor) first(from []byte, beyond bool) (k, rec []byte) {
	for {
		var (
			best  string
			found bool
		)
		rec = nil
		for _, t := range c.t.tables {
			if t == nil {
				continue
			}
			var (
				key string
				v   cell
				ok  bool
			)
			if c.back {
				key, v, ok = t.m.Floor(string(from))
			} else {
				key, v, ok = t.m.Ceil(string(from), beyond)
			}
			if ok && strings.HasPrefix(key, c.prefix) && (!found || c.before(key, best)) {
				best, rec, found = key, v.rec, true
			}
		}
		for c.k != nil && (c.v == nil && c.nests || beyond && bytes.Equal(c.k, from)) {
			c.step()
		}
		switch {
		case c.k != nil && (!found || c.fileBefore(best)):
			if k, rec = c.k, c.v; rec == nil {
				rec = []byte{} // damaged: no bucket lies here
			}
			if len(k) > bolt.MaxKeySize { // a copy would take gigabytes, before it is found that they are not there
				panic("a key is too long")
			}
			c.at = append(c.at[:0], k...)
			c.step()
			return k, rec
		case !found:
			return nil, nil
		}
		if c.k != nil && string(c.k) == best { // written over
			c.step()
		}
		k = []byte(best)
		c.at = append(c.at[:0], k...)
		if rec != nil {
			return k, rec
		}
		from, beyond = c.at, true
	}
}

func (c *cursor) before(a, b string) bool {
	if c.back {
		return a > b
	}
	return a < b
}

func (c *cursor) fileBefore(key string) bool {
	if c.back {
		return string(c.k) > key
	}
	return string(c.k) < key
}

func (c *cursor) step() {
	if c.back {
		c.k, c.v = c.c.Prev()
	} else {
		c.k, c.v = c.c.Next()
	}
}
