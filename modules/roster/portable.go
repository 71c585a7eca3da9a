package roster

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Claims implements modules.Portable: the roster, and the requests that wait for an answer (XEP-0227 §3.3, §3.7).
func (*module) Claims() []string {
	return []string{stanza.NSRoster + " query", stanza.NSClient + " presence"}
}

// Export implements modules.Portable.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	l, err := m.list(ctx, account.Local())
	if err != nil {
		return err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSRoster)
	for _, j := range slices.SortedFunc(maps.Keys(l.items), func(a, b stanza.JID) int { return strings.Compare(a.String(), b.String()) }) {
		if it := l.items[j]; it.listed {
			it.write(&x)
		}
	}
	if l.listed > 0 {
		if _, err := w.Write(x.Bytes()); err != nil {
			return err
		}
	}
	if l.pending == 0 {
		return nil
	}
	sts, err := m.requests(ctx, account.Local())
	for _, st := range sts {
		if err == nil {
			_, err = w.Write(modules.Alone(st))
		}
	}
	return err
}

// Import implements modules.Portable. Nobody is told: the contacts' servers know what was between them.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	if e.Kind == stanza.KindPresence || e.NS == stanza.NSClient {
		return m.importRequest(ctx, account, e)
	}
	for _, c := range e.Root().Children {
		if c.NS != stanza.NSRoster || c.Name != "item" {
			continue
		}
		if err := m.importItem(ctx, account, c); err != nil {
			return fmt.Errorf("contact %s: %w", c.Attr("jid"), err)
		}
	}
	return nil
}

func (m *module) importItem(ctx context.Context, account stanza.JID, e *stanza.Element) error {
	contact, err := stanza.ParseJID(e.Attr("jid"))
	if err != nil {
		return err
	}
	name, groups, err := m.details(e)
	if err != nil {
		return err
	}
	var s state
	switch e.Attr("subscription") {
	case "to":
		s = subTo
	case "from":
		s = subFrom
	case "both":
		s = subTo | subFrom
	}
	if e.Attr("ask") == "subscribe" && s&subTo == 0 {
		s |= pendingOut
	}
	if a := e.Attr("approved"); (a == "true" || a == "1") && s&subFrom == 0 {
		s |= approved
	}
	return m.apply(ctx, &edit{owner: account, contact: contact.Bare(), change: func(l *list, it *item) error {
		if err := m.enlist(l, it); err != nil {
			return err
		}
		it.name, it.groups, it.state = name, groups, it.state&pendingIn|s
		return nil
	}})
}

// importRequest takes a subscription request that waits for an answer.
func (m *module) importRequest(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	st, err := stanza.Parse(bytes.TrimSpace(e.Raw))
	if err != nil {
		return err
	}
	contact := st.From().Bare()
	if st.Kind != stanza.KindPresence || st.Type != stanza.TypeSubscribe || contact.IsZero() || contact == account {
		return nil // not what waits for an answer
	}
	st.SetFrom(contact)
	st.SetTo(account)
	return m.apply(ctx, &edit{owner: account, contact: contact, change: func(l *list, it *item) error {
		if it.state&(subFrom|pendingIn) == 0 && l.pending < m.limit() {
			it.state |= pendingIn
		}
		return nil
	}, request: func() []byte { return request(st, contact, account) }})
}
