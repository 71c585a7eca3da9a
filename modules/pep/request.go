package pep

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// request answers what anybody may ask of an account's nodes, or do with his own.
func (m *module) request(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Payload.Name != "pubsub" {
		return nil, senseless(q, stanza.FeatureNotImplemented)
	}
	for i, el := range q.Payload.Children {
		if el.NS != ns {
			continue
		}
		if q.Set() {
			switch el.Name {
			case "publish":
				return m.publish(ctx, q, el, i)
			case "retract":
				return nil, m.retract(ctx, q, el)
			case "subscribe":
				return m.subscribe(ctx, q, el)
			case "unsubscribe":
				return nil, m.unsubscribe(ctx, q, el)
			case "create":
				return m.create(ctx, q, el)
			case "options":
				return nil, unsupported("subscription-options")
			}
			continue
		}
		switch el.Name {
		case "items":
			return m.items(ctx, q, el)
		case "subscriptions":
			return m.subscriptions(ctx, q, el)
		case "affiliations":
			return m.affiliations(ctx, q, el)
		case "options", "default":
			return nil, unsupported("subscription-options")
		}
	}
	return nil, senseless(q, stanza.BadRequest)
}

// senseless refuses what is no request. Others are told what they are told of an account that does not exist.
func senseless(q *modules.IQ, c stanza.Condition) error {
	if !q.Own() {
		c = stanza.ServiceUnavailable
	}
	return stanza.Err(c, "")
}

// ownerRequest answers what only the owner of nodes may ask.
func (m *module) ownerRequest(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Payload.Name != "pubsub" {
		return nil, stanza.Err(stanza.FeatureNotImplemented, "")
	}
	if !q.Own() {
		return nil, errForbidden // XEP-0060 §8.2.3.2 and its like, whether there is such a node or not
	}
	for _, el := range q.Payload.Children {
		if el.NS != nsOwner {
			continue
		}
		if q.Set() {
			switch el.Name {
			case "configure":
				return nil, m.configure(ctx, q, el)
			case "delete":
				return nil, m.deleteNode(ctx, q, el)
			case "purge":
				return nil, m.purge(ctx, q, el)
			case "affiliations":
				return nil, m.setAffiliations(ctx, q, el)
			case "subscriptions":
				return nil, m.setSubscriptions(ctx, q, el)
			}
			continue
		}
		switch el.Name {
		case "configure":
			return m.configuration(ctx, q, el)
		case "default":
			return m.defaultConfiguration(ctx, q, el)
		case "affiliations":
			return m.nodeAffiliations(ctx, q, el)
		case "subscriptions":
			return m.nodeSubscriptions(ctx, q, el)
		}
	}
	return nil, stanza.Err(stanza.BadRequest, "")
}

// others answers what others ask of an account that does not exist as for one that has published nothing, and what is the
// owner's alone as always: so the answers tell nobody which accounts there are.
func (m *module) others(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindIQ || st.Type != stanza.TypeGet && st.Type != stanza.TypeSet || p.To.Local() == "" || p.From.Bare() == p.To || len(st.Children) != 1 {
		return nil
	}
	switch st.Children[0].NS {
	case nsOwner:
		return errForbidden
	case ns:
	default:
		return nil
	}
	if len(m.h.Router.Sessions(p.To)) > 0 {
		return nil
	}
	if ok, err := m.h.Users.Exists(ctx, p.To.Local()); err != nil || ok {
		return nil // the router says of a store that fails what there is to say
	}
	payload, err := m.request(ctx, &modules.IQ{Packet: p, Payload: st.Payload()})
	if err != nil {
		return err
	}
	m.h.Router.Route(ctx, modules.NewPacket(st.Result(payload)))
	return modules.Done
}

// own runs fn on a node of the account that asks.
func (m *module) own(ctx context.Context, q *modules.IQ, el *stanza.Element, fn func(e *Edit, n *node) error) error {
	name := el.Attr("node")
	if name == "" {
		return errNoNodeID
	}
	return m.change(ctx, q.To.Bare(), q.From, true, func(e *Edit) error {
		n := e.node(name)
		if n == nil {
			return errNoNode
		}
		return fn(e, n)
	})
}

// look returns a node that who asks may read.
func (m *module) look(ctx context.Context, q *modules.IQ, name string) (*node, error) {
	if name == "" {
		return nil, errNoNodeID
	}
	owner := q.To.Bare()
	a, err := m.account(ctx, owner.Local())
	if err != nil {
		return nil, err
	}
	n := a.node(name)
	if n == nil {
		return nil, errNoNode
	}
	return n, m.readable(ctx, owner, n, q.From)
}

// groups returns the groups of an account's roster.
func (m *module) groups(ctx context.Context, owner stanza.JID) ([]string, error) {
	contacts, err := m.roster.Contacts(ctx, owner)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range contacts {
		out = append(out, c.Groups...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
