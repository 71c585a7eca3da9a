package archive

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// maxPageSize is how large a page may become, in bytes; one message always fits. All of it waits for a client that has not
// acknowledged it yet (XEP-0198), and too much of that ends the session: who fills somebody's archive with large messages must
// not keep him from reading it.
const maxPageSize = 1 << 20

// pageSize is maxPageSize, or less where sessions may have less: half of it, since there is more in the world than archives.
// The same for other servers, whose users read rooms.
func (r *Reader) pageSize() int {
	size, limits := maxPageSize, &r.Host.File().Limits
	if limit := int(limits.SMQueueSize); limit > 0 {
		size = min(size, limit/2)
	}
	if limit := int(limits.S2SQueueSize); limit > 0 && r.Kind == Rooms {
		size = min(size, limit/2)
	}
	return size
}

// page reads the messages of a query.
func (r *Reader) page(ctx context.Context, v *View, q *query) (storage.Page, error) {
	s := storage.Query{Start: q.start, End: q.end, Max: max(q.max, 1), MaxBytes: r.pageSize(), Last: q.last}
	if with := q.with; !with.IsZero() {
		switch {
		case r.Kind == Rooms && with == v.JID: // XEP-0313 §4.1.1: all in the room have that bare address
		case r.Kind == Rooms:
			s.With = with.String()
		case with.Bare() == v.JID: // XEP-0313 §4.1.1: notes to oneself, whatever the resources
			s.With = with.Bare().String()
		default:
			s.With, s.Resource = with.Bare().String(), with.Resource()
		}
	}
	for _, b := range []struct {
		id    string
		bound *string
		upper bool
	}{{q.afterID, &s.After, false}, {q.after, &s.After, false}, {q.beforeID, &s.Before, true}, {q.before, &s.Before, true}} {
		if b.id == "" {
			continue
		}
		id, err := r.known(ctx, v.Owner, b.id)
		if err != nil {
			return storage.Page{}, err
		}
		if *b.bound == "" || (id < *b.bound) == b.upper { // the storage's IDs rise
			*b.bound = id
		}
	}
	if q.ids != nil {
		return r.pick(ctx, v.Owner, q, s)
	}
	page, err := r.Archive.Page(ctx, v.Owner, s)
	switch {
	case errors.Is(err, storage.ErrLimit):
		return page, stanza.Err(stanza.ResourceConstraint, "too many messages to look through; ask by the bare address, or between times")
	case errors.Is(err, storage.ErrCorrupt): // the sound ones came
		r.Host.Log.Error("damaged messages in an archive", r.Kind.String(), v.JID.String(), "err", err)
	case err != nil:
		return page, err
	}
	if q.max == 0 { // XEP-0059 §2.7: only the count
		page.Complete = len(page.Items) == 0
		page.Items = nil
	}
	if q.afterID != "" || q.beforeID != "" {
		page.Total = -1 // it is that of all
	}
	return page, nil
}

// known finds the place of an ID that a client names (XEP-0313 §4.1.3, §4.3.2).
func (r *Reader) known(ctx context.Context, owner, public string) (string, error) {
	it, err := r.Find(ctx, owner, public)
	if err != nil && !errors.Is(err, storage.ErrCorrupt) { // a damaged one marks its place too
		return "", err
	}
	return it.ID, nil
}

// Find returns the item whose ID a client says: to remove it (XEP-0425), its own ID is the one to give to storage.Archive.Remove.
// The error is item-not-found where the owner's archive never gave that ID, or the item is gone. Of a damaged item, which is
// storage.ErrCorrupt, only the ID comes.
func (r *Reader) Find(ctx context.Context, owner, public string) (storage.Item, error) {
	id, ok := r.IDs.Stored(owner, public)
	if !ok {
		return storage.Item{}, ErrNotFound
	}
	it, err := r.Archive.Get(ctx, owner, id)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Item{}, ErrNotFound
	}
	it.ID = id // of a damaged one too
	return it, err
}

// ErrNotFound is the answer where the owner's archive never gave an ID, or the item is gone (XEP-0313 §4.3.2).
var ErrNotFound = stanza.Err(stanza.ItemNotFound, "")

// pick reads messages by ID (XEP-0313 §4.1.3); the rest of the query selects among them.
func (r *Reader) pick(ctx context.Context, owner string, q *query, s storage.Query) (storage.Page, error) {
	var items []storage.Item
	for _, public := range q.ids {
		it, err := r.Find(ctx, owner, public)
		if err != nil {
			return storage.Page{}, err
		}
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b storage.Item) int { return strings.Compare(a.ID, b.ID) })
	items = slices.CompactFunc(items, func(a, b storage.Item) bool { return a.ID == b.ID })
	items = slices.DeleteFunc(items, func(it storage.Item) bool {
		return s.With != "" && it.With != s.With || s.Resource != "" && it.Resource != s.Resource ||
			!s.Start.IsZero() && it.At.Before(s.Start) || !s.End.IsZero() && it.At.After(s.End) ||
			s.After != "" && it.ID <= s.After || s.Before != "" && it.ID >= s.Before
	})
	page := storage.Page{Total: -1}
	if s.After == "" && s.Before == "" {
		page.Total = len(items)
	}
	n, size := 0, 0
	for ; n < min(len(items), q.max); n++ {
		it := &items[n]
		if s.Last {
			it = &items[len(items)-1-n]
		}
		if size += len(it.Data); n > 0 && size > s.MaxBytes {
			break
		}
	}
	page.Complete = n == len(items)
	if page.Items = items[:n]; s.Last {
		page.Items = items[len(items)-n:]
	}
	return page, nil
}
