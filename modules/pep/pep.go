// Package pep is mod_pep: each account is a publish-subscribe service for what its user tells about himself (XEP-0163, the
// parts of XEP-0060 that it needs): moods, avatars, keys, bookmarks, whatever clients agree upon.
//
// # Implementation notes
//
//   - An account's nodes are an immutable value: who reads it takes no lock. It has no payloads; these are read when needed.
//   - Changes of one account happen one after the other under its lock, each in one transaction, on disk before anybody
//     hears of it.
//   - What a change has to tell is put into the account's queue under the same lock, and sent when it is free: so events
//     leave in the order of the changes, and nothing is routed while a lock is held. Whoever finds the queue busy leaves his
//     events to who works on it.
//   - Events leave at one place, fanout.to, through the router: hooks see each of them.
//   - What an account's contacts on this host want to hear is kept with their sessions, what those elsewhere want in peers.
package pep

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

// The namespaces of XEP-0060.
const (
	ns       = "http://jabber.org/protocol/pubsub"
	nsOwner  = "http://jabber.org/protocol/pubsub#owner"
	nsEvent  = "http://jabber.org/protocol/pubsub#event"
	nsErrors = "http://jabber.org/protocol/pubsub#errors"
	nsRSM    = "http://jabber.org/protocol/rsm"  // XEP-0059
	nsForm   = "jabber:x:data"                   // XEP-0004
	nsCaps   = "http://jabber.org/protocol/caps" // XEP-0115
)

// The nodes that are treated differently from others.
const (
	nodeAvatar     = "urn:xmpp:avatar:data"     // XEP-0084
	nodeBookmarks  = "urn:xmpp:bookmarks:1"     // XEP-0402
	nodeBookmarks0 = "storage:bookmarks"        // XEP-0048
	nodeDisplayed  = "urn:xmpp:mds:displayed:0" // XEP-0490
)

// Config is [modules.mod_pep].
type Config struct {
	Nodes         int         `toml:"nodes" doc:"nodes of one account"`
	Items         int         `toml:"items_per_node" doc:"items of one node"`
	ItemSize      config.Size `toml:"item_size" doc:"largest item"`
	AvatarSize    config.Size `toml:"avatar_size" doc:"largest picture, as it is sent: in base64"`
	AccountSize   config.Size `toml:"account_size" doc:"all that one account publishes, together"`
	Subscriptions int         `toml:"subscriptions" doc:"explicit subscriptions to the nodes of one account; contacts need none"`
	CachedItems   int         `toml:"cached_items" doc:"nodes and items whose names are kept in memory, over all accounts of the host"`
}

// Check complains of what cannot work.
func (c *Config) Check(errs *config.Errors) {
	for _, f := range []struct {
		key string
		n   int64
	}{
		{"nodes", int64(c.Nodes)}, {"items_per_node", int64(c.Items)}, {"item_size", int64(c.ItemSize)}, {"avatar_size", int64(c.AvatarSize)},
		{"account_size", int64(c.AccountSize)}, {"subscriptions", int64(c.Subscriptions)}, {"cached_items", int64(c.CachedItems)},
	} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
}

// Defaults are the values of an empty section.
var Defaults = Config{Nodes: 200, Items: 256, ItemSize: 64 << 10, AvatarSize: 128 << 10, AccountSize: 16 << 20, Subscriptions: 1000, CachedItems: 200_000}

// Info describes mod_pep.
var Info = modules.Define(modules.Info{
	Name:    "mod_pep",
	Summary: "what users publish about themselves: avatars, keys, bookmarks, moods",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 60, Version: "1.30.0", Note: "accounts only (XEP-0163). Not there: access model authorize, subscription options and ids, leases, collections, item_expire, purge_offline, notify_sub, presence_based_delivery, publish_node_full, publish models other than publishers, several items in one request. A full node lets its oldest item go without a word, unless max_items is max: then the new one is refused"},
		{Number: 163, Version: "1.2.2", Note: "replyto addresses (§4.3.1): they would tell contacts which device published; a subscription to all of an account's nodes at once (§5)"},
		{Number: 222, Version: "1.0"},
		{Number: 223, Version: "1.1.1"},
		{Number: 84, Version: "1.1.4"},
		{Number: 107, Version: "1.2.2"},
		{Number: 118, Version: "1.3.0"},
		{Number: 172, Version: "1.1", Note: "nickname of an account; that in presence and subscriptions passes through"},
		{Number: 384, Version: "0.9.1", Note: "device lists and bundles"},
		{Number: 490, Version: "1.0.1"},
	},
}, Defaults, func(c Config) modules.Module { return newModule(c) })

