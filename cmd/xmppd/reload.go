package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"text/tabwriter"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stream"
)

var reloadCommand = &command{
	name: "reload", args: "[-dry-run]", summary: "put a changed configuration in force",
	help: `Tells, key by key, what the changed file changes and what that takes: nothing (live), new listening sockets, or a restart of the
server; then does it, all or nothing. A file with a mistake changes nothing. Certificates are read again in any case.

example: xmppd reload -dry-run`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.BoolVar(&c.dryRun, "dry-run", false, "only tell what would change")
	},
	run: runReload,
}

// reloadReport says what a reload changed, or would change.
type reloadReport struct {
	DryRun  bool           `json:"dry_run"`
	Keys    []keyChange    `json:"keys"`
	Modules []moduleChange `json:"modules"`
}

type keyChange struct {
	Key   string `json:"key"`
	Old   string `json:"old"`
	New   string `json:"new"`
	Takes string `json:"takes"`
}

type moduleChange struct {
	Host   string `json:"host"`
	Module string `json:"module"`
	What   string `json:"what"`
}

// reload reads the file again and puts it in force without dropping anybody; with dry it only tells what that would do.
func (s *server) reload(ctx context.Context, dry bool) (*reloadReport, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.config()
	cfg, err := config.Load(old.Path, sections())
	if err != nil {
		return nil, badRequest(err.Error())
	}
	if err := checkDHParam(cfg); err != nil {
		return nil, badRequest(err.Error())
	}
	verifier, err := newVerifier(cfg)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	rep := &reloadReport{DryRun: dry, Keys: []keyChange{}, Modules: []moduleChange{}}
	for _, d := range config.Diff(old, cfg) {
		rep.Keys = append(rep.Keys, keyChange{d.Key, d.Old, d.New, d.Takes})
	}
	for _, m := range s.loader.Plan(cfg) {
		rep.Modules = append(rep.Modules, moduleChange{m.Host, m.Module, m.What})
	}
	if dry {
		return rep, nil
	}
	// What needs a restart stays as it is; the file says it, the report says so.
	cfg.General.DataDir, cfg.Storage = old.General.DataDir, old.Storage
	cfg.C2S.Transport = old.C2S.Transport
	var told []stream.CertProblem
	if s.certs != nil {
		told = s.certs.Problems()
		if err := s.certs.Reload(certOptions(cfg, s.log)); err != nil {
			return nil, badRequest(err.Error())
		}
	}
	if err := s.listeners.apply(cfg); err != nil {
		s.certs.Reload(certOptions(old, s.log))
		return nil, badRequest(err.Error())
	}
	s.cfg.Store(cfg) // new hosts have accounts before their modules start
	if err := s.loader.Load(ctx, cfg); err != nil {
		s.cfg.Store(old)
		return nil, badRequest(errors.Join(err, s.listeners.apply(old), s.certs.Reload(certOptions(old, s.log))).Error())
	}
	s.accounts.SetOptions(authOptions(cfg, s.keys, s.log))
	s.throttle.SetLimits(throttleLimits(cfg))
	s.c2s.Reload(cfg)
	s.s2s.Reload(cfg, s.newDialer(cfg), verifier)
	if s.level != nil {
		s.level.UnmarshalText([]byte(cfg.General.LogLevel))
	}
	if s.certs != nil {
		s.certProblems(told)
	}
	for _, k := range rep.Keys {
		if k.Takes == config.ServerRestart {
			s.log.Warn("the file has a change that waits for a restart of the server", "key", k.Key, "old", k.Old, "new", k.New)
		}
	}
	s.log.Info("configuration reloaded", "file", cfg.Path, "keys", len(rep.Keys), "modules", len(rep.Modules))
	return rep, nil
}

func runReload(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return usageError("reload takes no argument")
	}
	a, err := c.dialServer(ctx)
	if errors.As(err, new(errNotRunning)) {
		return fmt.Errorf("%w; the file itself is fine (`xmppd check` says more)", err)
	}
	if err != nil {
		return err
	}
	defer a.Close()
	var rep reloadReport
	if err := a.call(ctx, "POST", "/v1/reload", map[string]bool{"dry_run": c.dryRun}, &rep); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, rep)
	}
	if len(rep.Keys)+len(rep.Modules) == 0 {
		fmt.Fprintln(c.stdout, "nothing changed in the file")
		return nil
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	for _, k := range rep.Keys {
		fmt.Fprintf(tw, "%s\t%s -> %s\t%s\n", k.Key, k.Old, k.New, k.Takes)
	}
	for _, m := range rep.Modules {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", m.Module, m.Host, m.What)
	}
	tw.Flush()
	if rep.DryRun {
		fmt.Fprintln(c.stdout, "nothing was done: this was a dry run")
	} else {
		fmt.Fprintln(c.stdout, "done; what needs a restart waits for it")
	}
	return nil
}
