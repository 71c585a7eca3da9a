package roster

import (
	"context"

	"github.com/xmppd/xmppd/stanza"
)

// Introduction is a service for the module that takes invitations: it makes contacts of people who want to be.
type Introduction interface {
	// Accept grants a contact's subscription request that is on its way, and asks for the contact's presence in return
	// (XEP-0379 §3.5).
	Accept(ctx context.Context, owner, contact stanza.JID) error
	// Befriend makes two accounts of the host see each other (XEP-0401 §4.3).
	Befriend(ctx context.Context, a, b stanza.JID) error
}

// Accept implements Introduction. The contact's request ends here: its state is that of a request that was approved.
func (m *module) Accept(ctx context.Context, owner, contact stanza.JID) error {
	asked := false
	e := &edit{owner: owner, contact: contact, change: func(l *list, it *item) error {
		it.state = it.state&^(pendingIn|approved) | subFrom
		if asked = it.state&(subTo|pendingOut) == 0; asked {
			it.state |= pendingOut
		}
		return m.enlist(l, it)
	}}
	if err := m.apply(ctx, e); err != nil {
		return err
	}
	m.send(ctx, stanza.TypeSubscribed, owner, contact)
	m.show(ctx, owner, contact)
	if asked {
		m.send(ctx, stanza.TypeSubscribe, owner, contact)
	}
	return nil
}

// Befriend implements Introduction.
func (m *module) Befriend(ctx context.Context, a, b stanza.JID) error {
	for _, pair := range [][2]stanza.JID{{a, b}, {b, a}} {
		e := &edit{owner: pair[0], contact: pair[1], change: func(l *list, it *item) error {
			it.state = it.state&^(pendingIn|pendingOut|approved) | subTo | subFrom
			return m.enlist(l, it)
		}}
		if err := m.apply(ctx, e); err != nil {
			return err
		}
	}
	m.show(ctx, a, b)
	m.show(ctx, b, a)
	return nil
}
