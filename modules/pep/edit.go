package pep

import (
	"context"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Edit is a change of an account's nodes that is being made, under the account's lock. It is one transaction: it takes effect
// when the function that makes it returns nil, and not at all otherwise.
type Edit struct {
	m     *module
	ctx   context.Context
	Owner stanza.JID // the account, a bare JID
	By    stanza.JID // whose change it is

	acc     *account
	before  int64           // the account's size
	fresh   map[string]bool // nodes whose value in acc is the edit's own, to be changed in place
	changed []string        // nodes whose items changed, for Followers
	writes  []write
	events  []event
}

// write is one change of a KV.
type write struct {
	kv    string
	key   []byte
	value []byte
	gone  bool
}

// Item is a published item.
type Item struct {
	ID        string
	Payload   []byte // well-formed XML that stands on its own; empty: none
	Published time.Time
}

// change runs fn on an account's nodes. What it changed is on disk when change returns, and those whom it concerns have been
// told. follow says that other modules may keep in step.
func (m *module) change(ctx context.Context, owner, by stanza.JID, follow bool, fn func(e *Edit) error) error {
	if err := m.edit(ctx, owner, by, follow, fn); err != nil {
		return err
	}
	m.queues[stripe(owner.Local())].run(ctx)
	return nil
}

// edit is change up to the point where others are told.
func (m *module) edit(ctx context.Context, owner, by stanza.JID, follow bool, fn func(e *Edit) error) error {
	i := stripe(owner.Local())
	m.locks[i].Lock()
	defer m.locks[i].Unlock()
	// Under the lock: what a session does while its account is deleted comes before the end of its nodes, or not at all.
	exists, err := m.h.Users.Exists(ctx, owner.Local())
	if err != nil {
		return err
	}
	if !exists && by.Bare() == owner {
		return stanza.Err(stanza.ServiceUnavailable, "")
	}
	a, err := m.locked(ctx, owner.Local())
	if err != nil {
		return err
	}
	e := &Edit{m: m, ctx: ctx, Owner: owner, By: by, acc: a, before: a.size(), fresh: map[string]bool{}}
	if err := fn(e); err != nil {
		return err
	}
	if follow {
		if err := e.follow(); err != nil {
			return err
		}
	}
	if !exists { // others can do nothing to an account that has nothing; why, fn has said
		return stanza.Err(stanza.ServiceUnavailable, "")
	}
	if err := e.commit(); err != nil {
		return err
	}
	for _, ev := range e.events {
		m.queues[i].add(func(ctx context.Context) { m.announce(ctx, ev) })
	}
	return nil
}

// follow lets other modules add what follows from the change. What they add is not followed again.
func (e *Edit) follow() error {
	changed := slices.Clone(e.changed)
	for _, f := range modules.FindAll[Follower](e.m.h) {
		for _, name := range changed {
			if err := f.Follow(e, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit writes all to disk.
func (e *Edit) commit() error {
	if len(e.writes) == 0 {
		return nil
	}
	err := e.m.h.Store.Update(e.ctx, func(tx storage.Tx) error {
		for i := range e.writes {
			w := &e.writes[i]
			kv := tx.KV(w.kv)
			if w.gone {
				if err := kv.Delete(w.key); err != nil {
					return err
				}
			} else if err := kv.Put(w.key, w.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.m.cache.put(e.Owner.Local(), e.acc)
	return nil
}

func (e *Edit) put(kv string, key, value []byte) {
	e.writes = append(e.writes, write{kv: kv, key: key, value: value})
}

func (e *Edit) remove(kv string, key []byte) {
	e.writes = append(e.writes, write{kv: kv, key: key, gone: true})
}

// node returns a node to change, or nil where there is none.
func (e *Edit) node(name string) *node {
	n := e.acc.node(name)
	if n == nil || e.fresh[name] {
		return n
	}
	c := *n
	c.items = slices.Clone(n.items)
	c.subs = slices.Clone(n.subs)
	c.affs = make(map[stanza.JID]affiliation, len(n.affs))
	for j, a := range n.affs {
		c.affs[j] = a
	}
	e.set(name, &c)
	return &c
}

// set makes a node the account's.
func (e *Edit) set(name string, n *node) {
	e.acc = e.acc.with(name, n)
	e.fresh[name] = true
}

// create makes a node.
func (e *Edit) create(name string, cfg Settings) (*node, error) {
	if !validNode(name) {
		return nil, stanza.Err(stanza.NotAcceptable, "not a name for a node")
	}
	if limit := e.m.cfg.Load().Nodes; len(e.acc.nodes) >= limit {
		return nil, stanza.Err(stanza.ResourceConstraint, "the account has as many nodes as it may")
	}
	n := &node{name: name, created: time.Now().UTC().Truncate(time.Second), cfg: cfg}
	e.set(name, n)
	if err := e.grown(); err != nil {
		return nil, err
	}
	return n, e.store(n)
}

// grown refuses a change that makes an account larger than it may be. One that is too large already may become smaller.
func (e *Edit) grown() error {
	if size := e.acc.size(); size > e.before && size > int64(e.m.cfg.Load().AccountSize) {
		return stanza.Err(stanza.ResourceConstraint, "what the account publishes is as large as it may be, together")
	}
	return nil
}

// store notes that a node's record changed.
func (e *Edit) store(n *node) error {
	b, err := n.record()
	if err == nil {
		e.put(kvNodes, nodeKey(e.Owner.Local(), n.name), b)
	}
	return err
}

// itemLimit is how large an item of a node may be.
func (e *Edit) itemLimit(n *node) int {
	cfg := e.m.cfg.Load()
	limit := int(cfg.ItemSize)
	if n.name == nodeAvatar {
		limit = int(cfg.AvatarSize)
	}
	if n.cfg.PayloadSize > 0 {
		limit = min(limit, n.cfg.PayloadSize)
	}
	return limit
}

var errTooBig = failure(stanza.NotAcceptable, "payload-too-big") // XEP-0060 §7.1.3.5

// publish puts an item into a node that there is, in the place of one of the same id, and tells of it.
func (e *Edit) publish(n *node, id string, payload []byte) error {
	if !validID(id) {
		return stanza.Err(stanza.NotAcceptable, "not an id for an item")
	}
	if len(payload) > e.itemLimit(n) {
		return errTooBig
	}
	e.touched(n.name)
	it := entry{id: id, at: time.Now().UTC(), by: e.By.Bare().String(), size: len(id) + len(payload)}
	if n.cfg.Notify {
		e.events = append(e.events, published(e.Owner, n, it, payload))
	}
	if !n.cfg.Persist {
		return nil
	}
	// By the clock, so that who has looked at the node before finds nothing new in the place of what is gone: the new may be
	// closed to him.
	it.seq = uint64(it.at.UnixNano())
	if l := n.last(); l != nil {
		it.seq = max(it.seq, l.seq+1)
	}
	if i := n.find(id); i >= 0 {
		e.take(n, i)
	}
	cfg := e.m.cfg.Load()
	for len(n.items) >= n.cfg.max(cfg.Items) {
		if n.cfg.Max == 0 && n.name != nodeDisplayed {
			// max means that nothing is to be lost: the oldest of a user's bookmarks is no less dear to him. Which talks he read
			// long ago is not.
			err := failure(stanza.ResourceConstraint, "node-full")
			err.Text = "the node has as many items as it may"
			return err
		}
		e.take(n, 0) // XEP-0060 §7.1.2.5
	}
	n.items = append(n.items, it)
	if err := e.grown(); err != nil {
		return err
	}
	local := e.Owner.Local()
	e.put(kvIndex, indexKey(local, n.name, id), it.record())
	e.put(kvItems, itemKey(local, n.name, it.seq), payload)
	return nil
}

// take removes an item of a node.
func (e *Edit) take(n *node, i int) {
	local := e.Owner.Local()
	e.remove(kvIndex, indexKey(local, n.name, n.items[i].id))
	e.remove(kvItems, itemKey(local, n.name, n.items[i].seq))
	n.items = slices.Delete(n.items, i, i+1)
}

// retract removes items by id and tells of it; unknown ones are skipped.
func (e *Edit) retract(n *node, tell bool, ids ...string) {
	var gone []string
	for _, id := range ids {
		if i := n.find(id); i >= 0 {
			e.take(n, i)
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return
	}
	e.touched(n.name)
	if n.cfg.Notify && tell {
		e.events = append(e.events, retracted(e.Owner, n, gone))
	}
}

// purge removes all items (XEP-0060 §8.5).
func (e *Edit) purge(n *node) {
	e.clear(n)
	if n.cfg.Notify && n.cfg.OnRetract {
		e.events = append(e.events, about(e.Owner, n, "purge"))
	}
}

func (e *Edit) clear(n *node) {
	for len(n.items) > 0 {
		e.take(n, len(n.items)-1)
	}
	e.touched(n.name)
}

// delete removes a node (XEP-0060 §8.4).
func (e *Edit) delete(n *node) {
	if n.cfg.Notify && n.cfg.OnDelete {
		e.events = append(e.events, about(e.Owner, n, "delete"))
	}
	e.clear(n)
	e.remove(kvNodes, nodeKey(e.Owner.Local(), n.name))
	e.set(n.name, nil)
}

// configure gives a node another configuration (XEP-0060 §8.2).
func (e *Edit) configure(n *node, cfg Settings) error {
	n.cfg = cfg
	for len(n.items) > 0 && (!cfg.Persist || len(n.items) > cfg.max(e.m.cfg.Load().Items)) {
		e.take(n, 0)
		e.touched(n.name)
	}
	if _, err := e.shutOut(n); err != nil {
		return err
	}
	if cfg.Notify && cfg.OnConfig {
		e.events = append(e.events, configured(e.Owner, n))
	}
	if err := e.grown(); err != nil {
		return err
	}
	return e.store(n)
}

// shutOut ends the subscriptions of those who may not read a node any more (XEP-0060 §12.14); who comes back subscribes again.
// Where somebody is gone, the caller stores the node. A roster that cannot be read ends nothing.
func (e *Edit) shutOut(n *node) (gone bool, err error) {
	for _, j := range slices.Clone(n.subs) {
		switch err := e.m.readable(e.ctx, e.Owner, n, j).(type) {
		case nil:
		case *stanza.Error:
			n.subs = slices.DeleteFunc(n.subs, func(s stanza.JID) bool { return s == j })
			gone = true
		default:
			return gone, err
		}
	}
	return gone, nil
}

// full tells whether the account has as many explicit subscriptions as it may.
func (e *Edit) full() bool { return e.acc.subscriptions() >= e.m.cfg.Load().Subscriptions }

// crowded is full, but that subscriptions which are good for nothing any more do not count: they are ended.
func (e *Edit) crowded() (bool, error) {
	if !e.full() {
		return false, nil
	}
	for _, n := range slices.Clone(e.acc.nodes) {
		if len(n.subs) == 0 {
			continue
		}
		n = e.node(n.name)
		gone, err := e.shutOut(n)
		if err == nil && gone {
			err = e.store(n)
		}
		if err != nil {
			return false, err
		}
	}
	return e.full(), nil
}

func (e *Edit) touched(name string) {
	if !slices.Contains(e.changed, name) {
		e.changed = append(e.changed, name)
	}
}

// payloadOf reads an item as it will be.
func (e *Edit) payloadOf(n *node, it *entry) ([]byte, error) {
	key := itemKey(e.Owner.Local(), n.name, it.seq)
	for i := range slices.Backward(e.writes) {
		if w := &e.writes[i]; w.kv == kvItems && !w.gone && slices.Equal(w.key, key) {
			return w.value, nil
		}
	}
	return e.m.payload(e.ctx, e.Owner.Local(), n.name, it.seq)
}
