package pep

import (
	"context"
	"crypto/rand"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// publish takes an item (XEP-0060 §7.1). el is the request's child number at.
func (m *module) publish(ctx context.Context, q *modules.IQ, el *stanza.Element, at int) ([]byte, error) {
	name := el.Attr("node")
	if name == "" {
		return nil, errNoNodeID
	}
	item := -1
	for i, c := range el.Children {
		if c.NS != ns || c.Name != "item" {
			continue
		}
		if item >= 0 {
			return nil, failure(stanza.NotAllowed, "max-items-exceeded")
		}
		item = i
	}
	var payload []byte
	id := ""
	if item >= 0 {
		it := el.Children[item]
		switch len(it.Children) {
		case 0:
		case 1:
			payload = q.Stanza.Copy(q.Stanza.Find(ns, "pubsub"), at, item, 0)
		default:
			return nil, failure(stanza.BadRequest, "invalid-payload") // §7.1.3.6
		}
		id = it.Attr("id")
	}
	if id == "" {
		id = rand.Text() // §7.1.3.7
	}
	options := q.Payload.Child("", "publish-options").Child(nsForm, "x")
	if q.Payload.Child("", "publish-options") != nil && options == nil {
		return nil, stanza.Err(stanza.BadRequest, "publish-options without a form")
	}
	limit := m.cfg.Load().Items
	list, _, err := readForm(options, formOptions, limit)
	if err != nil {
		return nil, err
	}
	err = m.change(ctx, q.To.Bare(), q.From, true, func(e *Edit) error {
		n := e.node(name)
		switch {
		case n == nil && !q.Own():
			return errForbidden // §7.1.3.1
		case n == nil:
			// §7.1.4, §7.1.5: made with what the options say, and otherwise as is the default.
			made, err := e.create(name, defaults(name).apply(list, limit))
			if err != nil {
				return err
			}
			n = made
		default:
			a := n.affiliation(e.Owner, q.From)
			if a != affOwner && a != affPublisher {
				return errForbidden
			}
			// §7.1.2 has a publisher replace what he published himself. What others did is gone when it is replaced, which is no
			// more a publisher's to do than to delete it (§4.1).
			if i := n.find(id); i >= 0 && a == affPublisher && n.items[i].by != q.From.Bare().String() {
				return errForbidden
			}
			if !n.cfg.meets(list, limit) {
				return failure(stanza.Conflict, "precondition-not-met") // §7.1.5
			}
		}
		if err := fits(n, item >= 0, payload); err != nil {
			return err
		}
		if gone, err := e.shutOut(n); err != nil {
			return err
		} else if gone {
			if err := e.store(n); err != nil {
				return err
			}
		}
		return e.publish(n, id, payload)
	})
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", ns).Start("publish", "node", name)
	return x.Empty("item", "id", id).Bytes(), nil // §7.1.2
}

// fits says what a node misses in an item (XEP-0060 §7.1.3.7).
func fits(n *node, item bool, payload []byte) error {
	switch {
	case !item && n.cfg.Persist:
		return failure(stanza.BadRequest, "item-required")
	case item && !n.cfg.Persist && !n.cfg.Payloads:
		return failure(stanza.BadRequest, "item-forbidden")
	case len(payload) == 0 && n.cfg.Payloads:
		return failure(stanza.BadRequest, "payload-required")
	}
	return nil
}

// retract deletes items (XEP-0060 §7.2).
func (m *module) retract(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	name := el.Attr("node")
	if name == "" {
		return errNoNodeID
	}
	var ids []string
	for _, c := range el.Children {
		if c.NS == ns && c.Name == "item" {
			ids = append(ids, c.Attr("id"))
		}
	}
	tell := el.Attr("notify") == "true" || el.Attr("notify") == "1"
	return m.change(ctx, q.To.Bare(), q.From, true, func(e *Edit) error {
		n := e.node(name)
		switch {
		case n == nil && !q.Own():
			return errForbidden // §7.2.3.1
		case n == nil:
			return errNoNode // §7.2.3.2
		}
		a := n.affiliation(e.Owner, q.From)
		if a != affOwner && a != affPublisher {
			return errForbidden
		}
		if len(ids) == 0 {
			return failure(stanza.BadRequest, "item-required") // §7.2.3.4
		}
		for _, id := range ids {
			i := n.find(id)
			if i < 0 {
				return errNoNode // §7.2.3.4
			}
			if a == affPublisher && n.items[i].by != q.From.Bare().String() {
				return errForbidden // what others published is not a publisher's to delete
			}
		}
		e.retract(n, tell || n.cfg.OnRetract, ids...)
		return nil
	})
}
