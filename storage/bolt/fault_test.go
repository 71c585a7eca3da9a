package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// fillUp puts until the store is full.
func fillUp(t *testing.T, s *Store) (n int) {
	t.Helper()
	kv := s.Bucket("fill").KV("kv")
	for ; n < 100_000; n++ {
		err := kv.Put(t.Context(), fmt.Appendf(nil, "%06d", n), make([]byte, 3000))
		if errors.Is(err, storage.ErrFull) {
			if !strings.Contains(err.Error(), s.path) {
				t.Errorf("%q does not name the file", err)
			}
			return n
		}
		check(t, err)
	}
	t.Fatal("never full")
	return 0
}

// testFull fills a store, and expects it to serve on, to delete, and to accept again what fits.
func testFull(t *testing.T, s *Store) {
	fill(t, s)
	n := fillUp(t, s)
	kv := s.Bucket("fill").KV("kv")
	ar := s.Bucket("fill").Archive("ar")
	if _, err := ar.Append(t.Context(), "o", storage.Item{Data: make([]byte, 1<<20)}); !errors.Is(err, storage.ErrFull) {
		t.Fatalf("Append: %v", err)
	}
	seen := 0
	check(t, kv.Scan(t.Context(), nil, nil, func(k, v []byte) bool { seen++; return len(v) == 3000 }))
	if seen != n {
		t.Fatalf("%d values of %d", seen, n)
	}
	// Deleting works, even where what is too large asks for the same commit.
	release := hold(t, s)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := kv.Put(context.Background(), []byte("large"), make([]byte, 8<<20)); !errors.Is(err, storage.ErrFull) {
			t.Errorf("Put of what is too large: %v", err)
		}
	})
	queued(s, 1)
	for i := range n / 2 {
		wg.Go(func() {
			if err := kv.Delete(context.Background(), fmt.Appendf(nil, "%06d", i)); err != nil {
				t.Errorf("Delete: %v", err)
			}
		})
	}
	queued(s, 1+n/2)
	release()
	wg.Wait()
	for i := range n / 4 {
		check(t, kv.Put(t.Context(), fmt.Appendf(nil, "%06d", i), make([]byte, 3000)))
	}
	check(t, s.Verify(t.Context()))
	path := s.path
	check(t, s.Close())
	check(t, VerifyFile(t.Context(), path))
	r := openAt(t, path, Options{})
	seen = 0
	check(t, r.Bucket("fill").KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool { seen++; return true }))
	if want := n - n/2 + n/4; seen != want {
		t.Fatalf("%d values after opening again, want %d", seen, want)
	}
}

func TestMaxSize(t *testing.T) {
	testFull(t, openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{MaxSize: 2 << 20, InitialMmapSize: 1 << 15, noSync: true}))
}

func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "4m")
	testFull(t, openAt(t, filepath.Join(dir, "x.db"), Options{}))
}

// TestDiskFullGrows makes space without a restart.
func TestDiskFullGrows(t *testing.T) {
	dir := smallDisk(t, "4m")
	s := openAt(t, filepath.Join(dir, "x.db"), Options{})
	other := filepath.Join(dir, "other")
	check(t, os.WriteFile(other, make([]byte, 2<<20), 0o600))
	fillUp(t, s)
	check(t, os.Remove(other))
	for i := range 100 {
		check(t, s.Bucket("after").KV("kv").Put(t.Context(), fmt.Appendf(nil, "%d", i), make([]byte, 3000)))
	}
	check(t, s.Verify(t.Context()))
	check(t, s.Close())
}

// TestNoSpaceAtAll can not even be made.
func TestNoSpaceAtAll(t *testing.T) {
	dir := smallDisk(t, "16k")
	path := filepath.Join(dir, "x.db")
	check(t, os.WriteFile(filepath.Join(dir, "other"), make([]byte, 12<<10), 0o600))
	if s, err := Open(path, Options{}); err == nil {
		s.Close()
		t.Fatal("opened")
	} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a file is left: %v", err)
	}
	check(t, os.Remove(filepath.Join(dir, "other")))
}

