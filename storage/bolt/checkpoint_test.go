package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// movedNumber is the last journal that the file has.
func movedNumber(t testing.TB, s *Store) uint64 {
	t.Helper()
	_, n, err := s.journalState()
	check(t, err)
	return n
}

// TestCheckpointView holds a view while what it sees in a layer is moved into the file: it sees the same all along.
func TestCheckpointView(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	putN(t, s, 0, 3)
	check(t, s.flushed(t.Context()))
	kv := s.Bucket("b").KV("kv")
	check(t, kv.Put(t.Context(), []byte("k1"), []byte("new")))
	check(t, kv.Delete(t.Context(), []byte("k2")))
	release := stall(t, s)
	onWriter(t, s, func() {
		check(t, s.freeze())
		s.apply()
	})
	var later sync.WaitGroup
	look := func(tx storage.Tx) {
		t.Helper()
		got := ""
		check(t, tx.KV("kv").Scan(nil, nil, func(k, v []byte) bool { got += fmt.Sprintf("%s=%s ", k, v); return true }))
		if got != "k0=v0 k1=new " {
			t.Errorf("got %s", got)
		}
	}
	check(t, s.Bucket("b").View(t.Context(), func(tx storage.Tx) error {
		look(tx)
		before := movedNumber(t, s)
		release()
		for movedNumber(t, s) == before {
			runtime.Gosched()
		}
		look(tx)
		later.Go(func() {
			if err := kv.Put(context.Background(), []byte("k0"), []byte("late")); err != nil {
				t.Error(err)
			}
		})
		runtime.Gosched()
		look(tx) // what is written now is not to be seen before this view ends
		return nil
	}))
	later.Wait()
	check(t, s.flushed(t.Context()))
	if v, err := kv.Get(t.Context(), []byte("k0")); err != nil || string(v) != "late" {
		t.Errorf("got %q, %v", v, err)
	}
}

// TestCheckpointBackup has a backup wait in its midst while checkpoint after checkpoint goes by.
func TestCheckpointBackup(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true, layerSize: 1})
	putN(t, s, 0, 3)
	r, w := io.Pipe()
	t.Cleanup(func() { r.Close() }) // Close waits for the backup
	done := make(chan error, 1)
	go func() { done <- s.Backup(context.Background(), w); w.Close() }()
	var first [1]byte
	_, err := io.ReadFull(r, first[:])
	check(t, err)
	before := movedNumber(t, s)
	putN(t, s, 3, 60)
	check(t, s.flushed(t.Context()))
	if n := movedNumber(t, s); n < before+10 {
		t.Errorf("only %d checkpoints", n-before)
	}
	rest, err := io.ReadAll(r)
	check(t, err)
	check(t, <-done)
	opens(t, map[string][]byte{"": append(first[:], rest...)}, 3)
	hasN(t, s, 60)
}

// TestBackupHasAll makes backups under load, with layers that nothing else would move: each has all that was acknowledged before.
func TestBackupHasAll(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	ctx, cancel := context.WithCancel(context.Background())
	const writers = 4
	var (
		mu    sync.Mutex
		acked [writers]int
		wg    sync.WaitGroup
	)
	state := func() [writers]int { mu.Lock(); defer mu.Unlock(); return acked }
	for g := range writers {
		wg.Go(func() {
			for n := 1; ; n++ {
				err := s.Bucket("load").KV("kv").Put(ctx, fmt.Appendf(nil, "%d/%d", g, n), nil)
				if errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[g] = n
				mu.Unlock()
			}
		})
	}
	for range 5 {
		before := state()
		for state() == before {
			if t.Failed() {
				t.FailNow()
			}
			runtime.Gosched()
		}
		before = state()
		var b bytes.Buffer
		check(t, s.Backup(t.Context(), &b))
		check(t, s.Verify(t.Context()))
		r := openAt(t, lay(t, map[string][]byte{"": b.Bytes()}), Options{noSync: true})
		for g, n := range before {
			for i := range n {
				if _, err := r.Bucket("load").KV("kv").Get(t.Context(), fmt.Appendf(nil, "%d/%d", g, i+1)); err != nil {
					t.Fatalf("%d of %d: %v", i+1, n, err)
				}
			}
		}
		check(t, r.Close())
	}
	cancel()
	wg.Wait()
	// One that is given up does not keep others from theirs.
	release := hold(t, s)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(gone, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	release()
	check(t, s.Verify(t.Context()))
	check(t, s.Close())
	if err := s.Backup(t.Context(), io.Discard); err != storage.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// TestCheckpointDamage has the file's pages damaged before a checkpoint changes them. What the layers have is served on, nothing is
// written any more, and the next start says what to do.
func TestCheckpointDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var log bytes.Buffer
	s := openAt(t, path, Options{noSync: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	kv := s.Bucket("b").KV("kv")
	for i := range 200 {
		check(t, kv.Put(t.Context(), fmt.Appendf(nil, "%03d", i), make([]byte, 500)))
	}
	check(t, s.flushed(t.Context()))
	for _, k := range []string{"000", "100", "199"} { // from now on these are written without a look at the file
		check(t, kv.Put(t.Context(), []byte(k), []byte("acknowledged")))
	}
	fi, err := s.file.Stat()
	check(t, err)
	_, err = s.file.WriteAt(bytes.Repeat([]byte{0xff}, int(fi.Size())-4*s.pageSize), 4*int64(s.pageSize))
	check(t, err)
	for range 2 {
		if err := s.flushed(t.Context()); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("flush: %v", err)
		}
		for i := range 200 {
			v, err := kv.Get(t.Context(), fmt.Appendf(nil, "%03d", i))
			if i%100 == 0 || i == 199 {
				if err != nil || string(v) != "acknowledged" {
					t.Errorf("%d: %q, %v", i, v, err)
				}
			} else if err == nil && !bytes.Equal(v, make([]byte, 500)) || err != nil && !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("%d: %q, %v", i, v, err)
			}
		}
		if err := kv.Put(t.Context(), []byte("000"), nil); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("Put: %v", err)
		}
		if err := s.Backup(t.Context(), io.Discard); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("Backup: %v", err)
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %q", log.String())
	}
	s.Close()
	if d := s.due(); d >= 0 {
		t.Errorf("a checkpoint that can not be is due in %v", d)
	}
	again, err := Open(path, Options{noSync: true})
	if err == nil {
		again.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "backup in") {
		t.Errorf("got %v", err)
	}
}

