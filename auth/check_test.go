package auth

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestEqualWork: A24. An attempt on an unknown account derives a key as one on a known account does; what differs is only
// what cannot be seen.
func TestEqualWork(t *testing.T) {
	ctx := context.Background()
	for _, hashes := range [][]string{nil, {"SHA-1"}, {"SHA-512"}, {"SHA-512", "SHA-1"}} {
		a := NewAccounts(newStore(t), Options{Iterations: 7, Hashes: hashes, Secret: testSecret})
		u := a.Host(testHost)
		must(t, u.Create(ctx, "alice", "x"))
		must(t, u.Create(ctx, "bob", "x"))
		must(t, u.SetDisabled(ctx, "bob", true))
		var runs []string
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			runs = append(runs, fmt.Sprint(password, len(salt), iter, size))
			return run(h, password, salt, iter, size)
		}
		work := func(local string) []string {
			runs = nil
			if err := u.Check(ctx, local, "wrong"); err != ErrPassword {
				t.Fatalf("%s: %v", local, err)
			}
			return runs
		}
		want := work("alice")
		if len(want) != 1 {
			t.Fatalf("%v", want)
		}
		for _, local := range []string{"nobody", "bob"} {
			for range 2 {
				if got := work(local); !slices.Equal(got, want) {
					t.Errorf("%v: work for %q %v, for alice %v", hashes, local, got, want)
				}
			}
		}
	}
}

// TestVerifiedCache: a password that was right is not derived again for some minutes, unless something changed.
func TestVerifiedCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := NewAccounts(newStore(t), Options{Iterations: 1, Hashes: []string{"SHA-256"}, Secret: testSecret})
		var runs atomic.Int32
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			runs.Add(1)
			return run(h, password, salt, iter, size)
		}
		u := a.Host(testHost)
		must(t, u.Create(ctx, "alice", "x"))
		check := func(password string, want error, derived int32) {
			t.Helper()
			runs.Store(0)
			if err := u.Check(ctx, "alice", password); err != want || runs.Load() != derived {
				t.Errorf("%s: %v after %d runs, want %v after %d", password, err, runs.Load(), want, derived)
			}
		}
		check("x", nil, 1)
		check("x", nil, 0)
		check("wrong", ErrPassword, 1)
		check("wrong", ErrPassword, 1)
		check("x", nil, 0)
		time.Sleep(verifiedTTL)
		check("x", nil, 1)
		must(t, u.SetDisabled(ctx, "alice", true))
		if err := u.Check(ctx, "alice", "x"); err != ErrDisabled {
			t.Errorf("disabled: %v", err)
		}
		must(t, u.SetDisabled(ctx, "alice", false))
		check("x", nil, 1)
		must(t, u.SetPassword(ctx, "alice", "y"))
		check("x", ErrPassword, 1)
		check("y", nil, 1)
		check("y", nil, 0)
		must(t, u.Delete(ctx, "alice"))
		check("y", ErrPassword, 1)
		must(t, u.Create(ctx, "alice", "z"))
		check("y", ErrPassword, 1)
	})
}

// TestVerifiedChangeElsewhere: the cache does not trust that it is told of changes.
func TestVerifiedChangeElsewhere(t *testing.T) {
	ctx := context.Background()
	st := newStore(t)
	a := newAccounts(t, st)
	must(t, a.Host(testHost).Check(ctx, "alice", testPassword))
	must(t, newSecond(st).Host(testHost).SetPassword(ctx, "alice", "new"))
	if err := a.Host(testHost).Check(ctx, "alice", testPassword); err != ErrPassword {
		t.Errorf("the old password: %v", err)
	}
}

func TestVerifiedBounded(t *testing.T) {
	var v verified
	for i := range verifiedMax + 100 {
		v.add(fmt.Sprint(i), [32]byte{byte(i)})
	}
	if len(v.last) > verifiedMax {
		t.Errorf("%d entries", len(v.last))
	}
	if !v.has(fmt.Sprint(verifiedMax+99), [32]byte{byte((verifiedMax + 99) & 0xff)}) {
		t.Error("the newest entry is gone")
	}
	if v.has("none", [32]byte{}) {
		t.Error("an account that was never added, with a MAC of zeros")
	}
}

// TestChangeDuringCheck: A26, what changes while a check waits for its turn counts.
func TestChangeDuringCheck(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		change func(u Users) error
		want   error
	}{
		"password": {func(u Users) error { return u.SetPassword(ctx, "alice", "new") }, ErrPassword},
		"disabled": {func(u Users) error { return u.SetDisabled(ctx, "alice", true) }, ErrDisabled},
		"deleted":  {func(u Users) error { return u.Delete(ctx, "alice") }, ErrPassword},
	} {
		st := newStore(t)
		a := newAccounts(t, st)
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			must(t, tc.change(newSecond(st).Host(testHost)))
			return run(h, password, salt, iter, size)
		}
		if err := a.Host(testHost).Check(ctx, "alice", testPassword); err != tc.want {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// TestSlots: no more derivations at once than there are slots, and who gives up waiting gets his context's error.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t, newStore(t))
		var now, most atomic.Int32
		slots := newDeriver(2)
		slots.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return make([]byte, size), nil
		}
		a.derive = slots
		ctx, cancel := context.WithTimeout(context.Background(), 3500*time.Millisecond)
		defer cancel()
		var refused, late atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				switch err := a.Host(testHost).Check(ctx, "alice", "wrong"); {
				case err == ErrPassword:
					refused.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					late.Add(1)
				}
			})
		}
		wg.Wait()
		if most.Load() != 2 || refused.Load() != 8 || late.Load() != 2 {
			t.Errorf("%d at once, %d done, %d gave up", most.Load(), refused.Load(), late.Load())
		}
	})
}
