package modules

import (
	"context"

	"github.com/xmppd/xmppd/stanza"
)

// Blocker is the service of the module that keeps block lists (XEP-0191). Stanzas that are routed are stopped by that module
// itself; who hands something over that was kept, or makes something of it, asks here.
type Blocker interface {
	// Blocks tells whether an account of the host wants nothing to do with an address. After an error nobody knows: nothing
	// is handed over, and nothing that was kept is thrown away.
	Blocks(ctx context.Context, account, other stanza.JID) (bool, error)
}
