package pep

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// displayed takes out of a message how far its sender has read, which is for his own devices alone, and publishes it for them
// (XEP-0490 §4.5.3). It is done before the message is archived or copied (§5.2).
func (m *module) displayed(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindMessage || p.To.IsZero() {
		return nil
	}
	at := st.Find(nodeDisplayed, "displayed")
	if at < 0 {
		return nil
	}
	owner := p.From.Bare()
	err := m.change(ctx, owner, p.From, true, func(e *Edit) error {
		n := e.node(nodeDisplayed)
		if n == nil {
			made, err := e.create(nodeDisplayed, defaults(nodeDisplayed)) // §5.2: closed to others
			if err != nil {
				return err
			}
			n = made
		}
		if n.cfg.Access != Whitelist {
			return nil // who made it so has a client that publishes by itself
		}
		return e.publish(n, p.To.String(), st.Copy(at))
	})
	// The message goes on: what is read will be said again. What a limit refuses is the user's affair, not the admin's.
	if _, refused := err.(*stanza.Error); err != nil && !refused {
		m.h.Log.Error("what was read is not published", "user", owner.Local(), "err", err)
	}
	for i := at; i >= 0; i = st.FindNext(i, nodeDisplayed, "displayed") {
		st.Drop(i)
	}
	return nil
}
