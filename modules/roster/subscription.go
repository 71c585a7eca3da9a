package roster

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// requestSize is how much of a request is kept with what the stranger wrote into it; of a larger one, only the request
// itself is kept.
const requestSize = 8 << 10

// outgoing takes the subscription stanzas that local clients send (RFC 6121 §3, §A.2).
func (m *module) outgoing(ctx context.Context, p *modules.Packet) error {
	t := p.Stanza.Type
	if p.Stanza.Kind != stanza.KindPresence || !isSubscription(t) {
		return nil
	}
	if p.To.IsZero() {
		return stanza.Err(stanza.BadRequest, "")
	}
	owner, contact := p.From.Bare(), p.To.Bare() // §3.1.2
	if contact == owner {
		return modules.Done // everybody sees his own presence
	}
	var route bool
	e := &edit{owner: owner, contact: contact, change: func(l *list, it *item) error {
		if it.state, route = it.state.outbound(t); !it.listed && it.state&^pendingIn != 0 {
			return m.enlist(l, it) // §3.1.2, §3.1.5, §3.4.2: a roster item is created
		}
		return nil
	}}
	// The push goes out before the stanza: what the stanza causes may come back at once, with pushes of its own.
	if err := m.apply(ctx, e); err != nil {
		return refusal(err)
	}
	if !route {
		return modules.Done
	}
	if e.old.state&^e.now.state&subFrom != 0 {
		m.hide(ctx, owner, contact) // §3.2.2: while the contact is still subscribed
	}
	p.From, p.To = owner, contact
	p.Stanza.SetFrom(owner)
	p.Stanza.SetTo(contact)
	m.h.Router.Route(ctx, p)
	if e.now.state&^e.old.state&subFrom != 0 {
		m.show(ctx, owner, contact) // §3.1.5
	}
	return modules.Done
}

// incoming takes subscription stanzas and probes for local accounts, whatever resource they name: both are between
// accounts (RFC 6121 §3, §4.3, §8.5.3).
func (m *module) incoming(ctx context.Context, p *modules.Packet) error {
	t := p.Stanza.Type
	switch {
	case p.Stanza.Kind != stanza.KindPresence || p.To.Local() == "":
		return nil
	case t == stanza.TypeProbe:
		return m.probed(ctx, p)
	case isSubscription(t):
		return m.subscription(ctx, p)
	}
	return nil
}

// subscription does what a contact's subscription stanza asks for (RFC 6121 §A.3). Nothing comes back for an account
// that does not exist (§8.5.1): what a stranger learns is the same for each name.
func (m *module) subscription(ctx context.Context, p *modules.Packet) error {
	t := p.Stanza.Type
	owner, contact := p.To.Bare(), p.From.Bare()
	if contact == owner || contact.IsZero() {
		return modules.Done
	}
	if ok, err := m.h.Users.Exists(ctx, owner.Local()); err != nil || !ok {
		if err != nil {
			return err
		}
		return modules.Done
	}
	st := p.Stanza
	st.SetFrom(contact) // §3.1.3: as if the account had sent it
	st.SetTo(owner)

	var deliver bool
	var reply stanza.Type
	e := &edit{owner: owner, contact: contact}
	e.change = func(l *list, it *item) error {
		it.state, deliver, reply = it.state.inbound(t)
		if it.state&^e.old.state&pendingIn != 0 && l.pending >= m.limit() {
			return modules.Done // a flood of requests ends here, silently
		}
		return nil
	}
	e.request = func() []byte { return request(st, contact, owner) }
	e.deliver = func() {
		if !deliver {
			return
		}
		for _, s := range m.h.Router.Sessions(owner) {
			// §3.1.3: a request goes to the available resources, §3.1.6, §3.2.3, §3.3.3: the rest to the interested ones.
			if t == stanza.TypeSubscribe && s.Presence() != nil || t != stanza.TypeSubscribe && interested(s) {
				s.Send(quiet(ctx), st)
			}
		}
	}
	if err := m.apply(ctx, e); err != nil {
		return refusal(err)
	}
	if e.old.state&^e.now.state&subFrom != 0 {
		m.hide(ctx, owner, contact) // §3.3.3
	}
	if reply != stanza.TypeNone {
		m.send(ctx, reply, owner, contact)
	}
	if reply == stanza.TypeSubscribed {
		m.show(ctx, owner, contact) // as after an approval by hand, §3.1.5
	}
	return modules.Done
}

// request returns what is kept of a subscription request until it is answered (RFC 6121 §3.1.3).
func request(st *stanza.Stanza, contact, owner stanza.JID) []byte {
	if b := st.AppendTo(nil); len(b) <= requestSize {
		return b
	}
	id := st.ID()
	if len(id) > 1023 {
		id = ""
	}
	return stanza.New(stanza.KindPresence, stanza.TypeSubscribe, id, contact, owner, nil).AppendTo(nil)
}

// send routes a subscription stanza that the server sends on an account's behalf.
func (m *module) send(ctx context.Context, t stanza.Type, owner, contact stanza.JID) {
	m.h.Router.Route(ctx, modules.NewPacket(stanza.New(stanza.KindPresence, t, "", owner, contact, nil)))
}
