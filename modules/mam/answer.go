package mam

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// own refuses what others ask of an account's archive (XEP-0313 §8.1). It stands before the look whether there is such an
// account, so that the answer does not tell.
func (m *module) own(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind == stanza.KindIQ && (st.Type == stanza.TypeGet || st.Type == stanza.TypeSet) && p.To.Local() != "" &&
		len(st.Children) > 0 && st.Children[0].NS == ns && p.From.Bare() != p.To {
		return stanza.Err(stanza.Forbidden, "")
	}
	return nil
}

// iq answers what an account's own clients ask of its archive.
func (m *module) iq(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if !q.Own() || q.Origin == nil {
		return nil, stanza.Err(stanza.Forbidden, "")
	}
	switch q.Payload.Name {
	case "query":
		if !q.Set() {
			return form(), nil
		}
		return m.query(ctx, q)
	case "metadata":
		if !q.Set() {
			return m.metadata(ctx, q.To)
		}
	case "prefs":
		return m.preferences(ctx, q)
	}
	return nil, stanza.Err(stanza.FeatureNotImplemented, "")
}

// query sends the messages that a client asks for, and returns what ends them (XEP-0313 §4).
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	query, err := parseQuery(q.Payload, m.cfg.Load().PageMax)
	if err != nil {
		return nil, err
	}
	owner := q.To.Bare()
	page, err := m.page(ctx, owner, query)
	if err != nil {
		return nil, err
	}
	given := make([]string, len(page.Items))
	for i := range page.Items {
		given[i] = m.ids.public(owner.Local(), page.Items[i].ID)
	}
	if err := m.send(ctx, q.Origin, owner, query, page.Items, given); err != nil {
		return nil, modules.Done // the session takes no more, an answer neither
	}
	if box, err := modules.Find[Box](m.h); err == nil && len(given) > 0 {
		if err := box.Discard(ctx, owner, func(id string) bool { return slices.Contains(given, id) }); err != nil {
			m.h.Log.Error("messages got from the archive are kept for later too", "account", owner.String(), "err", err)
		}
	}
	return fin(page, given), nil
}

// maxPageSize is how large a page may become, in bytes; one message always fits. All of it waits for a client that has not
// acknowledged it yet (XEP-0198), and too much of that ends the session: who fills somebody's archive with large messages must
// not keep him from reading it.
const maxPageSize = 1 << 20

// pageSize is maxPageSize, or less where sessions may have less: half of it, since there is more in the world than archives.
func (m *module) pageSize() int {
	if limit := int(m.h.File().Limits.SMQueueSize); limit > 0 {
		return min(maxPageSize, limit/2)
	}
	return maxPageSize
}

