package clientcerts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// manage answers requests to an account (XEP-0257 §2).
func (m *module) manage(ctx context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case q.Origin == nil:
		return nil, stanza.Err(stanza.ServiceUnavailable, "") // to strangers there is nothing here
	case !q.Own():
		return nil, stanza.Err(stanza.Forbidden, "these are not your certificates")
	case q.Origin.Info().TLS == nil: // XEP-0257 §5.1
		return nil, &stanza.Error{Type: stanza.Cancel, Condition: stanza.PolicyViolation, Text: "certificates are managed under TLS only"}
	case q.Payload == nil:
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	restricted, err := m.restricted(ctx, q.Origin)
	if err != nil {
		return nil, err
	}
	if restricted && (q.Set() || !m.cfg.AllowListWhenRestricted) { // XEP-0257 §2.1
		return nil, stanza.Err(stanza.Forbidden, "the certificate of this session may not manage certificates")
	}
	switch what := q.Payload.Name; {
	case what == "items" && !q.Set():
		return m.items(ctx, q)
	case what == "append" && q.Set():
		return nil, m.append(ctx, q)
	case what == "disable" && q.Set():
		return nil, m.withName(q, func(name string) error { return m.disable(ctx, q, name) })
	case what == "revoke" && q.Set():
		return nil, m.withName(q, func(name string) error {
			return m.revoke(ctx, q.To, name, modules.Audit(q.Origin)...)
		})
	}
	return nil, stanza.Err(stanza.BadRequest, "it is append, disable or revoke to set, items to get")
}

// items lists the certificates that let somebody in, with the resources that logged in with each (XEP-0257 §2.2).
func (m *module) items(ctx context.Context, q *modules.IQ) ([]byte, error) {
	list, err := m.view(ctx, q.To.Local())
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("items", "xmlns", ns)
	for _, c := range list {
		if c.Disabled {
			continue
		}
		x.Start("item").Leaf("name", c.Name).Leaf("x509cert", base64.StdEncoding.EncodeToString(c.DER))
		if users := m.resources(q.To, c); len(users) > 0 {
			x.Start("users")
			for _, r := range users {
				x.Leaf("resource", r)
			}
			x.End()
		}
		x.End()
	}
	return x.Bytes(), nil
}

// append takes a new certificate (XEP-0257 §2.1).
func (m *module) append(ctx context.Context, q *modules.IQ) error {
	name, text := strings.TrimSpace(q.Payload.ChildText("name")), q.Payload.ChildText("x509cert")
	if !validName(name) || strings.TrimSpace(text) == "" {
		return stanza.Err(stanza.BadRequest, "a name of at most 256 bytes and a certificate are needed")
	}
	c, err := m.vet(q.To, text, time.Now())
	if err != nil {
		return stanza.Err(stanza.NotAcceptable, "this certificate is not taken: "+err.Error())
	}
	c.Name, c.Restricted = name, q.Payload.Child("", "no-cert-management") != nil
	if err := m.add(ctx, q.To, c); err != nil {
		return err
	}
	m.audit("certificate added", q.To, c, append(modules.Audit(q.Origin), "restricted", c.Restricted)...)
	return nil
}

// vet makes a certificate of what a user sent, if it may log into his account. Its errors are for the user.
func (m *module) vet(account stanza.JID, text string, now time.Time) (*certificate, error) {
	der, err := decode(text)
	if err != nil {
		return nil, err
	}
	leaf, err := parse(der)
	if err != nil {
		return nil, err
	}
	names, err := addresses(leaf)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0 && m.cfg.RequireXMPPAddr:
		return nil, errors.New("it names no account (id-on-xmppAddr in its subjectAltName)")
	case len(names) > 0 && !of(names, account):
		return nil, errors.New("it does not name this account")
	case now.Before(leaf.NotBefore):
		return nil, errors.New("it is not valid yet")
	case now.After(leaf.NotAfter):
		return nil, errors.New("it has expired")
	}
	if err := strong(leaf); err != nil {
		return nil, err
	}
	if m.cfg.RequireTrustedCA {
		if err := m.ca.verify(leaf, nil, now); err != nil {
			return nil, errors.New("no authority that this server trusts vouches for it")
		}
	}
	return &certificate{DER: der, Added: now.UTC(), Expires: leaf.NotAfter.UTC(), print: sha256.Sum256(der)}, nil
}

