package pep

import (
	"context"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/stanza"
)

// nodes tells mod_disco of accounts' nodes.
type nodes struct{ m *module }

var _ disco.Nodes = nodes{}

// find returns a node that who asks may read; nil stands for all reasons why not.
func (d nodes) find(ctx context.Context, q *modules.IQ, name string) (*node, error) {
	n, err := d.m.look(ctx, q, name)
	if _, refused := err.(*stanza.Error); refused {
		return nil, nil
	}
	return n, err
}

// NodeInfo implements disco.Nodes (XEP-0060 §5.3, §5.4).
func (d nodes) NodeInfo(ctx context.Context, q *modules.IQ, name string) ([]byte, error) {
	n, err := d.find(ctx, q, name)
	if n == nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoInf, "node", name)
	x.Empty("identity", "category", "pubsub", "type", "leaf")
	x.Empty("feature", "var", ns)
	x.Start("x", "xmlns", nsForm, "type", "result")
	x.Start("field", "var", "FORM_TYPE", "type", "hidden").Leaf("value", formMeta).End()
	field := func(name, value string) {
		if value != "" {
			x.Start("field", "var", prefix+name).Leaf("value", value).End()
		}
	}
	field("type", n.cfg.Type)
	field("creator", q.To.Bare().String())
	field("owner", q.To.Bare().String())
	field("creation_date", n.created.Format(time.RFC3339)) // XEP-0082 §3.2
	field("title", n.cfg.Title)
	field("description", n.cfg.Description)
	field("access_model", string(n.cfg.Access))
	field("publish_model", "publishers")
	field("max_items", fieldOf("max_items").get(&n.cfg)[0])
	if q.Own() {
		field("num_subscribers", strconv.Itoa(len(n.subs)))
	}
	return x.Bytes(), nil
}

// NodeItems implements disco.Nodes (XEP-0060 §5.5).
func (d nodes) NodeItems(ctx context.Context, q *modules.IQ, name string) ([]byte, error) {
	n, err := d.find(ctx, q, name)
	if n == nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoIt, "node", name)
	owner, left := q.To.Bare().String(), room(pageSize)
	for _, it := range n.items {
		if !left.fits(owner, it.id) {
			break
		}
		x.Empty("item", "jid", owner, "name", it.id)
	}
	return x.Bytes(), nil
}

// Nodes implements disco.Nodes: those that who asks may read (XEP-0060 §5.2).
func (d nodes) Nodes(ctx context.Context, q *modules.IQ) (list []disco.NodeOf, err error) {
	a, err := d.m.account(ctx, q.To.Local())
	if err != nil {
		return nil, err
	}
	left := room(pageSize)
	for _, n := range a.nodes {
		if d.m.readable(ctx, q.To.Bare(), n, q.From) == nil && left.fits(q.To.Local(), q.To.Domain(), n.name, n.cfg.Title) {
			list = append(list, disco.NodeOf{Node: n.name, Name: n.cfg.Title})
		}
	}
	return list, nil
}
