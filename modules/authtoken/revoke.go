package authtoken

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Service is for those who administer tokens.
type Service interface {
	// RevokeTokens makes all tokens of an account void, and what clients got that logged in with one. With sessions it also
	// ends the sessions of these, those that wait to be resumed too, and returns how many there were. by says in the log who
	// wanted it.
	RevokeTokens(ctx context.Context, account stanza.JID, sessions bool, by string) (closed int, err error)
}

// RevokeTokens implements Service.
func (m *module) RevokeTokens(ctx context.Context, account stanza.JID, sessions bool, by string) (closed int, err error) {
	acc, err := m.h.Users.Get(ctx, account.Local())
	if err != nil {
		return 0, err
	}
	was, err := m.void(ctx, account, func(r *record) bool {
		r.settle(acc.PasswordChanged, m.clock.date(), m.cfg.Validity.Access.seconds())
		return true
	}, true)
	if err != nil {
		return 0, err
	}
	err = modules.RevokeDerived(ctx, m.h, account, was)
	if sessions {
		closed = m.end(account)
	}
	m.h.Log.Info("tokens revoked", "account", account.Bare().String(), "by", by, "sessions", closed)
	return closed, err
}

// end closes the sessions of an account that a token of any generation let in.
func (m *module) end(account stanza.JID) (closed int) {
	for _, s := range m.h.Router.Sessions(account.Bare()) {
		refs := modules.CredentialsOf(s.Info().Details)
		if slices.ContainsFunc(refs, func(ref string) bool { return strings.HasPrefix(ref, Kind+":") }) {
			s.Close(gone)
			closed++
		}
	}
	return closed
}

// errKeep says that a record stays as it is.
var errKeep = errors.New("keep")

// void begins a new generation of an account's tokens where fn says so, on disk when it returns, and returns the Ref of the one
// that was. It is errKeep where there is nothing to do, or no record and none is to be made.
func (m *module) void(ctx context.Context, account stanza.JID, fn func(*record) bool, make bool) (was string, err error) {
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		r, err := load(tx, account.Local())
		if err != nil {
			return err
		}
		if r == nil {
			if !make {
				return errKeep
			}
			r = begin()
		}
		was = r.ref()
		if !fn(r) {
			return errKeep
		}
		r.void(m.clock.date(), m.cfg.Validity.Access.seconds())
		return r.save(tx, account.Local())
	})
	return was, err
}

// changed is told of an account whose tokens end.
func (m *module) changed(why string) func(context.Context, stanza.JID) {
	return func(ctx context.Context, account stanza.JID) {
		acc, err := m.h.Users.Get(ctx, account.Local())
		if err != nil && !errors.Is(err, auth.ErrNoUser) {
			m.h.Log.Warn("account not looked up", "account", account.String(), "err", err)
		}
		_, err = m.void(ctx, account, func(r *record) bool {
			r.Password = acc.PasswordChanged // zero for an account that is gone
			return true
		}, false)
		switch {
		case errors.Is(err, errKeep):
		case err != nil:
			m.h.Log.Error("tokens not revoked", "account", account.String(), "why", why, "err", err)
		default:
			args := []any{"account", account.String(), "why", why}
			if s := modules.ActorOf(ctx); s != nil {
				args = append(args, modules.Audit(s)...)
			}
			m.h.Log.Info("tokens revoked", args...)
		}
	}
}

// catchUp voids the tokens of an account whose password changed while this module was off.
func (m *module) catchUp(ctx context.Context, account stanza.JID, acc auth.Account) error {
	stale := func(r *record) bool {
		return r != nil && !r.Password.IsZero() && !r.Password.Equal(acc.PasswordChanged)
	}
	missed := false
	err := m.h.Store.View(ctx, func(tx storage.Tx) error {
		r, err := load(tx, account.Local())
		missed = stale(r)
		return err
	})
	if err != nil || !missed {
		return err
	}
	_, err = m.void(ctx, account, func(r *record) bool {
		missed = stale(r)
		r.Password = acc.PasswordChanged
		return missed
	}, false)
	if errors.Is(err, errKeep) {
		return nil
	}
	return err
}

// guard asks again, as soon as others can find a session, whether its token is still good: between login and here all tokens
// may have been revoked, and their sessions closed.
func (m *module) guard(ctx context.Context, s modules.Session) {
	l, ok := s.Info().Details.(*Login)
	if !ok {
		return
	}
	var r *record
	err := m.h.Store.View(ctx, func(tx storage.Tx) (err error) {
		r, err = load(tx, s.JID().Local())
		return err
	})
	switch {
	case err != nil:
		m.h.Log.Error("token not looked up", "id", s.ID(), "err", err)
		s.Close(gone)
	case r == nil && l.Token == access: // used while nothing could be written
	case r == nil || r.Generation != l.generation:
		s.Close(gone)
	}
}

// provider makes an account's tokens one of the credentials that can be taken back.
type provider struct{ m *module }

// Interface guards.
var (
	_ modules.Credentials    = provider{}
	_ modules.CredentialUser = (*Login)(nil)
	_ Service                = (*module)(nil)
)

// Kind implements modules.Credentials.
func (provider) Kind() string { return Kind }

// List implements modules.Credentials: the generation is one credential, where anything was given out or used in it. It does
// not expire with its tokens: others may be signed for it, and what was got with them has a lifetime of its own.
func (p provider) List(ctx context.Context, account stanza.JID) ([]modules.Credential, error) {
	acc, err := p.m.h.Users.Get(ctx, account.Local())
	if errors.Is(err, auth.ErrNoUser) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []modules.Credential
	err = p.m.h.Store.View(ctx, func(tx storage.Tx) error {
		r, err := load(tx, account.Local())
		if err != nil || r == nil || r.Since.IsZero() || !r.Password.Equal(acc.PasswordChanged) {
			return err
		}
		c := modules.Credential{Kind: Kind, ID: r.id(), Created: r.Since, LastUsed: r.Used}
		if len(r.Parents) == 1 {
			c.Parent = r.Parents[0]
		}
		out = append(out, c)
		return nil
	})
	return out, err
}

// Revoke implements modules.Credentials.
func (p provider) Revoke(ctx context.Context, account stanza.JID, id string) error {
	_, err := p.m.void(ctx, account, func(r *record) bool { return r.id() == id && !r.Since.IsZero() }, false)
	if errors.Is(err, errKeep) {
		return modules.ErrNoCredential
	}
	if err == nil {
		p.m.h.Log.Info("tokens revoked", "account", account.Bare().String(), "why", "its credential was revoked")
	}
	return err
}

// RevokeBy implements modules.Credentials. Tokens do not tell which of several parents they have: all of the account go.
func (p provider) RevokeBy(ctx context.Context, account stanza.JID, parent string) error {
	was, err := p.m.void(ctx, account, func(r *record) bool { return slices.Contains(r.Parents, parent) }, false)
	if errors.Is(err, errKeep) {
		return nil
	}
	if err != nil {
		return err
	}
	p.m.h.Log.Info("tokens revoked", "account", account.Bare().String(), "why", "the credential was revoked that got them")
	return modules.RevokeDerived(ctx, p.m.h, account, was)
}