// stripes is how many locks the accounts of a host share.
const stripes = 256

var seed = maphash.MakeSeed()

func stripe(local string) int { return int(maphash.String(seed, local) % stripes) }

type module struct {
	cfg    atomic.Pointer[Config]
	h      *modules.Host
	roster roster.Service
	caps   caps.Service

	cache  *cache
	locks  [stripes]sync.Mutex // an account's changes, and reading it from disk, by stripe of its name
	queues [stripes]queue
	peers  peers
	turns  atomic.Uint64 // of presences
}

func newModule(c Config) *module {
	m := &module{cache: newCache(c.CachedItems)}
	m.cfg.Store(&c)
	return m
}

// features are what of XEP-0060 §10 there is.
var features = []string{
	"access-open", "access-presence", "access-roster", "access-whitelist", "auto-create", "auto-subscribe", "config-node",
	"config-node-max", "create-and-configure", "create-nodes", "delete-items", "delete-nodes", "filtered-notifications",
	"item-ids", "last-published", "manage-subscriptions", "member-affiliation", "meta-data", "modify-affiliations",
	"outcast-affiliation", "persistent-items", "presence-subscribe", "publish", "publish-options", "publisher-affiliation",
	"purge-nodes", "retract-items", "retrieve-affiliations", "retrieve-default", "retrieve-items", "retrieve-subscriptions",
	"rsm", "subscribe",
}

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) (err error) {
	if m.roster, err = modules.Find[roster.Service](h); err != nil {
		return err
	}
	if m.caps, err = modules.Find[caps.Service](h); err != nil {
		return err
	}
	m.h = h
	// XEP-0163 §6.1: an account tells what it offers. COMPAT: Profanity 0.13 asks the server alone, and publishes its keys for
	// contacts alone where that does not know publish-options.
	for _, at := range []modules.At{modules.Account, modules.Server} {
		h.Identity(at, modules.Identity{Category: "pubsub", Type: "pep"})
		h.Disco(at, ns)
		for _, f := range features {
			h.Disco(at, ns+"#"+f)
		}
	}
	h.Disco(modules.Account, "urn:xmpp:mds:server-assist:0") // XEP-0490 §4.5.2
	h.IQ(modules.Account, ns, m.request)
	h.IQ(modules.Account, nsOwner, m.ownerRequest)
	h.Hooks.Outgoing.On(modules.Amend, m.displayed)
	h.Hooks.Presence.On(modules.Watch, m.presence)
	h.Hooks.ToBare.On(modules.Check, m.others)
	h.Hooks.ToBare.On(modules.Check, m.approved)
	h.Hooks.ToBare.On(modules.Watch, m.foreign)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide[Service](h, service{m})
	modules.Provide(h, nodes{m})
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop has nothing to do: all that is kept is on disk.
func (m *module) Stop(context.Context) error { return nil }

// Reload takes a changed section.
func (m *module) Reload(_ context.Context, c Config) error {
	m.cfg.Store(&c)
	m.cache.resize(c.CachedItems)
	return nil
}

// forget removes all that an account had: when it is deleted, and, since a crash may have come between, when one of the same
// name is made.
func (m *module) forget(ctx context.Context, owner stanza.JID) {
	m.peers.drop(owner.Local())
	if err := m.drop(ctx, owner.Local()); err != nil {
		m.h.Log.Error("nodes of an account not removed", "user", owner.Local(), "err", err)
	}
}

var _ modules.Reloader[Config] = (*module)(nil)
