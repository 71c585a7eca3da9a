package offline

import (
	"bytes"
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

// The first byte of both kinds of value. A message of the second format has the length of its ID in the account's archive, a
// byte, and the ID before it; the first format had none.
const (
	format     = 1
	formatByID = 2
)

var (
	errQuota  = errors.New("offline: quota exceeded")
	errFormat = errors.New("offline: record of an unknown format")
)

// message is a stored message.
type message struct {
	key  []byte
	id   string // in the account's archive; "": not there
	data []byte
}

// split reads a stored message; what it returns is v's.
func split(v []byte) (id, data []byte, ok bool) {
	switch {
	case len(v) >= 1 && v[0] == format:
		return nil, v[1:], true
	case len(v) >= 2 && v[0] == formatByID && len(v) >= 2+int(v[1]):
		return v[2 : 2+v[1]], v[2+int(v[1]):], true
	}
	return nil, nil, false
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

// append stores a message behind those that are there; it is on disk when the outcome is known.
func (b box) append(ctx context.Context, local, id string, data []byte, maxCount int, maxSize int64) (outcome func() error) {
	value := make([]byte, 0, 2+len(id)+len(data))
	value = append(value, formatByID, byte(len(id)))
	value = append(append(value, id...), data...)
	return b.b.Start(ctx, func(tx storage.Tx) error {
		c, err := readCounter(tx, local)
		if err != nil {
			return err
		}
		if c.count >= uint64(max(maxCount, 0)) || c.size+int64(len(data)) > maxSize {
			return errQuota
		}
		key := binary.BigEndian.AppendUint64(prefix(local), c.next)
		if err := tx.KV("messages").Put(key, value); err != nil {
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
			id, data, ok := split(v)
			if !ok {
				bad = true
				return false
			}
			size += len(data)
			if len(list) > 0 && (len(list) >= maxCount || size > maxSize) {
				more = true
				return false
			}
			list = append(list, message{bytes.Clone(k), string(id), bytes.Clone(data)})
			return true
		})
		if bad {
			return errFormat
		}
		return err
	})
	return list, more, err
}

// find returns the keys of the messages whose IDs in the account's archive fit. An empty box costs one look.
func (b box) find(ctx context.Context, local string, fits func(id string) bool) (list []message, err error) {
	err = b.b.View(ctx, func(tx storage.Tx) error {
		list = nil
		if c, err := readCounter(tx, local); err != nil || c.count == 0 {
			return err
		}
		return tx.KV("messages").Scan(prefix(local), nil, func(k, v []byte) bool {
			if id, _, ok := split(v); ok && len(id) > 0 && fits(string(id)) {
				list = append(list, message{key: bytes.Clone(k)})
			}
			return true
		})
	})
	return list, err
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
			_, data, ok := split(v)
			if !ok {
				return errFormat
			}
			c.count--
			c.size -= int64(len(data))
		}
		return c.write(tx, local)
	})
}

// drop deletes everything of an account.
func (b box) drop(ctx context.Context, local string) error {
	if err := storage.DeletePrefix(ctx, b.b, prefix(local), "messages"); err != nil {
		return err
	}
	return b.b.KV("counters").Delete(ctx, []byte(local))
}
