package offline

import (
	"context"
	"fmt"
	"math"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const listName = "offline-messages"

// Claims implements modules.Portable (XEP-0227 §3.4).
func (*module) Claims() []string { return []string{modules.NSPortable + " " + listName} }

// Export implements modules.Portable: the messages stay where they are.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	local := account.Local()
	n := 0
	var bad error
	err := m.box.b.KV("messages").Scan(ctx, prefix(local), nil, func(_, v []byte) bool {
		var st *stanza.Stanza
		if _, data, ok := split(v); !ok {
			bad = errFormat
		} else if st, bad = stanza.Parse(data); bad == nil {
			if n++; n == 1 {
				_, bad = fmt.Fprintf(w, "<%s xmlns='%s'>", listName, modules.NSPortable)
			}
			if bad == nil {
				_, bad = w.Write(modules.Alone(st))
			}
		}
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	if n > 0 && err == nil {
		_, err = fmt.Fprintf(w, "</%s>", listName)
	}
	return err
}

// Import implements modules.Portable. What was kept elsewhere is kept here, whatever the quota. Where the archive comes along it
// has the same message under another ID, so that it reaches a client from both.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	for _, c := range e.Children {
		if c.NS != stanza.NSClient {
			continue
		}
		st, err := stanza.Parse(e.Bytes(c))
		if err != nil || st.Kind != stanza.KindMessage {
			continue
		}
		st.DropStanzaIDs(account) // of an archive that is not this one
		if err := m.box.append(ctx, account.Local(), "", st.AppendTo(nil), math.MaxInt, math.MaxInt64)(); err != nil {
			return err
		}
	}
	return nil
}
