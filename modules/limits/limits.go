// Package limits announces how large a stanza may be and how long a client may be silent (XEP-0478), as [limits] says.
package limits

import (
	"context"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const ns = "urn:xmpp:stream-limits:0"

// Config is [modules.mod_limits]: the values are those of [limits].
type Config struct{}

// Info describes mod_limits.
var Info = modules.Define(modules.Info{
	Name:    "mod_limits",
	Summary: "announces the limits of a stream",
	Default: true,
	XEPs:    []modules.XEP{{Number: 478, Version: "0.2.0"}},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{}

// Start implements modules.Module.
func (*module) Start(_ context.Context, h *modules.Host) error {
	// XEP-0478 §4: the limits may change whenever features are announced anew. Before login the idle time is all the time
	// there is.
	h.Stream(stream.Feature{Name: "limits", Exclude: stream.Authenticated, Append: func(dst []byte, _ *stream.Conn) []byte {
		l := &h.File().Limits
		return announce(dst, l.StanzaPreauth, l.LoginTimeout)
	}})
	h.Stream(stream.Feature{Name: "limits", Need: stream.Authenticated, Append: func(dst []byte, _ *stream.Conn) []byte {
		l := &h.File().Limits
		return announce(dst, l.StanzaC2S, l.IdleTimeoutC2S)
	}})
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// announce appends <limits/>. A limit that is not set is not told (XEP-0478 §3: both children are optional).
func announce(dst []byte, size config.Size, idle config.Duration) []byte {
	var x stanza.XML
	x.Start("limits", "xmlns", ns)
	if size > 0 {
		x.Leaf("max-bytes", strconv.FormatInt(int64(size), 10))
	}
	if s := int64(time.Duration(idle) / time.Second); s > 0 {
		x.Leaf("idle-seconds", strconv.FormatInt(s, 10))
	}
	return append(dst, x.Bytes()...)
}
