package pep

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// subscriber reads for whom somebody subscribes: his account, or the resource that asks (XEP-0060 §6.1.3.1).
func subscriber(q *modules.IQ, el *stanza.Element) (stanza.JID, error) {
	j, err := stanza.ParseJID(el.Attr("jid"))
	if err != nil || j != q.From && j != q.From.Bare() {
		return j, failure(stanza.BadRequest, "invalid-jid")
	}
	return j, nil
}

// subscribe (XEP-0060 §6.1). Contacts need none; it is for those who do not share presence.
func (m *module) subscribe(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	if q.Payload.Child("", "options") != nil {
		return nil, unsupported("subscription-options")
	}
	name := el.Attr("node")
	if name == "" {
		return nil, errNoNodeID
	}
	j, err := subscriber(q, el)
	if err != nil {
		return nil, err
	}
	owner := q.To.Bare()
	// What may be refused is refused before the account is locked.
	n, err := m.look(ctx, q, name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(n.subs, j) {
		err := m.change(ctx, owner, q.From, false, func(e *Edit) error {
			n := e.node(name)
			switch {
			case n == nil:
				return errNoNode
			case slices.Contains(n.subs, j):
				return nil
			}
			if full, err := e.crowded(); err != nil {
				return err
			} else if full {
				return failure(stanza.PolicyViolation, "too-many-subscriptions") // §6.1.3.9
			}
			if err := m.readable(ctx, owner, n, q.From); err != nil {
				return err
			}
			n.subs = append(n.subs, j)
			return e.store(n)
		})
		if err != nil {
			return nil, err
		}
		m.later(ctx, owner, func(ctx context.Context) { // §6.1.7
			a, err := m.account(ctx, owner.Local())
			if err == nil {
				if n := a.node(name); sendsLast(n, onSub) {
					err = m.last(ctx, owner, n, j)
				}
			}
			if err != nil {
				m.h.Log.Error("last item not sent", "user", owner.Local(), "err", err)
			}
		})
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", ns)
	return x.Empty("subscription", "node", name, "jid", j.String(), "subscription", "subscribed").Bytes(), nil
}

// unsubscribe (XEP-0060 §6.2).
func (m *module) unsubscribe(ctx context.Context, q *modules.IQ, el *stanza.Element) error {
	name := el.Attr("node")
	if name == "" {
		return errNoNodeID
	}
	j, err := subscriber(q, el)
	if err != nil {
		return err
	}
	return m.change(ctx, q.To.Bare(), q.From, false, func(e *Edit) error {
		// Whether there is such a node is told to those who may read it alone.
		n := e.node(name)
		if n == nil || !slices.Contains(n.subs, j) {
			return failure(stanza.UnexpectedRequest, "not-subscribed") // §6.2.3.2
		}
		n.subs = slices.DeleteFunc(n.subs, func(s stanza.JID) bool { return s == j })
		return e.store(n)
	})
}

// subscriptions lists what who asks has subscribed explicitly at an account (XEP-0060 §5.6).
func (m *module) subscriptions(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	return m.mine(ctx, q, el, func(x *stanza.XML, n *node, left *room) {
		for _, j := range n.subs {
			if j.Bare() == q.From.Bare() && left.fits(n.name, j.String()) {
				x.Empty("subscription", "node", n.name, "jid", j.String(), "subscription", "subscribed")
			}
		}
	})
}

// affiliations lists what who asks is to an account's nodes (XEP-0060 §5.7).
func (m *module) affiliations(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	return m.mine(ctx, q, el, func(x *stanza.XML, n *node, left *room) {
		if a := n.affiliation(q.To.Bare(), q.From); a != affNone && left.fits(n.name, string(a)) {
			x.Empty("affiliation", "node", n.name, "affiliation", string(a))
		}
	})
}

// mine lists something of the nodes at an account, or of one of them. Of a node that is not there, or with which who asks has
// nothing to do, nothing is said.
func (m *module) mine(ctx context.Context, q *modules.IQ, el *stanza.Element, list func(x *stanza.XML, n *node, left *room)) ([]byte, error) {
	a, err := m.account(ctx, q.To.Local())
	if err != nil {
		return nil, err
	}
	name := el.Attr("node")
	var x stanza.XML
	left := room(pageSize)
	x.Start("pubsub", "xmlns", ns).Start(el.Name, "node", name)
	for _, n := range a.nodes {
		if name == "" || n.name == name {
			list(&x, n, &left)
		}
	}
	return x.Bytes(), nil
}

// subscribe sets somebody's subscription as the node's owner says. crowded tells whether there are as many
// as may be.
func (n *node) subscribe(j stanza.JID, value string, crowded func() (bool, error)) error {
	switch value {
	case "none":
		n.subs = slices.DeleteFunc(n.subs, func(s stanza.JID) bool { return s == j })
	case "subscribed":
		if slices.Contains(n.subs, j) {
			return nil
		}
		if full, err := crowded(); err != nil {
			return err
		} else if full {
			return failure(stanza.PolicyViolation, "too-many-subscriptions")
		}
		n.subs = append(n.subs, j)
	default:
		return stanza.Err(stanza.NotAcceptable, "there is no such state of a subscription")
	}
	return nil
}
