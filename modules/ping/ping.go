// Package ping answers XEP-0199 pings to the server, and to an account by its own clients.
package ping

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:ping"

// Config is [modules.mod_ping]: there is nothing to configure.
type Config struct{}

// Info describes mod_ping.
var Info = modules.Define(modules.Info{
	Name:    "mod_ping",
	Summary: "answers pings",
	Default: true,
	XEPs:    []modules.XEP{{Number: 199, Version: "2.0.1"}},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{}

// Start implements modules.Module.
func (*module) Start(_ context.Context, h *modules.Host) error {
	for _, at := range []modules.At{modules.Server, modules.Account} {
		h.Disco(at, ns)
		h.IQ(at, ns, pong)
	}
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// pong answers with an empty result (XEP-0199 §4.1, §4.2). To strangers an account is not there, be it or not.
func pong(_ context.Context, q *modules.IQ) ([]byte, error) {
	if q.To.Local() != "" && !q.Own() {
		return nil, stanza.Err(stanza.ServiceUnavailable, "")
	}
	return nil, q.WantGet("ping")
}
