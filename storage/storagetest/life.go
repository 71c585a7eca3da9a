package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

func testCancel(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, gerr := b.KV("kv").Get(ctx, []byte("a"))
	_, aerr := b.Archive("ar").Append(ctx, "o", storage.Item{})
	_, agerr := b.Archive("ar").Get(ctx, "o", "x")
	_, perr := b.Archive("ar").Page(ctx, "o", storage.Query{})
	_, xerr := b.Archive("ar").Expire(ctx, "", bgTime)
	_, _, serr := b.Archive("ar").Stat(ctx, "o")
	for i, err := range []error{gerr, aerr, agerr, perr, xerr, serr,
		b.KV("kv").Put(ctx, []byte("b"), nil),
		b.KV("kv").Delete(ctx, []byte("a")),
		b.KV("kv").Scan(ctx, nil, nil, func(k, v []byte) bool { t.Error("visited"); return true }),
		b.Update(ctx, func(tx storage.Tx) error { t.Error("run"); return nil }),
		b.View(ctx, func(tx storage.Tx) error { t.Error("run"); return nil }),
		b.Archive("ar").Remove(ctx, "o", "x"),
		b.Archive("ar").Drop(ctx, "o"),
		s.DeleteBucket(ctx, "b"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d with an ended context: %v", i, err)
		}
	}
	equal(t, "left", list(t, b.KV("kv"), "", ""), "a=1 ")

	// A context that ends while a write is under way: an error means that nothing was changed, and no error that all was.
	each(64, func(i int) {
		ctx, cancel := context.WithCancel(bg)
		go cancel()
		key := fmt.Appendf(nil, "k%d", i)
		err := b.KV("kv").Put(ctx, key, key)
		_, gerr := b.KV("kv").Get(bg, key)
		if err == nil && gerr != nil || err != nil && (!errors.Is(err, context.Canceled) || gerr != storage.ErrNotFound) {
			t.Errorf("Put: %v, then Get: %v", err, gerr)
		}
	})
}

func testClose(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	// Writes under way are done or refused, never half.
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(16, func(i int) {
			for j := 0; ; j++ {
				err := b.KV("kv").Put(bg, fmt.Appendf(nil, "%d/%d", i, j), nil)
				if err == storage.ErrClosed {
					return
				}
				if err != nil {
					t.Errorf("Put around Close: %v", err)
					return
				}
			}
		})
	}()
	check(t, s.Close())
	<-done
	check(t, s.Close())
	_, gerr := b.KV("kv").Get(t.Context(), []byte("a"))
	_, aerr := b.Archive("ar").Append(t.Context(), "o", storage.Item{})
	_, perr := b.Archive("ar").Page(t.Context(), "o", storage.Query{})
	_, _, serr := b.Archive("ar").Stat(t.Context(), "o")
	for i, err := range []error{gerr, aerr, perr, serr,
		b.KV("kv").Put(t.Context(), []byte("b"), nil),
		b.KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool { return true }),
		b.Update(t.Context(), func(tx storage.Tx) error { return nil }),
		b.View(t.Context(), func(tx storage.Tx) error { return nil }),
		s.DeleteBucket(t.Context(), "b"),
		s.Verify(t.Context()),
	} {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
}

func testReopen(t *testing.T, s storage.Store, reopen Reopen) {
	b := s.Bucket("a", "b")
	put(t, b.KV("kv"), "k", "v")
	put(t, b.KV("kv"), "gone", "v")
	check(t, b.KV("kv").Delete(t.Context(), []byte("gone")))
	future := bgTime.AddDate(5, 0, 0)
	id1, err := b.Archive("ar").Append(t.Context(), "o", storage.Item{At: future, With: "w@x", Data: []byte("one")})
	check(t, err)
	for range 3 {
		s = reopen(t, s)
		b = s.Bucket("a", "b")
		equal(t, "reopened", list(t, b.KV("kv"), "", ""), "k=v ")
		it, err := b.Archive("ar").Get(t.Context(), "o", id1)
		check(t, err)
		if it.ID != id1 || !it.At.Equal(future) || it.With != "w@x" || string(it.Data) != "one" {
			t.Fatalf("reopened item: %+v", it)
		}
		check(t, s.Verify(t.Context()))
	}
	// The clock went back and the server was started anew: IDs rise all the same.
	last := id1
	for range 3 {
		s = reopen(t, s)
		id, err := s.Bucket("a", "b").Archive("ar").Append(t.Context(), "o", storage.Item{At: bgTime})
		check(t, err)
		if id <= last {
			t.Fatalf("ID %s after %s", id, last)
		}
		last = id
	}
	n, size, err := s.Bucket("a", "b").Archive("ar").Stat(t.Context(), "o")
	check(t, err)
	equal(t, "count", n, 4)
	equal(t, "bytes", size, 3)
	check(t, s.Close())
}

func testBackup(t *testing.T, s storage.Store) {
	defer s.Close()
	put(t, s.Bucket("b").KV("kv"), "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	check(t, s.Backup(ctx, &out))
	if out.Len() == 0 {
		t.Fatal("the backup is empty")
	}
	cancel()
	if err := s.Backup(ctx, &out); !errors.Is(err, context.Canceled) {
		t.Fatalf("backup that was given up: %v", err)
	}
}
