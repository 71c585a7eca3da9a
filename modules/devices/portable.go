package devices

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Claims implements modules.Portable: credentials are of this server, and are not taken back.
func (*module) Claims() []string { return nil }

// Export implements modules.Portable, for all modules that keep credentials: what there is of them, and no secret.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	list, err := modules.ListCredentials(ctx, m.h, account)
	if len(list) == 0 || err != nil {
		return err
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	var x stanza.XML
	x.Start("credentials", "xmlns", modules.NSPrivate+"credentials")
	for _, c := range list {
		x.Empty("credential", "kind", c.Kind, "id", c.ID, "name", c.Name, "created", stamp(c.Created), "last-used", stamp(c.LastUsed),
			"expires", stamp(c.Expires), "client", c.Client, "software", c.Software, "device", c.Device)
	}
	_, err = w.Write(x.Bytes())
	return err
}

// Import implements modules.Portable.
func (*module) Import(context.Context, stanza.JID, *stanza.Stanza) error { return nil }
