package roster

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/xmppd/xmppd/stanza"
)

// removals is how many removed items a list remembers, so that a client that was away hears of them (RFC 6121 §2.6.3).
const removals = 64

// list is all that an account knows of its contacts: one immutable state.
type list struct {
	ver   uint64 // rises with every change that the owner sees; never used twice
	floor uint64 // what was removed up to here is forgotten
	gone  []removal
	items map[stanza.JID]*item

	listed  int
	pending int          // requests not answered
	readers []stanza.JID // who gets the owner's presence: From and Both
	sources []stanza.JID // whose presence the owner gets: To and Both; where they are the same, the same slice

	whole atomic.Pointer[[]byte] // what query returns, once it has been asked for
}

// removal is an item that was removed.
type removal struct {
	jid stanza.JID
	ver uint64
}

// index fills what is derived of items.
func (l *list) index() *list {
	l.listed, l.pending = 0, 0
	from, to, both := 0, 0, 0
	for _, it := range l.items {
		if it.listed {
			l.listed++
		}
		if it.state&pendingIn != 0 {
			l.pending++
		}
		switch it.state & (subFrom | subTo) {
		case subFrom:
			from++
		case subTo:
			to++
		case subFrom | subTo:
			both++
		}
	}
	l.readers = l.in(subFrom, from+both)
	l.sources = l.readers
	if from+to > 0 {
		l.sources = l.in(subTo, to+both)
	}
	return l
}

// in returns who is in a state, n of them.
func (l *list) in(s state, n int) []stanza.JID {
	if n == 0 {
		return nil
	}
	js := make([]stanza.JID, 0, n)
	for j, it := range l.items {
		if it.state&s != 0 {
			js = append(js, j)
		}
	}
	return js
}

// with returns the list after an item has changed to it. One that holds nothing any more is left out.
func (l *list) with(it *item) *list {
	next := &list{ver: max(l.ver, it.ver), floor: l.floor, gone: l.gone, items: maps.Clone(l.items)}
	old := l.items[it.jid]
	switch {
	case it.listed || it.state != 0:
		if next.items == nil {
			next.items = map[stanza.JID]*item{}
		}
		next.items[it.jid] = it
	default:
		delete(next.items, it.jid)
	}
	if old != nil && old.listed && !it.listed {
		next.gone = slices.DeleteFunc(slices.Clone(l.gone), func(g removal) bool { return g.jid == it.jid })
		next.gone = append(next.gone, removal{it.jid, it.ver})
		if n := len(next.gone) - removals; n > 0 {
			next.floor = next.gone[n-1].ver
			next.gone = next.gone[n:]
		}
	}
	return next.index()
}

// query returns the whole roster (RFC 6121 §2.1.4), which is written once: 130 bytes for each contact, beside the 300 that
// the list has of it. The caller does not change it.
func (l *list) query() []byte {
	if b := l.whole.Load(); b != nil {
		return *b
	}
	b := bytes.Clone(l.write()) // without room to spare
	l.whole.Store(&b)
	return b
}

func (l *list) write() []byte {
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSRoster, "ver", strconv.FormatUint(l.ver, 10))
	for _, it := range l.items {
		if it.listed {
			it.write(&x)
		}
	}
	return x.Bytes()
}

// since returns what has changed after a version, in the order of the changes. ok is false where removals have been
// forgotten that came after it.
func (l *list) since(v uint64) (changes []*item, ok bool) {
	for _, it := range l.items {
		if it.listed && it.ver > v {
			changes = append(changes, it)
		}
	}
	for _, g := range l.gone {
		// An item that came back is among the items.
		if it := l.items[g.jid]; g.ver > v && (it == nil || !it.listed) {
			changes = append(changes, &item{jid: g.jid, ver: g.ver})
		}
	}
	slices.SortFunc(changes, func(a, b *item) int { return cmp.Compare(a.ver, b.ver) })
	return changes, v >= l.floor
}

// news returns what a client that names a version has missed. ok is false where that cannot be told, or where the whole
// list is the shorter answer.
func (l *list) news(version string) (changes []*item, ok bool) {
	if version == "" {
		return nil, false
	}
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil || v > l.ver {
		return nil, false
	}
	if changes, ok = l.since(v); !ok || len(changes) > removals {
		return nil, false
	}
	return changes, true
}

// goneRecord encodes what has been removed.
func (l *list) goneRecord() []byte {
	b := binary.AppendUvarint([]byte{format}, l.floor)
	for _, g := range l.gone {
		b = binary.AppendUvarint(b, g.ver)
		b = appendString(b, g.jid.String())
	}
	return b
}

func (l *list) parseGone(b []byte) error {
	d := decoder{b: b}
	if d.byte() != format {
		return errRecord
	}
	l.floor = d.uint()
	for len(d.b) > 0 {
		v, s := d.uint(), d.string()
		j, err := stanza.ParseJID(s)
		if d.bad || err != nil || len(l.gone) == removals {
			return errRecord
		}
		l.gone = append(l.gone, removal{j, v})
	}
	if d.bad {
		return errRecord
	}
	return nil
}
