// Package devices shows the owner of an account what can get into it, and takes that away again (XEP-0494): one view over
// sessions, tokens and certificates, for clients and for the CLI.
//
// # Implementation notes
//
//   - Nothing is stored here. A device is what belongs together among what others know: credentials and sessions that name the
//     same installation of a client, and what was got by way of one another.
//   - Taking a device's access away takes all of it, so a group holds all that has to go for the device to stay out.
package devices

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:cam:0"

// Config is [modules.mod_devices]: there is nothing to configure.
type Config struct{}

// Info describes mod_devices.
var Info = modules.Define(modules.Info{
	Name:    "mod_devices",
	Summary: "shows users what has access to their account, and takes it away",
	Default: true,
	XEPs: []modules.XEP{{Number: 494, Version: "0.1.0",
		Note: "what can be ended is ended even where the answer is password-reset-required"}},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{ h *modules.Host }

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	h.IQ(modules.Account, ns, m.handle)
	h.Disco(modules.Account, ns)
	h.Disco(modules.Server, ns)
	modules.Provide[*Service](h, &Service{m})
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// handle answers requests to an account (XEP-0494 §3).
func (m *module) handle(ctx context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case q.Origin == nil:
		return nil, stanza.Err(stanza.ServiceUnavailable, "") // to strangers there is nothing here
	case !q.Own():
		return nil, stanza.Err(stanza.Forbidden, "these are not your devices")
	case q.Payload == nil:
		return nil, stanza.Err(stanza.BadRequest, "")
	case q.Payload.Name == "list" && !q.Set():
		return m.list(ctx, q)
	case q.Payload.Name == "revoke" && q.Set():
		return nil, m.revoke(ctx, q)
	}
	return nil, stanza.Err(stanza.BadRequest, "it is list to get, revoke to set")
}

// list tells what has access (XEP-0494 §3.1).
func (m *module) list(ctx context.Context, q *modules.IQ) ([]byte, error) {
	list, err := m.devices(ctx, q.To)
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("clients", "xmlns", ns)
	for _, d := range list {
		d.append(&x)
	}
	return x.Bytes(), nil
}

// append writes <client/>.
func (d *Device) append(x *stanza.XML) {
	typ := "access"
	if d.Connected() || !d.LastSeen.IsZero() {
		typ = "session"
	}
	connected := "false"
	if d.Connected() {
		connected = "true"
	}
	x.Start("client", "connected", connected, "id", d.ID, "type", typ)
	stamp := func(name string, at time.Time) {
		if !at.IsZero() {
			x.Leaf(name, at.UTC().Format(time.RFC3339)) // XEP-0082
		}
	}
	stamp("first-seen", d.FirstSeen)
	stamp("last-seen", d.LastSeen)
	x.Start("auth")
	for _, how := range d.Auth {
		switch how {
		case byPassword, byFAST, byGrant:
			x.Empty(how)
		}
	}
	for _, name := range d.Certificates {
		x.Leaf("name", name, "xmlns", "urn:xmpp:saslcert:1") // as it stands in the lists of XEP-0257
	}
	x.End()
	x.Empty("permission", "status", d.permission())
	x.Start("user-agent")
	if d.Software != "" {
		x.Leaf("software", d.Software)
	}
	if d.Name != "" {
		x.Leaf("device", d.Name)
	}
	x.End().End()
}

// permission is what XEP-0494 §3.1 calls the level of access: who has only a certificate cannot change the password.
func (d *Device) permission() string {
	if slices.Contains(d.Auth, byCertificate) && !slices.Contains(d.Auth, byPassword) {
		return "normal"
	}
	return "unrestricted"
}

// revoke takes a device's access away (XEP-0494 §3.2).
func (m *module) revoke(ctx context.Context, q *modules.IQ) error {
	id := q.Payload.Attr("id")
	if id == "" {
		return stanza.Err(stanza.BadRequest, "which client?")
	}
	restricted, err := m.restricted(ctx, q.Origin)
	if err != nil {
		return err
	}
	if restricted {
		return stanza.Err(stanza.Forbidden, "the certificate of this session may not manage access")
	}
	d, err := m.end(ctx, q.To, id, modules.Audit(q.Origin)...)
	switch {
	case errors.Is(err, ErrNoDevice):
		return stanza.Err(stanza.ItemNotFound, "there is no such client")
	case err != nil:
		return err
	case slices.Contains(d.Auth, byPassword):
		// What it had is gone, but it knows the password.
		return &stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable,
			Text: "it is logged out, but it knows the password: change that",
			App:  []byte("<password-reset-required xmlns='" + ns + "'/>")}
	}
	return nil
}

// restricted tells whether a session logged in with a credential that may not manage others (XEP-0257 §2.1).
func (m *module) restricted(ctx context.Context, s modules.Session) (bool, error) {
	for _, ref := range modules.CredentialsOf(s.Info().Details) {
		c, err := modules.FindCredential(ctx, m.h, s.JID().Bare(), ref)
		if err != nil && !errors.Is(err, modules.ErrNoCredential) {
			return false, err
		}
		if c.Restricted {
			return true, nil
		}
	}
	return false, nil
}
