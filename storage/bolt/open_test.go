package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// fill writes a little of everything.
func fill(t testing.TB, s storage.Store) {
	t.Helper()
	b := s.Bucket("modules", "a.test", "roster")
	for i := range 20 {
		check(t, b.KV("kv").Put(t.Context(), fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i)))
		_, err := b.Archive("ar").Append(t.Context(), "alice", storage.Item{With: "bob@b.test", Data: []byte("d")})
		check(t, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made returns the path of a closed database with something in it.
func made(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	fill(t, s)
	check(t, s.Close())
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return b
}

// refused opens a file and expects an error that says all of the words, and the file to be left as it was.
func refused(t *testing.T, path string, want error, words ...string) {
	t.Helper()
	before := read(t, path)
	s, err := Open(path, Options{Timeout: time.Millisecond})
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	for _, w := range append(words, path) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("the file was changed")
	}
}

func TestOpenModes(t *testing.T) {
	path := made(t)
	for _, name := range []string{path, path + ".lock"} {
		fi, err := os.Stat(name)
		check(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, fi.Mode())
		}
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file's first name is left: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("empty", func(t *testing.T) { // as a full disk leaves it
		path := made(t)
		check(t, os.Truncate(path, 0))
		refused(t, path, ErrFormat, "empty", "put a backup in its place")
	})
	t.Run("another program's", func(t *testing.T) {
		path := made(t)
		check(t, os.WriteFile(path, bytes.Repeat([]byte("SQLite format 3\x00"), 4096), 0o600))
		refused(t, path, ErrFormat, "another program", "put a backup in its place")
	})
	t.Run("short and another's", func(t *testing.T) {
		path := made(t)
		check(t, os.WriteFile(path, []byte("x"), 0o600))
		refused(t, path, ErrFormat, "another program")
	})
	t.Run("another bbolt file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.db")
		db, err := bolt.Open(path, 0o600, nil)
		check(t, err)
		check(t, db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }))
		check(t, db.Close())
		refused(t, path, ErrFormat, "another program")
		db, err = bolt.Open(path, 0o600, nil)
		check(t, err)
		check(t, db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("theirs")) }))
		check(t, db.Close())
		refused(t, path, ErrFormat, "another program")
	})
	t.Run("truncated", func(t *testing.T) {
		path := made(t)
		whole := read(t, path)
		fi, err := os.Stat(path)
		check(t, err)
		for _, percent := range []int64{10, 50, 90, 99} {
			f, err := os.Open(path)
			check(t, err)
			c, err := newChecker(f)
			f.Close()
			check(t, err)
			size := int64(c.high) * int64(c.pageSize) * percent / 100
			check(t, os.Truncate(path, size))
			words := []string{"put a backup in its place"}
			if size > int64(2*c.pageSize) {
				words = append(words, "cut short", fmt.Sprint(size))
			}
			refused(t, path, ErrFormat, words...)
			check(t, os.WriteFile(path, whole, 0o600))
		}
		check(t, os.Truncate(path, fi.Size()))
		check(t, openAt(t, path, Options{}).Verify(t.Context()))
	})
	t.Run("readable by others", func(t *testing.T) {
		path := made(t)
		check(t, os.Chmod(path, 0o644))
		refused(t, path, nil, "0644", "chmod 600 "+path)
	})
	t.Run("link", func(t *testing.T) {
		path := made(t)
		link := filepath.Join(t.TempDir(), "link.db")
		check(t, os.Symlink(path, link))
		refused(t, link, nil, "symbolic link")
		_, err := Open(filepath.Join(t.TempDir(), "none", "x.db"), Options{})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no directory: %v", err)
		}
	})
	t.Run("directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.db")
		check(t, os.Mkdir(path, 0o700))
		_, err := Open(path, Options{})
		if err == nil || !strings.Contains(err.Error(), "directory") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOpenTwice(t *testing.T) {
	path := made(t)
	s := openAt(t, path, Options{})
	refused(t, path, ErrInUse, fmt.Sprintf("process %d", os.Getpid()))
	if err := VerifyFile(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("VerifyFile of an open file: %v", err)
	}
	fill(t, s)
	check(t, s.Close())
	check(t, openAt(t, path, Options{}).Verify(t.Context()))

	// Another program that knows nothing of our lock file.
	other := filepath.Join(t.TempDir(), "x.db")
	check(t, os.WriteFile(other, read(t, made(t)), 0o600))
	db, err := bolt.Open(other, 0o600, nil)
	check(t, err)
	defer db.Close()
	refused(t, other, ErrInUse, "another program")
}

