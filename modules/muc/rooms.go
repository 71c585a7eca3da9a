package muc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Rooms is a service for who administers the server: the rooms of a host, whatever their owners say.
type Rooms interface {
	// Rooms lists all rooms by address, those included that are hidden or still being made.
	Rooms(ctx context.Context) ([]RoomInfo, error)
	// RoomService is the domain that the rooms have.
	RoomService() string
	// DestroyRoom ends a room, as its owner could (XEP-0045 §10.9). It is gone from disk when it returns. The error is
	// ErrNoRoom where there is none of that name. One that is damaged can be ended, too.
	DestroyRoom(ctx context.Context, local, reason string) error
}

// RoomInfo is a room as an admin sees it. What is said in it, and its password, are not his.
type RoomInfo struct {
	JID        string    `json:"jid"`
	Name       string    `json:"name,omitempty"`
	Occupants  int       `json:"occupants"`
	Public     bool      `json:"public"`
	Persistent bool      `json:"persistent"`
	Locked     bool      `json:"locked"` // made, and not configured yet
	Created    time.Time `json:"created"`
	Creator    string    `json:"creator"` // bare JID
}

// ErrNoRoom says that there is no such room.
var ErrNoRoom = errors.New("there is no such room")

var _ Rooms = (*module)(nil)

// RoomService implements Rooms.
func (m *module) RoomService() string { return m.domain.Domain() }

// Rooms implements Rooms.
func (m *module) Rooms(ctx context.Context) ([]RoomInfo, error) {
	found := map[string]RoomInfo{}
	err := m.store.each(ctx, func(local string, rec *record) bool {
		found[local] = m.roomInfo(local, rec)
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	for _, r := range m.loaded() {
		jid := r.jid
		m.in(ctx, nil, jid, func(r *room, _ context.Context, _ *modules.Packet) {
			if !r.exists {
				delete(found, jid.Local())
				return
			}
			info := m.roomInfo(jid.Local(), &r.rec)
			info.Occupants, info.Locked = len(r.nicks), r.locked
			found[jid.Local()] = info
		})
	}
	list := make([]RoomInfo, 0, len(found))
	for _, info := range found {
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b RoomInfo) int { return cmp.Compare(a.JID, b.JID) })
	return list, nil
}

func (m *module) roomInfo(local string, rec *record) RoomInfo {
	s := &rec.Settings
	return RoomInfo{
		JID: local + "@" + m.domain.Domain(), Name: s.Name, Public: s.Public, Persistent: s.Persistent,
		Created: rec.Created, Creator: rec.Creator,
	}
}

// DestroyRoom implements Rooms.
func (m *module) DestroyRoom(ctx context.Context, local, reason string) error {
	jid, err := stanza.NewJID(local, m.domain.Domain(), "")
	if err != nil || local == "" {
		return ErrNoRoom
	}
	m.inOr(ctx, nil, jid, func(r *room, ctx context.Context, _ *modules.Packet) {
		if !r.exists {
			err = ErrNoRoom
			return
		}
		if err = r.destroy(ctx, destroyed("", stanza.Truncate(reason, maxDestroyText), "")); err == nil {
			m.h.Log.Info("room destroyed by the admin", "room", r.jid.String())
		}
	}, func(ctx context.Context, unread error) {
		if err = unread; errors.Is(err, storage.ErrCorrupt) { // nobody is in it, and nobody else could end it
			err = m.clear(ctx, local)
		}
	})
	return err
}

// clear removes what is on disk of a damaged room.
func (m *module) clear(ctx context.Context, local string) error {
	if err := m.reader.Archive.Drop(ctx, local); err != nil {
		return err
	}
	creators, err := m.store.creatorsOf(ctx, local)
	if err != nil {
		return err
	}
	if err := m.store.remove(ctx, local, creators...); err != nil {
		return err
	}
	m.h.Log.Info("damaged room destroyed by the admin", "room", local+"@"+m.domain.Domain())
	return nil
}
