package pep

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// create makes a node (XEP-0060 §8.1).
func (m *module) create(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	if !q.Own() {
		return nil, errForbidden // §8.1.1
	}
	name := el.Attr("node")
	if name == "" {
		return nil, failure(stanza.NotAcceptable, "nodeid-required") // §8.1.1: there are no instant nodes
	}
	limit := m.cfg.Load().Items
	list, cancel, err := readForm(q.Payload.Child("", "configure").Child(nsForm, "x"), formConfig, limit)
	if err != nil || cancel {
		return nil, err
	}
	return nil, m.change(ctx, q.To.Bare(), q.From, true, func(e *Edit) error {
		if e.acc.node(name) != nil {
			return stanza.Err(stanza.Conflict, "") // §8.1.1
		}
		_, err := e.create(name, defaults(name).apply(list, limit))
		return err
	})
}

// configuration returns a node's form (XEP-0060 §8.2.1).
func (m *module) configuration(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	n, err := m.look(ctx, q, el.Attr("node"))
	if err != nil {
		return nil, err
	}
	return m.form(ctx, q, "configure", n.name, &n.cfg)
}

// defaultConfiguration returns the form of a node that nobody has configured (XEP-0060 §8.3).
func (m *module) defaultConfiguration(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	name := el.Attr("node") // §8.3.2: of a particular one
	s := defaults(name)
	return m.form(ctx, q, "default", name, &s)
}

func (m *module) form(ctx context.Context, q *modules.IQ, what, name string, s *Settings) ([]byte, error) {
	groups, err := m.groups(ctx, q.To.Bare())
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", nsOwner).Start(what, "node", name)
	appendForm(&x, "form", s, groups)
	return x.Bytes(), nil
}

// configure takes a node's form (XEP-0060 §8.2.4). What it does not mention stays.
func (m *module) configure(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	x := el.Child(nsForm, "x")
	if x == nil {
		return stanza.Err(stanza.BadRequest, "a form is missing")
	}
	limit := m.cfg.Load().Items
	list, cancel, err := readForm(x, formConfig, limit)
	if err != nil {
		return err
	}
	return m.own(ctx, q, el, func(e *Edit, n *node) error {
		if cancel { // §8.2.4
			return nil
		}
		return e.configure(n, n.cfg.apply(list, limit))
	})
}

// deleteNode (XEP-0060 §8.4).
func (m *module) deleteNode(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	return m.own(ctx, q, el, func(e *Edit, n *node) error {
		e.delete(n)
		return nil
	})
}

// purge (XEP-0060 §8.5).
func (m *module) purge(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	return m.own(ctx, q, el, func(e *Edit, n *node) error {
		e.purge(n)
		return nil
	})
}

// nodeSubscriptions lists who subscribed to a node explicitly (XEP-0060 §8.8.1).
func (m *module) nodeSubscriptions(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	n, err := m.look(ctx, q, el.Attr("node"))
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", nsOwner).Start("subscriptions", "node", n.name)
	left := room(pageSize)
	for _, j := range n.subs {
		if left.fits(j.String()) {
			x.Empty("subscription", "jid", j.String(), "subscription", "subscribed")
		}
	}
	return x.Bytes(), nil
}

// nodeAffiliations lists whom the owner made something (XEP-0060 §8.9.1).
func (m *module) nodeAffiliations(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	n, err := m.look(ctx, q, el.Attr("node"))
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", nsOwner).Start("affiliations", "node", n.name)
	x.Empty("affiliation", "jid", q.To.Bare().String(), "affiliation", string(affOwner))
	left := room(pageSize)
	for _, j := range slices.SortedFunc(maps.Keys(n.affs), func(a, b stanza.JID) int { return strings.Compare(a.String(), b.String()) }) {
		if left.fits(j.String()) {
			x.Empty("affiliation", "jid", j.String(), "affiliation", string(n.affs[j]))
		}
	}
	return x.Bytes(), nil
}

// people reads the children of a request that name people.
func people(el *stanza.Element, child, attr string, each func(j stanza.JID, value string) error) error {
	for _, c := range el.Children {
		if c.NS != nsOwner || c.Name != child {
			continue
		}
		j, err := stanza.ParseJID(c.Attr("jid"))
		if err != nil {
			return stanza.Err(stanza.BadRequest, "not an address")
		}
		if err := each(j, c.Attr(attr)); err != nil {
			return err
		}
	}
	return nil
}

// maxAffiliations is how many people can be something to one node.
const maxAffiliations = 1000

// setAffiliations makes people something to a node (XEP-0060 §8.9.2). All of it or, where one is wrong, nothing.
func (m *module) setAffiliations(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	return m.own(ctx, q, el, func(e *Edit, n *node) error {
		err := people(el, "affiliation", "affiliation", func(j stanza.JID, value string) error {
			j = j.Bare()
			if j == e.Owner {
				return stanza.Err(stanza.NotAcceptable, "the account owns its nodes") // §8.9.2: a node has an owner
			}
			switch a := affiliation(value); a {
			case affMember, affPublisher, affOutcast:
				n.affs[j] = a
			case affNone:
				delete(n.affs, j)
			default: // XEP-0163 §2.2: an account's nodes are its own
				return stanza.Err(stanza.NotAcceptable, "there is no such affiliation")
			}
			if len(n.affs) > maxAffiliations {
				return stanza.Err(stanza.ResourceConstraint, "the node has as many affiliations as it may")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := e.shutOut(n); err != nil {
			return err
		}
		if err := e.grown(); err != nil {
			return err
		}
		return e.store(n)
	})
}

// setSubscriptions subscribes others, or ends their subscriptions (XEP-0060 §8.8.2).
func (m *module) setSubscriptions(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	return m.own(ctx, q, el, func(e *Edit, n *node) error {
		err := people(el, "subscription", "subscription", func(j stanza.JID, value string) error {
			return n.subscribe(j, value, e.crowded)
		})
		if err != nil {
			return err
		}
		return e.store(n)
	})
}
