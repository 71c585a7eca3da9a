package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// Get returns an item by ID.
func (a *archive) Get(ctx context.Context, owner, id string) (it storage.Item, err error) {
	if err := ctx.Err(); err != nil {
		return it, err
	}
	n, ok := driver.ParseID(id)
	if !ok {
		return it, storage.ErrNotFound
	}
	key := itemKey(n)
	err = a.s.view(func(v *snapshot) error {
		_, items := a.open(v.tab, owner)
		p, err := items.get(key)
		if err != nil {
			return err
		}
		if p == nil {
			return storage.ErrNotFound
		}
		raw, ok := itemOf(key, p)
		if !ok {
			return damaged(a.owner(owner), key)
		}
		it = raw.item()
		return nil
	})
	if err != nil {
		return storage.Item{}, err
	}
	return it, nil
}

// Page walks from one end of the query's bounds, over the items or, for With, over its index. It visits at most
// scanPage entries in one read transaction; beyond the page itself it visits only items whose times lag behind their IDs, and
// those that are too new for the index.
func (a *archive) Page(ctx context.Context, owner string, q storage.Query) (storage.Page, error) {
	var (
		r      driver.Range
		out    *driver.Collector
		c      counters
		damage error
	)
	for done, visited := false, 0; !done; visited += scanPage {
		if err := ctx.Err(); err != nil {
			return storage.Page{}, err
		}
		if q.Resource != "" && visited > storage.MaxVisited {
			return storage.Page{}, storage.ErrLimit
		}
		err := a.s.view(func(v *snapshot) (err error) {
			in, items := a.open(v.tab, owner)
			if out == nil {
				if c, _, err = a.counted(in, items, owner); err != nil {
					return err
				}
				if r, err = driver.NewRange(q, c.lag); err != nil {
					return err
				}
				out = driver.NewCollector(&r)
			}
			done, err = a.walk(items, owner, items.indexed(), &r, out, &damage)
			return err
		})
		if err != nil {
			return storage.Page{}, err
		}
	}
	return out.Page(int(min(c.count, math.MaxInt))), damage
}

// walk collects what the next scanPage entries hold, and moves the bound that it comes from; true ends the page. Up to the ID
// indexed it finds a With by the index; the few items above are looked through.
func (a *archive) walk(items *tab, owner string, indexed uint64, r *driver.Range, out *driver.Collector, damage *error) (done bool, err error) {
	for left := scanPage; left > 0; {
		if r.Lo > r.Hi {
			return true, nil
		}
		s := stretch{lo: r.Lo, hi: r.Hi}
		if r.With != "" {
			switch {
			case r.Last && r.Hi > indexed:
				s.lo = max(s.lo, indexed+1)
			case r.Lo <= indexed:
				s.hi, s.byIndex = min(s.hi, indexed), true
			}
		}
		got, err := a.collect(items, owner, s, r, out, damage, &left)
		switch {
		case err != nil:
			return true, err
		case got == full:
			return true, nil
		case got == all:
			switch { // what is beyond
			case r.Last && s.lo > r.Lo:
				r.Hi = s.lo - 1
			case !r.Last && s.hi < r.Hi:
				r.Lo = s.hi + 1
			default:
				return true, nil
			}
		}
	}
	return false, nil
}

// stretch is a part of an archive that is read in one way.
type stretch struct {
	lo, hi  uint64
	byIndex bool
}

type progress uint8

const (
	some progress = iota // as many entries as are looked at in one transaction
	all                  // of the stretch
	full                 // the page is
)

// collect reads a stretch in the direction of paging, left entries at most.
func (a *archive) collect(items *tab, owner string, s stretch, r *driver.Range, out *driver.Collector, damage *error, left *int) (progress, error) {
	key := itemKey
	var mark []byte
	if s.byIndex {
		key = func(id uint64) []byte { return withKey([]byte(r.With), id) }
		if r.Resource != "" {
			mark = indexMark([]byte(r.Resource))
		}
	}
	keep := a.keep(owner, damage)
	w := walker{t: items, prefix: key(0), back: r.Last, damage: keep}
	w.prefix = w.prefix[:len(w.prefix)-8]
	for ; *left > 0; *left-- {
		from := key(s.lo)
		if r.Last {
			from = append(key(s.hi), 0) // before the key's successor
		}
		k, rec, err := w.next(from)
		if err != nil || k == nil {
			return all, err
		}
		id := binary.BigEndian.Uint64(k[len(w.prefix):])
		if id < s.lo || id > s.hi {
			return all, nil
		}
		other := false // by the index, another's Resource
		if s.byIndex {
			p, ok := payload(k, rec)
			if !ok {
				keep(k)
			}
			if other = ok && mark != nil && len(p) == len(mark) && !bytes.Equal(p, mark); !other {
				k = itemKey(id)
				c, found := items.layered(k)
				other = found && c.rec == nil // deleted, and in the index until the next checkpoint
				if rec = c.rec; !found {
					rec, err = items.filed(k)
				}
				if err != nil {
					return all, err
				}
			}
		}
		if !other {
			switch it, ok := decodeItem(k, rec); {
			case !ok:
				keep(k)
			case r.Fits(it.at, string(it.with), string(it.resource)):
				if !out.Add(it.item()) {
					return full, nil
				}
			}
		}
		switch {
		case r.Last && id == 0, !r.Last && id == math.MaxUint64:
			return full, nil
		case r.Last:
			s.hi, r.Hi = id-1, id-1
		default:
			s.lo, r.Lo = id+1, id+1
		}
	}
	return some, nil
}

