package router

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Redeliver takes a stanza back that a session had taken and whose client never acknowledged it (XEP-0198 §4). The session is
// gone; p.To is its full JID. The stanza goes where one for an unavailable resource goes (RFC 6121 §8.5.3.2), but for
// messages of type normal, which are kept and not bounced: the sender was told nothing so far. ToBare and ToFull have seen
// it and do not see it again.
func (r *Router) Redeliver(ctx context.Context, p *modules.Packet) {
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
			q := *p
			q.To = p.To.Bare()
			r.messageToBare(ctx, h, h.table.Load(), &q, nil)
		}
	}
}
