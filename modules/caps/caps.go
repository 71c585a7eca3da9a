// Package caps announces the server's capabilities as a stream feature (XEP-0115 §6.3), so that clients that know them need
// not ask. Questions for the node are answered by mod_disco.
package caps

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const ns = "http://jabber.org/protocol/caps"

// Config is [modules.mod_caps]: there is nothing to configure.
type Config struct{}

// Info describes mod_caps.
var Info = modules.Define(modules.Info{
	Name:    "mod_caps",
	Summary: "announces the server's capabilities, so that clients need not ask",
	Default: true,
	XEPs:    []modules.XEP{{Number: 115, Version: "1.6.0", Note: "the server's own capabilities only; those of clients pass through"}},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{}

// Start implements modules.Module.
func (*module) Start(_ context.Context, h *modules.Host) error {
	ver := disco.Caps(h)
	h.Disco(modules.Server, ns)
	h.Stream(stream.Feature{
		Name: "caps",
		Need: stream.Authenticated,
		Append: func(dst []byte, _ *stream.Conn) []byte {
			v := ver()
			if v == "" {
				return dst
			}
			var x stanza.XML
			return append(dst, x.Empty("c", "xmlns", ns, "hash", "sha-1", "node", disco.Node, "ver", v).Bytes()...)
		},
	})
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }
