// Package memory stores in memory, for tests and for servers that are to forget.
//
// # Implementation notes
//
//   - One lock guards all. Update writes into a layer of its own first, so that a failure changes nothing.
//   - Scans and pages copy in portions, so that functions of callers, except those of Update and View, run without the lock.
package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// scanPage is how many entries one step of a scan copies under the lock.
const scanPage = 256

// Store is a store in memory.
type Store struct {
	mu      sync.RWMutex
	closed  bool
	buckets map[string]*node // by pathKey
}

type node struct {
	kvs      map[string]*driver.Map[[]byte]
	archives map[string]*owners
}

var _ storage.Store = (*Store)(nil)

// New returns an empty store.
func New() storage.Store { return &Store{buckets: make(map[string]*node)} }

// pathKey writes a path so that a path's key begins with those of the paths above it, and no other's.
func pathKey(path []string) string {
	var b strings.Builder
	for _, p := range path {
		fmt.Fprintf(&b, "%d:%s", len(p), p)
	}
	return b.String()
}

// Bucket returns a part of the store.
func (s *Store) Bucket(path ...string) storage.Bucket {
	return &bucket{s, append([]string(nil), path...), pathKey(path)}
}

// DeleteBucket removes a part and all below it.
func (s *Store) DeleteBucket(ctx context.Context, path ...string) error {
	if len(path) == 0 {
		return fmt.Errorf("%w: no path", storage.ErrLimit)
	}
	if err := driver.CheckPath(path, ""); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		key := pathKey(path)
		for k := range s.buckets {
			if strings.HasPrefix(k, key) {
				delete(s.buckets, k)
			}
		}
		return nil
	})
}

// Backup says that there is nothing to back up.
func (s *Store) Backup(context.Context, io.Writer) error {
	return fmt.Errorf("storage: backup of a store in memory: %w", errors.ErrUnsupported)
}

// Verify finds nothing: there are no files that could be damaged.
func (s *Store) Verify(ctx context.Context) error {
	return s.read(ctx, func() error { return nil })
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.buckets = nil
	return nil
}

func (s *Store) write(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return storage.ErrClosed
	}
	if err := ctx.Err(); err != nil { // it may have ended while others had the lock
		return err
	}
	return fn()
}

func (s *Store) read(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	return fn()
}

type bucket struct {
	s    *Store
	path []string
	key  string
}

// kv returns a KV's map, nil where there is none unless it is to be made.
func (b *bucket) kv(name string, create bool) *driver.Map[[]byte] {
	n := b.node(create)
	if n == nil {
		return nil
	}
	m := n.kvs[name]
	if m == nil && create {
		m = new(driver.Map[[]byte])
		if n.kvs == nil {
			n.kvs = make(map[string]*driver.Map[[]byte])
		}
		n.kvs[name] = m
	}
	return m
}

func (b *bucket) node(create bool) *node {
	n := b.s.buckets[b.key]
	if n == nil && create {
		n = new(node)
		b.s.buckets[b.key] = n
	}
	return n
}

func (b *bucket) KV(name string) storage.KV { return &kv{b, name} }

func (b *bucket) Update(ctx context.Context, fn func(tx storage.Tx) error) error {
	return b.s.write(ctx, func() error {
		tx := driver.NewTx(base{b}, true)
		defer tx.End()
		if err := call(tx, fn); err != nil {
			return err
		}
		return tx.Each(func(name string, key, value []byte) error {
			if value == nil {
				if m := b.kv(name, false); m != nil {
					m.Delete(string(key))
				}
				return nil
			}
			b.kv(name, true).Set(string(key), value)
			return nil
		})
	})
}

// Start does it at once.
func (b *bucket) Start(ctx context.Context, fn func(tx storage.Tx) error) (outcome func() error) {
	err := b.Update(ctx, fn)
	return func() error { return err }
}

// call makes a panic the function's error, as a driver with a goroutine of its own must.
func call(tx storage.Tx, fn func(tx storage.Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("storage: panic in a transaction: %v", r)
		}
	}()
	return fn(tx)
}

func (b *bucket) View(ctx context.Context, fn func(tx storage.Tx) error) error {
	return b.s.read(ctx, func() error {
		tx := driver.NewTx(base{b}, false)
		defer tx.End()
		return fn(tx)
	})
}

// base reads the maps under the lock.
type base struct{ b *bucket }

func (b base) CheckName(kv string) error { return driver.CheckPath(b.b.path, kv) }

func (b base) Get(name string, key []byte) ([]byte, error) {
	m := b.b.kv(name, false)
	if m == nil {
		return nil, nil
	}
	v, _ := m.Get(string(key))
	return v, nil
}

func (b base) Cursor(name string, _ []byte) driver.Cursor {
	m := b.b.kv(name, false)
	if m == nil {
		return nil
	}
	return &cursor{m: m}
}

type cursor struct {
	m  *driver.Map[[]byte]
	at string
}

func (c *cursor) Seek(key []byte) (k, v []byte, err error) { return c.step(string(key), false) }
func (c *cursor) Next() (k, v []byte, err error)           { return c.step(c.at, true) }

func (c *cursor) step(from string, after bool) ([]byte, []byte, error) {
	k, v, ok := c.m.Ceil(from, after)
	if !ok {
		return nil, nil, nil
	}
	c.at = k
	return []byte(k), v, nil
}

type kv struct {
	b    *bucket
	name string
}

func (k *kv) Get(ctx context.Context, key []byte) (v []byte, err error) {
	if err := driver.CheckKey(key); err != nil {
		return nil, err
	}
	err = k.b.s.read(ctx, func() error {
		p, _ := base{k.b}.Get(k.name, key)
		if p == nil {
			return storage.ErrNotFound
		}
		v = append([]byte{}, p...)
		return nil
	})
	return v, err
}

func (k *kv) Put(ctx context.Context, key, value []byte) error {
	return k.b.Update(ctx, func(tx storage.Tx) error { return tx.KV(k.name).Put(key, value) })
}

func (k *kv) Delete(ctx context.Context, key []byte) error {
	return k.b.Update(ctx, func(tx storage.Tx) error { return tx.KV(k.name).Delete(key) })
}

func (k *kv) Scan(ctx context.Context, prefix, from []byte, fn func(key, value []byte) bool) error {
	type entry struct{ key, value []byte }
	from = bytes.Clone(from)
	for page := make([]entry, 0, 16); ; page = page[:0] {
		err := k.b.View(ctx, func(tx storage.Tx) error {
			return tx.KV(k.name).Scan(prefix, from, func(key, value []byte) bool {
				page = append(page, entry{key, append([]byte{}, value...)}) // the cursor made the key's copy
				return len(page) < scanPage
			})
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if !fn(e.key, e.value) {
				return nil
			}
		}
		if len(page) < scanPage {
			return nil
		}
		from = append(page[len(page)-1].key, 0)
	}
}