// TestCheckpointNotBegun: where a layer can not be ended nothing is tried without a pause.
func TestCheckpointNotBegun(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	putN(t, s, 0, 2)
	onWriter(t, s, func() {
		f := s.journal.file(s.journal.number + 1)
		f.Close()
		s.journal.files[(s.journal.number+1)%2] = nil
		check(t, os.Remove(f.name))
		check(t, os.Mkdir(f.name, 0o700))
		s.since = time.Now().Add(-layerAge)
		s.age()
		if d := s.due(); d < fullPause/2 {
			t.Errorf("tried again in %v", d)
		}
		check(t, os.Remove(f.name))
	})
	putN(t, s, 2, 3)
	check(t, s.flushed(t.Context()))
	hasN(t, s, 3)
}

// TestFullFromTheStart fills the disk before anything was written, so that no journal can be made: deletions are possible all the same.
func TestFullFromTheStart(t *testing.T) {
	dir := smallDisk(t, "4m")
	path := filepath.Join(dir, "x.db")
	s := openAt(t, path, Options{})
	putN(t, s, 0, 200)
	check(t, s.flushed(t.Context()))
	for i := range 100 { // pages that are free in the file
		check(t, s.Bucket("b").KV("kv").Delete(t.Context(), fmt.Appendf(nil, "k%d", 199-i)))
	}
	check(t, s.Close())
	other, err := os.Create(filepath.Join(dir, "other"))
	check(t, err)
	for err == nil {
		_, err = other.Write(make([]byte, 4096))
	}
	check(t, other.Close())
	s = openAt(t, path, Options{})
	hasN(t, s, 100)
	if err := s.Bucket("b").KV("kv").Put(t.Context(), []byte("large"), make([]byte, 100_000)); !errors.Is(err, storage.ErrFull) {
		t.Errorf("Put: %v", err)
	}
	for i := range 30 {
		check(t, s.Bucket("b").KV("kv").Delete(t.Context(), fmt.Appendf(nil, "k%d", 99-i)))
		hasN(t, s, 99-i)
	}
	var name string
	onWriter(t, s, func() { name, err = journalsBeside(path) }) // while none is being tried
	if name != "" || err != nil {
		t.Fatalf("there is room for %s: %v", name, err)
	}
	s.w.broken.Store(&errNoMark)
	check(t, s.Close())
	s = openAt(t, path, Options{})
	hasN(t, s, 70)
	check(t, s.Verify(t.Context()))
	check(t, os.Remove(other.Name()))
	putN(t, s, 70, 80)
	check(t, s.Close())
	opens(t, content(t, path), 80)
}

// TestAgainBroken: after a sync that failed nothing is acknowledged, also of a group of which something had no room.
func TestAgainBroken(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	h := installJournal(s, fault{at: math.MaxInt, sync: true})
	putN(t, s, 0, 2)
	h.at = h.writes + 1
	release := hold(t, s)
	kv := s.Bucket("b").KV("kv").(*kv)
	full := &op{run: func(*writeTx) error { return storage.ErrFull }}
	deletes := func(key string) *op {
		return &op{frees: true, run: func(w *writeTx) error { return w.delete(w.tab(kv.id, kv.in), []byte(key)) }}
	}
	ops := []*op{full, deletes("k0"), deletes("k1")}
	for _, o := range ops {
		check(t, s.queue(t.Context(), o))
	}
	release()
	for i, o := range ops {
		if err := s.wait(t.Context(), o); i > 0 && !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("deletion %d: %v", i, err)
		}
	}
	hasN(t, s, 2)
}
