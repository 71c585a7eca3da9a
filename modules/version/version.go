// Package version tells which software this is (XEP-0092).
package version

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "jabber:iq:version"

// Version is what is told. The linker may set it (-X); empty, it is the version that Go built in.
var Version string

// Config is [modules.mod_version].
type Config struct {
	ShowVersion bool `toml:"show_version" doc:"tell the version, not only the name"`
	ShowOS      bool `toml:"show_os" doc:"tell the operating system as well"`
}

// Info describes mod_version.
var Info = modules.Define(modules.Info{
	Name:    "mod_version",
	Summary: "tells which software this is",
	Default: true,
	XEPs:    []modules.XEP{{Number: 92, Version: "1.1"}},
}, Config{ShowVersion: true}, func(c Config) modules.Module { return &module{c} })

type module struct{ cfg Config }

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	h.Disco(modules.Server, ns)
	h.IQ(modules.Server, ns, m.answer)
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

func (m *module) answer(_ context.Context, q *modules.IQ) ([]byte, error) {
	if err := q.WantGet("query"); err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", ns).Leaf("name", "xmppd")
	// XEP-0092 §2: name and version are both expected, so a hidden version is an empty one.
	if m.cfg.ShowVersion {
		x.Leaf("version", Current())
	} else {
		x.Empty("version")
	}
	if m.cfg.ShowOS {
		x.Leaf("os", runtime.GOOS)
	}
	return x.Bytes(), nil
}

// Current returns the version of the running program.
func Current() string {
	if Version != "" {
		return Version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
		return bi.Main.Version
	}
	return "devel"
}
