package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
)

func (r *room) request(ctx context.Context, p *modules.Packet) {
	r.m.h.Router.Bounce(ctx, p, errUnserved)
}
