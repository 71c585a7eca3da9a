// Package mam is mod_mam: the archive of each account's messages, both ways (XEP-0313), and the IDs that archives give to
// messages (XEP-0359).
//
// # Implementation notes
//
//   - A message is in the archives before it is delivered, and before its sender can be told that the server has it. One that
//     cannot be archived is not delivered.
//   - A message between two accounts of the host is archived for both in one commit, when its recipient's host takes it
//     (ToBare, ToFull): what that refuses at once, because the recipient blocks the sender or does not exist, is in nobody's
//     archive, and the sender has the error. All other messages of an account are archived when they leave (Outgoing).
//   - Messages of one sender are archived and delivered in the order in which they were sent. What two senders send at the same
//     moment may be delivered in another order than it is archived in: no lock is held while the store is waited for.
//   - An archive belongs to a localpart. Whoever writes to it looks afterwards whether the account was deleted meanwhile, and
//     takes it back if so: see graves.
//   - What clients ask of an archive, and the IDs that they see, are the same for all archives: see package archive.
package mam

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/storage"
)

const ns = fate.NSMAM

// Config is [modules.mod_mam].
type Config struct {
	Retention     config.Duration `toml:"retention" doc:"how long messages stay in an archive; 0: for ever"`
	QuotaMessages int             `toml:"quota_messages" doc:"messages in the archive of one account; beyond it the oldest go; 0: no limit"`
	QuotaSize     config.Size     `toml:"quota_size" doc:"the same in bytes"`
	PageMax       int             `toml:"page_max" doc:"messages of one page of an archive, at most; 1 to 100"`
	DefaultPrefs  string          `toml:"default_prefs" doc:"what is archived for an account that has not said: always, never, or roster (messages of contacts)"`
	PrefsJIDs     int             `toml:"prefs_jids" doc:"addresses that an account may name in its preferences"`
}

// Check complains of what cannot work.
func (c *Config) Check(errs *config.Errors) {
	if c.PageMax < 1 || c.PageMax > 100 {
		errs.Add("page_max", "must be 1 to 100, is %d", c.PageMax)
	}
	if c.QuotaMessages < 0 {
		errs.Add("quota_messages", "must not be negative, is %d; 0 is no limit", c.QuotaMessages)
	}
	if c.PrefsJIDs < 0 {
		errs.Add("prefs_jids", "must not be negative, is %d", c.PrefsJIDs)
	}
	if !policies[c.DefaultPrefs] {
		errs.Add("default_prefs", `must be "always", "never" or "roster", is %q`, c.DefaultPrefs)
	}
	if r := time.Duration(c.Retention); r < 0 || r > 0 && r < time.Hour {
		errs.Add("retention", "must be at least an hour, or 0, which is for ever")
	}
}

// Defaults are the values of an empty section.
var Defaults = Config{
	Retention:     config.Duration(90 * 24 * time.Hour),
	QuotaMessages: 100_000,
	QuotaSize:     100 << 20,
	PageMax:       100,
	DefaultPrefs:  "always",
	PrefsJIDs:     500,
}

// Info describes mod_mam.
var Info = modules.Define(modules.Info{
	Name:    "mod_mam",
	Summary: "the archive of each account's messages",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 59, Version: "1.0", Note: "for archives: pages, both ways; not by index (§2.4)"},
		{Number: 297, Version: "1.0"},
		{Number: 313, Version: "1.1.3", Note: "accounts' archives, extended; messages of rooms to all are in the rooms' archives, not in the accounts'"},
		{Number: 334, Version: "1.0.0", Note: "store, no-store, no-permanent-store"},
		{Number: 359, Version: "0.7.0"},
		{Number: 441, Version: "0.2.0", Note: "not the ad-hoc command (§2.2)"},
	},
}, Defaults, func(c Config) modules.Module { return newModule(c) })

type module struct {
	cfg    atomic.Pointer[Config]
	h      *modules.Host
	ar     storage.Archive // owner: localpart
	roster roster.Service
	prefs  prefsStore
	ids    archive.IDs
	reader *archive.Reader
	graves graves
	bound  sync.Map // full JID of a session that is being bound: number of the last item that it was told of

	stop  context.CancelFunc
	swept sync.WaitGroup
}

func newModule(c Config) *module {
	m := &module{}
	m.cfg.Store(&c)
	return m
}

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	svc, err := modules.Find[roster.Service](h)
	if err != nil {
		return err
	}
	if m.ids, err = archive.NewIDs(h.Secret("archive IDs")); err != nil {
		return err
	}
	m.h, m.roster, m.ar = h, svc, h.Store.Archive("messages")
	m.prefs = newPrefsStore(h.Store.KV("prefs"))
	m.reader = &archive.Reader{
		Kind: archive.Accounts, Host: h, Archive: m.ar, IDs: m.ids,
		PageMax: func() int { return m.cfg.Load().PageMax },
	}

	h.IQ(modules.Account, ns, m.iq)
	for _, at := range []modules.At{modules.Account, modules.Server} { // COMPAT: some clients ask the server what it can do
		h.Disco(at, archive.Accounts.Features()...)
	}
	h.InlineBind(modules.InlineBind{Bound: m.onBound})

	h.Hooks.ToBare.On(modules.Check, m.own)
	h.Hooks.Outgoing.On(modules.Amend, m.stripSender)
	h.Hooks.Outgoing.On(modules.Keep, m.outgoing)
	h.Hooks.ToBare.On(modules.Amend, m.stripRecipient)
	h.Hooks.ToBare.On(modules.Keep, m.incoming)
	h.Hooks.ToFull.On(modules.Amend, m.stripRecipient)
	h.Hooks.ToFull.On(modules.Keep, m.incoming)
	h.Hooks.Unclaimed.On(modules.Watch, m.unclaimed)
	h.Hooks.SessionOpened.On(modules.Keep, m.opened)
	h.Hooks.UserCreated.On(modules.Keep, m.created)
	h.Hooks.UserDeleted.On(modules.Keep, m.deleted)

	modules.Provide[Service](h, m)
	modules.Provide[modules.Portable](h, m)
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.swept.Go(func() { m.sweep(ctx) })
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.stop()
	m.swept.Wait()
	return nil
}

// Reload takes changed options.
func (m *module) Reload(_ context.Context, c Config) error {
	m.cfg.Store(&c)
	return nil
}

// sweepEvery is how often messages older than the retention are looked for; sweepFirst, how long after the start.
const (
	sweepEvery = time.Hour
	sweepFirst = time.Minute
)

// sweep removes what is older than the retention.
func (m *module) sweep(ctx context.Context) {
	t := time.NewTimer(sweepFirst)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		m.graves.forget(time.Now().Add(-sweepEvery))
		m.reader.Expire(ctx, time.Duration(m.cfg.Load().Retention))
		t.Reset(sweepEvery)
	}
}
