// Package invites is mod_invites: links that make contacts of people, and accounts for those who have none yet (XEP-0379,
// XEP-0401, XEP-0445).
//
// # Implementation notes
//
//   - What is stored of a token is its hash: who reads the database can use none.
//   - A token of 128 bits and more cannot be guessed. A connection may show a few all the same, so that nobody makes the store
//     work for nothing.
//   - A token is used up in one transaction before what it is for is done, and given back where that fails.
package invites

import (
	"context"
	"sync"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	nsPars   = "urn:xmpp:pars:0"
	nsInvite = "urn:xmpp:invite"
)

// Config is [modules.mod_invites].
type Config struct {
	UsersInviteContacts bool            `toml:"users_invite_contacts" doc:"users make links that give who follows them a mutual subscription"`
	UsersInviteAccounts bool            `toml:"users_invite_accounts" doc:"who follows such a link may also make an account here"`
	ValidFor            config.Duration `toml:"valid_for" doc:"how long an invitation is good"`
	MaxOfUser           int             `toml:"max_of_user" doc:"invitations of one user that are good at a time"`
	MaxOpen             int             `toml:"max_open" doc:"the same for all of a host"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.ValidFor < config.Duration(time.Minute) {
		errs.Add("valid_for", "must be at least a minute") // XEP-0379 §6.2: it has to end
	}
	for _, f := range []struct {
		key string
		n   int
	}{{"max_of_user", c.MaxOfUser}, {"max_open", c.MaxOpen}} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
	if c.UsersInviteAccounts && !c.UsersInviteContacts {
		errs.Add("users_invite_accounts", "needs users_invite_contacts: it is the same link")
	}
}

// Info describes mod_invites.
var Info = modules.Define(modules.Info{
	Name:    "mod_invites",
	Summary: "invitations: to be a contact, to make an account",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 379, Version: "0.3.3"},
		{Number: 401, Version: "0.6.0", Note: "no landing page: landing-url is left out"},
		{Number: 445, Version: "0.2.0"},
	},
}, defaults, func(c Config) modules.Module { return &module{cfg: c} })

var defaults = Config{UsersInviteContacts: true, ValidFor: config.Duration(7 * 24 * time.Hour), MaxOfUser: 20, MaxOpen: 10_000}

type module struct {
	cfg    Config
	h      *modules.Host
	roster roster.Introduction
	known  roster.Service
	making sync.Mutex
	sweep  modules.Sweeper
}

// sweepEvery is how often invitations whose time is over are looked for. They are void without that.
const sweepEvery = time.Hour

// Service is what the CLI asks for.
type Service interface {
	// InviteAccount makes an invitation to make an account, of that name where one is given. A time of zero is that of the
	// configuration.
	InviteAccount(ctx context.Context, username string, valid time.Duration) (Link, error)
}

// Link is an invitation as it is handed out.
type Link struct {
	URI     string
	Expires time.Time
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	var err error
	if m.roster, err = modules.Find[roster.Introduction](h); err != nil {
		return err
	}
	if m.known, err = modules.Find[roster.Service](h); err != nil {
		return err
	}
	m.h = h
	m.sweep.Start(sweepEvery, func(ctx context.Context) {
		if err := m.room(ctx, time.Now(), ""); err != nil && err != errFull && ctx.Err() == nil {
			m.h.Log.Error("expired invitations not removed", "err", err)
		}
	})
	h.IQ(modules.Preauth, nsPars, m.shown)
	h.Hooks.ToBare.On(modules.Amend, m.subscribe)
	h.Hooks.ToFull.On(modules.Amend, m.subscribe)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	h.Command(m.inviteAccount())
	if m.cfg.UsersInviteContacts {
		h.Command(m.inviteContact())
	}
	modules.Provide[register.Invitations](h, m)
	modules.Provide[Service](h, m)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

// subscribe looks for subscription requests that show a token. It sees every stanza: what is done with a token stands
// apart, because it would need more of a reader's stack than most stanzas do.
func (m *module) subscribe(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindPresence || st.Type != stanza.TypeSubscribe || p.To.Local() == "" {
		return nil
	}
	if i := st.Find(nsPars, "preauth"); i >= 0 {
		return m.preauthorized(ctx, p, i)
	}
	return nil
}

// preauthorized takes a subscription request with a token, which is Children[i]. If it is one of the user that the request is
// for, the subscription is granted, and returned (XEP-0379 §3.5). With any other it is a request like others (§4.1).
func (m *module) preauthorized(ctx context.Context, p *modules.Packet, i int) error {
	st := p.Stanza
	owner, contact := p.To.Bare(), p.From.Bare()
	if owner == contact || m.known.Subscribed(ctx, owner, contact) {
		return nil
	}
	key := hash(st.Element(i).Attr("token"))
	inv, err := m.use(ctx, key, func(r *record) bool { return r.Inviter == owner.Local() && r.good(time.Now()) })
	if err != nil || inv == nil {
		if err != nil {
			m.h.Log.Error("invitation not looked at", "account", owner.String(), "err", err)
		}
		return nil
	}
	if err := m.roster.Accept(ctx, owner, contact); err != nil {
		m.h.Log.Info("invitation not carried out", "account", owner.String(), "contact", contact.String(), "err", err)
		m.giveBack(ctx, key, inv)
		return nil
	}
	m.h.Log.Info("contact invited", "account", owner.String(), "contact", contact.String())
	return modules.Done
}
