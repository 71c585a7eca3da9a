package last

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const nsPortable = modules.NSPrivate + "last"

// Claims implements modules.Portable.
func (*module) Claims() []string { return []string{nsPortable + " last"} }

// Export implements modules.Portable.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	b, err := m.read(ctx, account.Local())
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	at, status, err := parse(b)
	if err != nil {
		return err
	}
	var x stanza.XML
	_, err = w.Write(x.Leaf("last", status, "xmlns", nsPortable, "at", at.UTC().Format(time.RFC3339)).Bytes())
	return err
}

// Import implements modules.Portable.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	root := e.Root()
	at, err := time.Parse(time.RFC3339, root.Attr("at"))
	if err != nil {
		return err
	}
	return m.kv.Put(ctx, []byte(account.Local()), record(at, root.Text))
}
