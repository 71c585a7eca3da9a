package pep

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// account is all that is known of an account's nodes without reading a payload: one immutable state.
type account struct{ nodes []*node } // by name

// node is one immutable state of a node.
type node struct {
	name    string
	created time.Time
	cfg     Settings
	affs    map[stanza.JID]affiliation // of others than the owner
	subs    []stanza.JID               // who subscribed explicitly
	items   []entry                    // oldest first
}

// entry is an item without its payload.
type entry struct {
	id   string
	seq  uint64 // its place, rising; none is used twice
	at   time.Time
	by   string // bare JID of who published it
	size int
}

// affiliation is what a node's owner made of somebody (XEP-0060 §4.1).
type affiliation string

const (
	affOwner     affiliation = "owner"
	affPublisher affiliation = "publisher"
	affMember    affiliation = "member"
	affOutcast   affiliation = "outcast"
	affNone      affiliation = "none"
)

// node returns a node by name, or nil.
func (a *account) node(name string) *node {
	i, ok := slices.BinarySearchFunc(a.nodes, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
	if !ok {
		return nil
	}
	return a.nodes[i]
}

// with returns the account with a node put in, or taken out (nil).
func (a *account) with(name string, n *node) *account {
	i, ok := slices.BinarySearchFunc(a.nodes, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
	next := &account{}
	switch {
	case ok && n != nil:
		next.nodes = slices.Clone(a.nodes)
		next.nodes[i] = n
	case ok:
		next.nodes = slices.Concat(a.nodes[:i], a.nodes[i+1:])
	case n != nil:
		next.nodes = slices.Insert(slices.Clone(a.nodes), i, n)
	default:
		next.nodes = a.nodes
	}
	return next
}

// size returns the bytes of all that the account's owner put there: items, configurations, affiliations.
func (a *account) size() (sum int64) {
	for _, n := range a.nodes {
		sum += int64(len(n.name) + len(n.cfg.Title) + len(n.cfg.Description) + len(n.cfg.Type))
		for _, g := range n.cfg.Groups {
			sum += int64(len(g))
		}
		for j := range n.affs {
			sum += int64(len(j.Local()) + len(j.Domain()))
		}
		for i := range n.items {
			sum += int64(n.items[i].size)
		}
	}
	return sum
}

// subscriptions returns how many explicit subscriptions there are, to all nodes.
func (a *account) subscriptions() (sum int) {
	for _, n := range a.nodes {
		sum += len(n.subs)
	}
	return sum
}

// last returns the item published last, or nil.
func (n *node) last() *entry {
	if len(n.items) == 0 {
		return nil
	}
	return &n.items[len(n.items)-1]
}

func (n *node) find(id string) int {
	return slices.IndexFunc(n.items, func(e entry) bool { return e.id == id })
}

// account returns an account's nodes as they are now.
func (m *module) account(ctx context.Context, local string) (*account, error) {
	if a := m.cache.get(local); a != nil {
		return a, nil
	}
	l := &m.locks[stripe(local)]
	l.Lock()
	defer l.Unlock()
	return m.locked(ctx, local)
}

// locked is account for who holds the account's lock.
func (m *module) locked(ctx context.Context, local string) (*account, error) {
	if a := m.cache.get(local); a != nil {
		return a, nil
	}
	a, err := m.load(ctx, local)
	if err == nil {
		m.cache.put(local, a)
	}
	return a, err
}

// cache keeps the accounts asked for last, up to a number of nodes and items. An account's lock is held by who puts it.
type cache struct {
	mu  sync.Mutex
	lru *modules.LRU[string, *account]
}

// weight is what an account costs; an empty one is not free either.
func (a *account) weight() int {
	w := 1 + len(a.nodes)
	for _, n := range a.nodes {
		w += len(n.items) + len(n.subs)
	}
	return w
}

func newCache(max int) *cache { return &cache{lru: modules.NewLRU[string](max, (*account).weight)} }

// get returns an account, or nil.
func (c *cache) get(local string) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, _ := c.lru.Get(local)
	return a
}

// put keeps an account, or forgets it (nil).
func (c *cache) put(local string, a *account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == nil {
		c.lru.Delete(local)
		return
	}
	c.lru.Put(local, a)
}

// resize changes how much is kept.
func (c *cache) resize(max int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Resize(max)
}
