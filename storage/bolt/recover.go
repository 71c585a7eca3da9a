package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// errStray is what to do about a journal that does not fit its database.
var errStray = errors.New("nothing was changed: put the database in place that belongs to it, or move FILE.journal1 and FILE.journal2 away, with all that was written last")

// journalState reads which journals a file knows: of which salt, and up to which number they are in it.
func (s *Store) journalState() (salt, number uint64, err error) {
	err = s.viewFile(func(tx *bolt.Tx) error {
		b, err := open(tx, [][]byte{rootMeta})
		if err != nil || b == nil {
			return err
		}
		p, err := get(b, [][]byte{rootMeta}, keyJournal)
		if err == nil && len(p) == 16 {
			salt, number = binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
		}
		return err
	})
	return salt, number, err
}

// unused refuses a journal that has lost its head and in which something was acknowledged. The head is on disk with the first
// group at the latest.
func (r *readJournal) unused(salt, moved uint64) error {
	for r.salt, r.number = salt, moved+1; r.number <= moved+2; r.number++ {
		if r.further(r.wild, journalHead, 0) {
			return fmt.Errorf("%w: its head: %w", storage.ErrCorrupt, errStray)
		}
	}
	return nil
}

// recover takes what journals have that the file has not: as layers, which the next checkpoint moves.
func (s *Store) recover(list []*readJournal) error {
	salt, moved, err := s.journalState()
	if err != nil {
		return fmt.Errorf("storage: %s: %w", s.path, err)
	}
	var last *readJournal
	groups := uint32(0)
	for _, r := range list {
		switch {
		case r.wild != nil:
			if err := r.unused(salt, moved); err != nil {
				return fmt.Errorf("storage: %s: the journal %s: %w", s.path, journalName(s.path, r.i), err)
			}
			continue
		case r.salt != salt:
			return fmt.Errorf("storage: %s: the journal %s belongs to another database: %w", s.path, journalName(s.path, r.i), errStray)
		case r.number <= moved:
			continue
		case last == nil && r.number != moved+1, last != nil && r.before != last.groups:
			return fmt.Errorf("storage: %s: the journal before %s is missing or damaged: %w", s.path, journalName(s.path, r.i), errStray)
		}
		if last != nil {
			s.frozen = last.layer
		}
		s.active, last = r.layer, r
		groups += r.groups
	}
	s.journal.salt = salt
	if last == nil {
		for i := range 2 {
			if err := os.Remove(journalName(s.path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("storage: %w", err)
			}
		}
		return nil
	}
	s.journal.number, s.journal.groups, s.journal.at = last.number, last.groups, last.at
	for _, r := range list {
		f, err := openNoFollow(journalName(s.path, r.i), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		s.journal.files[r.i] = &journalFile{disk: f, name: f.Name(), size: r.size}
	}
	s.log.Info("storage: the server was not shut down; what was written last was taken from the journal", "file", s.path, "groups", groups)
	return nil
}
