package blocking

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// errBlocked answers what a user sends to whom he blocks (XEP-0191 §3.3).
var errBlocked = &stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAcceptable, App: []byte("<blocked xmlns='" + nsErrors + "'/>")}

// refused answers messages and requests of who is blocked: as for an account without a session (XEP-0191 §3.3).
var refused = stanza.Err(stanza.ServiceUnavailable, "")

// blocks tells whether an account of this host blocks an address. Nobody blocks himself, nor the host that serves him: it
// could not even answer him.
func (m *module) blocks(ctx context.Context, account, other stanza.JID) (bool, error) {
	l, err := m.lists.Get(ctx, account.Local())
	if l == nil || err != nil {
		return false, err
	}
	if other.Local() == account.Local() && other.Domain() == account.Domain() || other == account.Host() {
		return false, nil
	}
	return l.covers(other), nil
}

// Blocks implements modules.Blocker.
func (m *module) Blocks(ctx context.Context, account, other stanza.JID) (bool, error) {
	if account.Domain() != m.h.Name || account.Local() == "" || other.IsZero() {
		return false, nil
	}
	return m.blocks(ctx, account, other)
}

// outgoing stops what a client sends to an address that its account blocks.
func (m *module) outgoing(ctx context.Context, p *modules.Packet) error {
	if p.To.IsZero() {
		return nil
	}
	yes, err := m.blocks(ctx, p.From, p.To)
	if !yes {
		return err
	}
	m.h.Router.Bounce(lift(ctx, p.From), p, errBlocked) // it comes from the blocked address, as XEP-0191 has it
	return modules.Done
}

// incoming stops what comes from an address that the account blocks, whatever it is and wherever it comes from, and what
// this server makes on behalf of an account for another account of this server.
func (m *module) incoming(ctx context.Context, p *modules.Packet) error {
	if p.From.IsZero() {
		return nil
	}
	if p.To.Local() != "" {
		yes, err := m.blocks(ctx, p.To, p.From)
		if err != nil {
			return err
		}
		if yes && !lifted(ctx, p.To) {
			return answer(p.Stanza)
		}
	}
	if p.Origin == nil && p.From.Local() != "" {
		return m.made(ctx, p)
	}
	return nil
}

// returned stops what came before the block and has not been read by then.
func (m *module) returned(ctx context.Context, r modules.Return) error {
	yes, err := m.blocks(ctx, r.To, r.From)
	if yes {
		return answer(r.Stanza)
	}
	return err
}

// answer is what who is blocked hears (XEP-0191 §3.3): nothing of presence and of answers, service-unavailable of requests
// and of messages that a person wrote. A room that a user is in gets no error, by which it would put him out.
func answer(st *stanza.Stanza) error {
	switch st.Kind {
	case stanza.KindMessage:
		switch st.Type {
		case stanza.TypeGroupchat, stanza.TypeHeadline, stanza.TypeError:
			return modules.Done
		}
		return refused
	case stanza.KindIQ:
		if st.Type == stanza.TypeGet || st.Type == stanza.TypeSet {
			return refused
		}
	}
	return modules.Done
}

// leaving stops what this server makes on behalf of an account for another server.
func (m *module) leaving(ctx context.Context, p *modules.Packet) error {
	if p.Origin != nil || p.From.Local() == "" {
		return nil // a client's has passed outgoing
	}
	return m.made(ctx, p)
}

// made stops presence and events that no client sent but the server, for an account that blocks the addressee. What answers
// the addressee is let through: that somebody is blocked looks like an answer too.
func (m *module) made(ctx context.Context, p *modules.Packet) error {
	switch p.Stanza.Type {
	case stanza.TypeError, stanza.TypeResult:
		return nil
	}
	var yes bool
	var err error
	switch from := p.From.Domain(); {
	case from == m.h.Name:
		yes, err = m.blocks(ctx, p.From, p.To)
	case m.h.Router.Local(from):
		if b, ok := modules.FindOn[modules.Blocker](m.h, from); ok {
			yes, err = b.Blocks(ctx, p.From, p.To)
		}
	}
	if yes && !lifted(ctx, p.From) {
		return modules.Done
	}
	return err
}

type liftedKey struct{}

// lift marks what is sent under the context as said by this server, in the name of an account to whom it blocks or the other
// way round. What others block stays blocked.
func lift(ctx context.Context, account stanza.JID) context.Context {
	return context.WithValue(ctx, liftedKey{}, account.Bare())
}

func lifted(ctx context.Context, account stanza.JID) bool {
	j, ok := ctx.Value(liftedKey{}).(stanza.JID)
	return ok && j == account.Bare()
}