// TestWriteFails takes the files away from under the store, so that a write fails as it does on a broken disk: the journal, at
// once, and the database, with the next checkpoint.
func TestWriteFails(t *testing.T) {
	for name, take := range map[string]func(s *Store, kv storage.KV){
		"journal": func(s *Store, _ storage.KV) { s.journal.file(s.journal.number).Close() },
		"database": func(s *Store, kv storage.KV) {
			s.file.Close()
			check(t, kv.Put(t.Context(), []byte("acknowledged"), nil))
			if err := s.flushed(t.Context()); !errors.Is(err, storage.ErrReadOnly) {
				t.Errorf("flush: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			var log bytes.Buffer
			s := openAt(t, path, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			fill(t, s)
			b := s.Bucket("modules", "a.test", "roster")
			take(s, b.KV("kv"))
			for range 3 {
				_, aerr := b.Archive("ar").Append(t.Context(), "alice", storage.Item{})
				for i, err := range []error{aerr,
					b.KV("kv").Put(t.Context(), []byte("lost"), nil),
					b.KV("kv").Delete(t.Context(), []byte("k1")),
					b.Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Put([]byte("lost"), nil) }),
					s.DeleteBucket(t.Context(), "modules"),
				} {
					if !errors.Is(err, storage.ErrReadOnly) || !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), path) {
						t.Errorf("write %d: %v", i, err)
					}
				}
				v, err := b.KV("kv").Get(t.Context(), []byte("k1"))
				if err != nil || string(v) != "v1" {
					t.Errorf("reading: %q, %v", v, err)
				}
				p, err := b.Archive("ar").Page(t.Context(), "alice", storage.Query{})
				if err != nil || len(p.Items) != 20 {
					t.Errorf("reading: %d items, %v", len(p.Items), err)
				}
			}
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "restart") {
				t.Errorf("logged %q", log.String())
			}
			s.Close() // the file that is gone can not be closed again
			r := openAt(t, path, Options{})
			kv := r.Bucket("modules", "a.test", "roster").KV("kv")
			if _, err := kv.Get(t.Context(), []byte("lost")); err != storage.ErrNotFound {
				t.Errorf("what was refused: %v", err)
			}
			if _, err := kv.Get(t.Context(), []byte("acknowledged")); (err == nil) != (name == "database") {
				t.Errorf("what was acknowledged: %v", err)
			}
			fill(t, r)
			check(t, r.Verify(t.Context()))
		})
	}
}

func TestGuard(t *testing.T) {
	for name, fn := range map[string]func() error{
		"panic": func() error { panic("page 7: invalid") },
		"nil":   func() error { var p *int; *p = 1; return nil },
		"index": func() error { var b []byte; i := 3; b[i]++; return nil },
	} {
		if err := guard(fn); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mine := errors.New("mine")
	if err := guard(func() error { return mine }); err != mine {
		t.Errorf("got %v", err)
	}
}

// TestCutWhileOpen cuts the file short under a running store: what is gone faults in the mapping.
func TestCutWhileOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("cuts a mapped file, which other systems answer differently")
	}
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	kv := s.Bucket("b").KV("kv")
	for i := range 50 {
		check(t, kv.Put(t.Context(), fmt.Appendf(nil, "%d", i), make([]byte, 3000)))
	}
	check(t, s.flushed(t.Context()))
	check(t, os.Truncate(path, 3*4096))
	for i := range 50 {
		v, err := kv.Get(t.Context(), fmt.Appendf(nil, "%d", i))
		if err == nil && len(v) != 3000 || err != nil && !errors.Is(err, storage.ErrCorrupt) {
			t.Fatalf("got %d bytes, %v", len(v), err)
		}
	}
	err := s.Bucket("b").View(t.Context(), func(tx storage.Tx) error {
		return tx.KV("kv").Scan(nil, nil, func(k, v []byte) bool { return true })
	})
	if !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("View: %v", err)
	}
	if err := s.Verify(t.Context()); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("Verify: %v", err)
	}
	err = kv.Put(t.Context(), []byte("k"), nil)
	if err == nil {
		t.Error("a write succeeded")
	}
}
