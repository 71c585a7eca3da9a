// Package entitytime tells the server's time (XEP-0202).
package entitytime

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:time"

// Config is [modules.mod_time]: there is nothing to configure.
type Config struct{}

// Info describes mod_time.
var Info = modules.Define(modules.Info{
	Name:    "mod_time",
	Summary: "tells the server's time",
	Default: true,
	XEPs:    []modules.XEP{{Number: 202, Version: "2.0"}},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{}

// Start implements modules.Module.
func (*module) Start(_ context.Context, h *modules.Host) error {
	h.Disco(modules.Server, ns)
	h.IQ(modules.Server, ns, func(_ context.Context, q *modules.IQ) ([]byte, error) {
		if err := q.WantGet("time"); err != nil {
			return nil, err
		}
		return now(time.Now()), nil
	})
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// now writes a time as XEP-0202 §3 asks: UTC, and the zone's offset from it (XEP-0082 §3).
func now(t time.Time) []byte {
	var x stanza.XML
	x.Start("time", "xmlns", ns).
		Leaf("tzo", t.Format("-07:00")).
		Leaf("utc", t.UTC().Format("2006-01-02T15:04:05Z"))
	return x.Bytes()
}
