package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/bolt"
)

var checkCommand = &command{
	name: "check", args: "[config|files|tls|dns]", summary: "explain every mistake that can be found",
	help: `Looks for mistakes and says what to do about each. Exits with 1 where there is one.

  config   the file: every mistake with its line
  files    owner and mode of the data directory and what lies in it
  tls      what the profile means, and for each host its certificate: names, dates, key, and whether other servers take it; which one
           is shown for the services of a host, such as conference.HOST
  dns      for each host what clients and other servers find in the DNS, whether it leads here, and which records are missing; for
           its services what other servers find

Without an argument: the first three; dns asks the network. Nothing is changed and nothing is made.

example: xmppd check tls`,
	run: runCheck,
}

// finding is one line of a check's answer.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Text  string `json:"text"`
}

// allChecks are made without an argument.
var allChecks = []string{"config", "files", "tls"}

func runCheck(ctx context.Context, c *call) error {
	checks := allChecks
	if len(c.args) > 1 {
		return usageError("check takes one argument at most")
	}
	if len(c.args) == 1 {
		if known := append(slices.Clone(checks), "dns"); !slices.Contains(known, c.args[0]) {
			return usageError(fmt.Sprintf("it can check %s, not %q", strings.Join(known, ", "), c.args[0]))
		}
		checks = c.args
	}
	cfg, err := c.loadConfig()
	if err != nil {
		if !c.json || !isConfigError(err) {
			return err
		}
		var out []finding
		for _, l := range strings.Split(err.Error(), "\n") {
			out = append(out, finding{"config", false, l})
		}
		printJSON(c.stdout, out)
		return errReported
	}
	out := findings(cfg, checks)
	// What hurts others alone is no reason not to start: preflight does not look at it.
	if slices.Contains(checks, "tls") {
		out = append(out, checkFederation(cfg, certOptions(cfg, nil))...)
	}
	if slices.Contains(checks, "dns") {
		out = append(out, checkDNS(ctx, cfg, modules.ServedBy(all.Modules, cfg))...)
	}
	if c.json {
		if err := printJSON(c.stdout, out); err != nil {
			return err
		}
	}
	bad := 0
	for _, f := range out {
		mark := "ok  "
		if !f.OK {
			mark = "BAD "
			bad++
		}
		if !c.json {
			fmt.Fprintf(c.stdout, "%s %-6s %s\n", mark, f.Check, f.Text)
		}
	}
	if bad > 0 {
		return errReported
	}
	return nil
}

func findings(cfg *config.Config, checks []string) []finding {
	out := []finding{}
	for _, ch := range checks {
		switch ch {
		case "config":
			out = append(out, checkConfig(cfg)...)
		case "files":
			out = append(out, checkFiles(cfg)...)
		case "tls":
			out = append(out, checkTLS(cfg)...)
		}
	}
	return out
}

// preflight is what a start looks at before it makes anything: what `xmppd check` looks at, so that both agree.
func preflight(cfg *config.Config) error {
	var errs []error
	seen := map[string]bool{}
	for _, f := range findings(cfg, allChecks) {
		if !f.OK && !seen[f.Text] {
			seen[f.Text] = true
			errs = append(errs, errors.New(f.Text))
		}
	}
	return errors.Join(errs...)
}

// checkConfig goes further than loading: the modules' sections as each host has them, and what lies beside the file.
func checkConfig(cfg *config.Config) []finding {
	out := []finding{}
	for _, host := range cfg.General.Hosts {
		for _, m := range all.Modules {
			n, off := cfg.Module(host, m.Name)
			errs := &config.Errors{File: cfg.Path}
			if m.Section.Check(n, errs); !off && len(errs.List) > 0 {
				out = append(out, finding{"config", false, errs.Error()})
			}
		}
	}
	for _, w := range cfg.Warnings {
		out = append(out, finding{"config", true, fmt.Sprintf("%s:%d: %s: note: %s", cfg.Path, w.Line, w.Path, w.Text)})
	}
	if len(out) == 0 || !slices.ContainsFunc(out, func(f finding) bool { return !f.OK }) {
		out = append(out, finding{"config", true, cfg.Path + " has no mistake; hosts: " + strings.Join(cfg.General.Hosts, ", ")})
	}
	return out
}

// checkFiles looks at the data directory with the eyes of a start, without making anything.
func checkFiles(cfg *config.Config) []finding {
	dir := cfg.Resolve(cfg.General.DataDir)
	if err := storage.ProbeDir(dir); err != nil {
		return append(checkKeys(cfg), finding{"files", false, err.Error()})
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return append(checkKeys(cfg), finding{"files", true, dir + " is not there yet; the first start makes it, with mode 0700"})
	}
	var out []finding
	judge := func(path string, err error) {
		if err != nil {
			out = append(out, finding{"files", false, err.Error()})
		} else {
			out = append(out, finding{"files", true, path + ": owner and mode are right"})
		}
	}
	judge(dir, nil)
	for _, name := range []string{databaseName, keyringName} {
		p := filepath.Join(dir, name)
		if _, err := os.Lstat(p); errors.Is(err, os.ErrNotExist) {
			out = append(out, finding{"files", true, p + " is not there yet; the first start makes it"})
			continue
		}
		err := storage.CheckSecretFile(p)
		if err == nil && name == keyringName {
			_, err = auth.OpenKeyring(p)
		}
		judge(p, err)
	}
	for _, p := range bolt.Journals(filepath.Join(dir, databaseName)) { // there are some while a server runs, and after a crash
		if err := storage.CheckSecretFile(p); !errors.Is(err, os.ErrNotExist) {
			judge(p, err)
		}
	}
	return append(out, checkKeys(cfg)...)
}

// checkKeys looks at the files of keys that the configuration names.
func checkKeys(cfg *config.Config) (out []finding) {
	for _, f := range keystore.Files(cfg) {
		if f.Err != nil {
			out = append(out, finding{"files", false, f.Err.Error()})
		} else {
			out = append(out, finding{"files", true, fmt.Sprintf("%s: key %q of %s: owner, mode and size are right", f.Path, f.Key, f.Host)})
		}
	}
	return out
}
