package modules

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

// At says where an IQ handler answers.
type At uint8

// Server: requests to the host's domain. Account: requests to a local account's bare JID, answered on its behalf.
// Preauth: requests of a client that has not logged in (XEP-0077). Disco also uses Server and Account.
const (
	Server At = iota
	Account
	Preauth
)

// IQHandler answers a get or set. It returns the payload of the result (nil: an empty result), or Done when it has
// answered by itself, or an error as a Chain's handler does.
type IQHandler func(ctx context.Context, q *IQ) (payload []byte, err error)

// PacketHandler takes all stanzas to a module's subdomain.
type PacketHandler func(ctx context.Context, p *Packet)

// Identity is a disco identity (XEP-0030 §3).
type Identity struct{ Category, Type, Name string }

// Host is what one module instance sees of the server, and the place where it registers. It is valid for the life of
// the instance; registering ends with Start.
type Host struct {
	Name   string
	Log    *slog.Logger
	Hooks  *Hooks // On only: handlers are called through the Table
	Router Router
	Store  storage.Bucket // the module's own
	Users  auth.Users
	Config *config.Config // the whole file, for options that more than one module obeys, such as limits

	reg    *registration
	loader *hostLoader
}

// Stream announces a stream feature.
func (h *Host) Stream(f stream.Feature) { h.reg.features = append(h.reg.features, f) }

// SASL offers a login mechanism.
func (h *Host) SASL(m auth.Mechanism) { h.reg.mechanisms = append(h.reg.mechanisms, m) }

// IQ answers requests whose payload has the namespace. Two claimants are a start error naming both.
func (h *Host) IQ(at At, ns string, fn IQHandler) {
	h.reg.iqs = append(h.reg.iqs, iqReg{at, ns, fn})
}

// Serve takes over a subdomain.
func (h *Host) Serve(domain string, fn PacketHandler) {
	h.reg.domains = append(h.reg.domains, domainReg{domain, fn})
}

// Disco announces features (XEP-0030).
func (h *Host) Disco(at At, features ...string) {
	for _, f := range features {
		h.reg.disco = append(h.reg.disco, discoReg{at, f})
	}
}

// Identity announces a disco identity.
func (h *Host) Identity(at At, id Identity) {
	h.reg.identities = append(h.reg.identities, identityReg{at, id})
}

// Form adds an extension form to the server's disco#info (XEP-0128), as XML of a jabber:x:data result form.
func (h *Host) Form(at At, xml func() []byte) { h.reg.forms = append(h.reg.forms, formReg{at, xml}) }

// Table returns the table now in force for the host, for modules that describe the others, such as disco. Nil during Start.
func (h *Host) Table() *Table { return h.loader.current() }

// Provide offers a service to modules listed later.
func Provide[T any](h *Host, svc T) { h.reg.services = append(h.reg.services, svc) }

// Find returns the service of that type of a module listed earlier.
func Find[T any](h *Host) (T, error) {
	for _, r := range h.loader.regs() {
		for _, s := range r.services {
			if v, ok := s.(T); ok {
				return v, nil
			}
		}
	}
	var zero T
	return zero, fmt.Errorf("no module that offers %T is loaded before this one", &zero)
}

type iqReg struct {
	at At
	ns string
	fn IQHandler
}
type domainReg struct {
	domain string
	fn     PacketHandler
}
type discoReg struct {
	at      At
	feature string
}
type identityReg struct {
	at At
	id Identity
}
type formReg struct {
	at  At
	xml func() []byte
}

// registration is what one instance registered.
type registration struct {
	module     string
	hooks      Hooks
	features   []stream.Feature
	mechanisms []auth.Mechanism
	iqs        []iqReg
	domains    []domainReg
	disco      []discoReg
	identities []identityReg
	forms      []formReg
	services   []any
}

// UserEvent is a change of an account, for those who change it (auth, the CLI).
type UserEvent uint8

// The events.
const (
	UserCreated UserEvent = iota
	UserDeleted
	UserPasswordChanged
	UserDisabled
)

// Notify tells the modules of a host of a change of an account.
func (t *Table) Notify(ctx context.Context, ev UserEvent, j stanza.JID) {
	switch ev {
	case UserCreated:
		t.Hooks.UserCreated.Run(ctx, j)
	case UserDeleted:
		t.Hooks.UserDeleted.Run(ctx, j)
	case UserPasswordChanged:
		t.Hooks.PasswordChanged.Run(ctx, j)
	}
}
