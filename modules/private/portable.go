package private

import (
	"context"
	"fmt"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Claims implements modules.Portable (XEP-0227 §3.5).
func (*module) Claims() []string { return []string{ns + " query"} }

// Export implements modules.Portable. What other modules keep is told by them.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	var x stanza.XML
	x.Start("query", "xmlns", ns)
	n := 0
	err := m.kv.Scan(ctx, ownerKey(account.Local()), nil, func(_, value []byte) bool {
		n++
		x.Raw(value)
		return true
	})
	if err != nil {
		return fmt.Errorf("read private data: %w", err)
	}
	if n > 0 {
		_, err = w.Write(x.Bytes())
	}
	return err
}

// Import implements modules.Portable. What a client could not store is passed over; an account has no more than from a client.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	var list []*stanza.Element
	var at []int
	kept := -1
	for i, c := range e.Root().Children {
		switch {
		case !storable(c):
		case m.keeper(c.NS, c.Name) == nil:
			list, at = append(list, c), append(at, i)
		case kept >= 0: // one of them is all that store takes; the last counts
			list[kept], at[kept] = c, i
		default:
			kept = len(list)
			list, at = append(list, c), append(at, i)
		}
	}
	return m.store(ctx, account, account, list, func(i int) []byte { return e.Copy(at[i]) })
}
