package clientcerts

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// provider makes certificates part of what lets clients into an account.
type provider struct{ m *module }

// Interface guard.
var _ modules.Credentials = provider{}

// Kind implements modules.Credentials.
func (provider) Kind() string { return Kind }

// List implements modules.Credentials.
func (p provider) List(ctx context.Context, account stanza.JID) ([]modules.Credential, error) {
	list, err := p.m.visible(ctx, account)
	if err != nil {
		return nil, err
	}
	var out []modules.Credential
	for _, c := range list {
		out = append(out, modules.Credential{Kind: Kind, ID: c.id(), Name: c.Name, Created: c.Added, LastUsed: c.Used,
			Expires: c.Expires, Disabled: c.Disabled, Restricted: c.Restricted})
	}
	return out, nil
}

// Revoke implements modules.Credentials.
func (p provider) Revoke(ctx context.Context, account stanza.JID, id string) error {
	fp, ok := parseID(id)
	if !ok {
		return modules.ErrNoCredential
	}
	taken, err := p.m.take(ctx, account, func(c *certificate) bool { return c.print == fp })
	if errors.Is(err, ErrNoCertificate) {
		return modules.ErrNoCredential
	}
	for _, c := range taken {
		p.m.audit("certificate revoked", account, c)
	}
	return err
}

// RevokeBy implements modules.Credentials: whoever uploads a certificate hands it to another device, and it stays until it
// is taken back itself.
func (provider) RevokeBy(context.Context, stanza.JID, string) error { return nil }

func parseID(id string) (fp fingerprint, ok bool) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != len(fp) {
		return fp, false
	}
	return fingerprint(b), true
}
