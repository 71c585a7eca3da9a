package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/xmppd/xmppd/storage"
)

// shim stands between bolt and its file, or the journal and its, and makes one of the calls fail. bolt has no place for such a
// thing, so it takes that of unexported fields: the function that writes pages, and the file that is synced.
type shim struct {
	write *func([]byte, int64) (int, error)
	file  **os.File
	real  *os.File
	deaf  *os.File // a pipe, which nobody can sync

	fault
	writes int // so far
	failed bool
}

// fault is what happens at one of the writes.
type fault struct {
	at   int   // at which, from 1 on; 0: never
	err  error // it fails with this
	part int   // after it has written so much: -1, half of it
	sync bool  // it succeeds, and the sync after it fails
}

// install puts a shim under an open store; the test's end takes it away again.
func install(t *testing.T, s *Store, f fault) *shim {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	db := reflect.ValueOf(s.db).Elem()
	h := &shim{
		write: (*func([]byte, int64) (int, error))(unsafe.Pointer(db.FieldByName("ops").FieldByName("writeAt").UnsafeAddr())),
		file:  (**os.File)(unsafe.Pointer(db.FieldByName("file").UnsafeAddr())),
		real:  s.file, deaf: w, fault: f,
	}
	*h.write = h.writeAt
	t.Cleanup(func() { r.Close(); w.Close() })
	return h
}

// installJournal puts a shim under an open store's journal, which nothing was written to yet.
func installJournal(s *Store, f fault) *shim {
	h := &shim{fault: f}
	s.journal.wrap = func(d disk) disk { return &journalShim{d, h} }
	if f.sync {
		s.journal.sync = func(*journalFile) error {
			if h.writes < h.at || h.failed {
				return nil
			}
			h.failed = true
			return &fs.PathError{Op: "fdatasync", Path: s.path, Err: syscall.EINVAL}
		}
	}
	return h
}

type journalShim struct {
	disk
	h *shim
}

func (j *journalShim) WriteAt(b []byte, off int64) (int, error) {
	h := j.h
	h.writes++
	if h.writes != h.at || h.sync {
		return j.disk.WriteAt(b, off)
	}
	h.failed = true
	n, err := j.disk.WriteAt(b[:h.cut(len(b))], off)
	if err == nil {
		err = &fs.PathError{Op: "write", Path: "journal", Err: h.err}
	}
	return n, err
}

// cut returns how much of n bytes is written.
func (f *fault) cut(n int) int {
	if f.part < 0 {
		return n / 2
	}
	return min(f.part, n)
}

// remove lets bolt close its own file. Nobody writes any more.
func (h *shim) remove() {
	if h.file != nil {
		*h.file = h.real
	}
}

func (h *shim) writeAt(b []byte, off int64) (int, error) {
	*h.file = h.real
	h.writes++
	if h.writes != h.at {
		return h.real.WriteAt(b, off)
	}
	h.failed = true
	if h.sync {
		*h.file = h.deaf
		return h.real.WriteAt(b, off)
	}
	n, err := h.real.WriteAt(b[:h.cut(len(b))], off)
	if err == nil {
		err = &fs.PathError{Op: "write", Path: h.real.Name(), Err: h.err}
	}
	return n, err
}

// faultRun is one file with one fault.
type faultRun struct {
	path   string
	want   crashState
	layers int // Options.layerSize
}

