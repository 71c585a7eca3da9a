package pep

import (
	"context"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Service is what other modules may do with the nodes of the host's accounts.
type Service interface {
	// Edit changes nodes of an account on behalf of by. It returns when that is on disk and told; Followers are not asked. fn
	// runs under the account's lock: it must not call the Service.
	Edit(ctx context.Context, owner, by stanza.JID, fn func(e *Edit) error) error
	// Items returns the items of a node, oldest first, as far as reader may read them: for others than the owner the error is
	// what XEP-0060 §6.5.9 has them told. A node that is not there is item-not-found. max is how many of the newest, 0: all.
	Items(ctx context.Context, owner, reader stanza.JID, node string, max int) ([]Item, error)
	// Item returns one of them, or nil.
	Item(ctx context.Context, owner, reader stanza.JID, node, id string) (*Item, error)
	// Settings returns how a node is configured; ok is false where there is none.
	Settings(ctx context.Context, owner stanza.JID, node string) (s Settings, ok bool, err error)
}

// Follower is a service of modules that keep something in step with nodes. It is asked about each node whose items a client
// changed, before the change takes effect, and adds to it what follows; an error refuses the client's change.
type Follower interface {
	Follow(e *Edit, node string) error
}

// Standing is a service of modules that give each account nodes from the beginning: an owner who asks for the items of one that he
// never published to gets none, and no error.
type Standing interface {
	Standing() []string // names
}

// standing tells whether each account has a node of that name.
func (m *module) standing(name string) bool {
	return slices.ContainsFunc(modules.FindAll[Standing](m.h), func(s Standing) bool { return slices.Contains(s.Standing(), name) })
}

type service struct{ m *module }

func (s service) Edit(ctx context.Context, owner, by stanza.JID, fn func(e *Edit) error) error {
	return s.m.change(ctx, owner.Bare(), by, false, fn)
}

func (s service) read(ctx context.Context, owner, reader stanza.JID, name string) (*node, error) {
	a, err := s.m.account(ctx, owner.Local())
	if err != nil {
		return nil, err
	}
	n := a.node(name)
	if n == nil {
		return nil, errNoNode
	}
	return n, s.m.readable(ctx, owner.Bare(), n, reader)
}

func (s service) Items(ctx context.Context, owner, reader stanza.JID, name string, max int) ([]Item, error) {
	n, err := s.read(ctx, owner, reader, name)
	if err != nil {
		return nil, err
	}
	list := n.items
	if max > 0 && max < len(list) {
		list = list[len(list)-max:]
	}
	var out []Item
	for i := range list {
		it, err := s.item(ctx, owner, n, &list[i])
		if err != nil {
			return nil, err
		}
		if it != nil {
			out = append(out, *it)
		}
	}
	return out, nil
}

func (s service) Item(ctx context.Context, owner, reader stanza.JID, name, id string) (*Item, error) {
	n, err := s.read(ctx, owner, reader, name)
	if err != nil {
		return nil, err
	}
	if i := n.find(id); i >= 0 {
		return s.item(ctx, owner, n, &n.items[i])
	}
	return nil, nil
}

// item reads an item; one that was deleted since is nil.
func (s service) item(ctx context.Context, owner stanza.JID, n *node, it *entry) (*Item, error) {
	payload, err := s.m.payload(ctx, owner.Local(), n.name, it.seq)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return &Item{it.id, payload, it.at}, err
}

func (s service) Settings(ctx context.Context, owner stanza.JID, name string) (Settings, bool, error) {
	a, err := s.m.account(ctx, owner.Local())
	if err != nil {
		return Settings{}, false, err
	}
	if n := a.node(name); n != nil {
		return n.cfg, true, nil
	}
	return Settings{}, false, nil
}

// Items returns the items of a node as they will be, oldest first; none where there is no such node.
func (e *Edit) Items(name string) ([]Item, error) {
	n := e.acc.node(name)
	if n == nil {
		return nil, nil
	}
	var out []Item
	for i := range n.items {
		payload, err := e.payloadOf(n, &n.items[i])
		if err != nil {
			return nil, err
		}
		out = append(out, Item{n.items[i].id, payload, n.items[i].at})
	}
	return out, nil
}

// Ensure returns a node's configuration as it will be. Where there is no such node it is made as a client that does not
// configure it makes it, but for what adapt changes, which may be nil; a node that is there stays as it is.
func (e *Edit) Ensure(name string, adapt func(*Settings)) (Settings, error) {
	if n := e.acc.node(name); n != nil {
		return n.cfg, nil
	}
	s := defaults(name)
	if adapt != nil {
		adapt(&s)
	}
	_, err := e.create(name, s)
	return s, err
}

// Configure gives a node that there is another configuration.
func (e *Edit) Configure(name string, s Settings) error {
	n := e.node(name)
	if n == nil {
		return errNoNode
	}
	return e.configure(n, s)
}

// Publish puts an item into a node that there is and tells of it, as for a client.
func (e *Edit) Publish(name, id string, payload []byte) error {
	n := e.node(name)
	if n == nil {
		return errNoNode
	}
	return e.publish(n, id, payload)
}

// Retract removes items and tells of it; what is not there is skipped.
func (e *Edit) Retract(name string, ids ...string) {
	if n := e.node(name); n != nil {
		e.retract(n, true, ids...)
	}
}
