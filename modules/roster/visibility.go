package roster

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Visibility is a service for the module that keeps block lists: who is blocked sees the account go, who no longer is sees
// it come (XEP-0191 §3.3, §3.4). An entry of a block list stands for whom stanza.JID.Covers says.
type Visibility interface {
	// Hide tells those whom an entry covers, and who may see the owner's presence, that all its resources are unavailable.
	Hide(ctx context.Context, owner, entry stanza.JID)
	// Show tells them what the owner's resources are now, and asks what those are that the owner may see.
	Show(ctx context.Context, owner, entry stanza.JID)
}

// Hide implements Visibility. Those who got directed presence saw the account as well (RFC 6121 §4.6).
func (m *module) Hide(ctx context.Context, owner, entry stanza.JID) {
	l := m.listFor(ctx, owner)
	for _, j := range targets(l.readers, entry) {
		m.hide(ctx, owner, j)
	}
	for _, s := range m.h.Router.Sessions(owner) {
		st := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", s.JID(), stanza.JID{}, nil)
		for _, j := range forgetDirected(s, entry) {
			m.tell(ctx, st, s.JID(), j)
		}
	}
}

// Show implements Visibility.
func (m *module) Show(ctx context.Context, owner, entry stanza.JID) {
	l := m.listFor(ctx, owner)
	for _, j := range targets(l.readers, entry) {
		m.show(ctx, owner, j)
	}
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Presence() == nil {
			continue
		}
		probe := stanza.New(stanza.KindPresence, stanza.TypeProbe, "", s.JID(), stanza.JID{}, nil)
		for _, j := range targets(l.sources, entry) {
			m.tell(ctx, probe, s.JID(), j) // RFC 6121 §4.3.1: what was not heard meanwhile
		}
	}
}

// listFor is list where a store that fails means that nobody is told.
func (m *module) listFor(ctx context.Context, owner stanza.JID) *list {
	l, err := m.list(ctx, owner.Local())
	if err != nil {
		m.h.Log.Error("roster not read for presence", "user", owner.Local(), "err", err)
		return &list{}
	}
	return l
}

// targets are those of a list of contacts whom an entry covers; of a contact of whom it covers one resource, that one.
func targets(contacts []stanza.JID, entry stanza.JID) (to []stanza.JID) {
	for _, j := range contacts {
		switch {
		case entry.Covers(j):
			to = append(to, j)
		case entry.Bare() == j:
			to = append(to, entry)
		}
	}
	return to
}

// forgetDirected takes those whom an entry covers off a session's list of directed presence, and returns them.
func forgetDirected(s modules.Session, entry stanza.JID) (out []stanza.JID) {
	d, _ := s.Value(directedKey{}).(*directed)
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for j := range d.to {
		if entry.Covers(j) {
			out = append(out, j)
			delete(d.to, j)
		}
	}
	return out
}
