// Package register lets people manage their accounts from their clients: make one (off by default), change its password,
// remove it (XEP-0077).
//
// # Implementation notes
//
//   - A result is sent when the change is on disk, not before.
//   - Passwords stand in no log and in no error; a request is never echoed.
//   - mod_accounts ends the other sessions of an account whose password changed; the one that asked is spared by
//     modules.WithActor.
package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const (
	ns        = "jabber:iq:register"
	nsFeature = "http://jabber.org/features/iq-register"
)

// Config is [modules.mod_register].
type Config struct {
	AllowRegistration    bool            `toml:"allow_registration" doc:"anybody may make an account from a client"`
	AllowPasswordChange  bool            `toml:"allow_password_change" doc:"users may change their password from a client"`
	AllowRemoval         bool            `toml:"allow_removal" doc:"users may remove their account from a client"`
	RequireEncryption    bool            `toml:"require_encryption" doc:"no registration and no password change without TLS"`
	RegistrationsPerHour int             `toml:"registrations_per_hour" doc:"attempts to register of one address (an IPv6 /64) an hour; limits.profile = \"off\" lifts it"`
	Instructions         string          `toml:"instructions" doc:"what a client shows above the form"`
	KeepNames            config.Duration `toml:"keep_names" doc:"how long the name of a deleted account cannot be registered by a client; \"user add\" can always use it"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.RegistrationsPerHour < 1 {
		errs.Add("registrations_per_hour", "must be 1 or more, is %d; allow_registration = false allows none", c.RegistrationsPerHour)
	}
	if c.KeepNames < 0 {
		errs.Add("keep_names", "must not be negative")
	}
}

// Info describes mod_register.
var Info = modules.Define(modules.Info{
	Name:    "mod_register",
	Summary: "lets users change their password or remove their account, and, where allowed, make one",
	Default: true,
	XEPs:    []modules.XEP{{Number: 77, Version: "2.4", Note: "data forms and redirection: only username and password are asked for"}},
}, Config{
	AllowPasswordChange:  true,
	AllowRemoval:         true,
	RequireEncryption:    true,
	RegistrationsPerHour: 3,
	Instructions:         "Choose a username and a password.",
	KeepNames:            config.Duration(30 * 24 * time.Hour),
}, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg   Config
	h     *modules.Host
	rate  *rate
	sweep modules.Sweeper
	// invitations lets invited people make an account where strangers may not; nil: the module is off
	invitations Invitations
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	h.Hooks.UserDeleted.On(modules.Keep, m.keepName)
	modules.Provide[Names](h, m)
	m.sweep.Start(sweepEvery, m.sweepNames)
	m.rate = newRate(m.cfg.RegistrationsPerHour)
	m.invitations, _ = modules.Find[Invitations](h)
	if m.cfg.AllowRegistration {
		m.announce(nsFeature) // XEP-0077 §8
	}
	if m.invitations != nil {
		m.announce(nsInvited) // XEP-0445 §2
	}
	if m.cfg.AllowRegistration || m.invitations != nil {
		h.IQ(modules.Preauth, ns, m.beforeLogin)
	}
	// A logged-in client asks the server, or without an address its own account (XEP-0077 §3.2, §3.3).
	h.Disco(modules.Server, ns)
	h.IQ(modules.Server, ns, m.loggedIn)
	h.IQ(modules.Account, ns, m.loggedIn)
	return nil
}

// announce tells clients that have not logged in that they can register.
func (m *module) announce(ns string) {
	f := stream.Feature{Name: "register", Exclude: stream.Authenticated, Append: func(dst []byte, _ *stream.Conn) []byte {
		return append(dst, "<register xmlns='"+ns+"'/>"...)
	}}
	if m.cfg.RequireEncryption {
		f.Need = stream.Secure
	}
	m.h.Stream(f)
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

// beforeLogin serves a client that has no account yet (XEP-0077 §3.1).
func (m *module) beforeLogin(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Conn == nil || m.cfg.RequireEncryption && q.Conn.TLS == nil {
		return nil, stanza.Err(stanza.NotAllowed, "registration needs TLS")
	}
	if q.Payload == nil || q.Payload.Name != "query" {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	inv := m.invited(q.Conn)
	if inv == nil && !m.cfg.AllowRegistration {
		return nil, stanza.Err(stanza.NotAllowed, "an account can be made by invitation only")
	}
	if !q.Set() {
		var x stanza.XML
		x.Start("query", "xmlns", ns).Leaf("instructions", m.cfg.Instructions)
		name := ""
		if inv != nil {
			name = inv.Username()
		}
		return x.Leaf("username", name).Empty("password").Bytes(), nil
	}
	if q.Payload.Child("", "remove") != nil {
		return nil, stanza.Err(stanza.UnexpectedRequest, "") // XEP-0077 §3.2: who is it?
	}
	return nil, m.create(ctx, q, inv)
}

// create makes an account, for a stranger or for who shows an invitation.
func (m *module) create(ctx context.Context, q *modules.IQ, inv Invitation) error {
	if inv == nil && m.h.File().Limits.Profile != "off" && !m.rate.allow(q.Conn.Remote, time.Now()) {
		// XEP-0077 §3.1.1. Attempts count, not successes: the answer conflict tells which names exist.
		return &stanza.Error{Type: stanza.Wait, Condition: stanza.NotAcceptable, Text: "too many registrations from this address"}
	}
	username, password := q.Payload.ChildText("username"), q.Payload.ChildText("password")
	j, err := stanza.NewJID(username, m.h.Name, "")
	if username == "" || password == "" || err != nil || j.Local() == "" {
		return stanza.Err(stanza.NotAcceptable, "a username that fits an address and a password are needed") // XEP-0077 §3.1
	}
	taken, err := m.taken(ctx, j.Local(), inv)
	if err != nil {
		return m.failed(err)
	}
	if taken {
		return stanza.Err(stanza.Conflict, "this name is taken")
	}
	if inv == nil {
		if err := m.h.Users.Create(ctx, j.Local(), password); err != nil {
			return m.failed(err)
		}
	} else if err := m.redeem(ctx, inv, j, password); err != nil {
		return err
	}
	m.h.Log.Info("account registered", "account", j.String(), "remote", fmt.Sprint(q.Conn.Remote), "invited", inv != nil)
	return nil
}

// loggedIn serves an account's own session (XEP-0077 §3.2, §3.3).
func (m *module) loggedIn(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Origin == nil || q.From.Domain() != m.h.Name || q.To.Local() != "" && !q.Own() {
		return nil, stanza.Err(stanza.ServiceUnavailable, "") // to strangers there is nothing here
	}
	if q.Payload == nil || q.Payload.Name != "query" {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	switch {
	case !q.Set():
		var x stanza.XML
		x.Start("query", "xmlns", ns).Empty("registered")
		return x.Leaf("username", q.From.Local()).Empty("password").Bytes(), nil
	case q.Payload.Child("", "remove") != nil:
		return nil, m.remove(ctx, q)
	}
	return nil, m.changePassword(ctx, q)
}

// changePassword sets a new password (XEP-0077 §3.3).
func (m *module) changePassword(ctx context.Context, q *modules.IQ) error {
	info := q.Origin.Info()
	switch {
	case !m.cfg.AllowPasswordChange:
		return stanza.Err(stanza.NotAllowed, "passwords cannot be changed from a client")
	case m.cfg.RequireEncryption && info.TLS == nil:
		return stanza.Err(stanza.NotAuthorized, "changing a password needs TLS")
	case byCertificate(info):
		// XEP-0257 §5.2: who has the device's certificate, or a token got with it, does not thereby have the account.
		return stanza.Err(stanza.NotAuthorized, "log in with the password to change it")
	}
	username, password := q.Payload.ChildText("username"), q.Payload.ChildText("password")
	if username == "" || password == "" {
		return stanza.Err(stanza.BadRequest, "username and the new password are needed")
	}
	j, err := stanza.NewJID(username, m.h.Name, "")
	if err != nil {
		return stanza.Err(stanza.BadRequest, "this is no username")
	}
	if j.Local() != q.From.Local() {
		return stanza.Err(stanza.Forbidden, "this is not your account")
	}
	if err := m.h.Users.SetPassword(modules.WithActor(ctx, q.Origin), j.Local(), password); err != nil {
		return m.failed(err)
	}
	m.h.Log.Info("password changed", "account", j.String(), "id", q.Origin.ID())
	return nil
}

// byCertificate tells whether a login goes back to a certificate.
func byCertificate(in modules.SessionInfo) bool {
	return in.Mechanism == "EXTERNAL" || slices.ContainsFunc(modules.CredentialsOf(in.Details), func(ref string) bool {
		return strings.HasPrefix(ref, modules.CredentialRef(modules.KindCertificate, ""))
	})
}

// remove deletes the account of the session that asks, answers, and then ends that session too (XEP-0077 §3.2).
func (m *module) remove(ctx context.Context, q *modules.IQ) error {
	switch {
	case !m.cfg.AllowRemoval:
		return stanza.Err(stanza.NotAllowed, "accounts cannot be removed from a client")
	case byCertificate(q.Origin.Info()):
		// For the reason of XEP-0257 §5.2: a lost device must not take the account with it.
		return stanza.Err(stanza.Forbidden, "log in with the password to remove the account")
	}
	if len(q.Payload.Children) != 1 {
		return stanza.Err(stanza.BadRequest, "")
	}
	if err := m.h.Users.Delete(modules.WithActor(ctx, q.Origin), q.From.Local()); err != nil {
		return m.failed(err)
	}
	m.h.Log.Info("account removed", "account", q.From.Bare().String(), "id", q.Origin.ID())
	// The router would not find the account any more: the answer goes straight to the session.
	res := q.Stanza.Result(nil)
	res.SetFrom(q.To)
	res.SetTo(q.From)
	if err := q.Origin.Send(ctx, res); err != nil {
		m.h.Log.Debug("removal not confirmed", "id", q.Origin.ID(), "err", err)
	}
	q.Origin.Close(&stream.Error{Condition: "not-authorized", Text: "Account removed"})
	return modules.Done
}

// failed makes the answer to a failure of the accounts. What they refuse is told in our words: theirs may quote a password.
func (m *module) failed(err error) error {
	switch {
	case errors.Is(err, auth.ErrExists):
		return stanza.Err(stanza.Conflict, "this name is taken")
	case errors.Is(err, auth.ErrPolicy):
		return stanza.Err(stanza.NotAcceptable, "this username or password is not allowed")
	case errors.Is(err, auth.ErrNoUser):
		return stanza.Err(stanza.RegistrationRequired, "")
	}
	e, log := modules.Answer(err)
	if log {
		m.h.Log.Error("account not changed", "err", err)
	}
	return e
}
