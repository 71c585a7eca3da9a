// Package fast lets clients come back with a token instead of a password (XEP-0484).
//
// # Implementation notes
//
//   - Tokens are not stored. A token is an HMAC, under a key of the server's keyring, over account, client, mechanism and a
//     random number; the database has the number. A copy of it alone lets nobody in.
//   - A client has two slots, as XEP-0484 §4.1 has it: what was given to it last, and what it has used. Looking at both, the
//     promotion of one and the count are one transaction, so that of two logins with the same count one fails.
//   - A token is good as long as the password that it was made under: each slot has that password's date, so that a token
//     made while the password changes is worth nothing either.
//   - A token made in a session that used a credential (a certificate) is void when that is.
//   - Between a login and the session that follows it, the token may have been taken back, with all sessions that there were. So
//     it is asked again when the session can be found.
package fast

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

const ns = "urn:xmpp:fast:0"

// Config is [modules.mod_sasl2_fast].
type Config struct {
	TTL    config.Duration `toml:"sasl2_fast_token_ttl" doc:"how long a token is valid"`
	MinTTL config.Duration `toml:"sasl2_fast_token_min_ttl" doc:"a token older than this is replaced at the next login"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.TTL <= 0 {
		errs.Add("sasl2_fast_token_ttl", "must be more than 0")
	} else if c.MinTTL >= c.TTL {
		errs.Add("sasl2_fast_token_min_ttl", "must be shorter than sasl2_fast_token_ttl, which is %q, is %q", c.TTL, c.MinTTL)
	}
}

// Info describes mod_sasl2_fast.
var Info = modules.Define(modules.Info{
	Name:    "mod_sasl2_fast",
	Summary: "lets clients come back with a token instead of a password",
	Default: true,
	XEPs:    []modules.XEP{{Number: 484, Version: "0.2.0", Note: "TLS 1.3 early data: Go has none over TCP"}},
}, Config{
	TTL: config.Duration(21 * 24 * time.Hour), MinTTL: config.Duration(24 * time.Hour),
}, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg   Config
	h     *modules.Host
	mint  minter
	mechs []*ht
	sweep modules.Sweeper
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	m.mint.key = secret.NewKey(h.Secret("tokens"))
	for _, kind := range []string{"tls-exporter", "tls-server-end-point", ""} {
		t := &ht{m: m, kind: kind}
		m.mechs = append(m.mechs, t)
		h.SASL(auth.Mechanism{Name: t.name(), Unlisted: true, Offer: t.offer, Server: t.server})
	}
	h.Inline(modules.Inline{Name: "fast", Feature: m.feature, Success: m.success})
	h.Hooks.SessionOpened.On(modules.Check, m.guard)
	h.Hooks.SessionResumed.On(modules.Check, m.guard)
	h.Hooks.PasswordChanged.On(modules.Keep, m.passwordChanged)
	h.Hooks.UserDisabled.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide[modules.Credentials](h, provider{m})
	m.sweep.Start(sweepEvery, m.sweepExpired)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

// feature announces the mechanisms (XEP-0484 §3.1).
func (m *module) feature(dst []byte, c *auth.Conn) []byte {
	dst = append(dst, "<fast xmlns='"+ns+"'>"...)
	for _, t := range m.mechs {
		if t.offer(c) {
			dst = append(append(append(dst, "<mechanism>"...), t.name()...), "</mechanism>"...)
		}
	}
	return append(dst, "</fast>"...)
}

// success gives a token to a client that asks for one (XEP-0484 §3.3), and to one whose token is old (XEP-0484 §3.5).
func (m *module) success(ctx context.Context, l *modules.Login) []byte {
	used, _ := l.Identity.Details.(*Login)
	mech := ""
	if e := l.Request.Child(ns, "request-token"); e != nil {
		mech = e.Attr("mechanism")
	} else if used != nil && used.old && !used.invalidated {
		mech = used.mech
	}
	if mech == "" || l.Agent.Client == "" || !m.offers(mech, l.Conn) || !mayHave(l.Identity) {
		return nil
	}
	token, expires, err := m.give(ctx, l, mech, time.Now())
	if err != nil {
		m.h.Log.Error("no token given", "account", l.Identity.JID.String(), "err", err)
		return nil
	}
	if token == "" {
		return nil
	}
	m.h.Log.Info("token given", append(about(l.Identity.JID, l, l.Identity.Mechanism), "token", mech,
		"expires", expires.UTC().Format(time.RFC3339))...)
	var x stanza.XML
	return x.Empty("token", "xmlns", ns, "token", token, "expiry", expires.UTC().Format("2006-01-02T15:04:05Z")).Bytes() // XEP-0082
}

// about is what lines of the log say of a login.
func about(j stanza.JID, l *modules.Login, mechanism string) []any {
	return append([]any{"account", j.String(), "client", l.Agent.Client}, modules.AuditLogin(l.Conn, mechanism)...)
}

// offers tells whether a token for a mechanism can be had on a connection: one of those announced there.
func (m *module) offers(mech string, c *auth.Conn) bool {
	for _, t := range m.mechs {
		if t.name() == mech {
			return t.offer(c)
		}
	}
	return false
}

// gone is what sessions hear that end because a token did.
var gone = &stream.Error{Condition: "not-authorized", Text: "Token revoked"}

// guard ends a session whose login has become worth nothing while the client was on its way from one to the other.
func (m *module) guard(ctx context.Context, s modules.Session) {
	l, ok := s.Info().Details.(*Login)
	if !ok {
		return
	}
	good, err := m.stands(ctx, s.JID().Bare(), l)
	if err != nil {
		m.h.Log.Error("token not looked up", "id", s.ID(), "err", err)
	}
	if !good {
		s.Close(gone)
	}
}

// stands tells whether a login is still worth something: what its token hangs on is good, and the client's tokens have not been
// taken back since, or it gave them up by that very login.
func (m *module) stands(ctx context.Context, j stanza.JID, l *Login) (bool, error) {
	if good, err := m.alive(ctx, j, l.parents, time.Now()); !good || err != nil || l.invalidated {
		return good, err
	}
	var c *client
	err := m.h.Store.View(ctx, func(tx storage.Tx) (err error) {
		c, err = read(tx, j.Local(), l.client)
		return err
	})
	return c != nil && c.Line == l.line, err
}

// forget makes all tokens of an account void.
func (m *module) forget(ctx context.Context, j stanza.JID) {
	n, err := m.drop(ctx, j.Local(), func(*client) bool { return true })
	m.told(j, n, err)
}

// passwordChanged makes all tokens of an account void, but those of the client that changed the password: who has it in
// hand need not type it again.
func (m *module) passwordChanged(ctx context.Context, j stanza.JID) {
	spared := ""
	if s := modules.ActorOf(ctx); s != nil && s.JID().Bare() == j.Bare() {
		spared = s.Info().Agent.Client
	}
	n, err := m.drop(ctx, j.Local(), func(c *client) bool { return spared == "" || c.id != spared })
	if err == nil && spared != "" {
		err = m.keep(ctx, j.Local(), spared)
	}
	m.told(j, n, err)
}

func (m *module) told(j stanza.JID, n int, err error) {
	switch {
	case err != nil: // they are void all the same, see Login
		m.h.Log.Error("tokens not removed", "account", j.String(), "err", err)
	case n > 0:
		m.h.Log.Info("tokens removed", "account", j.String(), "clients", n)
	}
}
