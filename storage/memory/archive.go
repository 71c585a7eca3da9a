package memory

import (
	"bytes"
	"context"
	"math"
	"sort"
	"time"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// owners is an archive.
type owners struct {
	lists map[string]*list
	floor uint64 // the highest ID of the owners that are gone
}

// list is an owner's part of an archive, in the order of IDs.
type list struct {
	items []item
	bytes int64
	last  uint64
	lag   uint64
}

type item struct {
	id uint64
	storage.Item
}

// find returns where the first item with at least an ID is or would be.
func (l *list) find(id uint64) int {
	return sort.Search(len(l.items), func(i int) bool { return l.items[i].id >= id })
}

type archive struct {
	b    *bucket
	name string
}

func (b *bucket) Archive(name string) storage.Archive { return &archive{b, name} }

// list returns an owner's list, nil where there is none.
func (a *archive) list(owner string) *list {
	if n := a.b.node(false); n != nil && n.archives[a.name] != nil {
		return n.archives[a.name].lists[owner]
	}
	return nil
}

func (a *archive) Append(ctx context.Context, owner string, it storage.Item) (string, error) {
	ids, err := a.AppendAll(ctx, storage.Entry{Owner: owner, Item: it})
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

func (a *archive) AppendAll(ctx context.Context, entries ...storage.Entry) (ids []string, err error) {
	if err := driver.CheckPath(a.b.path, a.name); err != nil {
		return nil, err
	}
	entries, err = driver.CheckEntries(entries)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	err = a.b.s.write(ctx, func() error {
		n := a.b.node(true)
		if n.archives == nil {
			n.archives = make(map[string]*owners)
		}
		o := n.archives[a.name]
		if o == nil {
			o = &owners{lists: make(map[string]*list)}
			n.archives[a.name] = o
		}
		for i := range entries {
			ids = append(ids, o.add(&entries[i]))
		}
		for i := range entries {
			o.lists[entries[i].Owner].trim(&entries[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// add stores an item and returns its ID.
func (o *owners) add(e *storage.Entry) string {
	l := o.lists[e.Owner]
	if l == nil {
		l = &list{last: o.floor}
		o.lists[e.Owner] = l
	}
	it := e.Item
	num, lag := driver.NextID(it.At, l.last)
	l.last, l.lag = num, max(l.lag, lag)
	it.ID = driver.FormatID(num)
	l.items = append(l.items, item{num, it})
	l.bytes += int64(len(it.Data))
	return it.ID
}

// trim removes the oldest items until what is left is what the entry allows.
func (l *list) trim(e *storage.Entry) {
	n := 0
	for n < driver.TrimMost && driver.Over(e, uint64(len(l.items)-n), uint64(l.bytes)) {
		l.bytes -= int64(len(l.items[n].Data))
		n++
	}
	clear(l.items[:n])
	l.items = l.items[n:]
}

func (a *archive) Get(ctx context.Context, owner, id string) (it storage.Item, err error) {
	num, ok := driver.ParseID(id)
	err = a.b.s.read(ctx, func() error {
		if l := a.list(owner); l != nil && ok {
			if i := l.find(num); i < len(l.items) && l.items[i].id == num {
				it = l.items[i].Item
				it.Data = bytes.Clone(it.Data)
				return nil
			}
		}
		return storage.ErrNotFound
	})
	return it, err
}

func (a *archive) Page(ctx context.Context, owner string, q storage.Query) (p storage.Page, err error) {
	err = a.b.s.read(ctx, func() error {
		l := a.list(owner)
		if l == nil {
			l = new(list)
		}
		r, err := driver.NewRange(q, l.lag)
		if err != nil {
			return err
		}
		from, to := l.find(r.Lo), len(l.items)
		if r.Hi < math.MaxUint64 {
			to = l.find(r.Hi + 1)
		}
		out := driver.NewCollector(&r)
		visited := 0
		for i := range to - from {
			at := from + i
			if r.Last {
				at = to - 1 - i
			}
			it := l.items[at].Item
			if it.With == r.With && r.Resource != "" {
				if visited++; visited > storage.MaxVisited {
					return storage.ErrLimit
				}
			}
			if !r.Fits(it.At, it.With, it.Resource) {
				continue
			}
			it.Data = bytes.Clone(it.Data)
			if !out.Add(it) {
				break
			}
		}
		p = out.Page(len(l.items))
		return nil
	})
	return p, err
}

// keep keeps the items that fn wants to keep, and returns how many went.
func (l *list) keep(fn func(it *item) bool) (n int) {
	kept := l.items[:0]
	for i := range l.items {
		it := &l.items[i]
		if fn(it) {
			kept = append(kept, *it)
			continue
		}
		n++
		l.bytes -= int64(len(it.Data))
	}
	clear(l.items[len(kept):])
	l.items = kept
	return n
}

func (a *archive) Remove(ctx context.Context, owner string, ids ...string) error {
	return a.b.s.write(ctx, func() error {
		l := a.list(owner)
		if l == nil {
			return nil
		}
		gone := make(map[string]bool, len(ids))
		for _, id := range ids {
			gone[id] = true
		}
		l.keep(func(it *item) bool { return !gone[it.ID] })
		return nil
	})
}

func (a *archive) Expire(ctx context.Context, owner string, t time.Time) (n int, err error) {
	err = a.b.s.write(ctx, func() error {
		expire := func(l *list) {
			if l != nil {
				n += l.keep(func(it *item) bool { return !it.At.Before(t) })
			}
		}
		if owner != "" {
			expire(a.list(owner))
			return nil
		}
		if node := a.b.node(false); node != nil && node.archives[a.name] != nil {
			for _, l := range node.archives[a.name].lists {
				expire(l)
			}
		}
		return nil
	})
	return n, err
}

func (a *archive) Drop(ctx context.Context, owner string) error {
	return a.b.s.write(ctx, func() error {
		if l := a.list(owner); l != nil {
			o := a.b.node(false).archives[a.name]
			o.floor = max(o.floor, l.last)
			delete(o.lists, owner)
		}
		return nil
	})
}

func (a *archive) Stat(ctx context.Context, owner string) (count int, size int64, err error) {
	err = a.b.s.read(ctx, func() error {
		if l := a.list(owner); l != nil {
			count, size = len(l.items), l.bytes
		}
		return nil
	})
	return count, size, err
}