// TestOpenAfterCrash leaves what a crash during creation leaves.
func TestOpenAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	check(t, os.WriteFile(path+".new", []byte("half"), 0o600))
	check(t, os.WriteFile(path+".lock", []byte("999999\n"), 0o600))
	s := openAt(t, path, Options{})
	fill(t, s)
	check(t, s.Verify(t.Context()))
}

// TestUnclean copies the file of a running store, as a crash leaves it.
func TestUnclean(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	fill(t, s)
	var log bytes.Buffer
	open := func(content []byte) string {
		t.Helper()
		log.Reset()
		p := filepath.Join(t.TempDir(), "y.db")
		check(t, os.WriteFile(p, content, 0o600))
		o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
		c := openAt(t, p, o)
		check(t, c.Verify(t.Context()))
		check(t, c.Close())
		return p
	}
	p := open(read(t, path))
	if !strings.Contains(log.String(), "was not shut down") {
		t.Errorf("unclean: logged %q", log.String())
	}
	if open(read(t, p)); log.Len() != 0 {
		t.Errorf("clean: logged %q", log.String())
	}
	check(t, s.Close())
	if open(read(t, path)); log.Len() != 0 {
		t.Errorf("closed: logged %q", log.String())
	}
}

func TestCheckBudget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	fill(t, s)
	var log bytes.Buffer
	p := filepath.Join(t.TempDir(), "y.db")
	check(t, os.WriteFile(p, read(t, path), 0o600))
	c := openAt(t, p, Options{CheckBudget: time.Nanosecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	fill(t, c)
	if !strings.Contains(log.String(), "did not end in time") {
		t.Errorf("logged %q", log.String())
	}
}

var golden = flag.Bool("golden", false, "write the file of the current format anew; only while that format is in no release")

// TestGolden opens a file of each format that there was.
func TestGolden(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("bolt's files are in the machine's byte order, and those of the test in another one")
	}
	name := filepath.Join("testdata", fmt.Sprintf("format%d.db", current.number))
	if *golden {
		path := made(t)
		f, err := os.Open(path)
		check(t, err)
		defer f.Close()
		c, err := newChecker(f)
		check(t, err)
		check(t, os.WriteFile(name, read(t, path)[:int(c.high)*c.pageSize], 0o600))
	}
	for n := 1; n <= current.number; n++ {
		content := read(t, filepath.Join("testdata", fmt.Sprintf("format%d.db", n)))
		path := filepath.Join(t.TempDir(), "x.db")
		check(t, os.WriteFile(path, content, 0o600))
		s := openAt(t, path, Options{})
		b := s.Bucket("modules", "a.test", "roster")
		for i := range 20 {
			v, err := b.KV("kv").Get(t.Context(), fmt.Appendf(nil, "k%d", i))
			if err != nil || string(v) != fmt.Sprintf("v%d", i) {
				t.Errorf("format %d, k%d: %q, %v", n, i, v, err)
			}
		}
		p, err := b.Archive("ar").Page(t.Context(), "alice", storage.Query{With: "bob@b.test"})
		if err != nil || len(p.Items) != 20 || string(p.Items[19].Data) != "d" {
			t.Errorf("format %d: %d items, %v", n, len(p.Items), err)
		}
		check(t, s.Verify(t.Context()))
		fill(t, s)
		check(t, s.Verify(t.Context()))
	}
}

