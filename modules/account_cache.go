package modules

import (
	"context"
	"hash/maphash"
	"sync"
)

// AccountCache keeps what a module stores of accounts in memory: read when it is first asked for, changed one change of an
// account at a time, forgotten beyond a bound. Asking for what it has takes a read lock and a look-up, and nothing else, so
// that a handler of every stanza can ask. T is immutable, or a pointer to what is; its zero value says that there is nothing
// of the account, and is remembered like any other.
type AccountCache[T any] struct {
	o      AccountCacheOptions[T]
	seed   maphash.Seed
	shards [cacheShards]cacheShard[T]
}

// AccountCacheOptions are what an AccountCache works with.
type AccountCacheOptions[T any] struct {
	// Read gets from the store what there is of an account.
	Read func(ctx context.Context, local string) (T, error)
	// Weight is what a value costs; nil: each costs 1. Max is how much all may cost.
	Weight func(T) int
	Max    int
	// Keep tells what is not to be forgotten, such as accounts with a session (Host.Connected). May be nil.
	Keep func(local string) bool
}

const (
	cacheShards = 64
	// cacheLook is how many accounts are looked at to find one to forget.
	cacheLook = 32
)

type cacheShard[T any] struct {
	change sync.Mutex // held while an account of the shard is read or changed; before mu

	mu     sync.RWMutex
	values map[string]T
	weight int
}

// NewAccountCache makes an empty cache.
func NewAccountCache[T any](o AccountCacheOptions[T]) *AccountCache[T] {
	if o.Weight == nil {
		o.Weight = func(T) int { return 1 }
	}
	c := &AccountCache[T]{o: o, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].values = map[string]T{}
	}
	return c
}

func (c *AccountCache[T]) shard(local string) *cacheShard[T] {
	return &c.shards[maphash.String(c.seed, local)%cacheShards]
}

// Get returns what there is of an account.
func (c *AccountCache[T]) Get(ctx context.Context, local string) (T, error) {
	s := c.shard(local)
	s.mu.RLock()
	v, ok := s.values[local]
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	s.change.Lock() // so that what is read is not put over what was changed meanwhile
	defer s.change.Unlock()
	return c.read(ctx, s, local)
}

// read returns what there is of an account, from the store where it is not at hand. The caller holds change.
func (c *AccountCache[T]) read(ctx context.Context, s *cacheShard[T], local string) (T, error) {
	s.mu.RLock()
	v, ok := s.values[local]
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := c.o.Read(ctx, local)
	if err == nil {
		c.put(s, local, v)
	}
	return v, err
}

// Change replaces what there is of an account by what fn makes of it. fn writes it to the store, and must not route anything
// that may come back here; changes of one account run one after the other. After an error nobody knows what is on disk: it
// will be read again.
func (c *AccountCache[T]) Change(ctx context.Context, local string, fn func(now T) (T, error)) error {
	s := c.shard(local)
	s.change.Lock()
	defer s.change.Unlock()
	now, err := c.read(ctx, s, local)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // fn failed or panicked
			c.forget(s, local)
		}
	}()
	next, err := fn(now)
	if err != nil {
		return err
	}
	done = true
	c.put(s, local, next)
	return nil
}

// Forget drops what is known of an account, as after its end.
func (c *AccountCache[T]) Forget(local string) {
	s := c.shard(local)
	s.change.Lock()
	defer s.change.Unlock()
	c.forget(s, local)
}

func (c *AccountCache[T]) forget(s *cacheShard[T], local string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c, local)
}

func (c *AccountCache[T]) put(s *cacheShard[T], local string, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c, local)
	s.values[local] = v
	s.weight += c.o.Weight(v)
	looked := 0
	for other := range s.values { // in no order: whom it hits is as good as any
		if s.weight <= c.o.Max/cacheShards || looked == cacheLook {
			return
		}
		looked++
		if other != local && (c.o.Keep == nil || !c.o.Keep(other)) {
			s.drop(c, other)
		}
	}
}

// drop takes an account out. Under mu.
func (s *cacheShard[T]) drop(c *AccountCache[T], local string) {
	if v, ok := s.values[local]; ok {
		s.weight -= c.o.Weight(v)
		delete(s.values, local)
	}
}
