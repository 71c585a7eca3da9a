package roster

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// The KVs. An owner is a localpart, which cannot hold a zero byte (RFC 7622 §3.3); a contact is a bare JID.
const (
	kvItems    = "items"    // owner 0 contact: item.record
	kvVersions = "versions" // owner: the list's version, a uvarint. It outlives the account, so that no version comes twice
	kvRemoved  = "removed"  // owner: list.goneRecord
	kvRequests = "requests" // owner 0 contact: the subscribe stanza not answered (RFC 6121 §3.1.3)
)

func ownerKey(owner string) []byte { return append([]byte(owner), 0) }

func contactKey(owner string, contact stanza.JID) []byte {
	return contact.AppendTo(ownerKey(owner))
}

// list returns an account's list; an account that has none, or does not exist, has an empty one.
func (m *module) list(ctx context.Context, owner string) (*list, error) {
	l, ticket := m.cache.get(owner)
	if l != nil {
		return l, nil
	}
	l, err := m.load(ctx, owner)
	if err != nil {
		return nil, err
	}
	m.cache.fill(owner, l, ticket)
	return l, nil
}

// load reads a list from the store.
func (m *module) load(ctx context.Context, owner string) (*list, error) {
	l := &list{}
	var items []*item
	prefix := ownerKey(owner)
	err := m.h.Store.View(ctx, func(tx storage.Tx) error {
		b, err := tx.KV(kvVersions).Get([]byte(owner))
		if err != nil {
			return err
		}
		if b != nil {
			var n int
			if l.ver, n = binary.Uvarint(b); n <= 0 {
				return errRecord
			}
		}
		if b, err = tx.KV(kvRemoved).Get([]byte(owner)); err != nil {
			return err
		}
		if b != nil {
			if err := l.parseGone(b); err != nil {
				return err
			}
		}
		var bad error
		err = tx.KV(kvItems).Scan(prefix, nil, func(key, value []byte) bool {
			jid, err := stanza.InternJID(key[len(prefix):])
			if err != nil {
				bad = err
				return false
			}
			it, err := parseItem(jid, value)
			if err != nil {
				bad = err
				return false
			}
			items = append(items, it)
			return true
		})
		if err == nil {
			err = bad
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read roster: %w", err)
	}
	l.items = make(map[stanza.JID]*item, len(items)) // one that grows costs as much again
	for _, it := range items {
		l.items[it.jid] = it
	}
	return l.index(), nil
}

// edit is one change of an account's list.
type edit struct {
	owner   stanza.JID // bare, of this host
	contact stanza.JID // bare
	// change makes the new item of the old one, which is empty where there was none. It may refuse.
	change func(l *list, it *item) error
	// request is kept with the item when the change makes it Pending In.
	request func() []byte
	// deliver runs when the change is on disk, before it is pushed (RFC 6121 §3.1.6, §3.2.3, §3.3.3). It must not route.
	deliver func()

	old, now *item // set by apply
}

// apply carries out a change: decides it, writes it, tells the account's interested resources. When it returns, the
// change is on disk; where nothing changes, nothing is written.
func (m *module) apply(ctx context.Context, e *edit) error {
	owner := e.owner.Local()
	lock := &m.locks[stripe(owner)]
	lock.Lock()
	defer lock.Unlock()
	l, err := m.list(ctx, owner)
	if err != nil {
		return err
	}
	e.old = l.items[e.contact]
	if e.old == nil {
		e.old = &item{jid: e.contact}
	}
	now := *e.old
	e.now = &now
	if err := e.change(l, e.now); err != nil {
		return err
	}
	shown := e.now.shown(e.old)
	if shown && e.now.state == e.old.state {
		return nil
	}
	if !shown {
		e.now.ver = l.ver + 1
	}
	next := l.with(e.now)
	if err := m.commit(owner, next, func() error { return m.write(ctx, l, next, e) }); err != nil {
		return fmt.Errorf("write roster: %w", err)
	}
	if e.deliver != nil {
		e.deliver()
	}
	if !shown {
		m.push(ctx, e.owner, e.now)
	}
	return nil
}

// commit writes to the store and keeps the cache in step. After an error nobody knows what is on disk: it will be read.
func (m *module) commit(owner string, next *list, write func() error) error {
	var known *list // nil until it is on disk, also if write panics
	m.cache.begin(owner)
	defer func() { m.cache.end(owner, known) }()
	if err := write(); err != nil {
		return err
	}
	known = next
	return nil
}

// write puts a change on disk in one transaction.
func (m *module) write(ctx context.Context, l, next *list, e *edit) error {
	owner := e.owner.Local()
	key := contactKey(owner, e.contact)
	var request []byte
	if e.now.state&^e.old.state&pendingIn != 0 && e.request != nil {
		request = e.request()
	}
	return m.h.Store.Update(ctx, func(tx storage.Tx) error {
		var err error
		if next.items[e.contact] != nil {
			err = tx.KV(kvItems).Put(key, e.now.record())
		} else {
			err = tx.KV(kvItems).Delete(key)
		}
		if err != nil {
			return err
		}
		switch {
		case request != nil:
			err = tx.KV(kvRequests).Put(key, request)
		case e.old.state&^e.now.state&pendingIn != 0:
			err = tx.KV(kvRequests).Delete(key)
		}
		if err != nil {
			return err
		}
		if next.ver != l.ver {
			if err := tx.KV(kvVersions).Put([]byte(owner), binary.AppendUvarint(nil, next.ver)); err != nil {
				return err
			}
		}
		if e.old.listed && !e.now.listed {
			return tx.KV(kvRemoved).Put([]byte(owner), next.goneRecord())
		}
		return nil
	})
}

// requests returns the subscription requests that an account has not answered, as they came.
func (m *module) requests(ctx context.Context, owner string) ([]*stanza.Stanza, error) {
	var raw [][]byte
	err := m.h.Store.KV(kvRequests).Scan(ctx, ownerKey(owner), nil, func(_, value []byte) bool {
		raw = append(raw, slices.Clone(value))
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read subscription requests: %w", err)
	}
	sts := make([]*stanza.Stanza, 0, len(raw))
	for _, b := range raw {
		st, err := stanza.Parse(b)
		if err != nil {
			m.h.Log.Error("subscription request not understood", "user", owner, "err", err)
			continue
		}
		sts = append(sts, st)
	}
	return sts, nil
}

// drop removes all of an account and returns what it was, as far as it could be read. The version goes on from where it
// was.
func (m *module) drop(ctx context.Context, owner string) (*list, error) {
	lock := &m.locks[stripe(owner)]
	lock.Lock()
	defer lock.Unlock()
	l, err := m.list(ctx, owner)
	switch {
	case err != nil: // damaged: it goes all the same, and its version to what none can have reached
		m.h.Log.Error("roster not read before it is removed", "user", owner, "err", err)
		l = &list{ver: uint64(time.Now().UnixNano())}
	case len(l.items) == 0 && l.floor == l.ver: // nothing there, nothing to remember
		return l, nil
	}
	next := &list{ver: l.ver + 1, floor: l.ver + 1}
	if err := m.commit(owner, nil, func() error { return m.erase(ctx, owner, next) }); err != nil {
		return nil, fmt.Errorf("remove roster: %w", err)
	}
	return l, nil
}

// erase takes all of an account off the disk, but for the version.
func (m *module) erase(ctx context.Context, owner string, next *list) error {
	return m.h.Store.Update(ctx, func(tx storage.Tx) error {
		for _, kv := range []storage.TxKV{tx.KV(kvItems), tx.KV(kvRequests)} {
			var keys [][]byte
			err := kv.Scan(ownerKey(owner), nil, func(key, _ []byte) bool {
				keys = append(keys, slices.Clone(key))
				return true
			})
			for _, key := range keys {
				if err == nil {
					err = kv.Delete(key)
				}
			}
			if err != nil {
				return err
			}
		}
		if err := tx.KV(kvRemoved).Put([]byte(owner), next.goneRecord()); err != nil {
			return err
		}
		return tx.KV(kvVersions).Put([]byte(owner), binary.AppendUvarint(nil, next.ver))
	})
}
