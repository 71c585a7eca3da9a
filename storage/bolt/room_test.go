package bolt

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// TestRoomForDeletions: whatever is written to the last byte that is to be had, what deletes still can, and by and by makes
// room for others.
func TestRoomForDeletions(t *testing.T) {
	dir := smallDisk(t, "2m")
	s := openAt(t, dir+"/x.db", Options{})
	b := s.Bucket("room")
	key := func(i int) []byte { return fmt.Appendf(nil, "%06d", i) }
	n := 0
	for size := 50_000; size > 0; size /= 7 { // ever smaller things
		for {
			err := b.KV("kv").Put(t.Context(), key(n), make([]byte, size))
			if errors.Is(err, storage.ErrFull) {
				break
			}
			check(t, err)
			n++
		}
	}
	for i := range n {
		check(t, b.Update(t.Context(), func(tx storage.Tx) error { // as one that keeps a counter beside
			if err := tx.KV("kv").Delete(key(i)); err != nil {
				return err
			}
			return tx.KV("counter").Put([]byte("n"), key(n-i))
		}))
	}
	check(t, b.KV("kv").Put(t.Context(), key(0), make([]byte, 50_000)))
	check(t, s.Verify(t.Context()))
}