// faultWork does to a store what there is to be done: writes of all kinds, small and large. It says in the words of crashChild
// what was acknowledged, and returns the other answers. Nothing is written twice, so that what is there without having been
// acknowledged is there as a whole, too.
func faultWork(ctx context.Context, s *Store, say func(words ...string)) (errs []error) {
	b := s.Bucket("modules", "a.test", "crash")
	done := func(err error, words ...string) {
		if err != nil {
			errs = append(errs, err)
		} else {
			say(words...)
		}
	}
	for n := range 4 {
		small, large := fmt.Sprintf("small/0%d", n), fmt.Sprintf("large/%d", n) // by crashValue
		done(b.KV("put").Put(ctx, []byte(small), crashValue(small)), "put", small)
		done(b.Update(ctx, func(tx storage.Tx) error {
			return errors.Join(tx.KV("one").Put([]byte(large), crashValue(large)), tx.KV("two").Put([]byte(large), crashValue(large)))
		}), "two", large)
		id, err := b.Archive("ar").Append(ctx, "owner", storage.Item{With: "w", Data: crashValue(small)})
		done(err, "add", "owner", id, small)
		if n%2 == 1 {
			say("try", small)
			done(b.KV("put").Delete(ctx, []byte(small)), "del", small)
		}
	}
	return errs
}

// work returns the answers that were errors, when no checkpoint is under way any more.
func (r *faultRun) work(t *testing.T, s *Store) []error {
	t.Helper()
	defer s.flushed(t.Context())
	return faultWork(t.Context(), s, func(words ...string) {
		if !r.want.note(words) {
			t.Fatalf("%q", words)
		}
	})
}

// smallFile is a database that is no larger than what is in it, so that more to write makes the file grow.
func smallFile(t *testing.T) []byte {
	r := &faultRun{path: filepath.Join(t.TempDir(), "x.db"), layers: 1}
	s := r.open(t, true)
	fill(t, s)
	check(t, s.Close())
	return read(t, r.path)
}

func (r *faultRun) open(t *testing.T, noSync bool) *Store {
	t.Helper()
	return openAt(t, r.path, Options{noSync: noSync, InitialMmapSize: 1 << 15, layerSize: r.layers})
}

func newFaultRun(t *testing.T, file []byte, layers int) *faultRun {
	path := filepath.Join(t.TempDir(), "x.db")
	check(t, os.WriteFile(path, file, 0o600))
	return &faultRun{path, newCrashState(), layers}
}

// verify expects all that was acknowledged, now and in a file that is opened again.
func (r *faultRun) verify(t *testing.T, s *Store) {
	t.Helper()
	r.want.check(t, s)
	s.Close()
	again := r.open(t, true)
	r.want.check(t, again)
	check(t, again.Verify(t.Context()))
	check(t, again.Bucket("after").KV("kv").Put(t.Context(), []byte("k"), nil))
	check(t, again.Close())
	check(t, VerifyFile(t.Context(), r.path))
}

// TestFaults makes each write of a workload and of closing the store fail in turn, in each way, and each sync after one: those of
// the journal, and those of the file, into which each change is moved at once. What was acknowledged is there, before and after opening
// again; what was not is there as a whole or not at all; the file's structure is sound. After what leaves the disk's state
// unknown nothing is acknowledged any more, after a full disk the next write is, if it fits.
func TestFaults(t *testing.T) {
	file := smallFile(t)
	t.Run("file", func(t *testing.T) {
		testFaults(t, file, 1, func(s *Store, f fault) *shim { return install(t, s, f) })
	})
	t.Run("journal", func(t *testing.T) { testFaults(t, file, 20_000, installJournal) })
}

