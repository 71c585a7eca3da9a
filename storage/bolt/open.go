package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/xmppd/xmppd/storage"
)

// ErrInUse is part of Open's error when another process has the file open.
var ErrInUse = errors.New("in use")

// ErrFormat is part of Open's error when the file is not one that this version can read: another program's, one of a
// newer version, an empty or a shortened one. The file is left as it is.
var ErrFormat = errors.New("not a database that can be opened")

// format is the number of the layout, and how to bring older ones to it: steps[n] leads from n to n+1.
type format struct {
	number int
	steps  map[int]func(w *fileTx) error
}

// Format 2 may have a journal beside it, which who knows of none would leave out; and its index of With has all items.
var current = format{number: 2, steps: map[int]func(w *fileTx) error{1: indexTails}}

var (
	stateOpen  = []byte("open")
	stateClean = []byte("clean")
)

// Open opens a file, or makes one with mode 0600. The directory must exist. Beside the file it keeps FILE.lock, with the
// number of the process that has the file open, and until Close FILE.journal1 and FILE.journal2 (see journal.go).
func Open(path string, o Options) (storage.Store, error) {
	s, err := openFormat(path, o, current)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openFormat(path string, o Options, f format) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	lock, err := lockFile(path, o.Timeout)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(path, o, f)
	if err != nil {
		lock.Close()
		return nil, err
	}
	s.lock = lock
	go s.write()
	return s, nil
}

func openLocked(path string, o Options, f format) (*Store, error) {
	journals, err := readJournals(path)
	if err != nil {
		return nil, err
	}
	switch _, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist) && len(journals) > 0:
		return nil, fmt.Errorf("storage: %s is missing, and its journal is there: %w", path, errStray)
	case errors.Is(err, os.ErrNotExist):
		if err := create(path, f); err != nil {
			return nil, fmt.Errorf("storage: %s could not be made: %w", path, err)
		}
	case err != nil:
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := storage.CheckSecretFile(path); err != nil {
		return nil, err
	}
	clean, err := checkClosed(path, o)
	if err != nil {
		return nil, err
	}
	s := newStore(path, o)
	if s.db, s.file, err = openBolt(path, o); err != nil {
		return nil, err
	}
	s.pageSize = s.db.Info().PageSize // while nobody writes
	if err = s.recover(journals); err == nil {
		err = s.ready(f)
	}
	if err == nil {
		err = s.begin(f, clean)
	}
	if err == nil {
		err = s.takeJournals()
	}
	if err != nil {
		s.journal.close(false)
		s.closeFile()
		return nil, err
	}
	return s, nil
}

// takeJournals moves what journals have into the file. What has no room there stays in them.
func (s *Store) takeJournals() error {
	err := s.flush()
	switch {
	case errors.Is(err, storage.ErrFull):
		return nil
	case err != nil:
		return fmt.Errorf("%w; what its journal has could not be written into it: keep a copy of all three, put a backup in the place of the database, and move both journals away (doc/operating.md)", err)
	}
	return nil
}

func newStore(path string, o Options) *Store {
	s := &Store{path: path, log: o.Log, maxSize: int64(o.MaxSize), layerSize: o.layerSize, active: newLayer(), applied: make(chan error, 1)}
	if s.layerSize == 0 {
		s.layerSize = layerSize
	}
	s.journal = journal{path: path, sync: func(f *journalFile) error { return syncData(f.disk) }}
	if o.noSync {
		s.journal.sync = func(*journalFile) error { return nil }
	}
	s.w.wake = make(chan struct{}, 1)
	s.w.ended = make(chan struct{})
	return s
}

// checkClosed looks at the file before bolt maps it: bolt trusts its pages, so that a damaged file could make it loop or
// worse. What it finds damaged in the structure is refused, a damaged record is logged: reading that one is ErrCorrupt.
func checkClosed(path string, o Options) (clean bool, err error) {
	fh, err := openNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return false, fmt.Errorf("storage: %w", err)
	}
	defer fh.Close()
	c, err := newChecker(fh)
	if err != nil {
		return false, fmt.Errorf("storage: %s: %w", path, err)
	}
	clean = c.wasClean()
	budget := o.CheckBudget
	switch {
	case budget < 0:
		return clean, nil
	case budget == 0 && clean:
		budget = time.Second
	case budget == 0:
		budget = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	start := time.Now()
	err = c.run(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && !clean:
		o.Log.Warn("storage: the server was not shut down; the check of its file did not end in time and goes no further",
			"file", path, "pages", c.pages)
	case !clean:
		o.Log.Info("storage: the server was not shut down; its file was checked", "file", path, "pages", c.pages, "damaged", c.damaged, "took", time.Since(start).Round(time.Millisecond))
	}
	if c.structure != nil {
		return false, fmt.Errorf("storage: %s: %w; the file was left as it is: keep a copy of it and put a backup in its place (doc/operating.md)", path, c.structure)
	}
	for _, e := range c.records {
		o.Log.Error("storage: a damaged record is not served", "file", path, "error", e)
	}
	return clean, nil
}

