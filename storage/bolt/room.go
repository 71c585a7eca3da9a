package bolt

import (
	"fmt"

	"github.com/xmppd/xmppd/storage"
)

// A deletion copies the pages that it changes before it gives any back. So that one is possible on a disk that is full, the
// last of the room is for those alone: roomKept bytes, or that part of a small disk.
const (
	roomKept = 256 << 10
	roomPart = 16
)

// tight tells whether so little room is left that only what gives room back may be written. Where the system does not say
// how much there is, it is not.
func (s *Store) tight() bool {
	st := s.db.Stats()
	free := uint64(max(st.FreePageN+st.PendingPageN, 0)) * uint64(s.db.Info().PageSize) // pending: free for the next write
	if free >= roomKept {
		return false
	}
	left, all, ok := diskRoom(s.file)
	return ok && left+free < min(roomKept, all/roomPart)
}

// errTight answers what would take of the last room.
func (s *Store) errTight() error {
	err := fmt.Errorf("%w: %s: what is left is for deletions", storage.ErrFull, s.path)
	s.logFull(err)
	return err
}
