package bolt

import (
	"bytes"
	"context"
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
	return &kv{b.s, name, b, steps(b.path, kindKV, name)}
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
		base := &base{tx: w.Tx, path: b.path}
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
			last    string
			in      *bolt.Bucket
			changed bool
		)
		return tx.Each(func(name string, key, value []byte) (err error) {
			defer func() {
				if err != nil && changed {
					err = mustChange(err)
				}
				changed = true
			}()
			if in == nil || name != last {
				if in, err = w.ensure(w, steps(b.path, kindKV, name)...); err != nil {
					return err
				}
				last = name
			}
			if value == nil {
				return w.delete(in, key)
			}
			return w.put(in, key, record(key, value))
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

// mustChange makes an error fatal where earlier changes of the same op have been made.
func mustChange(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

func (b *bucket) View(ctx context.Context, fn func(tx storage.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var btx *bolt.Tx
	if err := guard(func() (err error) { btx, err = b.s.db.Begin(false); return err }); err != nil {
		return readError(err)
	}
	defer btx.Rollback()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // fn reads the mapping
	tx := driver.NewTx(&base{tx: btx, path: b.path}, false)
	defer tx.End()
	return fn(tx)
}

// base reads KVs of a bucket within one bolt transaction.
type base struct {
	tx   *bolt.Tx
	path []string
	kvs  map[string]*baseKV
}

type baseKV struct {
	b  *bolt.Bucket // nil: there is none
	in [][]byte
}

func (b *base) kv(name string) (*baseKV, error) {
	kv := b.kvs[name]
	if kv != nil {
		return kv, nil
	}
	kv = &baseKV{in: steps(b.path, kindKV, name)}
	if err := guard(func() (err error) { kv.b, err = open(b.tx, kv.in); return err }); err != nil {
		return nil, err
	}
	if b.kvs == nil {
		b.kvs = make(map[string]*baseKV)
	}
	b.kvs[name] = kv
	return kv, nil
}

func (b *base) CheckName(kv string) error { return driver.CheckPath(b.path, kv) }

func (b *base) Get(name string, key []byte) (v []byte, err error) {
	kv, err := b.kv(name)
	if err != nil || kv.b == nil {
		return nil, err
	}
	err = guard(func() (err error) { v, err = get(kv.b, kv.in, key); return err })
	return v, err
}

func (b *base) Cursor(name string) driver.Cursor {
	kv, err := b.kv(name)
	if err != nil {
		return brokenCursor{err}
	}
	if kv.b == nil {
		return nil
	}
	return &cursor{c: kv.b.Cursor(), in: kv.in}
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

// cursor walks a KV and unwraps its values.
type cursor struct {
	c  *bolt.Cursor
	in [][]byte
}

func (c *cursor) Seek(key []byte) (k, v []byte, err error) {
	return c.step(func() (k, v []byte) { return c.c.Seek(key) })
}

func (c *cursor) Next() (k, v []byte, err error) { return c.step(c.c.Next) }

func (c *cursor) step(move func() (k, v []byte)) (k, v []byte, err error) {
	var sound bool
	err = guard(func() error {
		var rec []byte
		if k, rec = move(); k != nil {
			v, sound = payload(k, rec)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: bucket %s", err, pathText(c.in))
	case k != nil && !sound:
		return k, nil, damaged(c.in, k)
	}
	return k, v, nil
}

type brokenCursor struct{ err error }

func (c brokenCursor) Seek([]byte) (k, v []byte, err error) { return nil, nil, c.err }
func (c brokenCursor) Next() (k, v []byte, err error)       { return nil, nil, c.err }

// kv is a KV outside of transactions.
type kv struct {
	s    *Store
	name string
	b    *bucket
	in   [][]byte
}

func (k *kv) Get(ctx context.Context, key []byte) (v []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := driver.CheckKey(key); err != nil {
		return nil, err
	}
	err = k.s.view(func(tx *bolt.Tx) error {
		b, err := open(tx, k.in)
		if err != nil || b == nil {
			return err
		}
		p, err := get(b, k.in, key)
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
		b, err := w.ensure(w, k.in...)
		if err != nil {
			return err
		}
		return w.put(b, key, rec)
	}})
}

func (k *kv) Delete(ctx context.Context, key []byte) error {
	if err := k.check(key); err != nil {
		return err
	}
	key = bytes.Clone(key)
	return k.s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
		var b *bolt.Bucket
		err := guard(func() (err error) { b, err = open(w, k.in); return err })
		if err != nil || b == nil {
			return err
		}
		return w.delete(b, key)
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