// add stores a certificate, unless its name or itself is there already or there are too many.
func (m *module) add(ctx context.Context, account stanza.JID, c *certificate) error {
	before, err := m.h.Users.Get(ctx, account.Local())
	if err != nil {
		return err
	}
	c.Password = before.PasswordChanged
	inUse := m.inUse(account)
	err = m.change(ctx, account.Local(), func(l *certs) error {
		usable, kept := 0, 0
		for _, o := range l.list {
			switch {
			case o.print == c.print && o.Disabled: // it comes back
			case o.print == c.print:
				return stanza.Err(stanza.Conflict, "this certificate is there already, under the name "+o.Name)
			case !o.Disabled && o.Name == c.Name: // XEP-0257 §2.1
				return stanza.Err(stanza.Conflict, "there is a certificate of this name")
			case !o.Disabled:
				usable++
			case m.ca == nil && !inUse[o.print]:
				if err := l.remove(o); err != nil {
					return err
				}
			default:
				kept++
			}
		}
		if usable >= m.cfg.MaxPerUser || kept >= maxKept {
			return stanza.Err(stanza.ResourceConstraint, "there are too many certificates")
		}
		return l.put(c)
	})
	if err != nil {
		return err
	}
	// A change of the account that removes its certificates may have passed between the look at the session and the write:
	// what it did not find goes now.
	after, err := m.h.Users.Get(ctx, account.Local())
	if err == nil && !after.Disabled && after.Created.Equal(before.Created) && after.PasswordChanged.Equal(before.PasswordChanged) {
		return nil
	}
	if err := m.update(ctx, account.Local(), func(l *certs) error { return l.remove(c) }); err != nil {
		return err
	}
	return stanza.Err(stanza.NotAuthorized, "the account has changed")
}

// maxKept bounds the disabled certificates that an account can make the server remember.
const maxKept = 64

// withName runs fn with the name that a request carries.
func (m *module) withName(q *modules.IQ, fn func(name string) error) error {
	name := strings.TrimSpace(q.Payload.ChildText("name"))
	if !validName(name) {
		return stanza.Err(stanza.BadRequest, "which certificate? its name is missing")
	}
	err := fn(name)
	if errors.Is(err, ErrNoCertificate) {
		return stanza.Err(stanza.ItemNotFound, "there is no certificate of this name")
	}
	return err
}

// disable lets nobody in any more with a certificate; who is in stays (XEP-0257 §2.3). What lets such a client come back
// without the certificate is void.
func (m *module) disable(ctx context.Context, q *modules.IQ, name string) error {
	inUse := m.inUse(q.To)
	var c *certificate
	err := m.change(ctx, q.To.Local(), func(l *certs) error {
		c = l.find(func(c *certificate) bool { return c.Name == name && !c.Disabled })
		if c == nil {
			return ErrNoCertificate
		}
		return l.drop(c, inUse[c.print] || m.ca != nil)
	})
	if err != nil {
		return err
	}
	m.audit("certificate disabled", q.To, c, modules.Audit(q.Origin)...)
	for _, s := range m.sessions(q.To, c) {
		if s.Hibernated() {
			s.Close(errDisabled)
		}
	}
	return modules.RevokeDerived(ctx, m.h, q.To, c.ref())
}

// revoke is disable for all certificates of a name, and ends the sessions too (XEP-0257 §2.4).
func (m *module) revoke(ctx context.Context, account stanza.JID, name string, who ...any) error {
	return m.revokeWhere(ctx, account, func(c *certificate) bool { return c.Name == name }, who...)
}

func (m *module) revokeWhere(ctx context.Context, account stanza.JID, fits func(*certificate) bool, who ...any) error {
	taken, err := m.take(ctx, account, fits)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range taken {
		// The derived first: a session that ends could come back with them.
		errs = append(errs, modules.RevokeDerived(ctx, m.h, account, c.ref()))
		n := modules.EndSessionsOf(m.h.Router, account, c.ref(), errRevoked)
		m.audit("certificate revoked", account, c, append(slices.Clip(who), "sessions", n)...)
	}
	return errors.Join(errs...)
}

// take makes certificates useless, and returns them; those that are disabled already and whom nobody uses do not count.
func (m *module) take(ctx context.Context, account stanza.JID, fits func(*certificate) bool) (taken []*certificate, err error) {
	inUse := m.inUse(account)
	err = m.change(ctx, account.Local(), func(l *certs) error {
		taken = nil
		for _, c := range l.list {
			if !fits(c) || c.Disabled && !inUse[c.print] {
				continue
			}
			taken = append(taken, c)
			if err := l.drop(c, m.ca != nil); err != nil {
				return err
			}
		}
		if len(taken) == 0 {
			return ErrNoCertificate
		}
		return nil
	})
	return taken, err
}

var (
	errRevoked  = &stream.Error{Condition: "not-authorized", Text: "certificate revoked"}
	errDisabled = &stream.Error{Condition: "not-authorized", Text: "certificate disabled"}
)
