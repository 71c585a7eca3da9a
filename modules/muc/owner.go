package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
)

// owner answers the owners' requests (§10).
func (r *room) owner(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if r.affiliation(q.From) != Owner {
		return nil, errForbidden
	}
	if r.locked {
		return nil, r.unlock(ctx, r.rec.Settings)
	}
	return nil, errUnserved
}
