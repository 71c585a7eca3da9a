package invites

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Claims implements modules.Portable: what is told of invitations is not taken back, since no token is known.
func (*module) Claims() []string { return nil }

// Export implements modules.Portable.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	var x stanza.XML
	x.Start("invitations", "xmlns", modules.NSPrivate+"invites")
	n := 0
	err := m.h.Store.KV(kvTokens).Scan(ctx, nil, nil, func(_, v []byte) bool {
		if r, err := decode(v); err == nil && r.Inviter == account.Local() {
			n++
			x.Empty("invitation", "created", r.Created.Format(time.RFC3339), "expires", r.Expires.Format(time.RFC3339), "username", r.Username)
		}
		return true
	})
	if n > 0 && err == nil {
		_, err = w.Write(x.Bytes())
	}
	return err
}

// Import implements modules.Portable.
func (*module) Import(context.Context, stanza.JID, *stanza.Stanza) error { return nil }
