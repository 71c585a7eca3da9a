package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
)

func (r *room) info(context.Context, *modules.IQ) ([]byte, error)  { return nil, errUnserved }
func (r *room) items(context.Context, *modules.IQ) ([]byte, error) { return nil, errUnserved }

func (m *module) serviceIQ(ctx context.Context, p *modules.Packet) {
	m.h.Router.Bounce(ctx, p, errUnserved)
}
