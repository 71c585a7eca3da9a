// Package clientcerts lets users log in with certificates that they gave to their server (XEP-0257), or, where the admin
// wants that, with those of an authority that he trusts (XEP-0178).
//
// # Implementation notes
//
//   - A certificate is known by the SHA-256 of its DER and belongs to one account. Trust in an uploaded one is trust in that
//     very certificate: chain, authority, extended key usage and revocation lists of others play no part, its dates do.
//   - What a login was allowed to is asked again when its session can be found (guard): a certificate that is taken back
//     while a client is on its way gets nobody in.
//   - Writes of an account's certificates are single transactions; the rules on names and numbers hold within them.
//   - A certificate is good as long as the password in whose time it was uploaded: it has that password's date. A new password
//     removes it, and where that failed, or this module was off, it is void all the same.
//   - A disabled certificate stays in the store as long as a session uses it, so that it can still be revoked; and where
//     there are authorities, until it expires, so that one that they signed does not come in by the other door.
package clientcerts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:saslcert:1"

// Kind is that of certificates among the credentials of an account.
const Kind = modules.KindCertificate

// Config is [modules.mod_client_certs].
type Config struct {
	RequireTrustedCA        bool            `toml:"require_trusted_ca" doc:"a certificate must be signed by an authority of client_ca_file"`
	ClientCAFile            string          `toml:"client_ca_file" doc:"PEM file of these authorities"`
	RequireXMPPAddr         bool            `toml:"require_xmpp_addr" doc:"a certificate must name the account"`
	RemoveExpiredAfter      config.Duration `toml:"remove_expired_after" doc:"when an expired certificate is deleted; 0: never"`
	MaxPerUser              int             `toml:"max_per_user" doc:"certificates of one account"`
	AllowListWhenRestricted bool            `toml:"allow_list_when_restricted" doc:"a session that may not manage certificates may list them (XEP-0257)"`
	ExternalWithoutUpload   bool            `toml:"external_without_upload" doc:"a certificate of client_ca_file that was never uploaded may log in (XEP-0178)"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.RequireTrustedCA && c.ClientCAFile == "" {
		errs.Add("require_trusted_ca", "needs client_ca_file")
	}
	if c.ExternalWithoutUpload && c.ClientCAFile == "" {
		errs.Add("external_without_upload", "needs client_ca_file")
	}
	if c.MaxPerUser < 1 {
		errs.Add("max_per_user", "must be at least 1, is %d", c.MaxPerUser)
	}
}

var defaults = Config{
	RequireXMPPAddr: true, RemoveExpiredAfter: config.Duration(30 * 24 * time.Hour), MaxPerUser: 16, AllowListWhenRestricted: true,
}

// checkAuthorities looks at the files of authorities, so that what is wrong with one is told with its line, before a start.
func checkAuthorities(cfg *config.Config, errs *config.Errors) {
	for _, host := range cfg.General.Hosts {
		n, off := cfg.Module(host, "mod_client_certs")
		own := &config.Errors{}
		c := config.Decode(n, defaults, own)
		if off || len(own.List) > 0 || c.ClientCAFile == "" {
			continue
		}
		if _, err := openAuthorities(cfg.Resolve(c.ClientCAFile), nil); err != nil {
			errs.AddIn(n, "client_ca_file", "%v", err)
		}
	}
}

// Info describes mod_client_certs.
var Info = modules.Define(modules.Info{
	Name:    "mod_client_certs",
	Summary: "login with certificates that users uploaded (XEP-0257) or that an authority signed (XEP-0178)",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 178, Version: "1.2", Note: "between clients and servers; a failure does not close the stream"},
		{Number: 257, Version: "0.3"},
	},
	CheckFile: checkAuthorities,
}, defaults, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg   Config
	h     *modules.Host
	ca    *authorities // nil without client_ca_file
	sweep modules.Sweeper
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) (err error) {
	m.h = h
	if m.cfg.ClientCAFile != "" {
		if m.ca, err = openAuthorities(h.Config.Resolve(m.cfg.ClientCAFile), h.Log); err != nil {
			return fmt.Errorf("client_ca_file: %w", err)
		}
	}
	h.SASL(auth.Mechanism{Name: "EXTERNAL", Weight: 400, Offer: m.offer, Server: m.external})
	h.IQ(modules.Account, ns, m.manage)
	h.Disco(modules.Server, ns) // XEP-0257 §4
	h.Hooks.SessionOpened.On(modules.Check, m.guard)
	h.Hooks.SessionResumed.On(modules.Check, m.guard)
	h.Hooks.SessionClosed.On(modules.Watch, m.used)
	h.Hooks.PasswordChanged.On(modules.Keep, m.dropAll(changedPassword))
	h.Hooks.UserDisabled.On(modules.Keep, m.dropAll("account disabled"))
	h.Hooks.UserDeleted.On(modules.Keep, m.dropAll("account deleted"))
	svc := &Service{m}
	modules.Provide[*Service](h, svc)
	modules.Provide[modules.Credentials](h, provider{m})
	m.sweep.Start(sweepEvery, m.sweepExpired)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

// changedPassword is why most certificates are removed.
const changedPassword = "password changed"

// dropAll takes back all certificates of an account that ends or whose owner wants nobody in who was in before.
func (m *module) dropAll(why string) func(context.Context, stanza.JID) {
	return func(ctx context.Context, j stanza.JID) {
		list, err := m.takeAll(ctx, j)
		if err != nil {
			m.h.Log.Error("certificates not removed", "account", j.Bare().String(), "why", why, "err", err)
			return
		}
		for _, c := range list {
			m.audit("certificate removed", j, c, "why", why)
		}
	}
}

// audit writes the one line of an event of a certificate.
func (m *module) audit(what string, account stanza.JID, c *certificate, args ...any) {
	m.h.Log.Info(what, append([]any{"account", account.Bare().String(), "name", c.Name, "fingerprint", c.id(),
		"expires", c.Expires.UTC().Format(time.RFC3339)}, args...)...)
}

// Service is what the admin does with certificates. It is found by modules.Find and modules.ServiceOf.
type Service struct{ m *module }

// Certificate is a certificate of an account as people see it.
type Certificate struct {
	Name        string
	Fingerprint string // SHA-256 of the DER, in hex
	Added       time.Time
	LastUsed    time.Time // zero: never
	NotBefore   time.Time
	NotAfter    time.Time
	Restricted  bool     // who logs in with it may not manage certificates
	Disabled    bool     // it lets nobody in any more, but a session still uses it
	Resources   []string // of the sessions that logged in with it
}

// ErrNoCertificate says that an account has no certificate of that name.
var ErrNoCertificate = errors.New("mod_client_certs: no certificate of that name")

// List returns the certificates of an account, oldest first.
func (s *Service) List(ctx context.Context, account stanza.JID) ([]Certificate, error) {
	list, err := s.m.visible(ctx, account)
	if err != nil {
		return nil, err
	}
	out := []Certificate{}
	for _, c := range list {
		x := Certificate{Name: c.Name, Fingerprint: c.id(), Added: c.Added, LastUsed: c.Used, NotAfter: c.Expires,
			Restricted: c.Restricted, Disabled: c.Disabled, Resources: s.m.resources(account, c)}
		if leaf, err := c.leaf(); err == nil {
			x.NotBefore = leaf.NotBefore
		}
		out = append(out, x)
	}
	return out, nil
}

// Revoke takes back the certificate of a name, ends the sessions that logged in with it and makes void what they got. by
// says who did it, for the log.
func (s *Service) Revoke(ctx context.Context, account stanza.JID, name, by string) error {
	return s.m.revoke(ctx, account, name, "by", by)
}
