package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases: -X main.version=1.2.3.
var version = ""

var versionCommand = &command{
	name: "version", summary: "which xmppd this is",
	help: "Prints the version, the commit it was built from, and the Go version.\n\nexample: xmppd version",
	run: func(_ context.Context, c *call) error {
		v, commit := buildVersion()
		if c.json {
			return printJSON(c.stdout, map[string]string{"version": v, "commit": commit, "go": runtime.Version()})
		}
		fmt.Fprintf(c.stdout, "xmppd %s (%s, %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		if commit != "" {
			fmt.Fprintf(c.stdout, ", commit %s", commit)
		}
		fmt.Fprintln(c.stdout, ")")
		return nil
	},
}

// buildVersion returns the version and the commit that this binary was built from, as far as it knows them.
func buildVersion() (v, commit string) {
	v = version
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = s.Value[:12]
			}
		}
		if v == "" && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
			v = bi.Main.Version
		}
	}
	if v == "" {
		v = "devel"
	}
	return v, commit
}
