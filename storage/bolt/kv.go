package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// scanPage is how many entries one read transaction of a scan visits at most; scanFirst, the first one.
const (
	scanPage  = 256
	scanFirst = 64
)

type bucket struct {
	s    *Store
	path []string
}

func (b *bucket) KV(name string) storage.KV {
	in := steps(b.path, kindKV, name)
	return &kv{b.s, name, b, in, tableID(in)}
}

// Update runs fn over a layer of pending writes, and writes them when it succeeded.
func (b *bucket) Update(ctx context.Context, fn func(tx storage.Tx) error) error {
	return b.s.do(ctx, b.update(fn))
}

// Start is Update in two steps.
func (b *bucket) Start(ctx context.Context, fn func(tx storage.Tx) error) (outcome func() error) {
	o := b.update(fn)
	if err := b.s.queue(ctx, o); err != nil {
		return func() error { return err }
	}
	return func() error { return b.s.wait(ctx, o) }
}

func (b *bucket) update(fn func(tx storage.Tx) error) *op {
	return &op{run: func(w *writeTx) error {
		base := &base{tab: w.tab, path: b.path}
		tx := driver.NewTx(base, true)
		defer tx.End()
		if err := fn(tx); err != nil {
			return err
		}
		if w.spare != noEnd { // else there is nothing to add up
			if n := taken(tx); n > 0 && !w.fits(n) {
				return b.s.errTight()
			}
		}
		var (
			last string
			t    *tab
		)
		return tx.Each(func(name string, key, value []byte) error {
			if t == nil || name != last {
				in := steps(b.path, kindKV, name)
				t, last = w.tab(tableID(in), in), name
			}
			if value == nil {
				return w.delete(t, key)
			}
			return w.put(t, key, record(key, value))
		})
	}}
}

// littlePut is what a deletion may write beside what it deletes, such as a counter.
const littlePut = 256

// taken returns how many bytes a transaction writes; 0 where it deletes something, and writes next to nothing.
func taken(tx *driver.Tx) int {
	deletes, puts := 0, 0
	tx.Each(func(_ string, key, value []byte) error {
		if value == nil {
			deletes++
		} else {
			puts += len(key) + len(value)
		}
		return nil
	})
	if deletes > 0 && puts <= littlePut {
		return 0
	}
	return puts
}

