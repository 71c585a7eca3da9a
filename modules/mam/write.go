package mam

import (
	"context"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// stripSender leaves out what a client claims to be an ID of its own account's archive (XEP-0359 §3.2).
func (m *module) stripSender(_ context.Context, p *modules.Packet) error {
	strip(p, p.From.Bare())
	return nil
}

// stripRecipient leaves out what a sender claims to be an ID of the recipient's archive.
func (m *module) stripRecipient(_ context.Context, p *modules.Packet) error {
	if !p.Again {
		strip(p, p.To.Bare())
	}
	return nil
}

func strip(p *modules.Packet, by stanza.JID) {
	if st := p.Stanza; st.Kind == stanza.KindMessage && st.HasStanzaID(by) { // each message of a room has one, of the room
		p.Stanza = st.Clone() // others may be getting the same one
		p.Stanza.DropStanzaIDs(by)
	}
}

// outgoing archives what leaves the host, for its sender. What stays is for incoming.
func (m *module) outgoing(ctx context.Context, p *modules.Packet) error {
	if p.To.IsZero() || p.To.Domain() == m.h.Name || !fate.Archived(p.Stanza) {
		return nil
	}
	from := p.From.Bare()
	keep, err := m.wants(ctx, from, p.To)
	if err != nil || !keep {
		return err
	}
	ids, err := m.add(ctx, encode(p), side{from, p.To})
	if err != nil {
		return err
	}
	p.Sent = m.marked(p.Stanza, from, ids[0])
	return nil
}

// incoming archives what arrives, for its recipient, and for its sender too where that is an account of this host.
func (m *module) incoming(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if p.Again || !fate.Archived(st) || !m.arrives(ctx, p) {
		return nil
	}
	to, from := p.To.Bare(), p.From.Bare()
	var list [2]side
	sides := list[:0]
	keep, err := m.wants(ctx, to, p.From)
	if err != nil {
		return err
	}
	if keep {
		sides = append(sides, side{to, p.From})
	}
	local := p.Origin != nil && from.Domain() == m.h.Name
	sent := false
	if local && from != to { // XEP-0313 §6.1: what one writes to oneself is there once
		if sent, err = m.wants(ctx, from, p.To); err != nil {
			return err
		}
		if sent {
			sides = append(sides, side{from, p.To})
		}
	}
	if len(sides) == 0 {
		return nil
	}
	ids, err := m.add(ctx, encode(p), sides...)
	if err != nil {
		return err
	}
	if local && from != to {
		p.Sent = st // without the recipient's ID
		if sent {
			p.Sent = m.marked(st, from, ids[len(ids)-1])
		}
	}
	if keep {
		p.Stanza = m.marked(st, to, ids[0])
	}
	return nil
}

// arrives tells whether somebody is there to whom a message is delivered, or for whom it is kept. The others come back to
// their senders (RFC 6121 §8.5.1, §8.5.3.2.1).
func (m *module) arrives(ctx context.Context, p *modules.Packet) bool {
	switch {
	case p.To.Local() == "":
		return false
	case !p.To.IsBare() && p.Stanza.Type != stanza.TypeChat:
		return m.h.Router.Session(p.To) != nil
	case len(m.h.Router.Sessions(p.To.Bare())) > 0:
		return true
	}
	ok, err := m.h.Users.Exists(ctx, p.To.Local())
	return ok || err != nil // the router says of a store that fails what there is to say
}

// side is an account, and whom it talks to.
type side struct{ owner, other stanza.JID }

// encode writes what is stored of a message.
func encode(p *modules.Packet) []byte {
	st := p.Stanza
	if st.To().IsZero() {
		st = st.Clone()
		st.SetTo(p.To) // XEP-0313 §3: with all its addresses
	}
	return archive.Encode(st)
}

// add stores data for each side, in one commit, and returns the IDs.
func (m *module) add(ctx context.Context, data []byte, sides ...side) ([]string, error) {
	var (
		buf    [2]storage.Entry
		before [2]uint64
		cfg    = m.cfg.Load()
		now    = time.Now().Truncate(time.Millisecond) // as stamps tell it
	)
	entries := buf[:0]
	for i, s := range sides {
		before[i] = m.graves.of(s.owner.Local()).n
		entries = append(entries, storage.Entry{
			Owner:    s.owner.Local(),
			Item:     archive.NewItem(now, s.other, data),
			MaxItems: cfg.QuotaMessages, MaxBytes: int64(cfg.QuotaSize),
		})
	}
	ids, err := m.ar.AppendAll(ctx, entries...)
	if err != nil {
		return nil, fmt.Errorf("message not archived: %w", err)
	}
	for i, s := range sides {
		if m.graves.of(s.owner.Local()).n != before[i] {
			if err := m.ar.Remove(ctx, s.owner.Local(), ids[i]); err != nil {
				m.h.Log.Error("message of a deleted account not removed", "account", s.owner.String(), "err", err)
			}
		}
	}
	return ids, nil
}

// marked returns the message with the ID that an account's archive gave.
func (m *module) marked(st *stanza.Stanza, by stanza.JID, id string) *stanza.Stanza {
	return m.ids.Stamp(st, by, by.Local(), id)
}

// unclaimed takes a message that nobody else keeps: it is in the archive.
func (m *module) unclaimed(ctx context.Context, p *modules.Packet) error {
	if id, ok := m.archivedAs(p.Stanza, p.To.Bare()); ok {
		if _, err := m.ar.Get(ctx, p.To.Local(), id); err == nil {
			return modules.Done
		}
	}
	return nil
}

// archivedAs reads the ID that an account's archive gave to a message which this module has seen.
func (m *module) archivedAs(st *stanza.Stanza, owner stanza.JID) (id string, ok bool) {
	if st == nil {
		return "", false
	}
	return m.ids.Stored(owner.Local(), st.Retain().StanzaID(owner))
}

// created and deleted see to it that an account begins and ends without an archive.
func (m *module) created(ctx context.Context, j stanza.JID) {
	m.drop(ctx, j)
	m.graves.reuse(j.Local())
}

func (m *module) deleted(ctx context.Context, j stanza.JID) {
	m.graves.dig(j.Local())
	m.drop(ctx, j)
}

func (m *module) drop(ctx context.Context, j stanza.JID) {
	if err := m.ar.Drop(ctx, j.Local()); err != nil {
		m.h.Log.Error("archive not removed", "account", j.String(), "err", err)
	}
	if err := m.prefs.set(ctx, j.Local(), nil); err != nil {
		m.h.Log.Error("archive preferences not removed", "account", j.String(), "err", err)
	}
}
