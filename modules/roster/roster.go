// Package roster is mod_roster: contact lists, presence subscriptions and presence itself (RFC 6121 §2, §3 and §4).
//
// # Implementation notes
//
//   - An account's list is an immutable value: who reads it takes no lock, who changes it makes another one.
//   - Changes of one account happen one after the other under its lock, and what they push to the account's sessions is
//     sent under it too, so that versions arrive in order. Nothing is routed while a lock is held: that may come back
//     and change the list of another account, or of the same one.
//   - A change is on disk before anybody hears of it.
//   - The presence part takes no lock at all.
package roster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

// Config is [modules.mod_roster]. How many contacts an account may have is limits.roster_items.
type Config struct {
	NameSize      int `toml:"name_size" doc:"bytes of a contact's name and of a group's"`
	GroupsPerItem int `toml:"groups_per_item" doc:"groups that one contact may be in"`
	CachedItems   int `toml:"cached_items" doc:"contacts kept in memory, over all accounts of the host"`
}

// Check complains of what cannot work.
func (c *Config) Check(errs *config.Errors) {
	for _, f := range []struct {
		key string
		n   int
	}{{"name_size", c.NameSize}, {"groups_per_item", c.GroupsPerItem}, {"cached_items", c.CachedItems}} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
}

// Defaults are the values of an empty section.
var Defaults = Config{NameSize: 1023, GroupsPerItem: 32, CachedItems: 200_000}

// Info describes mod_roster.
var Info = modules.Define(modules.Info{
	Name:    "mod_roster",
	Summary: "contact lists, presence subscriptions and presence",
	Default: true,
	RFCs:    []string{"RFC 6121 §2", "RFC 6121 §3", "RFC 6121 §4"},
}, Defaults, func(c Config) modules.Module { return newModule(c) })

// Service is what other modules may ask. It serves the accounts of its host alone.
type Service interface {
	// Subscribed tells whether contact may see owner's presence: it has a subscription, or is owner itself. Resources
	// do not matter.
	Subscribed(ctx context.Context, owner, contact stanza.JID) bool
	// Contacts returns owner's roster in no particular order; the slice is the caller's, what is in it must not be changed.
	Contacts(ctx context.Context, owner stanza.JID) ([]Contact, error)
	// Contact returns one entry; ok is false where the contact is not in owner's roster.
	Contact(ctx context.Context, owner, contact stanza.JID) (c Contact, ok bool, err error)
}

// Contact is an entry of a roster, as its owner sees it.
type Contact struct {
	JID          stanza.JID
	Name         string
	Groups       []string
	Subscription Subscription
	Ask          bool // a subscription request is out
	Approved     bool // a request of theirs is approved in advance (RFC 6121 §3.4)
}

type module struct {
	cfg    atomic.Pointer[Config]
	h      *modules.Host
	domain stanza.JID // the host's

	cache *cache
	locks [stripes]sync.Mutex // an account's changes, by stripe of its name
	ids   atomic.Uint64       // of pushes

	former sync.Map // localpart: *list of an account that was deleted a moment ago
}

func newModule(c Config) *module {
	m := &module{cache: newCache(c.CachedItems)}
	m.cfg.Store(&c)
	return m
}

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	domain, err := stanza.ParseJID(h.Name)
	if err != nil {
		return err
	}
	m.h, m.domain = h, domain

	h.IQ(modules.Account, stanza.NSRoster, m.query)
	h.Stream(announce("roster versioning", `<ver xmlns='urn:xmpp:features:rosterver'/>`))            // RFC 6121 §2.6.1
	h.Stream(announce("subscription pre-approval", `<sub xmlns='urn:xmpp:features:pre-approval'/>`)) // RFC 6121 §3.4

	h.Hooks.Outgoing.On(modules.Keep, m.outgoing)
	h.Hooks.Outgoing.On(modules.Watch, m.direct)
	h.Hooks.ToBare.On(modules.Check, m.foreign)
	h.Hooks.ToBare.On(modules.Keep, m.incoming)
	h.Hooks.ToFull.On(modules.Keep, m.incoming)
	h.Hooks.Presence.On(modules.Copy, m.presence)
	h.Hooks.SessionClosed.On(modules.Copy, m.sessionClosed)
	h.Hooks.UserCreated.On(modules.Keep, m.userCreated)
	h.Hooks.UserDeleted.On(modules.Keep, m.userDeleted)

	modules.Provide[Service](h, m)
	modules.Provide[Visibility](h, m)
	modules.Provide[modules.Portable](h, m)
	modules.Provide[Introduction](h, m)
	return nil
}

// limit is how many contacts an account may have, and how many requests may wait for its answer.
func (m *module) limit() int { return m.h.File().Limits.RosterItems }

// Stop has nothing to do: all that is kept is on disk.
func (m *module) Stop(context.Context) error { return nil }

// Reload takes a changed section.
func (m *module) Reload(_ context.Context, c Config) error {
	m.cfg.Store(&c)
	m.cache.resize(c.CachedItems)
	return nil
}

func announce(name, xml string) stream.Feature {
	return stream.Feature{Name: name, Need: stream.Authenticated,
		Append: func(dst []byte, _ *stream.Conn) []byte { return append(dst, xml...) }}
}

// Subscribed implements Service. A store that cannot be read counts as no.
func (m *module) Subscribed(ctx context.Context, owner, contact stanza.JID) bool {
	if owner.Domain() != m.h.Name || owner.Local() == "" {
		return false
	}
	if owner.Bare() == contact.Bare() {
		return true // RFC 6121 §4.2.2: an entity is implicitly subscribed to its own presence
	}
	l, err := m.list(ctx, owner.Local())
	if err != nil {
		m.h.Log.Error("roster not read", "user", owner.Local(), "err", err)
		return false
	}
	it := l.items[contact.Bare()]
	return it != nil && it.state&subFrom != 0
}

// Contacts implements Service.
func (m *module) Contacts(ctx context.Context, owner stanza.JID) ([]Contact, error) {
	if owner.Domain() != m.h.Name || owner.Local() == "" {
		return nil, nil
	}
	l, err := m.list(ctx, owner.Local())
	if err != nil {
		return nil, err
	}
	cs := make([]Contact, 0, len(l.items))
	for _, it := range l.items {
		if it.listed {
			cs = append(cs, it.contact())
		}
	}
	return cs, nil
}

// Contact implements Service.
func (m *module) Contact(ctx context.Context, owner, contact stanza.JID) (Contact, bool, error) {
	if owner.Domain() != m.h.Name || owner.Local() == "" {
		return Contact{}, false, nil
	}
	l, err := m.list(ctx, owner.Local())
	if err != nil {
		return Contact{}, false, err
	}
	it := l.items[contact.Bare()]
	if it == nil || !it.listed {
		return Contact{}, false, nil
	}
	return it.contact(), true, nil
}

// refusal makes the answer of a failed change: a full store is something that its user can know of, the rest is ours.
func refusal(err error) error {
	if errors.Is(err, storage.ErrFull) || errors.Is(err, storage.ErrReadOnly) {
		return stanza.Err(stanza.ResourceConstraint, "")
	}
	return err
}

var (
	_ Service                  = (*module)(nil)
	_ modules.Reloader[Config] = (*module)(nil)
)
