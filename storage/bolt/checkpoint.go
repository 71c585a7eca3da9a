package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// A checkpoint moves what the journal has into the file: the active layer becomes the frozen one, with which its journal ends; a
// goroutine writes it into the file, in one transaction; then that layer and that journal count no more. Meanwhile the other
// journal and a new active layer take what comes. All but that goroutine's work is done by the writer's.
const (
	layerSize  = 4 << 20          // bytes of changes after which one begins, or
	layerPart  = 8                // that part of what room there is
	layerAge   = 10 * time.Second // and time since the first of them
	fullPause  = 5 * time.Second  // until the next attempt, where there was no room
	tablePages = 2                // of the file that a table's changes are expected to touch beside what is in them
)

// roll begins a checkpoint where it is time for one, and ends one that is done. Where the next layer is as large before the last is
// in the file, it waits.
func (s *Store) roll() {
	for {
		select {
		case err := <-s.applied:
			s.settle(err)
		default:
		}
		switch {
		case int64(s.active.bytes) < s.limit:
			return
		case s.frozen == nil:
			if s.freeze() == nil {
				s.apply()
			}
			return
		case !s.applying:
			return // there was no room for it
		}
		s.settle(<-s.applied)
	}
}

// freeze ends the active layer and its journal.
func (s *Store) freeze() error {
	if err := s.journal.begin(); err != nil {
		return s.failed(err)
	}
	s.mu.Lock()
	s.frozen, s.active = s.active, newLayer()
	s.mu.Unlock()
	s.aged = false
	s.since = time.Time{}
	return nil
}

// apply begins to write the frozen layer into the file; settle takes the outcome.
func (s *Store) apply() {
	s.applying = true
	l, number := s.frozen, s.journal.number-1
	go func() { s.applied <- s.move(l, number) }()
}

func (s *Store) settle(err error) error {
	s.applying = false
	if err != nil {
		s.tried = time.Now()
		return err
	}
	s.mu.Lock()
	s.frozen = nil
	s.mu.Unlock()
	if s.aged {
		s.letGo() // little is going on: the pages that it read and wrote need not stay
	}
	return nil
}

// flush has all in the file that was written so far. It runs on the writer's goroutine, or when that has ended.
func (s *Store) flush() error {
	for {
		if p := s.w.broken.Load(); p != nil {
			return *p
		}
		switch {
		case s.applying:
		case s.frozen != nil:
			s.apply()
		case len(s.active.tables) == 0:
			return nil
		default:
			if err := s.freeze(); err != nil {
				return err
			}
			s.apply()
		}
		if err := s.settle(<-s.applied); err != nil {
			return err
		}
	}
}

// due returns how long until a checkpoint that nothing else brings about; negative: none is needed.
func (s *Store) due() time.Duration {
	switch {
	case s.applying, s.w.broken.Load() != nil:
		return -1
	case s.frozen != nil:
		return max(0, time.Until(s.tried.Add(fullPause)))
	case len(s.active.tables) == 0:
		return -1
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	return max(0, time.Until(s.since.Add(layerAge)))
}

// age begins the checkpoint that is due.
func (s *Store) age() {
	if s.frozen == nil && s.freeze() != nil {
		s.since = time.Now().Add(fullPause - layerAge)
		return
	}
	s.aged = true
	s.apply()
}

// move writes a layer into the file, and that the journals up to its own are in it. Where there is no room for all at once, it is
// done bucket by bucket, so that what is deleted makes room for what is not: a crash then finds the journal, and does it again.
func (s *Store) move(l *layer, number uint64) error {
	ids := l.ids()
	all := func(w *fileTx) error {
		for _, id := range ids {
			if err := w.move(l.tables[id], false); err != nil {
				return mustChange(err)
			}
		}
		return s.moved(w, number)
	}
	err := s.update(all)
	if !errors.Is(err, storage.ErrFull) {
		return err
	}
	for _, deletions := range []bool{true, false} {
		err = nil
		for _, id := range ids {
			switch e := s.update(func(w *fileTx) error { return mustChange(w.move(l.tables[id], deletions)) }); {
			case errors.Is(e, storage.ErrFull):
				err = e
			case e != nil:
				return e
			}
		}
	}
	if err != nil {
		return err
	}
	return s.update(func(w *fileTx) error { return s.moved(w, number) }) // all of it had room
}

// direct writes a transaction into the file where a full disk has no room for it in the journal, if all before it is there.
func (s *Store) direct(w *writeTx) error {
	w.end()
	if s.frozen != nil || len(s.active.tables) > 0 {
		return s.errTight()
	}
	return s.update(func(f *fileTx) error {
		for _, id := range w.ids() {
			if err := f.move(w.tables[id], false); err != nil {
				return mustChange(err)
			}
		}
		return nil
	})
}

// moved writes down that the journals up to a number count no more.
func (s *Store) moved(w *fileTx, number uint64) error {
	return putMeta(w, keyJournal, journalMark(s.journal.salt, number))
}

// move writes a table's changes, or only what of them deletes.
func (w *fileTx) move(t *table, deletions bool) error {
	var (
		up   parent = w
		name        = t.in[len(t.in)-1]
		b    *bolt.Bucket
	)
	err := guard(func() error {
		b, err := open(w, t.in[:len(t.in)-1])
		if b != nil {
			up = b
		} else {
			up = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.cleared && up != nil {
		err := change(func() error {
			if up.Bucket(name) == nil {
				return nil
			}
			w.dirty = true
			return up.DeleteBucket(name)
		})
		if err != nil {
			return err
		}
	}
	if !deletions && t.puts() {
		b, err = w.ensure(w, t.in...)
	} else if up != nil {
		err = guard(func() error { b, err = open(w, t.in); return err })
	}
	if err != nil || b == nil {
		return err
	}
	if len(t.in) == 3 {
		b.FillPercent = appendFill
	}
	return change(func() error {
		for key, c := range t.m.All() {
			if deletions && c.rec != nil {
				continue
			}
			w.dirty = true
			var err error
			switch {
			case len(t.in) == 3 && key[0] == 'i':
				err = w.moveItem(b, []byte(key), c)
			case c.rec == nil:
				err = b.Delete([]byte(key))
			default:
				err = b.Put([]byte(key), c.rec)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Tidy gives memory back that is needed when there is something to do: layers, and pages of the file.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.flushed(ctx); err != nil {
		return err
	}
	return s.letGo()
}

// letGo takes the file's pages out of the process's memory: the system has them in its own all the same.
func (s *Store) letGo() error {
	return s.viewFile(func(tx *bolt.Tx) error { // the mapping stays where it is meanwhile
		return letGo(s.db.Info().Data, uintptr(tx.Size()))
	})
}

// keyJournal is the key of what journalMark makes: the salt of the database's journals, and the last one that was moved.
var keyJournal = []byte("journal")

func journalMark(salt, number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, salt), number)
}

// cost is what room a layer is expected to need in the file.
func (l *layer) cost(pageSize int) int64 {
	if l == nil {
		return 0
	}
	return 2*int64(l.bytes) + int64(len(l.tables)*tablePages*pageSize)
}
