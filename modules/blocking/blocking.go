// Package blocking is mod_blocking: addresses that an account wants nothing to do with (XEP-0191), and reports of them to
// those who run the server (XEP-0377).
//
// # Implementation notes
//
//   - Stanzas are stopped before anything is changed, archived, kept or copied. Asking costs a look-up in a map for an account
//     whose list has been asked for before, and most have none.
//   - A list is an immutable value; changes of one account come one after the other, and its sessions are told in that order.
//   - Presence for who is blocked from now on, or no longer, is sent when the change is in force and on disk; the unavailable
//     presence of XEP-0191 §3.3 then passes by a mark in its context.
package blocking

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	ns       = "urn:xmpp:blocking"
	nsErrors = "urn:xmpp:blocking:errors"
	nsReport = "urn:xmpp:reporting:1"
)

// Config is [modules.mod_blocking].
type Config struct {
	MaxEntries  int             `toml:"max_entries" doc:"addresses that one account may block"`
	CachedItems int             `toml:"cached_items" doc:"accounts and blocked addresses kept in memory, beside those with a session"`
	MaxReports  int             `toml:"max_reports" doc:"reports of abuse that are kept; the oldest go"`
	KeepReports config.Duration `toml:"keep_reports" doc:"how long a report is kept"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	for _, f := range []struct {
		key string
		n   int
	}{{"max_entries", c.MaxEntries}, {"cached_items", c.CachedItems}, {"max_reports", c.MaxReports}} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
	if c.KeepReports <= 0 {
		errs.Add("keep_reports", "must be more than nothing")
	}
}

// Info describes mod_blocking.
var Info = modules.Define(modules.Info{
	Name:    "mod_blocking",
	Summary: "lets users block addresses, and report them",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 191, Version: "1.3", Note: "presence for an account reaches all its resources, also one that is blocked by its full address; the host itself cannot be blocked"},
		{Number: 377, Version: "0.4.1", Note: "reports are kept for the admin and forwarded to nobody"},
	},
}, Config{MaxEntries: 1000, CachedItems: 50_000, MaxReports: 1000, KeepReports: config.Duration(90 * 24 * time.Hour)},
	func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg    Config
	h      *modules.Host
	roster roster.Visibility
	lists  *modules.AccountCache[*list]
	ids    atomic.Uint64 // of pushes
	sweep  modules.Sweeper
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	svc, err := modules.Find[roster.Visibility](h)
	if err != nil {
		return err
	}
	m.h, m.roster = h, svc
	m.lists = modules.NewAccountCache(modules.AccountCacheOptions[*list]{
		Read: m.read, Weight: (*list).weight, Max: m.cfg.CachedItems, Keep: h.Connected,
	})
	m.sweep.Start(sweepEvery, m.sweepReports)
	h.IQ(modules.Account, ns, m.query)
	h.Disco(modules.Server, ns, nsReport)
	h.Hooks.Outgoing.On(modules.Check, m.outgoing)
	// Behind those who refuse whoever asks, such as for another's roster: else who is blocked could tell by the answer that he is.
	h.Hooks.ToBare.On(modules.Amend, m.incoming)
	h.Hooks.ToFull.On(modules.Amend, m.incoming)
	h.Hooks.Returned.On(modules.Check, m.returned)
	h.Hooks.ToPeer.On(modules.Check, m.leaving)
	h.Hooks.UserCreated.On(modules.Check, m.forget) // a crash may have come between the end of an older one and that of its list
	h.Hooks.UserDeleted.On(modules.Check, m.forget) // before mod_roster says goodbye to the contacts, blocked ones too
	modules.Provide[modules.Blocker](h, m)
	modules.Provide[Reports](h, m)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module: all that is kept is on disk.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

// forget removes all that is kept of an account.
func (m *module) forget(ctx context.Context, j stanza.JID) {
	err := m.lists.Change(ctx, j.Local(), func(*list) (*list, error) { return nil, m.erase(ctx, j.Local()) })
	if err != nil {
		m.h.Log.Error("block list of a deleted account not removed", "account", j.String(), "err", err)
	}
	if err := m.forgetReports(ctx, j); err != nil {
		m.h.Log.Error("reports of a deleted account not removed", "account", j.String(), "err", err)
	}
}
