// Package disco answers what a server and its accounts are and can do: XEP-0030, from what all modules registered.
package disco

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Config is [modules.mod_disco].
type Config struct {
	Items []Item `toml:"items" doc:"services elsewhere to list among the server's own, such as a component of another machine"`
}

// Item is an entry of Config.Items.
type Item struct {
	JID  string `toml:"jid" doc:"its address"`
	Name string `toml:"name" doc:"what people call it"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	for _, it := range c.Items {
		if _, err := stanza.ParseJID(it.JID); err != nil {
			errs.Add("items", "%q is no address: %v", it.JID, err)
		}
	}
}

// Info describes mod_disco.
var Info = modules.Define(modules.Info{
	Name:    "mod_disco",
	Summary: "tells clients and servers what this server offers",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 30, Version: "2.5.0", Note: "disco#items of an account is service-unavailable to strangers, not an empty list: so it is for names that nobody has"},
		{Number: 128, Version: "1.0.1"},
	},
}, Config{}, func(c Config) modules.Module { return &module{cfg: c} })

// Roster is the service of the module that keeps contacts.
type Roster interface {
	// Subscribed tells whether contact may see the presence of owner: the subscription is "from" or "both". mod_roster is it.
	Subscribed(ctx context.Context, owner, contact stanza.JID) bool
}

// Nodes is a service of modules whose accounts have nodes (XEP-0030 §3.2). mod_pep is it.
type Nodes interface {
	// NodeInfo and NodeItems answer for a node of the account that is asked; nil where there is none for who asks.
	NodeInfo(ctx context.Context, q *modules.IQ, node string) ([]byte, error)
	NodeItems(ctx context.Context, q *modules.IQ, node string) ([]byte, error)
	// Nodes lists those that who asks may know of.
	Nodes(ctx context.Context, q *modules.IQ) ([]NodeOf, error)
}

// NodeOf is a node of an account.
type NodeOf struct{ Node, Name string }

// ServerNodes is a service of modules that answer for nodes of the server (XEP-0030 §3.2, §4.2). A nil payload without an error
// says that the node is not theirs.
type ServerNodes interface {
	DiscoInfo(ctx context.Context, q *modules.IQ, node string) (payload []byte, err error)
	DiscoItems(ctx context.Context, q *modules.IQ, node string) (payload []byte, err error)
}

type module struct {
	cfg  Config
	h    *modules.Host
	ver  atomic.Pointer[version] // the server's caps, so that their node is known
	list []item                  // Config.Items, prepared
}

type item struct{ jid, name string }

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	for _, it := range m.cfg.Items {
		j, err := stanza.ParseJID(it.JID)
		if err != nil {
			return err
		}
		m.list = append(m.list, item{j.String(), it.Name})
	}
	h.Identity(modules.Server, modules.Identity{Category: "server", Type: "im", Name: "xmppd"})
	h.Identity(modules.Account, modules.Identity{Category: "account", Type: "registered"})
	for _, at := range []modules.At{modules.Server, modules.Account} {
		h.Disco(at, stanza.NSDiscoInf, stanza.NSDiscoIt)
	}
	h.IQ(modules.Server, stanza.NSDiscoInf, m.serverInfo)
	h.IQ(modules.Server, stanza.NSDiscoIt, m.serverItems)
	h.IQ(modules.Account, stanza.NSDiscoInf, m.accountInfo)
	h.IQ(modules.Account, stanza.NSDiscoIt, m.accountItems)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error { return nil }

var errNoNode = stanza.Err(stanza.ItemNotFound, "") // XEP-0030 §7

// serverInfo answers disco#info to the host (XEP-0030 §3.1), also for the node of its capabilities (XEP-0115 §6.2).
func (m *module) serverInfo(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if err := q.WantGet("query"); err != nil {
		return nil, err
	}
	t, node := m.h.Table(), q.Payload.Attr("node")
	if node != "" && node != Node+"#"+cached(&m.ver, t) {
		return m.ofNode(func(n ServerNodes) ([]byte, error) { return n.DiscoInfo(ctx, q, node) })
	}
	return Query(t, modules.Server, node), nil
}

// serverItems answers disco#items to the host: the subdomains of modules and what the admin lists (XEP-0030 §4.1).
func (m *module) serverItems(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if err := q.WantGet("query"); err != nil {
		return nil, err
	}
	if node := q.Payload.Attr("node"); node != "" {
		return m.ofNode(func(n ServerNodes) ([]byte, error) { return n.DiscoItems(ctx, q, node) })
	}
	served := m.h.Table().Domains
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoIt)
	for _, d := range slices.Sorted(maps.Keys(served)) {
		x.Empty("item", "jid", d, "name", served[d].Name)
	}
	for _, it := range m.list {
		x.Empty("item", "jid", it.jid, "name", it.name)
	}
	return x.Bytes(), nil
}

// ofNode asks the modules for a node.
func (m *module) ofNode(ask func(ServerNodes) ([]byte, error)) ([]byte, error) {
	for _, n := range modules.FindAll[ServerNodes](m.h) {
		if payload, err := ask(n); payload != nil || err != nil {
			return payload, err
		}
	}
	return nil, errNoNode
}

// accountInfo answers disco#info on behalf of an account (XEP-0030 §3.1), or for one of its nodes.
func (m *module) accountInfo(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if answer, done, err := m.node(ctx, q, Nodes.NodeInfo); done || err != nil {
		return answer, err
	}
	return Query(m.h.Table(), modules.Account, ""), nil
}

// accountItems answers disco#items on behalf of an account: its available resources (XEP-0030 §4.1, §11) and its nodes
// (XEP-0060 §5.2). For a node it is what is in it.
func (m *module) accountItems(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if answer, done, err := m.node(ctx, q, Nodes.NodeItems); done || err != nil {
		return answer, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoIt)
	for _, s := range m.h.Router.Sessions(q.To.Bare()) {
		if s.Presence() != nil {
			x.Empty("item", "jid", s.JID().String())
		}
	}
	for _, svc := range modules.FindAll[Nodes](m.h) {
		list, err := svc.Nodes(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			x.Empty("item", "jid", q.To.Bare().String(), "node", n.Node, "name", n.Name)
		}
	}
	return x.Bytes(), nil
}

// node answers for a node of an account, which may be open to people who may not see the account. done is false where none is
// asked for, and who asks may see the account.
func (m *module) node(ctx context.Context, q *modules.IQ, ask func(Nodes, context.Context, *modules.IQ, string) ([]byte, error)) (answer []byte, done bool, err error) {
	bad := q.WantGet("query")
	node := ""
	if bad == nil {
		node = q.Payload.Attr("node")
	}
	if node != "" {
		for _, svc := range modules.FindAll[Nodes](m.h) {
			if answer, err := ask(svc, ctx, q, node); answer != nil || err != nil {
				return answer, true, err
			}
		}
	}
	switch err := m.entitled(ctx, q); {
	case err != nil:
		return nil, true, err
	case bad != nil:
		return nil, true, bad
	case node != "":
		return nil, true, errNoNode
	}
	return nil, false, nil
}

// entitled tells strangers that there is nothing, in the words that the router has for an account that does not exist:
// who may not see the presence of an account does not learn that there is one (XEP-0030 §11).
func (m *module) entitled(ctx context.Context, q *modules.IQ) error {
	if q.Own() {
		return nil
	}
	if r, err := modules.Find[Roster](m.h); err == nil && r.Subscribed(ctx, q.To.Bare(), q.From.Bare()) {
		return nil
	}
	return stanza.Err(stanza.ServiceUnavailable, "")
}
