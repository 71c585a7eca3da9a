package modules

import (
	"context"

	"github.com/xmppd/xmppd/config"
)

// Module is one instance of a module, serving one virtual host.
//
// Start's context is that of the load: it is for what Start itself does, not for goroutines that outlive it. When Stop is
// called the instance is in no table any more, but handlers may still run for stanzas that took the old table.
type Module interface {
	Start(ctx context.Context, h *Host) error // registers all that the module offers
	Stop(ctx context.Context) error           // what Start registered is withdrawn by the loader
}

// Reloader is a module that takes a changed configuration without a restart. What it registered stays as it is. Where the
// load fails later on, or Reload itself does, Reload is called again with the configuration that it had.
type Reloader[C any] interface {
	Reload(ctx context.Context, cfg C) error
}

// Ender is a module that has something to tell before the server ends, or before it is stopped by a reload. At the end of the server
// all sessions and streams still stand then. Nothing is to be given up yet: it is still called upon.
type Ender interface {
	End(ctx context.Context)
}

// XEP names a specification that a module implements; doc/xeps.md is made of them.
type XEP struct {
	Number  int
	Version string
	Note    string // what is not there, or ""
}

// Info describes a module. Name, Summary, Default, XEPs, RFCs and CheckFile are the author's, the rest is filled by Define.
type Info struct {
	Name    string // mod_roster
	Summary string // one line
	Default bool   // on without a section in the file
	XEPs    []XEP
	RFCs    []string // "RFC 6121 §2"
	// CheckFile, if set, looks at what the sections of all hosts say together. Those with mistakes of their own are not its
	// matter.
	CheckFile func(cfg *config.Config, errs *config.Errors)

	Section config.Section
	// Make decodes the section (nil: the defaults) and makes an instance; cfg is the decoded section, of type C.
	Make func(n *config.Node, errs *config.Errors) (m Module, cfg any)
	// Reload hands the section to a running instance; ok is false when the module has no Reload.
	Reload func(ctx context.Context, m Module, n *config.Node) (ok bool, err error)

	// Services lists the subdomains of a host that the section (nil: the defaults) has the module serve; nil: none.
	Services func(n *config.Node, host string) []string

	canReload func(m Module) bool
}

// Define completes an Info with the module's typed configuration: C has toml and doc tags; if *C has a method
// Check(*config.Errors), it runs after decoding; if it has Services(host string) []string, that tells which subdomains of a
// host an instance will serve (Host.Serve), so that certificates, DNS and names taken twice are looked at before it runs.
func Define[C any](in Info, defaults C, new func(C) Module) Info {
	in.Section = config.Section{Name: in.Name, Defaults: defaults, Across: in.CheckFile, Check: func(n *config.Node, errs *config.Errors) {
		config.Decode(n, defaults, errs)
	}}
	in.Make = func(n *config.Node, errs *config.Errors) (Module, any) {
		c := config.Decode(n, defaults, errs)
		return new(c), c
	}
	if _, ok := any(&defaults).(services); ok {
		in.Services = func(n *config.Node, host string) []string {
			errs := &config.Errors{}
			c := config.Decode(n, defaults, errs)
			if len(errs.List) > 0 {
				return nil // those are told by who checks the section
			}
			return any(&c).(services).Services(host)
		}
	}
	in.canReload = func(m Module) bool { _, ok := m.(Reloader[C]); return ok }
	in.Reload = func(ctx context.Context, m Module, n *config.Node) (bool, error) {
		r, ok := m.(Reloader[C])
		if !ok {
			return false, nil
		}
		errs := &config.Errors{}
		c := config.Decode(n, defaults, errs)
		if len(errs.List) > 0 {
			return true, errs
		}
		return true, r.Reload(ctx, c)
	}
	return in
}