// page reads the messages of a query.
func (m *module) page(ctx context.Context, owner stanza.JID, q *query) (storage.Page, error) {
	s := storage.Query{Start: q.start, End: q.end, Max: max(q.max, 1), MaxBytes: m.pageSize(), Last: q.last}
	if !q.with.IsZero() {
		s.With, s.Resource = q.with.Bare().String(), q.with.Resource()
		if q.with.Bare() == owner { // XEP-0313 §4.1.1: notes to oneself, whatever the resources
			s.Resource = ""
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
		id, err := m.known(ctx, owner, b.id)
		if err != nil {
			return storage.Page{}, err
		}
		if *b.bound == "" || (id < *b.bound) == b.upper { // the storage's IDs rise
			*b.bound = id
		}
	}
	if q.ids != nil {
		return m.pick(ctx, owner, q, s)
	}
	page, err := m.ar.Page(ctx, owner.Local(), s)
	switch {
	case errors.Is(err, storage.ErrLimit):
		return page, stanza.Err(stanza.ResourceConstraint, "too many messages to look through; ask by the bare address, or between times")
	case errors.Is(err, storage.ErrCorrupt): // the sound ones came
		m.h.Log.Error("damaged messages in an archive", "account", owner.String(), "err", err)
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

// known finds the item of an ID that a client names (XEP-0313 §4.1.3, §4.3.2).
func (m *module) known(ctx context.Context, owner stanza.JID, public string) (string, error) {
	id, ok := m.ids.stored(owner.Local(), public)
	if !ok {
		return "", notFound
	}
	_, err := m.ar.Get(ctx, owner.Local(), id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", notFound
	case err != nil && !errors.Is(err, storage.ErrCorrupt): // a damaged one marks its place too
		return "", err
	}
	return id, nil
}

var notFound = stanza.Err(stanza.ItemNotFound, "")

// pick reads messages by ID (XEP-0313 §4.1.3); the rest of the query selects among them.
func (m *module) pick(ctx context.Context, owner stanza.JID, q *query, s storage.Query) (storage.Page, error) {
	var items []storage.Item
	for _, public := range q.ids {
		id, ok := m.ids.stored(owner.Local(), public)
		if !ok {
			return storage.Page{}, notFound
		}
		it, err := m.ar.Get(ctx, owner.Local(), id)
		if errors.Is(err, storage.ErrNotFound) {
			return storage.Page{}, notFound
		}
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

// send sends a page's messages to the client that asked (XEP-0313 §4.2). All go out in the same stanza and buffer: who keeps
// what it is sent copies it.
func (m *module) send(ctx context.Context, s modules.Session, owner stanza.JID, q *query, items []storage.Item, given []string) error {
	envelope := stanza.New(stanza.KindMessage, stanza.TypeNone, "", owner, s.JID(), nil)
	st := envelope.Clone()
	xml := []byte("<result xmlns='" + ns + "'")
	if q.hasID { // also an empty one
		xml = append(stanza.AppendEscaped(append(xml, " queryid='"...), q.id), '\'')
	}
	xml = append(xml, " id='"...)
	head := len(xml)
	for i := range items {
		at := i
		if q.flip {
			at = len(items) - 1 - i
		}
		rest, ok := forwarded(&items[at])
		if !ok {
			m.h.Log.Error("message in an archive not understood", "account", owner.String())
			continue
		}
		xml = append(append(xml[:head], given[at]...), "'><forwarded xmlns='"+stanza.NSForward+"'>"...)
		xml = stanza.AppendDelay(xml, stanza.JID{}, items[at].At, "") // XEP-0203
		xml = append(xml, "<message xmlns='"+stanza.NSClient+"'"...)
		xml = append(append(xml, rest...), "</forwarded></result>"...)
		*st = *envelope
		st.Add(xml)
		if err := s.Send(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// forwarded returns a stored message but for its <message, to which a namespace is added (XEP-0297 §3).
func forwarded(it *storage.Item) ([]byte, bool) {
	const head = string(rune(itemFormat)) + "<message"
	if len(it.Data) <= len(head) || string(it.Data[:len(head)]) != head {
		return nil, false
	}
	return it.Data[len(head):], true
}

// fin ends an answer (XEP-0313 §4).
func fin(page storage.Page, given []string) []byte {
	var x stanza.XML
	complete := ""
	if page.Complete {
		complete = "true"
	}
	x.Start("fin", "xmlns", ns, "complete", complete).Start("set", "xmlns", nsRSM)
	if len(page.Items) > 0 && len(given) == len(page.Items) {
		x.Leaf("first", given[0]).Leaf("last", given[len(given)-1])
	}
	if page.Total >= 0 {
		x.Leaf("count", strconv.Itoa(page.Total))
	}
	return x.Bytes()
}

// ends reads the first and the last message of an archive; ok is false where it is empty.
func (m *module) ends(ctx context.Context, owner stanza.JID) (first, last storage.Item, ok bool, err error) {
	for _, end := range []struct {
		to   *storage.Item
		last bool
	}{{&first, false}, {&last, true}} {
		p, err := m.ar.Page(ctx, owner.Local(), storage.Query{Max: 1, Last: end.last})
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
func (m *module) metadata(ctx context.Context, owner stanza.JID) ([]byte, error) {
	first, last, ok, err := m.ends(ctx, owner)
	if err != nil {
		return nil, err
	}
	return m.metadataXML(owner, first, last, ok), nil
}

func (m *module) metadataXML(owner stanza.JID, first, last storage.Item, ok bool) []byte {
	var x stanza.XML
	if !ok {
		return x.Empty("metadata", "xmlns", ns).Bytes()
	}
	x.Start("metadata", "xmlns", ns)
	for _, end := range []struct {
		name string
		it   *storage.Item
	}{{"start", &first}, {"end", &last}} {
		x.Empty(end.name, "id", m.ids.public(owner.Local(), end.it.ID), "timestamp", stamp(end.it.At))
	}
	return x.Bytes()
}

// stamp writes a time (XEP-0082 §3.2).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
