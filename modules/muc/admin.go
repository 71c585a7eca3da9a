package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
)

func (r *room) admin(context.Context, *modules.IQ) ([]byte, error) { return nil, errUnserved }
