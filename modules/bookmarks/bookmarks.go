// Package bookmarks makes three ways of keeping bookmarks one: items of a node each (XEP-0402), one item of another node
// (XEP-0048 with PEP), and private XML (XEP-0048 with XEP-0049). A user's clients see the same whichever they speak.
//
// # Implementation notes
//
//   - What counts are the items of XEP-0402. The other node has a copy, made in the same transaction; the private data is
//     made of them when it is asked for.
//   - What of an older client's list is no bookmark of a room (a URL, an element of its own) stays in that copy.
//   - Extensions (XEP-0402 §2) are not shown to older clients, and outlive their changes.
package bookmarks

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/modules/private"
	"github.com/xmppd/xmppd/stanza"
)

const (
	ns    = "urn:xmpp:bookmarks:1" // XEP-0402, also the node
	nsOld = "storage:bookmarks"    // XEP-0048, also the node
)

// Config is [modules.mod_bookmarks]; there is nothing to set.
type Config struct{}

// Info describes mod_bookmarks.
var Info = modules.Define(modules.Info{
	Name:    "mod_bookmarks",
	Summary: "bookmarks of rooms are the same for old and new clients",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 48, Version: "1.2"},
		{Number: 402, Version: "1.2.0"},
		{Number: 411, Version: "1.1.0"},
	},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct {
	pep pep.Service
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) (err error) {
	if m.pep, err = modules.Find[pep.Service](h); err != nil {
		return err
	}
	h.Disco(modules.Account, ns+"#compat-pep") // XEP-0402 §6
	if _, err := modules.Find[private.Service](h); err == nil {
		h.Disco(modules.Account, ns+"#compat", "urn:xmpp:bookmarks-conversion:0") // XEP-0402 §6, XEP-0411 §2
	}
	modules.Provide[pep.Follower](h, m)
	modules.Provide[pep.Standing](h, m)
	modules.Provide[private.Keeper](h, m)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error { return nil }

// Standing implements pep.Standing. COMPAT: there are clients that keep no bookmarks for an account while a request for them gets an error, and
// so do not come back into their rooms.
func (m *module) Standing() []string { return []string{ns} }

// Follow implements pep.Follower.
func (m *module) Follow(e *pep.Edit, node string) error {
	switch node {
	case ns:
		return collate(e) // XEP-0402 §5.3.1
	case nsOld:
		items, err := e.Items(nsOld)
		if err != nil || len(items) == 0 {
			return err // the copy is gone, what it is made of is not
		}
		l, ok := parse(items[len(items)-1].Payload)
		if !ok {
			return stanza.Err(stanza.BadRequest, "not a list of bookmarks")
		}
		return distribute(e, l) // XEP-0402 §5.3.2
	}
	return nil
}

// Keeps implements private.Keeper.
func (m *module) Keeps(ns, name string) bool { return ns == nsOld && name == "storage" }

// LoadPrivate implements private.Keeper (XEP-0411 §3).
func (m *module) LoadPrivate(ctx context.Context, owner stanza.JID) ([]byte, error) {
	rooms, err := m.items(ctx, owner, ns, 0)
	if err != nil {
		return nil, err
	}
	old, err := m.items(ctx, owner, nsOld, 1)
	if err != nil || len(rooms)+len(old) == 0 {
		return nil, err
	}
	return list(rooms, old), nil
}

// items returns items of one of the owner's nodes; none where there is no such node.
func (m *module) items(ctx context.Context, owner stanza.JID, node string, max int) ([]pep.Item, error) {
	list, err := m.pep.Items(ctx, owner, owner, node, max)
	if _, none := err.(*stanza.Error); none {
		return nil, nil
	}
	return list, err
}

// StorePrivate implements private.Keeper (XEP-0411 §3): as if it had been published.
func (m *module) StorePrivate(ctx context.Context, owner, by stanza.JID, data []byte, rest func() error) error {
	l, ok := parse(data)
	if !ok {
		return stanza.Err(stanza.BadRequest, "not a list of bookmarks")
	}
	return m.pep.Edit(ctx, owner, by, func(e *pep.Edit) error {
		if err := distribute(e, l); err != nil {
			return err
		}
		if err := put(e, data); err != nil {
			return err
		}
		return rest()
	})
}
