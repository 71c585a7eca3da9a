package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// appendFill is how full bolt leaves a page that it splits: keys rise, so that nothing comes back to fill the rest.
const appendFill = 0.9

var keyFloor = []byte("f") // an owner's keys are longer

func ownerKey(owner string, kind byte) []byte {
	k := make([]byte, 0, len(owner)+2)
	return append(append(k, owner...), 0, kind)
}

func itemKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'i'}, id) }

type archive struct {
	s    *Store
	name string
	path []string
	in   [][]byte
	id   string
}

func (b *bucket) Archive(name string) storage.Archive {
	in := steps(b.path, kindArchive, name)
	return &archive{b.s, name, b.path, in, tableID(in)}
}

// owner is the names of an owner's items.
func (a *archive) owner(owner string) [][]byte {
	return append(a.in[:len(a.in):len(a.in)], ownerKey(owner, 'o'))
}

// counters are kept of each owner.
type counters struct {
	count uint64
	bytes uint64
	last  uint64 // the highest ID ever given
	lag   uint64 // the most that an item's time lags behind its ID
}

func (c counters) encode() []byte {
	b := make([]byte, 0, 32)
	for _, n := range []uint64{c.count, c.bytes, c.last, c.lag} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// counters reads an owner's counters; ok is false where there are none. It runs under guard.
func (a *archive) counters(in *tab, owner string) (c counters, ok bool, err error) {
	p, err := in.get(ownerKey(owner, 'c'))
	if err != nil || p == nil {
		return c, false, err
	}
	if len(p) != 32 && len(p) != 48 { // what format 1 had further does not count any more
		return c, false, damaged(a.in, ownerKey(owner, 'c'))
	}
	n := binary.BigEndian
	return counters{n.Uint64(p), n.Uint64(p[8:]), n.Uint64(p[16:]), n.Uint64(p[24:])}, true, nil
}

// counted is counters, or what they should be where they are damaged.
func (a *archive) counted(in, items *tab, owner string) (c counters, ok bool, err error) {
	if c, ok, err = a.counters(in, owner); errors.Is(err, storage.ErrCorrupt) {
		c, err = recount(items)
	}
	return c, ok, err
}

// recount counts an owner's items anew, after the counters were damaged. It runs under guard.
func recount(items *tab) (c counters, err error) {
	cur, k, rec, err := items.seek([]byte{'i'}, []byte{'i'}, false)
	for ; err == nil && len(k) == 9 && k[0] == 'i'; k, rec = cur.next() {
		c.last = binary.BigEndian.Uint64(k[1:])
		if it, ok := decodeItem(k, rec); ok {
			c.count++
			c.bytes += uint64(len(it.data))
			_, lag := driver.NextID(it.at, c.last-1)
			c.lag = max(c.lag, lag)
		}
	}
	return c, err
}

// hasResource marks the length of With where Resource, with its length, comes after it.
const hasResource = 0x8000

// item: seconds 8, nanoseconds 4, length of With 2, With, data; with hasResource, length of Resource 2 and Resource before data.
func encodeItem(key []byte, it *storage.Item) []byte {
	var head [14]byte
	binary.BigEndian.PutUint64(head[:], uint64(it.At.Unix()))
	binary.BigEndian.PutUint32(head[8:], uint32(it.At.Nanosecond()))
	if it.Resource == "" {
		binary.BigEndian.PutUint16(head[12:], uint16(len(it.With)))
		return record(key, head[:], []byte(it.With), it.Data)
	}
	binary.BigEndian.PutUint16(head[12:], uint16(len(it.With))|hasResource)
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(len(it.Resource)))
	return record(key, head[:], []byte(it.With), size[:], []byte(it.Resource), it.Data)
}

// rawItem is an item in the database's own memory.
type rawItem struct {
	id       uint64
	at       time.Time
	with     []byte
	resource []byte
	data     []byte
}

func decodeItem(key, rec []byte) (it rawItem, ok bool) {
	p, ok := payload(key, rec)
	if !ok {
		return it, false
	}
	return itemOf(key, p)
}

// itemOf decodes an item's payload.
func itemOf(key, p []byte) (it rawItem, ok bool) {
	if len(p) < 14 || len(key) != 9 {
		return it, false
	}
	it.id = binary.BigEndian.Uint64(key[1:])
	it.at = time.Unix(int64(binary.BigEndian.Uint64(p)), int64(binary.BigEndian.Uint32(p[8:]))).UTC()
	n := int(binary.BigEndian.Uint16(p[12:]))
	if it.with, it.data, ok = cut(p[14:], n&^hasResource); ok && n&hasResource != 0 {
		if len(it.data) < 2 {
			return it, false
		}
		n := int(binary.BigEndian.Uint16(it.data))
		it.resource, it.data, ok = cut(it.data[2:], n)
	}
	return it, ok
}

