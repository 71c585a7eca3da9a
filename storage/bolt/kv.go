package bolt

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// scanPage is how many entries one read transaction of a scan visits.
const scanPage = 256

type bucket struct {
	s    *Store
	path []string
}

func (b *bucket) KV(name string) storage.KV {
	return &kv{b.s, name, b, steps(b.path, kindKV, name)}
}

// Update runs fn over a layer of pending writes, and writes them when it succeeded.
func (b *bucket) Update(ctx context.Context, fn func(tx storage.Tx) error) error {
	return b.s.do(ctx, &op{run: func(w *writeTx) error {
		base := &base{tx: w.Tx, path: b.path}
		tx := driver.NewTx(base, true)
		defer tx.End()
		if err := fn(tx); err != nil {
			return err
		}
		var (
			last string
			in   *bolt.Bucket
		)
		if err := driver.CheckName(b.path...); err != nil {
			return err
		}
		return tx.Each(func(name string, key, value []byte) (err error) {
			if in == nil || name != last {
				if in, err = w.ensure(w, steps(b.path, kindKV, name)...); err != nil {
					return err
				}
				last = name
			}
			if value == nil {
				return mustChange(w.delete(in, key))
			}
			return mustChange(w.put(in, key, record(key, value)))
		})
	}})
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
	tx := driver.NewTx(&base{tx: btx, path: b.path}, false)
	defer tx.End()
	return fn(tx)
}

// base reads KVs of a bucket within one bolt transaction.
type base struct {
	tx    *bolt.Tx
	path  []string
	names map[string]*bolt.Bucket
}

func (b *base) bucket(kv string) (bk *bolt.Bucket, err error) {
	bk, ok := b.names[kv]
	if ok {
		return bk, nil
	}
	err = guard(func() (err error) { bk, err = open(b.tx, steps(b.path, kindKV, kv)); return err })
	if err != nil {
		return nil, err
	}
	if b.names == nil {
		b.names = make(map[string]*bolt.Bucket)
	}
	b.names[kv] = bk
	return bk, nil
}

func (b *base) Get(kv string, key []byte) (v []byte, err error) {
	bk, err := b.bucket(kv)
	if err != nil || bk == nil {
		return nil, err
	}
	err = guard(func() (err error) { v, err = get(bk, steps(b.path, kindKV, kv), key); return err })
	return v, err
}

func (b *base) Cursor(kv string) driver.Cursor {
	bk, err := b.bucket(kv)
	if err != nil {
		return brokenCursor{err}
	}
	if bk == nil {
		return nil
	}
	return &cursor{c: bk.Cursor(), in: steps(b.path, kindKV, kv)}
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
	if err := driver.CheckName(k.b.path...); err != nil {
		return err
	}
	if err := driver.CheckName(k.name); err != nil {
		return err
	}
	return driver.CheckKey(key)
}

// Scan copies up to scanPage entries out of one read transaction after the other.
func (k *kv) Scan(ctx context.Context, prefix, from []byte, fn func(key, value []byte) bool) error {
	type entry struct{ key, value []byte }
	var damage error
	from = bytes.Clone(from)
	for page := make([]entry, 0, 16); ; page = page[:0] {
		if err := ctx.Err(); err != nil {
			return err
		}
		size := 0
		err := k.b.View(ctx, func(tx storage.Tx) error {
			return tx.KV(k.name).Scan(prefix, from, func(key, value []byte) bool {
				page = append(page, entry{bytes.Clone(key), append([]byte{}, value...)})
				size += len(value)
				return len(page) < scanPage && size < storage.MaxPageBytes
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
		if len(page) < scanPage && size < storage.MaxPageBytes {
			return damage
		}
		from = append(page[len(page)-1].key, 0) // the next possible key
	}
}
