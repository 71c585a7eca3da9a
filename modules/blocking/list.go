package blocking

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// list is what an account blocks: one immutable state. Nil is the empty list.
type list struct {
	entries map[stanza.JID]struct{}
}

func (l *list) weight() int { return 1 + l.len() }

func (l *list) len() int {
	if l == nil {
		return 0
	}
	return len(l.entries)
}

// has tells whether an address is on the list as it stands.
func (l *list) has(j stanza.JID) bool {
	if l == nil {
		return false
	}
	_, ok := l.entries[j]
	return ok
}

// covers tells whether any entry means an address: in the order of XEP-0191 §5, a resource, an account, a domain.
func (l *list) covers(j stanza.JID) bool {
	return l != nil && (l.has(j) || l.has(j.Bare()) || l.has(j.Host()))
}

// all returns the entries in order.
func (l *list) all() []stanza.JID {
	if l == nil {
		return nil
	}
	out := make([]stanza.JID, 0, len(l.entries))
	for j := range l.entries {
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b stanza.JID) int {
		return slices.Compare(a.AppendTo(nil), b.AppendTo(nil))
	})
	return out
}

// with returns the list with more entries, or with fewer.
func (l *list) with(add, remove []stanza.JID) *list {
	next := &list{entries: make(map[stanza.JID]struct{}, l.len()+len(add))}
	if l != nil {
		for j := range l.entries {
			next.entries[j] = struct{}{}
		}
	}
	for _, j := range add {
		next.entries[j] = struct{}{}
	}
	for _, j := range remove {
		delete(next.entries, j)
	}
	if len(next.entries) == 0 {
		return nil
	}
	return next
}

// kvEntries is where lists are kept. A key is the owner's localpart, which cannot hold a zero byte (RFC 7622 §3.3), a zero
// byte and the entry; the value is the format and when it was made.
const kvEntries = "entries"

const format = 1

func entryKey(owner string, j stanza.JID) []byte { return j.AppendTo(ownerKey(owner)) }

func ownerKey(owner string) []byte { return append([]byte(owner), 0) }

// read reads an account's list.
func (m *module) read(ctx context.Context, owner string) (*list, error) {
	var l *list
	var bad error
	prefix := ownerKey(owner)
	err := m.h.Store.KV(kvEntries).Scan(ctx, prefix, nil, func(k, v []byte) bool {
		var j stanza.JID
		if j, bad = stanza.ParseJID(string(k[len(prefix):])); bad == nil && (len(v) == 0 || v[0] != format) {
			bad = fmt.Errorf("entry of an unknown format")
		}
		if bad != nil {
			return false
		}
		if l == nil {
			l = &list{entries: map[stanza.JID]struct{}{}}
		}
		l.entries[j] = struct{}{}
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("read block list: %w", err)
	}
	return l, nil
}

// write puts a change of a list on disk, with the reports that came along.
func (m *module) write(ctx context.Context, owner string, add, remove []stanza.JID, reports []Report) error {
	if len(add)+len(remove)+len(reports) == 0 {
		return nil
	}
	now, _ := time.Now().UTC().MarshalBinary()
	err := m.h.Store.Update(ctx, func(tx storage.Tx) error {
		kv := tx.KV(kvEntries)
		for _, j := range add {
			if err := kv.Put(entryKey(owner, j), append([]byte{format}, now...)); err != nil {
				return err
			}
		}
		for _, j := range remove {
			if err := kv.Delete(entryKey(owner, j)); err != nil {
				return err
			}
		}
		return m.putReports(tx.KV(kvReports), reports)
	})
	if err != nil {
		return fmt.Errorf("write block list: %w", err)
	}
	return nil
}

// erase takes all of an account's list off the disk, whether it can be read or not.
func (m *module) erase(ctx context.Context, owner string) error {
	return storage.DeletePrefix(ctx, m.h.Store, ownerKey(owner), kvEntries)
}
