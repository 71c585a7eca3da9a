package auth

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// The date of a login is known at once and on disk soon: what a later process finds is what Close or the delay left there.
func TestLastLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st := newStore(t)
		a := newAccounts(t, st)
		u := a.Host(testHost)
		stored := func() time.Time {
			t.Helper()
			acc, err := newSecond(st).Host(testHost).Get(ctx, "alice")
			must(t, err)
			return acc.LastLogin
		}
		time.Sleep(time.Hour)
		first := time.Now().UTC()
		u.Touch("alice", first)
		if acc, err := u.Get(ctx, "alice"); err != nil || !acc.LastLogin.Equal(first) {
			t.Errorf("at once: %v %v", acc.LastLogin, err)
		}
		must(t, u.List(ctx, func(acc Account) bool {
			if (acc.Local == "alice") != acc.LastLogin.Equal(first) {
				t.Errorf("in the list %s logged in at %v", acc.Local, acc.LastLogin)
			}
			return true
		}))
		if at := stored(); !at.IsZero() {
			t.Errorf("written at once: %v", at)
		}
		time.Sleep(loginDelay)
		synctest.Wait()
		if at := stored(); !at.Equal(first) {
			t.Errorf("after the delay: %v, want %v", at, first)
		}
		u.Touch("alice", first.Add(-time.Minute)) // a clock that went back
		u.Touch("nobody", first)
		a.Close()
		if at := stored(); !at.Equal(first) {
			t.Errorf("an earlier date took the place of a later one: %v", at)
		}
		b, err := st.Bucket("auth", testHost).KV(loginsKV).Get(ctx, []byte("nobody"))
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a login of nobody: %x %v", b, err)
		}
		u.Touch("alice", first.Add(time.Minute)) // after the end, at once
		if at := stored(); !at.Equal(first.Add(time.Minute)) {
			t.Errorf("after Close: %v", at)
		}
	})
}

// A27: a login on its way to the disk when its account is deleted is none of the next account of that name.
func TestLastLoginDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := newAccounts(t, newStore(t))
		u := a.Host(testHost)
		for _, late := range []bool{false, true} {
			at := time.Now()
			u.Touch("alice", at)
			must(t, u.Delete(ctx, "alice"))
			if late {
				u.Touch("alice", at)
			}
			time.Sleep(time.Second)
			must(t, u.Create(ctx, "alice", "x"))
			for _, when := range []string{"at once", "later"} {
				if acc, err := u.Get(ctx, "alice"); err != nil || !acc.LastLogin.IsZero() {
					t.Errorf("late %v, %s: %v %v", late, when, acc.LastLogin, err)
				}
				time.Sleep(loginDelay)
				synctest.Wait()
			}
		}
	})
}
