package offline

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// box is the messages on disk. In "messages" a key is the localpart, a zero byte and a rising number, so that a scan is
// in order of arrival; in "counters" an account has the next number, and how many messages of how many bytes there are.
// An account without messages has no counter.
type box struct{ b storage.Bucket }

const format = 1 // the first byte of both kinds of value

var (
	errQuota  = errors.New("offline: quota exceeded")
	errFormat = errors.New("offline: record of an unknown format")
)

// message is a stored message.
type message struct {
	key  []byte
	data []byte
}

type counter struct {
	next  uint64
	count uint64
	size  int64
}

func readCounter(tx storage.Tx, local string) (c counter, err error) {
	v, err := tx.KV("counters").Get([]byte(local))
	switch {
	case err != nil:
		return c, err
	case v == nil:
		// Numbers go on rising after the box was empty: a delivery that still deletes what it delivered cannot hit a new one.
		return counter{next: uint64(time.Now().UnixNano())}, nil
	case len(v) != 25 || v[0] != format:
		return c, errFormat
	}
	return counter{
		binary.BigEndian.Uint64(v[1:]), binary.BigEndian.Uint64(v[9:]), int64(binary.BigEndian.Uint64(v[17:])),
	}, nil
}

func (c counter) write(tx storage.Tx, local string) error {
	if c.count == 0 {
		return tx.KV("counters").Delete([]byte(local))
	}
	v := []byte{format}
	v = binary.BigEndian.AppendUint64(v, c.next)
	v = binary.BigEndian.AppendUint64(v, c.count)
	v = binary.BigEndian.AppendUint64(v, uint64(c.size))
	return tx.KV("counters").Put([]byte(local), v)
}

func prefix(local string) []byte { return append([]byte(local), 0) }

// append stores a message behind those that are there; it is on disk at return.
func (b box) append(ctx context.Context, local string, data []byte, maxCount int, maxSize int64) error {
	return b.b.Update(ctx, func(tx storage.Tx) error {
		c, err := readCounter(tx, local)
		if err != nil {
			return err
		}
		if c.count >= uint64(max(maxCount, 0)) || c.size+int64(len(data)) > maxSize {
			return errQuota
		}
		key := binary.BigEndian.AppendUint64(prefix(local), c.next)
		if err := tx.KV("messages").Put(key, append([]byte{format}, data...)); err != nil {
			return err
		}
		c.next, c.count, c.size = c.next+1, c.count+1, c.size+int64(len(data))
		return c.write(tx, local)
	})
}

// page returns the oldest messages: at least one, if there is any, and then as many as fit both bounds. more says that
// there are others.
func (b box) page(ctx context.Context, local string, maxCount, maxSize int) (list []message, more bool, err error) {
	err = b.b.View(ctx, func(tx storage.Tx) error {
		size := 0
		list, more = nil, false
		bad := false
		err := tx.KV("messages").Scan(prefix(local), nil, func(k, v []byte) bool {
			if len(v) == 0 || v[0] != format {
				bad = true
				return false
			}
			size += len(v) - 1
			if len(list) > 0 && (len(list) >= maxCount || size > maxSize) {
				more = true
				return false
			}
			list = append(list, message{append([]byte(nil), k...), append([]byte(nil), v[1:]...)})
			return true
		})
		if bad {
			return errFormat
		}
		return err
	})
	return list, more, err
}

// remove deletes messages that were handed over.
func (b box) remove(ctx context.Context, local string, list []message) error {
	return b.b.Update(ctx, func(tx storage.Tx) error {
		c, err := readCounter(tx, local)
		if err != nil {
			return err
		}
		for _, m := range list {
			v, err := tx.KV("messages").Get(m.key)
			if err != nil {
				return err
			}
			if v == nil { // the account was deleted meanwhile
				continue
			}
			if err := tx.KV("messages").Delete(m.key); err != nil {
				return err
			}
			c.count--
			c.size -= int64(len(v) - 1)
		}
		return c.write(tx, local)
	})
}

// drop deletes everything of an account.
func (b box) drop(ctx context.Context, local string) error {
	return b.b.Update(ctx, func(tx storage.Tx) error {
		var keys [][]byte
		err := tx.KV("messages").Scan(prefix(local), nil, func(k, _ []byte) bool {
			keys = append(keys, append([]byte(nil), k...))
			return true
		})
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := tx.KV("messages").Delete(k); err != nil {
				return err
			}
		}
		return tx.KV("counters").Delete([]byte(local))
	})
}