// cut splits n bytes off.
func cut(b []byte, n int) (head, rest []byte, ok bool) {
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// item copies.
func (it *rawItem) item() storage.Item {
	return storage.Item{ID: driver.FormatID(it.id), At: it.at, With: string(it.with), Resource: string(it.resource), Data: bytes.Clone(it.data)}
}

// open is an archive and an owner's items, as a snapshot has them.
func (a *archive) open(tab func(id string, in [][]byte) *tab, owner string) (in, items *tab) {
	names := a.owner(owner)
	return tab(a.id, a.in), tab(a.id+string(names[2]), names) // as tableID makes it
}

// Append gives an ID and stores.
func (a *archive) Append(ctx context.Context, owner string, it storage.Item) (string, error) {
	ids, err := a.AppendAll(ctx, storage.Entry{Owner: owner, Item: it})
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// place is where an owner's items go within a transaction.
type place struct {
	owner string
	in    *tab
	items *tab
	c     counters
}

// AppendAll gives IDs and stores.
func (a *archive) AppendAll(ctx context.Context, entries ...storage.Entry) ([]string, error) {
	if err := driver.CheckPath(a.path, a.name); err != nil {
		return nil, err
	}
	entries, err := driver.CheckEntries(entries) // a write that was given up may still be queued
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	nums := make([]uint64, len(entries))
	size := 0
	for i := range entries {
		size += len(entries[i].Item.Data)
	}
	err = a.s.do(ctx, &op{run: func(w *writeTx) error {
		if !w.fits(size) {
			return a.s.errTight()
		}
		places := make([]*place, 0, 2)
		for i := range entries {
			if find(places, entries[i].Owner) != nil {
				continue
			}
			p, err := a.place(w, entries[i].Owner)
			if err != nil {
				return err
			}
			places = append(places, p)
		}
		for i := range entries {
			id, err := a.add(w, find(places, entries[i].Owner), &entries[i].Item)
			if err != nil {
				return err
			}
			nums[i] = id
		}
		for _, p := range places {
			if err := a.putCounters(w, p.in, p.owner, p.c); err != nil {
				return err
			}
		}
		for i := range entries {
			p := find(places, entries[i].Owner)
			if driver.Over(&entries[i], p.c.count, p.c.bytes) {
				if err := a.trim(w, p, &entries[i], nums[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(nums))
	for i, n := range nums {
		ids[i] = driver.FormatID(n)
	}
	return ids, nil
}

func find(places []*place, owner string) *place {
	for _, p := range places {
		if p.owner == owner {
			return p
		}
	}
	return nil
}

// place finds an owner's place.
func (a *archive) place(w *writeTx, owner string) (*place, error) {
	p := &place{owner: owner}
	p.in, p.items = a.open(w.tab, owner)
	err := guard(func() (err error) {
		known := false
		p.c, known, err = a.counted(p.in, p.items, owner)
		if err == nil && !known {
			var floor uint64
			floor, err = a.floor(p.in)
			p.c.last = max(p.c.last, floor)
		}
		return err
	})
	return p, err
}

// add stores an item in its owner's place.
func (a *archive) add(w *writeTx, p *place, it *storage.Item) (id uint64, err error) {
	id, lag := driver.NextID(it.At, p.c.last)
	key := itemKey(id)
	if err := w.append(p.items, key, encodeItem(key, it)); err != nil {
		return 0, err
	}
	p.c.count, p.c.bytes = p.c.count+1, p.c.bytes+uint64(len(it.Data))
	p.c.last, p.c.lag = id, max(p.c.lag, lag)
	return id, nil
}

// trim removes an owner's oldest items until what is left is what the entry allows, but for the newest.
func (a *archive) trim(w *writeTx, p *place, e *storage.Entry, newest uint64) error {
	var gone []uint64
	err := guard(func() error {
		count, size := p.c.count, p.c.bytes
		cur, k, rec, err := p.items.seek([]byte{'i'}, itemKey(p.items.gone()), false)
		for ; err == nil && len(k) == 9 && k[0] == 'i'; k, rec = cur.next() {
			id := binary.BigEndian.Uint64(k[1:])
			if id == newest || len(gone) == driver.TrimMost || !driver.Over(e, count, size) {
				return nil
			}
			if it, ok := decodeItem(k, rec); ok {
				count, size = count-1, size-min(size, uint64(len(it.data)))
			}
			gone = append(gone, id)
		}
		return err
	})
	if err == nil && len(gone) > 0 {
		_, err = a.removeIDs(w, p.owner, gone)
		w.trimmed(p.items, gone[len(gone)-1])
	}
	if err == nil {
		p.c, _, err = a.counters(p.in, p.owner)
	}
	return err
}

func (a *archive) putCounters(w *writeTx, in *tab, owner string, c counters) error {
	key := ownerKey(owner, 'c')
	return w.put(in, key, record(key, c.encode()))
}

// floor is the highest ID that was given to owners who are gone, so that IDs stay unique when one returns. A damaged one
// counts as none: it matters only together with a clock that went back. It runs under guard.
func (a *archive) floor(in *tab) (uint64, error) {
	p, err := in.get(keyFloor)
	if errors.Is(err, storage.ErrCorrupt) || len(p) != 8 {
		return 0, nil
	}
	return binary.BigEndian.Uint64(p), err
}

// removeIDs deletes an owner's items within a transaction and counts them.
func (a *archive) removeIDs(w *writeTx, owner string, ids []uint64) (n int, err error) {
	in, items := a.open(w.tab, owner)
	var (
		c      counters
		counts = true // whether the counters can be trusted
	)
	err = guard(func() error { c, counts, err = a.counters(in, owner); return err })
	if err != nil && !errors.Is(err, storage.ErrCorrupt) {
		return 0, err
	}
	for _, id := range ids {
		key := itemKey(id)
		var (
			found, sound bool
			size         int
		)
		err := guard(func() error {
			rec, err := items.record(key)
			found = rec != nil
			var it rawItem
			it, sound = decodeItem(key, rec)
			size = len(it.data)
			return err
		})
		if err == nil && found {
			err = w.delete(items, key)
			n++
		}
		switch {
		case err != nil:
			return 0, err
		case found && !sound:
			counts = false
		case found:
			c.count -= min(c.count, 1)
			c.bytes -= min(c.bytes, uint64(size))
		}
	}
	if n == 0 {
		return 0, nil
	}
	if !counts {
		var now counters
		if err := guard(func() (err error) { now, err = recount(items); return err }); err != nil {
			return 0, err
		}
		now.last, now.lag = max(c.last, now.last), max(c.lag, now.lag)
		c = now
	}
	return n, a.putCounters(w, in, owner, c)
}

// Remove deletes items by ID.
func (a *archive) Remove(ctx context.Context, owner string, ids ...string) error {
	var nums []uint64
	for _, s := range ids {
		if id, ok := driver.ParseID(s); ok {
			nums = append(nums, id)
		}
	}
	if len(nums) == 0 {
		return ctx.Err()
	}
	return a.s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
		_, err := a.removeIDs(w, owner, nums)
		return err
	}})
}

// Drop deletes everything of an owner; only the archive remembers how far its IDs went.
func (a *archive) Drop(ctx context.Context, owner string) error {
	return a.s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
		in, items := a.open(w.tab, owner)
		var (
			c     counters
			some  bool
			floor uint64
		)
		err := guard(func() (err error) {
			c, some, err = a.counters(in, owner)
			if errors.Is(err, storage.ErrCorrupt) {
				some = true
				c, err = recount(items)
			}
			if err == nil && !some {
				some, err = items.any()
			}
			if err == nil {
				floor, err = a.floor(in)
			}
			return err
		})
		if err != nil || !some {
			return err
		}
		if c.last > floor {
			if err := w.put(in, keyFloor, record(keyFloor, binary.BigEndian.AppendUint64(nil, c.last))); err != nil {
				return err
			}
		}
		if err := w.delete(in, ownerKey(owner, 'c')); err != nil {
			return err
		}
		w.drop(items.id, items.in)
		return nil
	}})
}

// Stat reads the counters.
func (a *archive) Stat(ctx context.Context, owner string) (count int, size int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	var c counters
	err = a.s.view(func(v *snapshot) error {
		in, items := a.open(v.tab, owner)
		c, _, err = a.counted(in, items, owner)
		return err
	})
	return int(min(c.count, math.MaxInt)), int64(min(c.bytes, math.MaxInt64)), err
}
