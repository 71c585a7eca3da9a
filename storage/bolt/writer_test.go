package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// hold keeps the writer busy until the returned function is called, or the test has failed: Close waits for it.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Bucket("hold").Update(context.Background(), func(tx storage.Tx) error {
			close(begun)
			<-end
			return errors.New("nothing of its own")
		})
		if err == nil {
			t.Error("the holding transaction succeeded")
		}
	})
	<-begun
	release = sync.OnceFunc(func() { close(end); wg.Wait() })
	t.Cleanup(release)
	return release
}

// queued waits until n writes are queued.
func queued(s *Store, n int) {
	for {
		s.w.mu.Lock()
		l := len(s.w.queue)
		s.w.mu.Unlock()
		if l >= n {
			return
		}
		runtime.Gosched()
	}
}

// countCommits counts the syncs of the journal of a store that nothing was written to yet.
func countCommits(s *Store) (commits func() int) {
	var n atomic.Int64
	s.journal.sync = func(f *journalFile) error { n.Add(1); return syncData(f.disk) }
	return func() int { return int(n.Load()) }
}

// TestGroupCommit puts many writes into one commit.
func TestGroupCommit(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	commits := countCommits(s)
	kv := s.Bucket("b").KV("kv")
	release := hold(t, s)
	before := commits()
	const writes = 500
	var wg sync.WaitGroup
	for i := range writes {
		wg.Go(func() {
			if err := kv.Put(context.Background(), fmt.Appendf(nil, "%d", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	queued(s, writes)
	release()
	wg.Wait()
	if n := commits() - before; n != 1 {
		t.Errorf("%d writes took %d commits", writes, n)
	}
	// What changes nothing costs no commit.
	before = commits()
	check(t, kv.Delete(t.Context(), []byte("none")))
	check(t, s.Bucket("none").KV("kv").Delete(t.Context(), []byte("none")))
	check(t, s.Bucket("b").Archive("ar").Remove(t.Context(), "o", "0000000000000"))
	check(t, s.Bucket("b").Archive("ar").Drop(t.Context(), "o"))
	check(t, s.Bucket("b").Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Delete([]byte("none")) }))
	if n := commits() - before; n != 0 {
		t.Errorf("nothing took %d commits", n)
	}
	// A group is bounded, in number and in bytes.
	for _, size := range []int{0, groupBytes / 2} {
		release := hold(t, s)
		before := commits()
		writes := 2*groupOps + 2
		if size > 0 {
			writes = 6
		}
		for i := range writes {
			wg.Go(func() {
				if err := kv.Put(context.Background(), fmt.Appendf(nil, "%d", i), make([]byte, size)); err != nil {
					t.Error(err)
				}
			})
		}
		queued(s, writes)
		release()
		wg.Wait()
		if n := commits() - before; n != 3 {
			t.Errorf("%d writes of %d bytes took %d commits", writes, size, n)
		}
	}
}

// TestGroupReads lets an operation of a group read what an earlier one of it wrote, but for one that failed.
func TestGroupReads(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	commits := countCommits(s)
	b := s.Bucket("b")
	release := hold(t, s)
	before := commits()
	var wg sync.WaitGroup
	mine := errors.New("mine")
	for i, want := range []int{0, 1, 2, 2, 3} {
		wg.Go(func() {
			err := b.Update(context.Background(), func(tx storage.Tx) error {
				v, err := tx.KV("kv").Get([]byte("n"))
				if err != nil {
					return err
				}
				if len(v) != want {
					return fmt.Errorf("got %q", v)
				}
				if err := tx.KV("kv").Put([]byte("n"), append(append([]byte{}, v...), 'x')); err != nil || i != 2 {
					return err
				}
				return mine
			})
			if (i == 2) != (err == mine) || i != 2 && err != nil {
				t.Errorf("operation %d: %v", i, err)
			}
		})
		queued(s, i+1)
	}
	release()
	wg.Wait()
	if n := commits() - before; n != 1 {
		t.Errorf("took %d commits", n)
	}
}

// TestWithdraw gives up writes before and after the writer takes them.
func TestWithdraw(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	kv := s.Bucket("b").KV("kv")
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	key, value := []byte("k"), []byte("v")
	go func() { done <- kv.Put(ctx, key, value) }()
	queued(s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) { // while the writer is still busy
		t.Errorf("Put that was given up: %v", err)
	}
	key[0], value[0] = 'x', 'x' // the caller has its memory back
	release()
	for _, k := range []string{"k", "x"} {
		if _, err := kv.Get(t.Context(), []byte(k)); err != storage.ErrNotFound {
			t.Errorf("%s: %v", k, err)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	err := s.Bucket("b").Update(ctx, func(tx storage.Tx) error {
		cancel() // taken: it is done all the same
		return tx.KV("kv").Put([]byte("k"), nil)
	})
	check(t, err)
	_, err = kv.Get(t.Context(), []byte("k"))
	check(t, err)
}

// TestGoexit ends the writer's goroutine, as a test's FailNow within Update does.
func TestGoexit(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	b := s.Bucket("b")
	check(t, b.KV("kv").Put(t.Context(), []byte("a"), nil))
	err := b.Update(t.Context(), func(tx storage.Tx) error {
		tx.KV("kv").Put([]byte("b"), nil)
		runtime.Goexit()
		return nil
	})
	if err != errExit {
		t.Fatalf("got %v", err)
	}
	check(t, b.KV("kv").Put(t.Context(), []byte("c"), nil))
	if _, err := b.KV("kv").Get(t.Context(), []byte("b")); err != storage.ErrNotFound {
		t.Errorf("of the transaction that was ended: %v", err)
	}
	check(t, s.Close())
}

// TestViewPanics lets a panic of a view's function pass, and nothing is held afterwards.
func TestViewPanics(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	fill(t, s)
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("recovered %v", r)
			}
		}()
		s.Bucket("b").View(t.Context(), func(tx storage.Tx) error { panic("mine") })
	}()
	check(t, s.Close())
}
