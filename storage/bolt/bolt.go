// Package bolt stores in one bbolt file.
//
// # Implementation notes
//
//   - One goroutine writes. It takes all that is queued into one transaction and answers when that is synced to disk.
//   - A group is on disk in the journal first, and in a layer in memory; checkpoints move layers into the file.
//   - Reads run on the caller's goroutine, in short transactions: as long as one lasts the writer adds nothing to the layers,
//     and where it reads the file, old pages are not used again.
//   - Every value carries a checksum over itself and its key, every bucket one of its name; bolt itself has none. What
//     is read from bolt is read under guard, since bolt panics or faults on damaged pages.
//   - After a failed sync nobody knows what is on disk: from then on every write is refused until a restart. A full disk
//     fails before the sync and only fails the writes at hand.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// Options tune Open. The zero value is good.
type Options struct {
	Log             *slog.Logger  // what is worth telling; nil: nothing
	Timeout         time.Duration // how long to wait for another process to let go of the file; 0: 1 s
	InitialMmapSize int           // address space to reserve, so that growing never waits for readers; 0: 1 GiB or twice the file
	MaxSize         int           // bytes of the file beyond which writes are ErrFull; 0: the disk's
	CheckBudget     time.Duration // how long Open may check the file; 0: 10 s after a crash, else 1 s; negative: no check

	noSync    bool // for tests of what does not depend on it
	layerSize int  // for tests: 0: layerSize
}

// Store is an open file.
type Store struct {
	path string
	log  *slog.Logger
	db   *bolt.DB
	file *os.File // bolt's, to read pages from
	lock *os.File
	w    writer

	pageSize int
	maxSize  int64        // Options.MaxSize
	high     atomic.Int64 // bytes of the file that are in use, or were; with maxSize only
	wedged   atomic.Bool  // bolt panicked while it wrote, perhaps with its locks held

	mu     sync.RWMutex // whoever reads layers holds it; the writer's goroutine, which alone changes them, while it does so
	active *layer
	frozen *layer // nil: none
	closed bool

	// The writer's alone.
	journal   journal
	group     []byte // the buffer of the next group; nil: none yet
	layerSize int
	limit     int64     // of bytes in a layer, as room is now
	since     time.Time // the active layer has something since about then; zero: not known
	applied   chan error
	applying  bool
	aged      bool      // the frozen layer was not full, but old
	tried     time.Time // when a checkpoint last failed

	closing  sync.Once
	closeErr error
	fullAt   atomic.Int64 // when logOften last told something
}

var _ storage.Store = (*Store)(nil)

// Bucket returns a part of the store.
func (s *Store) Bucket(path ...string) storage.Bucket {
	return &bucket{s, append([]string(nil), path...)}
}

// DeleteBucket removes a part and all below it, in one transaction.
func (s *Store) DeleteBucket(ctx context.Context, path ...string) error {
	if len(path) == 0 {
		return fmt.Errorf("%w: no path", storage.ErrLimit)
	}
	if err := driver.CheckPath(path, ""); err != nil {
		return err
	}
	prefix := pathName(path)
	return s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
		names, err := w.names(prefix)
		if err != nil {
			return err
		}
		for _, n := range names {
			in := [][]byte{rootData, []byte(n)}
			w.drop(tableID(in), in)
		}
		return nil
	}})
}

// names returns the KVs and archives whose names begin so.
func (v *snapshot) names(prefix []byte) ([]string, error) {
	seen := map[string]bool{}
	err := guard(func() error {
		tx, err := v.file()
		if err != nil {
			return err
		}
		data, err := open(tx, [][]byte{rootData})
		if err != nil || data == nil {
			return err
		}
		c := data.Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			seen[string(k)] = true
		}
		return nil
	})
	for _, l := range v.layers {
		if l == nil {
			continue
		}
		for _, t := range l.tables {
			if bytes.HasPrefix(t.in[1], prefix) {
				seen[string(t.in[1])] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), err
}

// Backup writes a copy of one committed state, which Open takes as a store that was not closed. While w takes its time,
// the file grows by all that is written meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.flushed(ctx); err != nil {
		return err
	}
	return s.viewFile(func(tx *bolt.Tx) error {
		if _, err := tx.WriteTo(&ctxWriter{ctx, w}); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("storage: backup: %w", err)
		}
		return nil
	})
}

// viewFile runs fn, which must not call callers' functions, on a state of the file: what is in the layers alone it does not see.
func (s *Store) viewFile(fn func(tx *bolt.Tx) error) error {
	return readError(guard(func() error { return s.db.View(fn) }))
}

type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *ctxWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// Close lets the queued writes end, marks the file as closed well and lets go of it. Later calls return the same.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	w := &s.w
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.notify()
	<-w.ended
	s.flushAsked()
	err := s.flush()
	if err == nil {
		err = s.update(func(w *fileTx) error { return putMeta(w, keyState, stateClean) })
	}
	if s.applying { // of a store that is broken
		s.settle(<-s.applied)
	}
	s.journal.close(err == nil)
	switch {
	case errors.Is(err, storage.ErrFull):
		err = nil // the next start's check takes longer, and what is not in the file is in the journal
	case w.broken.Load() != nil:
		err = nil // that was said long ago
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if cerr := s.closeFile(); err == nil {
		err = cerr
	}
	return err
}

// closeFile closes bolt and the lock. Where bolt panicked while it wrote, one of its locks may be held for ever.
func (s *Store) closeFile() error {
	done := make(chan error, 1)
	go func() { done <- guard(s.db.Close) }()
	var timeout <-chan time.Time
	if s.wedged.Load() {
		timeout = time.After(2 * time.Second)
	}
	var err error
	select {
	case err = <-done:
	case <-timeout:
		err = fmt.Errorf("storage: %s: could not be closed after damage was found", s.path)
	}
	if s.lock != nil {
		s.lock.Truncate(0)
		s.lock.Close()
	}
	return err
}

// logFull tells of a full disk.
func (s *Store) logFull(err error) {
	s.logOften("storage: no space left; nothing is accepted until there is some", err)
}

// logOften tells of what may come with every write, once a minute.
func (s *Store) logOften(what string, err error) {
	now := time.Now().Unix()
	if last := s.fullAt.Load(); now-last >= 60 && s.fullAt.CompareAndSwap(last, now) {
		s.log.Error(what, "file", s.path, "error", err)
	}
}