// openBolt opens the file with bolt.
func openBolt(path string, o Options) (db *bolt.DB, file *os.File, err error) {
	mmap := o.InitialMmapSize
	if mmap <= 0 && strconv.IntSize == 64 {
		mmap = 1 << 30
		if fi, err := os.Stat(path); err == nil {
			mmap = max(mmap, 2*int(fi.Size()))
		}
	}
	err = guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:         o.Timeout,
			FreelistType:    bolt.FreelistArrayType, // its cost per commit is a fraction of the hashmap's
			PreLoadFreelist: true,
			InitialMmapSize: mmap,
			MaxSize:         o.MaxSize,
			NoSync:          o.noSync,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				file, err = openNoFollow(name, flag, mode)
				return file, err
			},
		})
		return err
	})
	if err == nil {
		return db, file, nil
	}
	if file != nil {
		file.Close() // bolt closed it, unless it panicked
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, nil, fmt.Errorf("storage: %s is %w by another program: stop it first", path, ErrInUse)
	}
	return nil, nil, fmt.Errorf("storage: %s could not be opened: %w", path, err)
}

// create makes a new file under another name, so that no crash leaves half a file under the right one.
func create(path string, f format) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, file, err := openBolt(tmp, Options{Timeout: time.Second, InitialMmapSize: 1 << 15})
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	s := newStore(tmp, Options{Log: slog.New(slog.DiscardHandler)})
	s.db, s.file = db, file
	err = file.Chmod(0o600) // whatever the umask took
	if err == nil {
		err = s.update(func(w *fileTx) error {
			if err := putMeta(w, keyFormat, formatText(f.number)); err != nil {
				return err
			}
			return putMeta(w, keyState, stateClean)
		})
	}
	if cerr := s.closeFile(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = storage.SyncDir(filepath.Dir(path))
	}
	return err
}

// ready has all in the file before that is migrated: a migration knows nothing of layers.
func (s *Store) ready(f format) error {
	if s.journal.number == 0 {
		return nil
	}
	number := 0
	err := s.viewFile(func(tx *bolt.Tx) (err error) { number, err = readFormat(tx); return err })
	if err != nil {
		return fmt.Errorf("storage: %s: %w", s.path, err)
	}
	if number >= f.number {
		return nil
	}
	return s.flush()
}

// begin checks the format, migrates an older one, and marks the file as open, in one transaction.
func (s *Store) begin(f format, clean bool) error {
	return s.update(func(w *fileTx) error {
		number, err := readFormat(w)
		if err != nil {
			return fmt.Errorf("storage: %s: %w", s.path, err)
		}
		if number > f.number {
			return fmt.Errorf("storage: %s: %w: it has format %d and this version reads up to %d: run the newer version that wrote it, or restore a backup from before",
				s.path, ErrFormat, number, f.number)
		}
		for n := number; n < f.number; n++ {
			step := f.steps[n]
			if step == nil {
				return fmt.Errorf("storage: %s: %w: it has format %d, which this version no longer reads: run an older version first", s.path, ErrFormat, number)
			}
			if err := step(w); err != nil {
				return fmt.Errorf("storage: %s: migration from format %d to %d: %w", s.path, n, n+1, err)
			}
		}
		if number != f.number {
			s.log.Info("storage: migrated", "file", s.path, "from", number, "to", f.number)
			if err := putMeta(w, keyFormat, formatText(f.number)); err != nil {
				return err
			}
		}
		if s.journal.number == 0 { // no journal that was written before is one of this file as it is from now on
			s.journal.salt = rand.Uint64()
			if err := putMeta(w, keyJournal, journalMark(s.journal.salt, 0)); err != nil {
				return err
			}
		}
		if !clean && number == f.number {
			return nil // marked already
		}
		return putMeta(w, keyState, stateOpen)
	})
}

func putMeta(w *fileTx, key, value []byte) error {
	b, err := w.ensure(w, rootMeta)
	if err != nil {
		return err
	}
	return w.put(b, key, record(key, value))
}

func formatText(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func readFormat(w parent) (n int, err error) {
	err = guard(func() error {
		b, err := open(w, [][]byte{rootMeta})
		if err != nil {
			return err
		}
		if b == nil {
			return fmt.Errorf("%w: it is a bbolt file of another program", ErrFormat)
		}
		p, err := get(b, [][]byte{rootMeta}, keyFormat)
		if err == nil && len(p) != 4 {
			err = fmt.Errorf("%w: it does not say its format", ErrFormat)
		}
		if err == nil {
			n = int(binary.BigEndian.Uint32(p))
		}
		return err
	})
	return n, err
}
