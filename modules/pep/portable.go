package pep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Claims implements modules.Portable: nodes as owners configure them, and their items (XEP-0227 §3.8).
func (*module) Claims() []string { return []string{nsOwner + " pubsub", ns + " pubsub"} }

// Export implements modules.Portable.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	a, err := m.account(ctx, account.Local())
	if err != nil || len(a.nodes) == 0 {
		return err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", nsOwner)
	for _, n := range a.nodes {
		x.Start("configure", "node", n.name)
		appendForm(&x, "submit", &n.cfg, nil)
		x.End().Start("affiliations", "node", n.name)
		for _, j := range slices.SortedFunc(maps.Keys(n.affs), func(a, b stanza.JID) int { return strings.Compare(a.String(), b.String()) }) {
			x.Empty("affiliation", "jid", j.String(), "affiliation", string(n.affs[j]))
		}
		x.End().Start("subscriptions", "node", n.name)
		for _, j := range n.subs {
			x.Empty("subscription", "jid", j.String(), "subscription", "subscribed")
		}
		x.End()
	}
	if _, err := w.Write(x.Bytes()); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "<pubsub xmlns='%s'>", ns); err != nil {
		return err
	}
	for _, n := range a.nodes {
		if err := m.exportItems(ctx, account, n, w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(w, "</pubsub>")
	return err
}

// exportItems writes the items of a node, one after the other: avatars are large.
func (m *module) exportItems(ctx context.Context, account stanza.JID, n *node, w *modules.Export) error {
	if _, err := fmt.Fprintf(w, "<items node='%s'>", stanza.AppendEscaped(nil, n.name)); err != nil {
		return err
	}
	for i := range n.items {
		payload, err := m.payload(ctx, account.Local(), n.name, n.items[i].seq)
		if errors.Is(err, storage.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		var x stanza.XML
		if _, err := w.Write(x.Start("item", "id", n.items[i].id).Raw(payload).Bytes()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "</items>")
	return err
}

// Import implements modules.Portable. Nobody is told: whom it concerns has been told elsewhere.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	return m.edit(ctx, account, account, false, func(ed *Edit) error {
		defer func() { ed.events = nil }()
		for i, c := range e.Children {
			if c.NS != e.NS {
				continue
			}
			if err := ed.bring(e, i); err != nil {
				return fmt.Errorf("node %s: %w", cut(e.Element(i).Attr("node")), err)
			}
		}
		return nil
	})
}

// bring takes in one child of a <pubsub/>.
func (e *Edit) bring(from *stanza.Stanza, i int) error {
	el := from.Element(i)
	name := el.Attr("node")
	if e.acc.node(name) == nil {
		if _, err := e.create(name, defaults(name)); err != nil {
			return err
		}
	}
	n := e.node(name)
	switch el.Name {
	case "configure":
		return e.bringConfig(n, el.Child(nsForm, "x"))
	case "affiliations":
		for _, c := range el.Children {
			j, err := stanza.ParseJID(c.Attr("jid"))
			if err != nil {
				return err
			}
			switch aff := affiliation(c.Attr("affiliation")); aff {
			case affPublisher, affMember, affOutcast:
				if n.affs == nil {
					n.affs = map[stanza.JID]affiliation{}
				}
				n.affs[j.Bare()] = aff
			}
			if len(n.affs) > maxAffiliations {
				return stanza.Err(stanza.ResourceConstraint, "too many people are something to the node")
			}
		}
		return e.store(n)
	case "subscriptions":
		for _, c := range el.Children {
			j, err := stanza.ParseJID(c.Attr("jid"))
			if err != nil {
				return err
			}
			if c.Attr("subscription") != "subscribed" {
				continue
			}
			// Who may read is not known before the roster is in: nobody is shut out.
			if err := n.subscribe(j, "subscribed", func() (bool, error) { return e.full(), nil }); err != nil {
				return err
			}
		}
		return e.store(n)
	case "items":
		for k, c := range el.Children {
			if c.NS != ns || c.Name != "item" {
				continue
			}
			if err := e.publish(n, c.Attr("id"), from.Copy(i, k, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bringConfig takes a node's configuration: of options that other servers have and this one has not, none.
func (e *Edit) bringConfig(n *node, x *stanza.Element) error {
	if x == nil {
		return nil
	}
	limit := e.m.cfg.Load().Items
	for _, f := range x.Children {
		one := &stanza.Element{NS: nsForm, Name: "x", Attrs: []stanza.Attr{{Name: "type", Value: "submit"}}, Children: []*stanza.Element{f}}
		if list, _, err := readForm(one, formConfig, limit); err == nil {
			n.cfg = n.cfg.apply(list, limit)
		}
	}
	return e.store(n)
}
