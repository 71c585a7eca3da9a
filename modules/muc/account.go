package muc

import (
	"bytes"
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// roomsOf returns the rooms to which an address has an affiliation, in order. All affiliations are looked through: that is done when
// an account ends, or is exported.
func (s store) roomsOf(ctx context.Context, who stanza.JID) ([]string, error) {
	return s.before(ctx, kvAffiliations, who.Bare().String())
}

// creatorsOf returns who is counted as a room's maker, where its record does not tell. All makers are looked through.
func (s store) creatorsOf(ctx context.Context, local string) ([]string, error) {
	return s.before(ctx, kvCreators, local)
}

// madeBy returns the rooms that an address has made, in order.
func (s store) madeBy(ctx context.Context, creator stanza.JID) (list []string, err error) {
	prefix := creatorKey(creator.Bare().String(), "")
	err = s.KV(kvCreators).Scan(ctx, prefix, nil, func(key, _ []byte) bool {
		list = append(list, string(key[len(prefix):]))
		return true
	})
	return list, err
}

// before returns the first parts of the keys of two that have a second part, in order. The whole KV is looked through.
func (s store) before(ctx context.Context, kv, second string) (list []string, err error) {
	end := append([]byte{0}, second...)
	err = s.KV(kv).Scan(ctx, nil, nil, func(key, _ []byte) bool {
		if first, ok := bytes.CutSuffix(key, end); ok && bytes.IndexByte(first, 0) < 0 {
			list = append(list, string(first))
		}
		return true
	})
	return list, err
}

// disown forgets who made rooms.
func (s store) disown(ctx context.Context, creator stanza.JID) error {
	return storage.DeletePrefix(ctx, s, creatorKey(creator.Bare().String(), ""), kvCreators)
}

// deleted takes an account that is no more out of all rooms' lists: a new one of the same name must not own them. What it said there is
// the rooms'.
func (m *module) deleted(ctx context.Context, who stanza.JID) {
	who = who.Bare()
	rooms, err := m.store.roomsOf(ctx, who)
	if err != nil {
		m.h.Log.Error("rooms of a deleted account not all found", "account", who.String(), "err", err)
	}
	made, err := m.store.madeBy(ctx, who) // he need not be on the lists of those any more
	if err != nil {
		m.h.Log.Error("rooms that a deleted account made not all found", "account", who.String(), "err", err)
	}
	rooms = append(rooms, made...)
	for _, r := range m.loaded() { // some are not on disk yet
		rooms = append(rooms, r.jid.Local())
	}
	slices.Sort(rooms)
	for _, local := range slices.Compact(rooms) {
		jid, err := stanza.NewJID(local, m.domain.Domain(), "")
		if err != nil {
			continue
		}
		m.in(ctx, nil, jid, func(r *room, ctx context.Context, _ *modules.Packet) { r.forgetAccount(ctx, who) })
	}
	if err := m.store.disown(ctx, who); err != nil {
		m.h.Log.Error("rooms of a deleted account not disowned", "account", who.String(), "err", err)
	}
}

// forgetAccount takes an account off the room's list, and out of the room.
func (r *room) forgetAccount(ctx context.Context, who stanza.JID) {
	for _, o := range r.occupants(r.present) {
		if o.bare == who {
			r.expelAll(ctx, []expulsion{{of: o, news: &news{}}})
		}
	}
	_, listed := r.affs[who]
	made := r.rec.Creator == who.String()
	if !r.exists || !listed && !made {
		return
	}
	c := change{affs: map[stanza.JID]affiliated{who: {}}}
	if made {
		rec := r.rec
		rec.Creator = ""
		c.rec = &rec
	}
	absent := r.absentees(c.affs)
	if err := r.save(ctx, c); err != nil {
		r.m.h.Log.Error("deleted account not taken off a room's list", "room", r.jid.String(), "account", who.String(), "err", err)
		return
	}
	r.tellAbsentees(absent)
}

// nsPortable is the namespace of what Export writes.
const nsPortable = modules.NSPrivate + "rooms"

// Claims implements modules.Portable: what somebody is to the rooms of this server is of no use on another one.
func (m *module) Claims() []string { return nil }

// Export implements modules.Portable: what the account is to which rooms.
func (m *module) Export(ctx context.Context, account stanza.JID, x *modules.Export) error {
	rooms, err := m.store.roomsOf(ctx, account)
	if err != nil || len(rooms) == 0 {
		return err
	}
	var out stanza.XML
	out.Start("rooms", "xmlns", nsPortable)
	for _, local := range rooms {
		b, err := m.store.KV(kvAffiliations).Get(ctx, affiliationKey(local, account.Bare()))
		if err != nil {
			return err
		}
		a, err := parseAffiliated(b)
		if err != nil {
			return err
		}
		out.Empty("room", "jid", local+"@"+m.domain.Domain(), "affiliation", a.Affiliation.String(), "reason", a.Reason)
	}
	_, err = x.Write(out.Bytes())
	return err
}

// Import implements modules.Portable.
func (m *module) Import(context.Context, stanza.JID, *stanza.Stanza) error { return nil }