func (b *bucket) View(ctx context.Context, fn func(tx storage.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	if b.s.closed {
		return storage.ErrClosed
	}
	v := b.s.snapshot()
	defer v.end()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // fn reads the mapping
	tx := driver.NewTx(&base{tab: v.tab, path: b.path}, false)
	defer tx.End()
	return fn(tx)
}

// base reads KVs of a bucket within one snapshot.
type base struct {
	tab  func(id string, in [][]byte) *tab
	path []string
	kvs  map[string]*tab
}

func (b *base) kv(name string) *tab {
	t := b.kvs[name]
	if t == nil {
		in := steps(b.path, kindKV, name)
		t = b.tab(tableID(in), in)
		if b.kvs == nil {
			b.kvs = make(map[string]*tab)
		}
		b.kvs[name] = t
	}
	return t
}

func (b *base) CheckName(kv string) error { return driver.CheckPath(b.path, kv) }

func (b *base) Get(name string, key []byte) (v []byte, err error) {
	t := b.kv(name)
	err = guard(func() (err error) { v, err = t.get(key); return err })
	return v, err
}

func (b *base) Cursor(name string, prefix []byte) driver.Cursor {
	return &kvCursor{t: b.kv(name), prefix: prefix}
}

// get reads a key; nil without error where there is none. It runs under guard.
func get(bk *bolt.Bucket, in [][]byte, key []byte) ([]byte, error) {
	c := bk.Cursor()
	k, rec := c.Seek(key)
	if bytes.Equal(k, key) {
		p, ok := payload(key, rec)
		if !ok {
			return nil, damaged(in, key)
		}
		return p, nil
	}
	// There is none, unless its key is the thing that is damaged: then it is a neighbour of the place.
	if !sound(k, rec) {
		return nil, damaged(in, k)
	}
	if k != nil {
		k, rec = c.Prev()
	} else {
		k, rec = c.Last()
	}
	if !sound(k, rec) {
		return nil, damaged(in, k)
	}
	return nil, nil
}

// sound says whether what a cursor stands at is nothing, a bucket, or a sound record.
func sound(k, rec []byte) bool {
	if k == nil || rec == nil {
		return true
	}
	_, ok := payload(k, rec)
	return ok
}

// kvCursor walks a KV and unwraps its values.
type kvCursor struct {
	t      *tab
	prefix []byte
	c      *cursor
}

func (c *kvCursor) Seek(key []byte) (k, v []byte, err error) {
	return c.step(func() (k, rec []byte, err error) {
		c.c, k, rec, err = c.t.seek(c.prefix, key, false)
		return k, rec, err
	})
}

func (c *kvCursor) Next() (k, v []byte, err error) {
	return c.step(func() (k, rec []byte, err error) {
		k, rec = c.c.next()
		return k, rec, nil
	})
}

func (c *kvCursor) step(move func() (k, rec []byte, err error)) (k, v []byte, err error) {
	var sound bool
	err = guard(func() error {
		var (
			rec []byte
			err error
		)
		if k, rec, err = move(); err == nil && k != nil {
			v, sound = payload(k, rec)
		}
		return err
	})
	switch {
	case errors.Is(err, storage.ErrCorrupt):
		return nil, nil, fmt.Errorf("%w: bucket %s", err, pathText(c.t.in))
	case err != nil:
		return nil, nil, err
	case k != nil && !sound:
		return k, nil, damaged(c.t.in, k)
	}
	return k, v, nil
}

// kv is a KV outside of transactions.
type kv struct {
	s    *Store
	name string
	b    *bucket
	in   [][]byte
	id   string
}

func (k *kv) Get(ctx context.Context, key []byte) (v []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := driver.CheckKey(key); err != nil {
		return nil, err
	}
	err = k.s.view(func(sn *snapshot) error {
		p, err := sn.tab(k.id, k.in).get(key)
		if p != nil {
			v = append(make([]byte, 0, len(p)), p...)
		}
		return err
	})
	if err == nil && v == nil {
		err = storage.ErrNotFound
	}
	return v, err
}

func (k *kv) Put(ctx context.Context, key, value []byte) error {
	if err := k.check(key); err != nil {
		return err
	}
	if err := driver.CheckValue(len(value)); err != nil {
		return err
	}
	key = bytes.Clone(key) // a write that was given up may still be queued
	rec := record(key, value)
	return k.s.do(ctx, &op{run: func(w *writeTx) error {
		if !w.fits(len(key) + len(rec)) {
			return k.s.errTight()
		}
		return w.put(w.tab(k.id, k.in), key, rec)
	}})
}

func (k *kv) Delete(ctx context.Context, key []byte) error {
	if err := k.check(key); err != nil {
		return err
	}
	key = bytes.Clone(key)
	return k.s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
		return w.delete(w.tab(k.id, k.in), key)
	}})
}

func (k *kv) check(key []byte) error {
	if err := driver.CheckPath(k.b.path, k.name); err != nil {
		return err
	}
	return driver.CheckKey(key)
}

// Scan copies some entries out of one read transaction after the other: few at first, for it may be stopped soon.
func (k *kv) Scan(ctx context.Context, prefix, from []byte, fn func(key, value []byte) bool) error {
	type entry struct{ key, value []byte }
	var damage error
	from = bytes.Clone(from)
	limit := scanFirst
	for page := make([]entry, 0, 16); ; page, limit = page[:0], min(2*limit, scanPage) {
		if err := ctx.Err(); err != nil {
			return err
		}
		size := 0
		err := k.b.View(ctx, func(tx storage.Tx) error {
			return tx.KV(k.name).Scan(prefix, from, func(key, value []byte) bool {
				both := make([]byte, len(key)+len(value))
				e := entry{both[:len(key):len(key)], both[len(key):]}
				copy(e.key, key)
				copy(e.value, value)
				page = append(page, e)
				size += len(value)
				return len(page) < limit && size < storage.MaxPageBytes
			})
		})
		for _, e := range page {
			if !fn(e.key, e.value) {
				return damage
			}
		}
		if err != nil {
			damage = err // found in this portion; the sound entries before and after it count
		}
		if len(page) < limit && size < storage.MaxPageBytes {
			return damage
		}
		from = append(page[len(page)-1].key, 0) // the next possible key
	}
}
