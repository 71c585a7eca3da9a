// Package push is mod_push: it tells the push services that users name of messages that wait for a device (XEP-0357), so that
// these wake it up.
//
// # Implementation notes
//
//   - A push service is an address of XMPP and is reached like any other. Nothing that a user names is ever fetched.
//   - What is told of a message is that there is one. Who sent it and what it says goes out only where the admin wants it.
//   - A device is known by the session that enabled its service. While that session is there and looked at, it needs no push;
//     when it sleeps, or is gone, it does.
//   - Counters and times are in memory: after a restart the first message is told at once.
package push

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const (
	ns        = "urn:xmpp:push:0"
	nsSummary = "urn:xmpp:push:summary"
	nsOptions = "http://jabber.org/protocol/pubsub#publish-options"
	nsPubsub  = "http://jabber.org/protocol/pubsub"
)

// Config is [modules.mod_push].
type Config struct {
	IncludeSender bool            `toml:"include_sender" doc:"tell push services who sent the last message"`
	IncludeBody   bool            `toml:"include_body" doc:"tell push services what it says, as far as this server can read it"`
	MaxServices   int             `toml:"max_services" doc:"push services, with their nodes, of one account"`
	OptionsSize   config.Size     `toml:"options_size" doc:"size of the options that a push service asks for"`
	MinInterval   config.Duration `toml:"min_interval" doc:"time between two pushes for one device; what comes between is told with the next"`
	MaxErrors     int             `toml:"max_errors" doc:"errors of a push service, one after the other, after which it is told nothing more"`
	CachedItems   int             `toml:"cached_items" doc:"accounts and push services kept in memory, beside those with a session"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	for _, f := range []struct {
		key string
		n   int
	}{{"max_services", c.MaxServices}, {"options_size", int(c.OptionsSize)}, {"max_errors", c.MaxErrors}, {"cached_items", c.CachedItems}} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
	if c.MinInterval < 0 {
		errs.Add("min_interval", "must not be negative")
	}
}

// Info describes mod_push.
var Info = modules.Define(modules.Info{
	Name:    "mod_push",
	Summary: "wakes devices up for messages, by way of push services",
	Default: true,
	XEPs: []modules.XEP{{Number: 357, Version: "0.4.1",
		Note: "a service that has been given up is not tried again by itself, and a change of affiliation that it announces (§7) is not read"}},
}, defaults, func(c Config) modules.Module { return newModule(c) })

var defaults = Config{MaxServices: 16, OptionsSize: 4 << 10, MinInterval: config.Duration(5 * time.Second), MaxErrors: 5, CachedItems: 50_000}

func newModule(c Config) *module {
	return &module{cfg: c, devices: map[deviceKey]*device{}, waiting: map[string]deviceKey{}}
}

type module struct {
	cfg      Config
	h        *modules.Host
	services *modules.AccountCache[services]
	ids      atomic.Uint64

	mu      sync.Mutex // nothing is routed under it
	devices map[deviceKey]*device
	waiting map[string]deviceKey // by the id of a push that has no answer yet
	stopped bool
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	m.services = modules.NewAccountCache(modules.AccountCacheOptions[services]{
		Read: m.read, Weight: func(l services) int { return 1 + len(l) }, Max: m.cfg.CachedItems, Keep: h.Connected,
	})
	h.IQ(modules.Account, ns, m.query)
	h.Disco(modules.Account, ns) // XEP-0357 §4
	h.Hooks.ToBare.On(modules.Check, m.answered)
	h.Hooks.ToBare.On(modules.Watch, m.message)
	h.Hooks.ToFull.On(modules.Watch, m.message)
	h.Hooks.Unclaimed.On(modules.Check, m.unclaimed) // before somebody keeps it
	h.Hooks.SessionHibernated.On(modules.Watch, m.hibernated)
	h.Hooks.SessionResumed.On(modules.Watch, m.resumed)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module: what waits for its time is not told any more.
func (m *module) Stop(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for _, d := range m.devices {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	return nil
}

// forget removes all that is kept of an account.
func (m *module) forget(ctx context.Context, j stanza.JID) {
	err := m.services.Change(ctx, j.Local(), func(services) (services, error) { return nil, m.erase(ctx, j.Local()) })
	if err != nil {
		m.h.Log.Error("push services of a deleted account not removed", "account", j.String(), "err", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, d := range m.devices {
		if k.local == j.Local() {
			m.quit(k, d)
		}
	}
}
