package modules

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"

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

// String names it in messages.
func (a At) String() string { return [...]string{"server", "account", "before login"}[a] }

// IQHandler answers a get or set. It returns the payload of the result (nil: an empty result), or Done when it has
// answered by itself, or an error as a Chain's handler does.
type IQHandler func(ctx context.Context, q *IQ) (payload []byte, err error)

// PacketHandler takes all stanzas to a module's subdomain.
type PacketHandler func(ctx context.Context, p *Packet)

// Identity is a disco identity (XEP-0030 §3).
type Identity struct{ Category, Type, Name string }

// Host is what one module instance sees of the server, and the place where it registers. It is valid for the life of
// the instance; registering ends with Start, and what is registered later is ignored with an error in the log.
type Host struct {
	Name   string
	Log    *slog.Logger
	Hooks  *Hooks // On only: handlers are called through the Table
	Router Router
	Store  storage.Bucket // the module's own
	Users  auth.Users
	// Config is the whole file as it was when the instance started. Options that more than one module obeys, such as
	// limits, change without a restart of the instance: File has them as they are now.
	Config *config.Config

	reg    *registration
	loader *hostLoader
	secret func(label string) []byte
}

// File returns the configuration in force now. Handlers ask it for limits each time they need one.
func (h *Host) File() *config.Config { return h.loader.file.Load() }

// Connected tells whether an account of this host has a session, be it a hibernated one.
func (h *Host) Connected(local string) bool {
	j, err := stanza.NewJID(local, h.Name, "")
	return err == nil && len(h.Router.Sessions(j)) > 0
}

// Stream announces a stream feature.
func (h *Host) Stream(f stream.Feature) {
	record(h.reg, "stream feature "+f.Name, func(string) { h.reg.features = append(h.reg.features, f) })
}

// SASL offers a login mechanism. Two of the same name are a start error naming both modules.
func (h *Host) SASL(m auth.Mechanism) {
	record(h.reg, "mechanism "+m.Name, func(string) { h.reg.mechanisms = append(h.reg.mechanisms, m) })
}

// IQ answers requests whose payload has the namespace. Two claimants are a start error naming both.
func (h *Host) IQ(at At, ns string, fn IQHandler) {
	record(h.reg, "IQ "+ns, func(string) { h.reg.iqs = append(h.reg.iqs, iqReg{at, ns, fn}) })
}

// Serve takes over a subdomain of the host. name, if given, is what people call the service (XEP-0030 §4.1). Two claimants are
// a start error naming both, and so is a domain that is no subdomain or not as Subdomain makes it. A module whose section tells
// the domain beforehand (Services) has it looked at by `xmppd check` as well.
func (h *Host) Serve(domain string, fn PacketHandler, name ...string) {
	record(h.reg, "domain "+domain, func(string) {
		h.reg.domains = append(h.reg.domains, domainReg{domain, Service{strings.Join(name, " "), fn}})
	})
}

// Disco announces features (XEP-0030).
func (h *Host) Disco(at At, features ...string) {
	record(h.reg, "disco features", func(string) {
		for _, f := range features {
			h.reg.disco = append(h.reg.disco, discoReg{at, f})
		}
	})
}

// Identity announces a disco identity.
func (h *Host) Identity(at At, id Identity) {
	record(h.reg, "disco identity", func(string) { h.reg.identities = append(h.reg.identities, identityReg{at, id}) })
}

// Form adds an extension form to the server's disco#info (XEP-0128), as XML of a jabber:x:data result form.
func (h *Host) Form(at At, xml func() []byte) {
	record(h.reg, "disco form", func(string) { h.reg.forms = append(h.reg.forms, formReg{at, xml}) })
}

// Table returns the table now in force for the host, for modules that describe the others, such as disco. It is nil
// until the host's first table is in force: during Start, and for goroutines that Start began.
func (h *Host) Table() *Table { return h.loader.current() }

// Provide offers a service to modules listed later, and at request time to all.
func Provide[T any](h *Host, svc T) {
	record(h.reg, fmt.Sprintf("service %T", svc), func(string) {
		// What is offered as several types is found by any of them, and once.
		if !reflect.TypeOf(svc).Comparable() || !slices.Contains(h.reg.services, any(svc)) {
			h.reg.services = append(h.reg.services, svc)
		}
	})
}

// Find returns the service of that type: during Start of a module listed earlier, later of any module of the host. A
// module that finds a service at Start is started anew when the module that offers it is, so it may keep the result;
// who asks at request time must ask each time.
func Find[T any](h *Host) (T, error) {
	v := h.find(func(svc any) bool { _, ok := svc.(T); return ok })
	if v == nil {
		var zero T
		return zero, fmt.Errorf("no module that offers %v is loaded before this one", reflect.TypeFor[T]())
	}
	return v.(T), nil
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
	case UserDisabled:
		t.Hooks.UserDisabled.Run(ctx, j)
	}
}
