// Package contacts tells how to reach those who run the server (XEP-0157).
package contacts

import (
	"context"
	"net/url"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Config is [modules.mod_contacts]: for each role a list of URIs.
type Config struct {
	Abuse    []string `toml:"abuse" doc:"URIs for reports of abuse, such as \"mailto:abuse@example.com\" or \"xmpp:abuse@example.com\""`
	Admin    []string `toml:"admin" doc:"URIs of those who run the server"`
	Feedback []string `toml:"feedback" doc:"URIs for feedback of users"`
	Sales    []string `toml:"sales" doc:"URIs for commercial questions"`
	Security []string `toml:"security" doc:"URIs for reports of security problems"`
	Status   []string `toml:"status" doc:"URIs where the state of the service is told"`
	Support  []string `toml:"support" doc:"URIs for help"`
}

// fields returns the form's fields that have a value, in the order of XEP-0157 §4.
func (c *Config) fields() []field {
	all := []field{
		{"abuse", c.Abuse}, {"admin", c.Admin}, {"feedback", c.Feedback}, {"sales", c.Sales},
		{"security", c.Security}, {"status", c.Status}, {"support", c.Support},
	}
	var out []field
	for _, f := range all {
		if len(f.uris) > 0 {
			out = append(out, f)
		}
	}
	return out
}

type field struct {
	key  string
	uris []string
}

// Check implements the check of the configuration (XEP-0157 §3: the values are URIs).
func (c *Config) Check(errs *config.Errors) {
	for _, f := range c.fields() {
		for _, s := range f.uris {
			if u, err := url.Parse(s); err != nil || u.Scheme == "" {
				errs.Add(f.key, "%q is no URI: write it as \"mailto:%s\", \"xmpp:%s\" or \"https://…\"", s, s, s)
			}
		}
	}
}

// Info describes mod_contacts.
var Info = modules.Define(modules.Info{
	Name:    "mod_contacts",
	Summary: "tells how to reach those who run the server",
	Default: true,
	XEPs:    []modules.XEP{{Number: 157, Version: "1.1.1"}},
}, Config{}, func(c Config) modules.Module { return &module{c} })

type module struct{ cfg Config }

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	fields := m.cfg.fields()
	if len(fields) == 0 {
		return nil
	}
	var x stanza.XML
	x.Start("x", "xmlns", "jabber:x:data", "type", "result")
	x.Start("field", "var", "FORM_TYPE", "type", "hidden").Leaf("value", "http://jabber.org/network/serverinfo").End()
	for _, f := range fields {
		x.Start("field", "var", f.key+"-addresses", "type", "list-multi")
		for _, u := range f.uris {
			x.Leaf("value", u)
		}
		x.End()
	}
	form := x.Bytes()
	h.Form(modules.Server, func() []byte { return form })
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }
