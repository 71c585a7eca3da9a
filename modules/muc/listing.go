package muc

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/xmppd/xmppd/storage"
)

// list puts a room on the list of public ones, or takes it off. The list is apart from the rooms, so that a page of it costs nothing for
// those that are hidden, and it is counted, so that its length need not be found out for each who asks.
func list(tx storage.Tx, local string, public bool, name string) error {
	kv, key := tx.KV(kvPublic), []byte(local)
	was, err := kv.Get(key)
	damaged := errors.Is(err, storage.ErrCorrupt)
	there := was != nil || damaged
	switch {
	case err != nil && !damaged:
		return err
	case public && there && !damaged && string(was) == name:
		return nil
	case public:
		err = kv.Put(key, []byte(name))
	case there:
		err = kv.Delete(key)
	}
	if err != nil || public == there {
		return err
	}
	counts, step := tx.KV(kvCounts), -1
	if public {
		step = 1
	}
	n, err := listLength(tx)
	if errors.Is(err, storage.ErrCorrupt) { // found out anew
		n, step = 0, 0
		err = kv.Scan(nil, nil, func([]byte, []byte) bool { n++; return true })
	}
	if err != nil && !errors.Is(err, storage.ErrCorrupt) {
		return err
	}
	return counts.Put([]byte(kvPublic), strconv.AppendInt(nil, int64(n+step), 10))
}

// listLength is how many rooms the list has.
func listLength(tx storage.Tx) (int, error) {
	b, err := tx.KV(kvCounts).Get([]byte(kvPublic))
	if b == nil || err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("number of rooms: %w", storage.ErrCorrupt)
	}
	return int(n), nil
}

// listed is a room of the list.
type listed struct{ local, name string }

// page returns the rooms of the list behind a localpart, at most max and as many as fit in size bytes of localparts and names; how many the
// list has; and whether there are more behind them.
func (s store) page(ctx context.Context, after string, max, size int) (rooms []listed, count int, more bool, err error) {
	var from []byte
	if after != "" {
		from = append([]byte(after), 0)
	}
	err = s.View(ctx, func(tx storage.Tx) error {
		var err error
		if count, err = listLength(tx); err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		err = tx.KV(kvPublic).Scan(nil, from, func(key, value []byte) bool {
			size -= len(key) + len(value)
			if len(rooms) == max || size < 0 && len(rooms) > 0 {
				more = true
				return false
			}
			rooms = append(rooms, listed{string(key), string(value)})
			return true
		})
		if errors.Is(err, storage.ErrCorrupt) { // the others are good
			err = nil
		}
		return err
	})
	return rooms, count, more, err
}