// keep returns what notes the first of an owner's keys that are damaged.
func (a *archive) keep(owner string, damage *error) func(key []byte) {
	return func(key []byte) {
		if *damage == nil {
			*damage = damaged(a.owner(owner), key)
		}
	}
}

// walker moves a cursor over the keys made of a prefix and an ID.
type walker struct {
	t      *tab
	c      *cursor // nil: not begun
	prefix []byte
	back   bool
	damage func(key []byte) // told of keys that are damaged, and may have been any
}

// next returns the next key; the first time the one at the place from, or the one before it when walking back.
func (w *walker) next(from []byte) (k, rec []byte, err error) {
	for range scanPage { // a damaged file may have no end
		if w.c == nil {
			w.c, k, rec, err = w.t.seek(w.prefix, from, w.back)
		} else {
			k, rec = w.c.next()
		}
		switch {
		case err != nil || k == nil:
			return nil, nil, err
		case len(k) == len(w.prefix)+8 && bytes.HasPrefix(k, w.prefix):
			return k, rec, nil
		case sound(k, rec):
			return nil, nil, nil
		}
		w.damage(k)
	}
	return nil, nil, nil
}

// expired is an owner's items that are to go.
type expired struct {
	owner string
	ids   []uint64
}

// Expire looks for what is older than t in short read transactions and deletes it in transactions of scanPage items.
func (a *archive) Expire(ctx context.Context, owner string, t time.Time) (n int, err error) {
	var (
		batch  []expired
		size   int
		damage error
	)
	flush := func() error {
		if size == 0 {
			return nil
		}
		removed := 0
		err := a.s.do(ctx, &op{frees: true, run: func(w *writeTx) error {
			removed = 0
			for _, e := range batch {
				m, err := a.removeIDs(w, e.owner, e.ids)
				if err != nil {
					return err
				}
				removed += m
			}
			return nil
		}})
		if err == nil {
			n += removed
		}
		batch, size = nil, 0
		return err
	}
	one := func(owner string) error {
		for from := uint64(0); ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			e := expired{owner: owner}
			next, err := a.olderThan(&e, t, from, &damage)
			if err != nil {
				return err
			}
			if len(e.ids) > 0 {
				batch, size = append(batch, e), size+len(e.ids)
			}
			if size >= scanPage {
				if err := flush(); err != nil {
					return err
				}
			}
			if next == 0 {
				return nil
			}
			from = next
		}
	}
	if owner != "" {
		err = one(owner)
	} else {
		err = a.owners(ctx, one)
	}
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = damage
	}
	return n, err
}

// olderThan looks at up to scanPage items of an owner, from an ID on, and returns the ID to go on from, 0 at the end.
func (a *archive) olderThan(e *expired, t time.Time, from uint64, damage *error) (next uint64, err error) {
	err = a.s.view(func(v *snapshot) error {
		in, items := a.open(v.tab, e.owner)
		c, _, err := a.counted(in, items, e.owner)
		if err != nil {
			return err
		}
		last := driver.Later(t, c.lag)
		keep := a.keep(e.owner, damage)
		w := walker{t: items, prefix: []byte{'i'}, damage: keep}
		id := uint64(0)
		for range scanPage {
			k, rec, err := w.next(itemKey(from))
			if err != nil || k == nil {
				return err
			}
			if id = binary.BigEndian.Uint64(k[1:]); id > last || id == math.MaxUint64 {
				return nil
			}
			it, ok := decodeItem(k, rec)
			if !ok {
				keep(k)
			} else if it.at.Before(t) {
				e.ids = append(e.ids, id)
			}
		}
		next = id + 1
		return nil
	})
	return next, err
}

// owners calls fn for each owner that has counters, between read transactions.
func (a *archive) owners(ctx context.Context, fn func(owner string) error) error {
	var from []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var names []string
		end := false
		err := a.s.view(func(v *snapshot) error {
			c, k, _, err := v.tab(a.id, a.in).seek(nil, from, false)
			for range scanPage {
				if err != nil || k == nil {
					end = true
					return err
				}
				if name, ok := bytes.CutSuffix(k, ownerKey("", 'c')); ok {
					names = append(names, string(name))
				}
				from = append(append(from[:0], k...), 0)
				k, _ = c.next()
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("owners of archive %s: %w", pathText(a.in), err)
		}
		for _, n := range names {
			if err := fn(n); err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}
