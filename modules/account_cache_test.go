package modules

import (
	"context"
	"errors"
	"strconv"
	"testing"
)

func TestAccountCache(t *testing.T) {
	ctx := context.Background()
	store := map[string]string{"alice": "a"}
	reads := 0
	c := NewAccountCache(AccountCacheOptions[string]{Max: 64 * 4, Read: func(_ context.Context, local string) (string, error) {
		reads++
		if local == "broken" {
			return "", errors.New("no")
		}
		return store[local], nil
	}})
	for range 3 {
		if v, err := c.Get(ctx, "alice"); v != "a" || err != nil || reads != 1 {
			t.Errorf("%q, %v after %d reads", v, err, reads)
		}
		if v, err := c.Get(ctx, "nobody"); v != "" || err != nil { // that there is nothing is remembered too
			t.Errorf("%q, %v", v, err)
		}
		reads = 1
	}
	if _, err := c.Get(ctx, "broken"); err == nil {
		t.Error("a store that fails is not told")
	}
	if err := c.Change(ctx, "broken", func(string) (string, error) { return "x", nil }); err == nil {
		t.Error("changed what could not be read")
	}
	if err := c.Change(ctx, "alice", func(now string) (string, error) { store["alice"] = now + "b"; return now + "b", nil }); err != nil {
		t.Error(err)
	}
	reads = 0
	if v, _ := c.Get(ctx, "alice"); v != "ab" || reads != 0 {
		t.Errorf("%q after %d reads", v, reads)
	}
	// What a change that failed has left behind is read again.
	fail := errors.New("no")
	if err := c.Change(ctx, "alice", func(string) (string, error) { store["alice"] = "half"; return "", fail }); err != fail {
		t.Error(err)
	}
	if v, _ := c.Get(ctx, "alice"); v != "half" || reads != 1 {
		t.Errorf("%q after %d reads", v, reads)
	}
	store["alice"] = "new"
	c.Forget("alice")
	if v, _ := c.Get(ctx, "alice"); v != "new" {
		t.Errorf("%q", v)
	}
	if n := testing.AllocsPerRun(100, func() { c.Get(ctx, "alice") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What it holds is bounded, and what is to be kept stays.
func TestAccountCacheBound(t *testing.T) {
	ctx := context.Background()
	const limit = 64 * 8
	c := NewAccountCache(AccountCacheOptions[int]{
		Max: limit, Weight: func(n int) int { return n },
		Read: func(context.Context, string) (int, error) { return 2, nil },
		Keep: func(local string) bool { return local == "kept" },
	})
	c.Get(ctx, "kept")
	for i := range 5000 {
		c.Get(ctx, strconv.Itoa(i))
	}
	weight, n := 0, 0
	for i := range c.shards {
		weight += c.shards[i].weight
		n += len(c.shards[i].values)
	}
	if weight > limit || n != weight/2 || n < limit/8 {
		t.Errorf("%d values of weight %d, the bound is %d", n, weight, limit)
	}
	s := c.shard("kept")
	if _, ok := s.values["kept"]; !ok {
		t.Error("what is to be kept was forgotten")
	}
}
