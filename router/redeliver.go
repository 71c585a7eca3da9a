package router

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Redeliver takes a stanza back that a session had taken and whose client never acknowledged it (XEP-0198 §4). The session is
// gone; p.To is its full JID. The stanza goes where one for an unavailable resource goes (RFC 6121 §8.5.3.2), but for
// messages of type normal, which are kept and not bounced: the sender was told nothing so far. ToBare and ToFull have seen
// it and do not see it again. What another device of the account got when it came is not sent to it again. at is that of
// modules.Return.
func (r *Router) Redeliver(ctx context.Context, p *modules.Packet, at time.Time) {
	h := r.hosts.Load().byName[p.To.Domain()]
	if h == nil {
		return
	}
	switch p.Stanza.Kind {
	case stanza.KindIQ:
		r.Bounce(ctx, p, unavailable) // RFC 6121 §8.5.3.2.3
	case stanza.KindMessage:
		switch {
		case p.From == p.To.Bare():
			// Made by this server for that client alone, such as a page of an archive or a copy of what others have got.
		case p.Stanza.Type == stanza.TypeGroupchat:
			r.Bounce(ctx, p, unavailable) // RFC 6121 §8.5.3.2.1; the room learns that the occupant is gone
		case p.Stanza.Type == stanza.TypeHeadline, p.Stanza.Type == stanza.TypeError:
		default:
			t := h.table.Load()
			if err := r.elsewhere(ctx, h, t, modules.Return{Packet: p, At: at}); err != nil {
				r.fail(ctx, h.name, p, err)
				return
			}
			q := *p
			q.To = p.To.Bare()
			r.messageToBare(ctx, h, t, &q, nil)
		}
	}
}

// elsewhere returns modules.Done where another session of the account has got a message too. One for the account went to all
// that take such, and so did one for a resource that was not there; of one for the session itself modules may have made copies.
// What has been read nowhere is for modules to refuse.
func (r *Router) elsewhere(ctx context.Context, h *host, t *modules.Table, ret modules.Return) error {
	if ret.Stanza.To() != ret.To {
		for _, s := range h.sessions(ret.To.Local()) {
			if ps := s.Presence(); ps != nil && ret.Before(ps.Taking) {
				return modules.Done
			}
		}
	}
	return t.Hooks.Returned.Run(ctx, ret)
}
