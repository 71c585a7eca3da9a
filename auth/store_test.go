package auth

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

func newStore(testing.TB) storage.Store { return &mapStore{m: map[string][]byte{}} }

type mapStore struct {
	storage.Store
	mu sync.Mutex
	m  map[string][]byte
}
type mapBucket struct {
	storage.Bucket
	s      *mapStore
	prefix string
}
type mapKV struct {
	s      *mapStore
	prefix string
	locked bool
}

func (s *mapStore) Bucket(path ...string) storage.Bucket {
	return mapBucket{s: s, prefix: strings.Join(path, "\x01") + "\x02"}
}
func (s *mapStore) Backup(_ context.Context, w io.Writer) error {
	for k, v := range s.m {
		io.WriteString(w, k)
		w.Write(v)
	}
	return nil
}
func (s *mapStore) Close() error { return nil }
func (b mapBucket) KV(name string) storage.KV {
	return mapCtxKV{mapKV{b.s, b.prefix + name + "\x03", false}}
}
func (b mapBucket) Update(ctx context.Context, fn func(storage.Tx) error) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return fn(mapTx(b))
}
func (b mapBucket) View(ctx context.Context, fn func(storage.Tx) error) error {
	return b.Update(ctx, fn)
}

type mapTx mapBucket

func (t mapTx) KV(name string) storage.TxKV { return mapKV{t.s, t.prefix + name + "\x03", true} }
func (k mapKV) Get(key []byte) ([]byte, error) {
	return k.s.m[k.prefix+string(key)], nil
}
func (k mapKV) Put(key, value []byte) error {
	k.s.m[k.prefix+string(key)] = bytes.Clone(value)
	return nil
}
func (k mapKV) Delete(key []byte) error { delete(k.s.m, k.prefix+string(key)); return nil }
func (k mapKV) Scan(prefix, from []byte, fn func(k, v []byte) bool) error {
	var keys []string
	for key := range k.s.m {
		if strings.HasPrefix(key, k.prefix+string(prefix)) && key >= k.prefix+string(from) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !fn([]byte(key[len(k.prefix):]), k.s.m[key]) {
			return nil
		}
	}
	return nil
}

type mapCtxKV struct{ k mapKV }

func (k mapCtxKV) Get(_ context.Context, key []byte) ([]byte, error) {
	k.k.s.mu.Lock()
	defer k.k.s.mu.Unlock()
	v, ok := k.k.s.m[k.k.prefix+string(key)]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return bytes.Clone(v), nil
}
func (k mapCtxKV) Put(_ context.Context, key, value []byte) error {
	k.k.s.mu.Lock()
	defer k.k.s.mu.Unlock()
	return k.k.Put(key, value)
}
func (k mapCtxKV) Delete(_ context.Context, key []byte) error {
	k.k.s.mu.Lock()
	defer k.k.s.mu.Unlock()
	return k.k.Delete(key)
}
func (k mapCtxKV) Scan(_ context.Context, prefix, from []byte, fn func(k, v []byte) bool) error {
	k.k.s.mu.Lock()
	defer k.k.s.mu.Unlock()
	return k.k.Scan(prefix, from, fn)
}