func testFaults(t *testing.T, file []byte, layers int, install func(s *Store, f fault) *shim) {
	whole := newFaultRun(t, file, layers)
	s := whole.open(t, true)
	count := install(s, fault{})
	if errs := whole.work(t, s); len(errs) > 0 {
		t.Fatal(errs)
	}
	working := count.writes
	whole.verify(t, s)
	closing := count.writes // that the file was closed well
	if working < 20 || layers == 1 && closing == working {
		t.Fatalf("only %d writes, and %d when it is closed: the shim is in the wrong place", working, closing-working)
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	const torn = 48 // in the middle of what bolt has in a meta page
	for name, f := range map[string]fault{
		"EIO":          {err: syscall.EIO},
		"EIO, half":    {err: syscall.EIO, part: -1},
		"EIO, torn":    {err: syscall.EIO, part: torn},
		"ENOSPC":       {err: syscall.ENOSPC},
		"ENOSPC, half": {err: syscall.ENOSPC, part: -1},
		"ENOSPC, torn": {err: syscall.ENOSPC, part: torn},
		"sync":         {sync: true},
	} {
		t.Run(name, func(t *testing.T) {
			refused, last := 0, closing
			if f.sync {
				last = working // bolt has to close its own file
				if layers > 1 {
					last-- // the last one is a head, which is synced with what comes
				}
			}
			for f.at = 1; f.at <= last && !t.Failed(); f.at += step {
				r := newFaultRun(t, file, layers)
				s := r.open(t, !f.sync)
				h := install(s, f)
				errs := r.work(t, s)
				h.remove()
				if h.failed != (f.at <= working) {
					t.Fatalf("write %d of %d did not come", f.at, working)
				}
				for i, err := range errs {
					want := storage.ErrReadOnly
					if f.err == syscall.ENOSPC {
						want = storage.ErrFull
					}
					if !errors.Is(err, want) {
						t.Errorf("at write %d, answer %d: %v", f.at, i, err)
					}
				}
				switch {
				case h.failed && f.err == syscall.ENOSPC && len(errs) > 1:
					t.Errorf("at write %d: %d writes were refused, wanted one at most", f.at, len(errs))
				case h.failed && f.err == syscall.EIO && s.w.broken.Load() == nil:
					t.Errorf("at write %d: the store goes on", f.at)
				}
				refused += len(errs)
				r.verify(t, s)
				if t.Failed() || !h.failed {
					t.Fatalf("at write %d of %d", f.at, last)
				}
			}
			// What is in the journal needs no room in the file at once.
			if (refused == 0) != (layers == 1 && f.err == syscall.ENOSPC) {
				t.Errorf("%d writes were refused", refused)
			}
		})
	}
}

// limitChild is the process that TestFileLimit starts: it works on a file that may not grow beyond a size, and says as crashChild
// does what was acknowledged, and "error" for each answer that was another.
func limitChild(path, size string) {
	fail := func(err error) {
		fmt.Println("failed", err)
		os.Exit(3)
	}
	limit, err := strconv.ParseUint(size, 10, 63)
	if err != nil {
		fail(err)
	}
	s, err := openFormat(path, Options{noSync: true, InitialMmapSize: 1 << 15}, current)
	if err != nil {
		fail(err)
	}
	if err := limitFiles(limit); err != nil {
		fail(err)
	}
	for _, err := range faultWork(context.Background(), s, func(words ...string) { fmt.Println(strings.Join(words, " ")) }) {
		if !errors.Is(err, storage.ErrReadOnly) && !errors.Is(err, storage.ErrFull) {
			fail(err)
		}
		fmt.Println("error", err)
	}
	s.Close()
	os.Exit(0)
}

// TestFileLimit lets the file grow to a size and no further, for the sizes on its way: then the call that enlarges it fails.
func TestFileLimit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits the size of files as Linux does")
	}
	file := smallFile(t)
	exe, err := os.Executable()
	check(t, err)
	step := 16 << 10
	if testing.Short() {
		step = 64 << 10
	}
	refused := 0
	for size, errs := len(file), 1; errs > 0; size += step {
		r := newFaultRun(t, file, 1)
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashFile+"="+r.path, fileLimit+"="+strconv.Itoa(size))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("at %d bytes: %v\n%s", size, err, out)
		}
		errs = 0
		for line := range strings.Lines(string(out)) {
			if words := strings.Fields(line); words[0] == "error" {
				errs++
			} else if !r.want.note(words) {
				t.Fatalf("the child says %q", line)
			}
		}
		s := r.open(t, true)
		r.verify(t, s)
		if t.Failed() {
			t.Fatalf("at %d bytes", size)
		}
		if errs > 0 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was ever refused")
	}
	t.Logf("%d sizes", refused)
}
