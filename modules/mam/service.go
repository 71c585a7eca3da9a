package mam

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Service is what other modules may ask of the archives of their host.
type Service interface {
	// IDOf returns the ID that the archive of a message's recipient gave to it, or "".
	IDOf(st *stanza.Stanza, recipient stanza.JID) string
	// Withdraw takes a message out of the archives again that is not delivered after all: its sender has the error.
	Withdraw(ctx context.Context, p *modules.Packet) error
}

// Box is where messages wait for who is offline; mod_offline is one. What a client has got from the archive, or will get
// from there, need not come from the box too.
type Box interface {
	// Discard removes the messages of an account whose IDs in its archive fit.
	Discard(ctx context.Context, account stanza.JID, fits func(id string) bool) error
}

// IDOf implements Service.
func (m *module) IDOf(st *stanza.Stanza, recipient stanza.JID) string {
	id := st.Retain().StanzaID(recipient)
	if _, ok := m.ids.Stored(recipient.Local(), id); !ok {
		return ""
	}
	return id
}

// Withdraw implements Service.
func (m *module) Withdraw(ctx context.Context, p *modules.Packet) error {
	for _, side := range []struct {
		st    *stanza.Stanza
		owner stanza.JID
	}{{p.Stanza, p.To.Bare()}, {p.Sent, p.From.Bare()}} {
		if side.owner.Domain() != m.h.Name {
			continue
		}
		if id, ok := m.archivedAs(side.st, side.owner); ok {
			if err := m.ar.Remove(ctx, side.owner.Local(), id); err != nil {
				return err
			}
		}
	}
	return nil
}

// onBound tells a client that binds its resource where its archive begins and ends (XEP-0386 §3.2).
func (m *module) onBound(ctx context.Context, _ *modules.Login, full stanza.JID) []byte {
	owner := full.Bare()
	first, last, ok, err := m.reader.Ends(ctx, owner.Local())
	if err != nil {
		m.h.Log.Error("archive not read", "account", owner.String(), "err", err)
		return nil
	}
	if ok {
		m.bound.Store(full, [2]string{first.ID, last.ID})
	}
	return m.reader.Metadata(owner.Local(), first, last, ok)
}

// opened discards what waits for a client that was told what its archive has, and will get it from there (XEP-0386 §3.2).
// What came after that, or is not in the archive, it gets when it is available.
func (m *module) opened(ctx context.Context, s modules.Session) {
	v, ok := m.bound.LoadAndDelete(s.JID())
	if !ok {
		return
	}
	box, err := modules.Find[Box](m.h)
	if err != nil {
		return
	}
	ends, owner := v.([2]string), s.JID().Bare()
	err = box.Discard(ctx, owner, func(public string) bool {
		id, ok := m.ids.Stored(owner.Local(), public)
		return ok && id >= ends[0] && id <= ends[1]
	})
	if err != nil {
		m.h.Log.Error("messages that are in the archive are kept for later too", "account", owner.String(), "err", err)
	}
}

var (
	_ Service                  = (*module)(nil)
	_ modules.Module           = (*module)(nil)
	_ modules.Reloader[Config] = (*module)(nil)
)
