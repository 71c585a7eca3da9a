package archive

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Ends reads the first and the last message of an archive; ok is false where it is empty.
func (r *Reader) Ends(ctx context.Context, owner string) (first, last storage.Item, ok bool, err error) {
	for _, end := range []struct {
		to   *storage.Item
		last bool
	}{{&first, false}, {&last, true}} {
		p, err := r.Archive.Page(ctx, owner, storage.Query{Max: 1, Last: end.last})
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return first, last, false, err
		}
		if len(p.Items) == 0 {
			return first, last, false, nil
		}
		*end.to = p.Items[0]
	}
	return first, last, true, nil
}

// metadata says where an archive begins and ends (XEP-0313 §5).
func (r *Reader) metadata(ctx context.Context, owner string) ([]byte, error) {
	first, last, ok, err := r.Ends(ctx, owner)
	if err != nil {
		return nil, err
	}
	return r.Metadata(owner, first, last, ok), nil
}

// Metadata writes what Ends has read (XEP-0313 §5).
func (r *Reader) Metadata(owner string, first, last storage.Item, ok bool) []byte {
	var x stanza.XML
	if !ok {
		return x.Empty("metadata", "xmlns", ns).Bytes()
	}
	x.Start("metadata", "xmlns", ns)
	for _, end := range []struct {
		name string
		it   *storage.Item
	}{{"start", &first}, {"end", &last}} {
		x.Empty(end.name, "id", r.IDs.Public(owner, end.it.ID), "timestamp", stamp(end.it.At))
	}
	return x.Bytes()
}

// stamp writes a time (XEP-0082 §3.2).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