func TestFormat(t *testing.T) {
	path := made(t)
	whole := read(t, path)
	step := func(from string) func(w *fileTx) error {
		return func(w *fileTx) error {
			b, err := w.ensure(w, steps([]string{"x"}, kindKV, "steps")...)
			if err != nil {
				return err
			}
			return w.put(b, []byte(from), record([]byte(from), []byte("done")))
		}
	}
	older := format{number: 4, steps: map[int]func(*fileTx) error{2: step("2"), 3: step("3")}}
	s, err := openFormat(path, Options{}, older)
	check(t, err)
	for _, k := range []string{"2", "3"} {
		_, err := s.Bucket("x").KV("steps").Get(t.Context(), []byte(k))
		check(t, err)
	}
	check(t, s.Verify(t.Context()))
	check(t, s.Close())
	refused(t, path, ErrFormat, "format 4", "up to 2", "newer version")

	// A migration that fails changes nothing, whichever step it is.
	check(t, os.WriteFile(path, whole, 0o600))
	mine := errors.New("mine")
	for _, failing := range []format{
		{number: 3, steps: map[int]func(*fileTx) error{2: func(w *fileTx) error { return mine }}},
		{number: 4, steps: map[int]func(*fileTx) error{2: step("2"), 3: func(w *fileTx) error { return mine }}},
		{number: 4, steps: map[int]func(*fileTx) error{2: step("2"), 3: func(w *fileTx) error { panic("mine") }}},
		{number: 4, steps: map[int]func(*fileTx) error{3: step("3")}},
	} {
		if s, err := openFormat(path, Options{}, failing); err == nil {
			s.Close()
			t.Fatal("opened")
		}
		s := openAt(t, path, Options{})
		_, err := s.Bucket("x").KV("steps").Get(t.Context(), []byte("2"))
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after a migration that failed: %v", err)
		}
		check(t, s.Close())
	}
	check(t, VerifyFile(t.Context(), path))
}

func TestBackup(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	fill(t, s)
	b := s.Bucket("load").KV("kv")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { // the server goes on
		n := 0
		for ; b.Put(ctx, fmt.Appendf(nil, "%d", n), make([]byte, 500)) == nil; n++ {
		}
		done <- n
	}()
	path := filepath.Join(t.TempDir(), "backup.db")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	check(t, err)
	check(t, s.Backup(t.Context(), f))
	check(t, f.Close())
	check(t, s.Verify(t.Context()))
	cancel()
	<-done
	check(t, VerifyFile(t.Context(), path))
	r := openAt(t, path, Options{})
	v, err := r.Bucket("modules", "a.test", "roster").KV("kv").Get(t.Context(), []byte("k19"))
	if err != nil || string(v) != "v19" {
		t.Errorf("restored: %q, %v", v, err)
	}
	n, _, err := r.Bucket("modules", "a.test", "roster").Archive("ar").Stat(t.Context(), "alice")
	if err != nil || n != 20 {
		t.Errorf("restored archive: %d, %v", n, err)
	}
}

// TestCheckerAgrees compares the checker with bolt's own on sound files of all kinds of pages.
func TestCheckerAgrees(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	fill(t, s)
	b := s.Bucket("b")
	for i := range 30 {
		check(t, b.Update(t.Context(), func(tx storage.Tx) error {
			for j := range 200 {
				if err := tx.KV("kv").Put(fmt.Appendf(nil, "%d", (i*7919+j*104729)%5000), make([]byte, j*i%700)); err != nil {
					return err
				}
				if err := tx.KV("kv").Delete(fmt.Appendf(nil, "%d", j*13%5000)); err != nil {
					return err
				}
			}
			return tx.KV("large").Put(fmt.Appendf(nil, "%d", i%3), make([]byte, 100_000*(i%4)))
		}))
	}
	check(t, s.Verify(t.Context()))
	check(t, s.Close())
	check(t, VerifyFile(t.Context(), path))
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	c, err := newChecker(f)
	check(t, err)
	check(t, c.run(t.Context()))
	for id := uint64(2); id < c.high; id++ {
		if c.seen[id/64]&(1<<(id%64)) == 0 {
			t.Errorf("page %d is neither used nor free", id)
		}
	}
	db, err := bolt.Open(path, 0o600, nil)
	check(t, err)
	defer db.Close()
	check(t, db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}))
	if c.pages < 100 || c.pages > int(c.high) {
		t.Errorf("%d pages of %d were read", c.pages, c.high)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("run that was given up: %v", err)
	}
}
