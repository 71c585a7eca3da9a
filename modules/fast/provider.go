package fast

import (
	"context"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Kind is that of tokens among the credentials of an account. There is one for each client, whatever tokens it has.
const Kind = "fast"

// provider makes tokens part of what lets clients into an account.
type provider struct{ m *module }

// Interface guard.
var _ modules.Credentials = provider{}

// Kind implements modules.Credentials.
func (provider) Kind() string { return Kind }

// List implements modules.Credentials. What is damaged lets nobody in and is left out, so that the others can be looked after.
func (p provider) List(ctx context.Context, account stanza.JID) (out []modules.Credential, err error) {
	err = p.m.h.Store.View(ctx, func(tx storage.Tx) error {
		list, err := all(tx, account.Local())
		out = nil
		for _, c := range list {
			out = append(out, c.credential())
		}
		return err
	})
	if errors.Is(err, storage.ErrCorrupt) {
		p.m.h.Log.Error("tokens cannot be read", "account", account.Bare().String(), "err", err)
		err = nil
	}
	return out, err
}

// credential is what people may see of a client's tokens.
func (c *client) credential() modules.Credential {
	v := modules.Credential{Kind: Kind, ID: c.id, Client: c.id, Software: c.Software, Device: c.Device}
	for _, s := range c.slots() {
		if v.Created.IsZero() || s.Issued.Before(v.Created) {
			v.Created = s.Issued
		}
		if s.Expires.After(v.Expires) {
			v.Expires = s.Expires
		}
		if s.Used.After(v.LastUsed) {
			v.LastUsed = s.Used
		}
		if len(s.Parents) > 0 {
			v.Parent = s.Parents[0]
		}
	}
	return v
}

// Revoke implements modules.Credentials.
func (p provider) Revoke(ctx context.Context, account stanza.JID, id string) error {
	n, err := p.m.drop(ctx, account.Local(), func(c *client) bool { return c.id == id })
	p.m.told(account.Bare(), n, err)
	if err == nil && n == 0 {
		return modules.ErrNoCredential
	}
	return err
}

// RevokeBy implements modules.Credentials.
func (p provider) RevokeBy(ctx context.Context, account stanza.JID, parent string) error {
	return p.m.change(ctx, account.Local(), func(c *client) bool {
		before := len(c.slots())
		c.filter(func(s *slot) bool { return !slices.Contains(s.Parents, parent) })
		return len(c.slots()) != before
	})
}
