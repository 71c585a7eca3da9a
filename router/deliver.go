package router

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// deliver brings a stanza to one of our own: the host itself, an account, or one of its sessions (RFC 6120 §10.5,
// RFC 6121 §8).
func (r *Router) deliver(ctx context.Context, h *host, p *modules.Packet) {
	t := h.table.Load()
	if p.To.IsBare() || p.To.Local() == "" {
		if err := t.Hooks.ToBare.Run(ctx, p); err != nil {
			r.fail(ctx, h.name, p, err)
			return
		}
		switch {
		case p.To.Local() == "":
			r.toHost(ctx, h, t, p)
		case p.Stanza.Kind == stanza.KindIQ:
			r.iqToAccount(ctx, h, t, p)
		case p.Stanza.Kind == stanza.KindMessage:
			r.messageToBare(ctx, h, t, p, nil)
		default:
			r.presenceToBare(ctx, h, p)
		}
		return
	}
	if err := t.Hooks.ToFull.Run(ctx, p); err != nil {
		r.fail(ctx, h.name, p, err)
		return
	}
	s := h.session(p.To)
	if s != nil && s.Send(ctx, p.Stanza) == nil { // RFC 6121 §8.5.3.1: the resource gets it, whatever it is
		return
	}
	r.noSuchResource(ctx, h, t, p, s)
}

// toHost takes a stanza for the server itself (RFC 6120 §10.5.1, §10.5.2).
func (r *Router) toHost(ctx context.Context, h *host, t *modules.Table, p *modules.Packet) {
	switch p.Stanza.Kind {
	case stanza.KindIQ:
		r.serveIQ(ctx, h, t, modules.Server, p)
	case stanza.KindMessage:
		if p.Stanza.Type != stanza.TypeHeadline { // nobody reads the server's mail; XEP-0157 says whom to write to
			r.Bounce(ctx, p, unavailable)
		}
	}
}

// iqToAccount answers a request on behalf of an account (RFC 6120 §10.3.3, RFC 6121 §8.5.2.1.3 and §8.5.2.2.3). For a
// name that is nobody's the answer is the same as for a request that nobody serves.
func (r *Router) iqToAccount(ctx context.Context, h *host, t *modules.Table, p *modules.Packet) {
	if p.From.Bare() != p.To && !r.exists(ctx, h, p) {
		r.Bounce(ctx, p, unavailable) // RFC 6121 §8.5.1
		return
	}
	r.serveIQ(ctx, h, t, modules.Account, p)
}

// serveIQ runs the handler that claims the request's namespace.
func (r *Router) serveIQ(ctx context.Context, h *host, t *modules.Table, at modules.At, p *modules.Packet) {
	if p.Stanza.Type != stanza.TypeGet && p.Stanza.Type != stanza.TypeSet {
		return // RFC 6120 §8.2.3: a result or an error is never answered
	}
	var fn modules.IQHandler
	if len(p.Stanza.Children) > 0 {
		fn = t.IQ(at, p.Stanza.Children[0].NS)
	}
	if fn == nil {
		r.Bounce(ctx, p, unavailable) // RFC 6120 §8.4
		return
	}
	payload, err := fn(ctx, &modules.IQ{Packet: p, Payload: p.Stanza.Payload()})
	if err != nil {
		r.fail(ctx, h.name, p, err)
		return
	}
	r.answer(ctx, p, p.Stanza.Result(payload))
}

// messageToBare chooses the sessions that get a message for an account: all those whose priority is not negative, as
// RFC 6121 §8.5.2.1.1 (b) allows, since each is a device of the same person. tried has refused it already.
func (r *Router) messageToBare(ctx context.Context, h *host, t *modules.Table, p *modules.Packet, tried modules.Session) {
	typ := p.Stanza.Type
	switch typ {
	case stanza.TypeGroupchat: // RFC 6121 §8.5.2.1.1: must not be delivered
		r.Bounce(ctx, p, unavailable)
		return
	case stanza.TypeError: // RFC 6121 §8.5.2.1.1: silently ignored
		return
	}
	taken := false
	for _, s := range h.sessions(p.To.Local()) {
		ps := s.Presence()
		if ps == nil || ps.Priority < 0 {
			continue
		}
		if s != tried && s.Send(ctx, p.Stanza) == nil {
			taken = true
		}
	}
	if taken || typ == stanza.TypeHeadline { // RFC 6121 §8.5.2.2.1: a headline nobody reads is dropped
		return
	}
	r.unclaimed(ctx, h, t, p)
}

// unclaimed takes a message that no session takes: a module keeps it, or the sender learns that it was not delivered
// (RFC 6121 §8.5.1, §8.5.2.2.1).
func (r *Router) unclaimed(ctx context.Context, h *host, t *modules.Table, p *modules.Packet) {
	if !r.exists(ctx, h, p) {
		r.Bounce(ctx, p, unavailable)
		return
	}
	if err := t.Hooks.Unclaimed.Run(ctx, p); err != nil {
		r.fail(ctx, h.name, p, err)
		return
	}
	r.Bounce(ctx, p, unavailable)
}

// presenceToBare delivers presence to all available resources (RFC 6121 §8.5.2.1.2). What the roster has to say of
// subscriptions and probes it said in ToBare; a probe that comes this far is nobody's business.
func (r *Router) presenceToBare(ctx context.Context, h *host, p *modules.Packet) {
	if p.Stanza.Type == stanza.TypeProbe {
		return
	}
	for _, s := range h.sessions(p.To.Local()) {
		if s.Presence() != nil {
			s.Send(ctx, p.Stanza)
		}
	}
}

// noSuchResource deals with a stanza for a full JID that nobody has (RFC 6121 §8.5.3.2). tried is a session of that name
// that did not take it, or nil.
func (r *Router) noSuchResource(ctx context.Context, h *host, t *modules.Table, p *modules.Packet, tried modules.Session) {
	switch p.Stanza.Kind {
	case stanza.KindIQ:
		r.Bounce(ctx, p, unavailable) // RFC 6121 §8.5.3.2.3
	case stanza.KindMessage:
		switch p.Stanza.Type {
		case stanza.TypeChat: // RFC 6121 §8.5.3.2.1: as if for the bare JID
			q := *p
			q.To = p.To.Bare()
			r.messageToBare(ctx, h, t, &q, tried)
		case stanza.TypeHeadline, stanza.TypeError:
			// dropped: an answer would tell a stranger who is online
		default:
			r.Bounce(ctx, p, unavailable)
		}
	case stanza.KindPresence:
		switch p.Stanza.Type {
		case stanza.TypeSubscribe, stanza.TypeSubscribed, stanza.TypeUnsubscribe, stanza.TypeUnsubscribed, stanza.TypeProbe:
			// RFC 6121 §8.5.3.2.2: subscriptions and probes are between accounts.
			q := *p
			q.To = p.To.Bare()
			r.deliver(ctx, h, &q)
		}
	}
}

// exists tells whether the addressee is an account. Who has a session is one; a store that fails counts as yes, so that
// nothing is bounced as unknown that may be known.
func (r *Router) exists(ctx context.Context, h *host, p *modules.Packet) bool {
	if len(h.sessions(p.To.Local())) > 0 {
		return true
	}
	a := r.o.Accounts(h.name)
	if a == nil {
		return false
	}
	ok, err := a.Exists(ctx, p.To.Local())
	if err != nil {
		r.o.Log.Error("account not looked up", "host", h.name, "err", err)
		return true
	}
	return ok
}

// unavailable is the answer to all that nobody serves.
var unavailable = stanza.Err(stanza.ServiceUnavailable, "")
