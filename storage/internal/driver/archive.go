package driver

import (
	"encoding/base32"
	"encoding/binary"
	"math"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// idText writes IDs: fixed width, and in the order of the numbers.
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// FormatID writes an ID.
func FormatID(id uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	return idText.EncodeToString(b[:])
}

// ParseID reads what FormatID wrote, and nothing else.
func ParseID(s string) (uint64, bool) {
	var b [8]byte
	if len(s) != 13 {
		return 0, false
	}
	if n, err := idText.Decode(b[:], []byte(s)); err != nil || n != 8 {
		return 0, false
	}
	id := binary.BigEndian.Uint64(b[:])
	return id, FormatID(id) == s // the last character has a spare bit
}

// idTime is the ID that a moment would have: microseconds, so that most IDs tell the time and 500,000 years fit.
func idTime(t time.Time) uint64 {
	if us := t.UnixMicro(); us > 1 {
		return uint64(us)
	}
	return 1
}

// NextID returns the ID of an item at a time, above the last one whatever the clock did, and by how much the item's time
// lags behind it. The smallest ID is 1.
func NextID(at time.Time, last uint64) (id, lag uint64) {
	id = max(idTime(at), last+1)
	return id, id - idTime(at)
}

// Range is a query with its bounds of IDs, inclusive.
type Range struct {
	storage.Query
	Lo, Hi uint64
}

// NewRange checks a query and finds its bounds in an archive whose items lag behind their IDs by at most lag. Since an
// item's ID is never below its time, Start cuts exactly; End cuts at most lag too late, and Fits decides.
func NewRange(q storage.Query, lag uint64) (Range, error) {
	r := Range{q, 0, math.MaxUint64}
	if r.Max <= 0 {
		r.Max = 50
	}
	r.Max = min(r.Max, storage.MaxPage)
	if r.MaxBytes <= 0 {
		r.MaxBytes = storage.MaxPageBytes
	}
	r.MaxBytes = min(r.MaxBytes, storage.MaxPageBytes)
	if q.After != "" {
		id, ok := ParseID(q.After)
		if !ok {
			return r, storage.ErrNotFound
		}
		if id == math.MaxUint64 {
			return r, storage.ErrNotFound
		}
		r.Lo = id + 1
	}
	if q.Before != "" {
		id, ok := ParseID(q.Before)
		if !ok || id == 0 {
			return r, storage.ErrNotFound
		}
		r.Hi = id - 1
	}
	if !q.Start.IsZero() {
		r.Lo = max(r.Lo, idTime(q.Start))
	}
	if !q.End.IsZero() {
		r.Hi = min(r.Hi, Later(q.End, lag))
	}
	return r, nil
}

// Later returns the highest ID that an item of a time can have in an archive with a lag.
func Later(t time.Time, lag uint64) uint64 {
	id := idTime(t)
	if id > math.MaxUint64-lag {
		return math.MaxUint64
	}
	return id + lag
}

// Fits says whether an item of a time, a With and a Resource, within the bounds, belongs to the query.
func (r *Range) Fits(at time.Time, with, resource string) bool {
	return (r.With == "" || with == r.With && (r.Resource == "" || resource == r.Resource)) &&
		(r.Start.IsZero() || !at.Before(r.Start)) &&
		(r.End.IsZero() || !at.After(r.End))
}

// Filtered says whether the query selects by more than IDs.
func (r *Range) Filtered() bool { return r.With != "" || !r.Start.IsZero() || !r.End.IsZero() }

// Collector gathers a page in the direction of paging.
type Collector struct {
	r     *Range
	items []storage.Item
	bytes int
	more  bool
}

// NewCollector begins a page.
func NewCollector(r *Range) *Collector { return &Collector{r: r} }

// Add takes an item and says whether to go on.
func (c *Collector) Add(it storage.Item) bool {
	if len(c.items) == c.r.Max || len(c.items) > 0 && c.bytes+len(it.Data) > c.r.MaxBytes {
		c.more = true
		return false
	}
	c.items = append(c.items, it)
	c.bytes += len(it.Data)
	return true
}

// Page ends the page of an archive that holds count items.
func (c *Collector) Page(count int) storage.Page {
	p := storage.Page{Items: c.items, Complete: !c.more, Total: -1}
	if c.r.Last {
		for i, j := 0, len(p.Items)-1; i < j; i, j = i+1, j-1 {
			p.Items[i], p.Items[j] = p.Items[j], p.Items[i]
		}
	}
	switch {
	case !c.r.Filtered():
		p.Total = count
	case p.Complete && c.r.After == "" && c.r.Before == "":
		p.Total = len(p.Items)
	}
	return p
}

// CheckEntries refuses entries that no driver stores, and returns them completed, with data of their own.
func CheckEntries(entries []storage.Entry) ([]storage.Entry, error) {
	out := make([]storage.Entry, len(entries))
	for i, e := range entries {
		if err := CheckItem(e.Owner, &e.Item); err != nil {
			return nil, err
		}
		switch {
		case i > 0 && same(e.Item.Data, entries[i-1].Item.Data):
			e.Item.Data = out[i-1].Item.Data // one copy does for all
		default:
			e.Item.Data = append([]byte{}, e.Item.Data...)
		}
		out[i] = e
	}
	return out, nil
}

// same tells whether two slices are the same one.
func same(a, b []byte) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

// Over says whether an owner who has so much has more than the entry allows.
func Over(e *storage.Entry, count uint64, bytes uint64) bool {
	return count > 1 && (e.MaxItems > 0 && count > uint64(e.MaxItems) || e.MaxBytes > 0 && bytes > uint64(e.MaxBytes))
}

// TrimMost is how many of an owner's oldest items one entry removes at most.
const TrimMost = 64

// CheckItem refuses an item that no driver stores, and completes it.
func CheckItem(owner string, it *storage.Item) error {
	if err := CheckName(owner, it.With, it.Resource); err != nil {
		return err
	}
	if err := CheckValue(len(it.Data)); err != nil {
		return err
	}
	if it.At.IsZero() {
		it.At = time.Now()
	}
	it.At = it.At.UTC().Round(0)
	return nil
}
