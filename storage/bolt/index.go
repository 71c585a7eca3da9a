package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// The index of With is the file's: a checkpoint makes it of the items that it moves there, and takes from it what it deletes. Layers
// need none: what they have of an owner is little, newer than all that the file has, and looked through.

// withKey is the key of the index of With; its length comes first, so that no With is another's beginning.
func withKey(with []byte, id uint64) []byte {
	k := make([]byte, 0, 3+len(with)+8)
	k = binary.BigEndian.AppendUint16(append(k, 'w'), uint16(len(with)))
	return binary.BigEndian.AppendUint64(append(k, with...), id)
}

// indexMark is what the index of With has of a Resource: enough to pass over items of others.
func indexMark(resource []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum(resource, castagnoli))
}

// indexed returns up to which ID an archive's items are in the index: those that are in no layer.
func (t *tab) indexed() uint64 {
	from := string(itemKey(t.gone() + 1))
	for i := len(t.tables) - 1; i >= 0; i-- { // the oldest have the lowest
		m := t.tables[i]
		if m == nil {
			continue
		}
		for k, c, ok := m.m.Ceil(from, false); ok && k[0] == 'i'; k, c, ok = m.m.Ceil(k, true) {
			if c.rec != nil {
				return binary.BigEndian.Uint64([]byte(k[1:])) - 1
			}
		}
	}
	return math.MaxUint64
}

// moveItem writes an item, or its deletion, into the file, together with its place in the index.
func (w *fileTx) moveItem(items *bolt.Bucket, key []byte, c cell) error {
	if !c.fresh {
		if old := items.Get(key); old != nil {
			if err := w.unindex(items, key, old); err != nil {
				return err
			}
		}
	}
	if c.rec == nil {
		return items.Delete(key)
	}
	if err := w.index(items, key, c.rec); err != nil {
		return err
	}
	return items.Put(key, c.rec)
}

func (w *fileTx) index(items *bolt.Bucket, key, rec []byte) error {
	it, ok := decodeItem(key, rec)
	if !ok || len(it.with) == 0 {
		return nil
	}
	k := withKey(it.with, it.id)
	return items.Put(k, record(k, indexMark(it.resource)))
}

// unindex takes an item out of the index, also one that is damaged and no longer tells its With.
func (w *fileTx) unindex(items *bolt.Bucket, key, rec []byte) error {
	if it, ok := decodeItem(key, rec); ok {
		if len(it.with) == 0 {
			return nil
		}
		return items.Delete(withKey(it.with, it.id))
	}
	var keys [][]byte
	c := items.Cursor()
	for k, _ := c.Seek([]byte{'w'}); k != nil; k, _ = c.Next() {
		if n := len(k) - 8; n >= 3 && bytes.Equal(k[n:], key[1:]) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		if err := items.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// indexTails brings a file of format 1 to 2: the index of With lacked each owner's newest items, and counters told from which on.
func indexTails(w *fileTx) error {
	var archives [][]byte
	err := guard(func() error {
		data, err := open(w, [][]byte{rootData})
		if err != nil || data == nil {
			return err
		}
		c := data.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if v == nil && isArchive(k) {
				archives = append(archives, bytes.Clone(k))
			}
		}
		return nil
	})
	for _, name := range archives {
		if err == nil {
			err = w.indexTailsOf([][]byte{rootData, name})
		}
	}
	return err
}

func (w *fileTx) indexTailsOf(names [][]byte) error {
	return change(func() error {
		in, err := open(w, names)
		if err != nil {
			return err
		}
		var owners []string
		c := in.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if owner, ok := bytes.CutSuffix(k, ownerKey("", 'c')); ok && v != nil {
				owners = append(owners, string(owner))
			}
		}
		for _, owner := range owners {
			from := uint64(0)
			p, err := get(in, names, ownerKey(owner, 'c'))
			switch {
			case errors.Is(err, storage.ErrCorrupt): // then all items are done again
			case err != nil:
				return err
			case len(p) != 48 || binary.BigEndian.Uint64(p[40:]) == 0:
				continue
			default:
				from = binary.BigEndian.Uint64(p[32:])
			}
			items, err := open(in, [][]byte{ownerKey(owner, 'o')})
			if err != nil {
				return err
			}
			if items == nil {
				continue
			}
			var keys, recs [][]byte
			cur := items.Cursor()
			for k, rec := cur.Seek(itemKey(from + 1)); len(k) == 9 && k[0] == 'i'; k, rec = cur.Next() {
				keys, recs = append(keys, bytes.Clone(k)), append(recs, bytes.Clone(rec))
			}
			w.dirty = true
			for i, k := range keys {
				if err := w.index(items, k, recs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
