package bolt

import (
	"fmt"
	"math"

	"github.com/xmppd/xmppd/storage"
)

// A deletion copies the pages that it changes before it gives any back. So that one is possible on a disk that is full, the
// last of the room is for those alone: roomKept bytes, or that part of a small disk.
const (
	roomKept = 256 << 10
	roomPart = 16
	roomMuch = 1 << 30
)

// noEnd is what there is to spare where nobody need count.
const noEnd = math.MaxInt64

// spare returns how many bytes may be written before that part begins, with all that is in no checkpoint yet: noEnd where that
// is more than roomMuch, or the system does not say.
func (s *Store) spare() int64 {
	st := s.db.Stats()
	free := int64(st.FreePageN+st.PendingPageN) * int64(s.pageSize) // pending: free for the next write
	pending := s.active.cost(s.pageSize) + s.frozen.cost(s.pageSize)
	if s.maxSize == 0 && free >= 2*groupBytes+roomKept+pending {
		return noEnd
	}
	left, all, ok := diskRoom(s.file)
	if s.maxSize > 0 {
		left, all, ok = min(left, s.maxSize-s.high.Load()), min(all, s.maxSize), true
	}
	if !ok || left > roomMuch {
		return noEnd
	}
	kept := min(roomKept, all/roomPart)
	return max(left-kept, free-2*kept) - pending // free pages lie here and there: a large value finds no place among few
}

// fits tells whether so many more bytes may be written by what gives no room back. Each may cost its double, since pages are
// copied, and not full, and once more in the journal.
func (w *writeTx) fits(n int) bool { return w.spare/3 >= int64(w.bytes+n) }

// errTight answers what would take of the last room.
func (s *Store) errTight() error {
	err := fmt.Errorf("%w: %s: what is left is for deletions", storage.ErrFull, s.path)
	s.logFull(err)
	return err
}
