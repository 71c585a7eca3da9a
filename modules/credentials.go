package modules

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// ErrNoCredential says that an account has no such credential.
var ErrNoCredential = errors.New("modules: no such credential")

// Credential is something other than the password that lets a client into an account and can be taken back by itself: a
// token, a certificate. It says what people may see of it and holds no secret.
type Credential struct {
	Kind string // that of the provider: KindCertificate, "fast", "token"
	ID   string // names it within account and kind
	Name string // the user's own name for it, or ""

	Created, LastUsed, Expires time.Time // zero: not known, never

	Client   string // the user agent's id (XEP-0388 §2.1) or a hash of it, equal for all that one installation holds; or ""
	Software string // what the client says that it is
	Device   string // what it says that it runs on
	Parent   string // Ref of the credential that the client had logged in with when it got this one; "": the password

	Disabled   bool // it is still known but lets nobody in
	Restricted bool // who logs in with it may not manage credentials (XEP-0257 §2.1)
}

// Ref names the credential within its account, over all kinds.
func (c Credential) Ref() string { return CredentialRef(c.Kind, c.ID) }

// KindCertificate is the kind of certificates. Who logged in with one, or with what he got in such a session, knows no
// password.
const KindCertificate = "certificate"

// Valid tells whether the credential lets anybody in at a time.
func (c Credential) Valid(now time.Time) bool {
	return !c.Disabled && (c.Expires.IsZero() || now.Before(c.Expires))
}

// CredentialRef makes the name that stands in Credential.Parent and in what CredentialsOf returns.
func CredentialRef(kind, id string) string { return kind + ":" + id }

// Credentials is the service of a module that keeps credentials. More than one module of a host provides it: see FindAll.
// Each ends its credentials by itself when an account is deleted or disabled or gets a new password (Hooks.UserDeleted,
// UserDisabled, PasswordChanged), sparing the newest of the session that ActorOf names where that makes sense.
type Credentials interface {
	// Kind is the same for all of the provider's credentials.
	Kind() string
	// List returns an account's credentials, those that have expired and are still stored included.
	List(ctx context.Context, account stanza.JID) ([]Credential, error)
	// Revoke makes a credential void: on disk when it returns. ErrNoCredential: there is none of that id. It does not look
	// after sessions and what was derived from it; that is RevokeCredential's.
	Revoke(ctx context.Context, account stanza.JID, id string) error
	// RevokeBy makes all credentials void that a client got while it was logged in with the credential of that Ref.
	RevokeBy(ctx context.Context, account stanza.JID, parent string) error
}

// CredentialUser is what auth.Identity.Details implement where a login used credentials. The first Ref is that of the
// credential itself, further ones are those of its Parent: revoking any of them ends the session.
type CredentialUser interface {
	Credentials() []string
}

// CredentialsOf returns the Refs of the credentials behind a login, of its auth.Identity.Details or SessionInfo.Details:
// none for a login with a password.
func CredentialsOf(details any) []string {
	if u, ok := details.(CredentialUser); ok {
		return u.Credentials()
	}
	return nil
}

// FindAll returns all services of a type that modules of the host provide, in their order. It is for request time: what
// is loaded may change, so who asks must ask each time. During Start it sees the modules listed earlier only.
func FindAll[T any](h *Host) []T {
	var all []T
	h.find(func(svc any) bool {
		if s, ok := svc.(T); ok {
			all = append(all, s)
		}
		return false
	})
	return all
}

// ListCredentials returns all credentials of an account, of all kinds.
func ListCredentials(ctx context.Context, h *Host, account stanza.JID) ([]Credential, error) {
	var all []Credential
	for _, p := range FindAll[Credentials](h) {
		list, err := p.List(ctx, account)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// FindCredential returns the credential of a Ref, or ErrNoCredential. Who accepts a credential that has a Parent asks whether
// that is Valid too: it may have been revoked while the client was on its way to its token.
func FindCredential(ctx context.Context, h *Host, account stanza.JID, ref string) (Credential, error) {
	kind, id, _ := strings.Cut(ref, ":")
	for _, p := range FindAll[Credentials](h) {
		if p.Kind() != kind {
			continue
		}
		list, err := p.List(ctx, account)
		if err != nil {
			return Credential{}, err
		}
		for _, c := range list {
			if c.ID == id {
				return c, nil
			}
		}
	}
	return Credential{}, ErrNoCredential
}

// RevokeCredential makes a credential void with all that was derived from it, and then ends the sessions that logged in
// with any of these.
func RevokeCredential(ctx context.Context, h *Host, account stanza.JID, ref string, why *stream.Error) error {
	kind, id, _ := strings.Cut(ref, ":")
	err := ErrNoCredential
	for _, p := range FindAll[Credentials](h) {
		if p.Kind() == kind {
			err = p.Revoke(ctx, account, id)
		}
	}
	if err != nil {
		return err
	}
	// Both: what was derived is void even where one provider fails, and nobody stays because another did.
	err = RevokeDerived(ctx, h, account, ref)
	EndSessionsOf(h.Router, account, ref, why)
	return err
}

// RevokeDerived makes void what clients got while they were logged in with a credential.
func RevokeDerived(ctx context.Context, h *Host, account stanza.JID, ref string) error {
	var errs []error
	for _, p := range FindAll[Credentials](h) {
		errs = append(errs, p.RevokeBy(ctx, account, ref))
	}
	return errors.Join(errs...)
}

// SessionsOf returns an account's sessions, hibernated ones included, that logged in with a credential or with one derived
// from it.
func SessionsOf(r Router, account stanza.JID, ref string) []Session {
	var out []Session
	for _, s := range r.Sessions(account.Bare()) {
		if slices.Contains(CredentialsOf(s.Info().Details), ref) {
			out = append(out, s)
		}
	}
	return out
}

// EndSessionsOf closes the sessions of SessionsOf and returns how many there were.
func EndSessionsOf(r Router, account stanza.JID, ref string, why *stream.Error) int {
	list := SessionsOf(r, account, ref)
	for _, s := range list {
		s.Close(why)
	}
	return len(list)
}
