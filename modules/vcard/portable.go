package vcard

import (
	"bytes"
	"context"
	"errors"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Claims implements modules.Portable (XEP-0227 §3.6).
func (*module) Claims() []string { return []string{ns + " vCard"} }

// Export implements modules.Portable: the vCard as the owner sees it, with the picture of the avatar.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	b, err := m.kv.Get(ctx, []byte(account.Local()))
	if errors.Is(err, storage.ErrNotFound) {
		return nil // an avatar alone is told by mod_pep
	}
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// Import implements modules.Portable. A picture in it becomes the avatar, as when a client stores it.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	return m.store(ctx, account, account, bytes.Clone(e.Raw), false)
}
