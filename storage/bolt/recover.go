package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// errStray is what to do about a journal that does not fit its database.
var errStray = errors.New("nothing was changed: put the database in place that belongs to it, or move FILE.journal1 and FILE.journal2 away, with all that was written last")

// readMark reads what journalMark wrote; 0 and 0 where there is none.
func readMark(p []byte) (salt, number uint64) {
	if len(p) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
}

// journalState reads which journals a file knows: of which salt, and up to which number they are in it.
func (s *Store) journalState() (salt, number uint64, err error) {
	err = s.viewFile(func(tx *bolt.Tx) error {
		b, err := open(tx, [][]byte{rootMeta})
		if err != nil || b == nil {
			return err
		}
		p, err := get(b, [][]byte{rootMeta}, keyJournal)
		salt, number = readMark(p)
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

// fitting returns those journals that have what a database of this salt has not, which has all up to number moved. It refuses what
// can not be its own.
func fitting(path string, list []*readJournal, salt, moved uint64) (use []*readJournal, err error) {
	for _, r := range list { // first: else the other one would be found to lack one before it
		if r.wild != nil {
			if err := r.unused(salt, moved); err != nil {
				return nil, fmt.Errorf("storage: %s: the journal %s: %w", path, journalName(path, r.i), err)
			}
		}
	}
	var last *readJournal
	for _, r := range list {
		name := journalName(path, r.i)
		switch {
		case r.wild != nil:
			continue
		case r.salt != salt:
			return nil, fmt.Errorf("storage: %s: the journal %s belongs to another database: %w", path, name, errStray)
		case r.number%2 != uint64(r.i):
			return nil, fmt.Errorf("storage: %s: the journal %s has the other one's name: %w", path, name, errStray)
		case r.number <= moved:
			continue
		case last == nil && r.number != moved+1, last != nil && (r.number != moved+2 || r.before != last.groups):
			return nil, fmt.Errorf("storage: %s: the journal before %s is missing or damaged: %w", path, name, errStray)
		}
		use, last = append(use, r), r
	}
	return use, nil
}

// recover takes what journals have that the file has not: as layers, which the next checkpoint moves.
func (s *Store) recover(list []*readJournal) error {
	salt, moved, err := s.journalState()
	if err != nil {
		return fmt.Errorf("storage: %s: %w", s.path, err)
	}
	use, err := fitting(s.path, list, salt, moved)
	if err != nil {
		return err
	}
	s.journal.salt = salt
	if len(use) == 0 {
		for _, name := range Journals(s.path) {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("storage: %w", err)
			}
		}
		// The database gets another salt next: a power cut must not bring back what was removed, here or by Close.
		return storage.SyncDir(filepath.Dir(s.path))
	}
	groups := uint32(0)
	for _, r := range use {
		if groups += r.groups; r.number == moved+1 && len(use) == 2 {
			s.frozen = r.layer
			continue
		}
		s.active = r.layer
		s.journal.number, s.journal.groups, s.journal.at = r.number, r.groups, r.at
	}
	for _, r := range list {
		f, err := openNoFollow(journalName(s.path, r.i), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		s.journal.files[r.i] = &journalFile{disk: f, name: f.Name(), size: r.size}
	}
	if groups > 0 {
		s.log.Info("storage: the server was not shut down; what was written last was taken from the journal", "file", s.path, "groups", groups)
	}
	return nil
}

// journalsBeside names a journal that lies beside where a database is or may be; "" where there is none.
func journalsBeside(path string) (string, error) {
	for _, name := range Journals(path) {
		switch _, err := os.Lstat(name); {
		case err == nil:
			return name, nil
		case !errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("storage: %w", err)
		}
	}
	return "", nil
}
