package modules

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/xmppd/xmppd/config"
)

// want is a module that the file asks for on a host, decoded and made but not started.
type want struct {
	info *Info
	mod  Module
	cfg  any
	node *config.Node
}

// wantHost is what the file asks for on one host.
type wantHost struct {
	host   string
	list   []want
	states []ModuleState
}

// decode reads the sections of all modules of all hosts, and reports all mistakes together.
func (l *Loader) decode(cfg *config.Config) ([]wantHost, error) {
	errs := &config.Errors{File: cfg.Path}
	var out []wantHost
	for _, host := range cfg.General.Hosts {
		w := wantHost{host: host, states: Wanted(l.all, cfg, host)}
		for i, st := range w.states {
			if !st.On {
				continue
			}
			n, _ := cfg.Module(host, st.Name)
			m, c := l.all[i].Make(n, errs)
			w.list = append(w.list, want{&l.all[i], m, c, n})
		}
		out = append(out, w)
	}
	if len(errs.List) == 0 {
		return out, nil
	}
	// A section for all hosts was decoded once for each.
	slices.SortStableFunc(errs.List, func(a, b config.Mistake) int { return a.Line - b.Line })
	errs.List = slices.Compact(errs.List)
	return nil, errs
}

// step is what a load does with one wanted module.
type step uint8

const (
	start step = iota
	keep
	reload
	restart
)

func (s step) String() string { return [...]string{"start", "keep", "reload", "restart"}[s] }

// decide says what becomes of a wanted module, given the running one (or nil).
func (w *want) decide(old *instance, depsMoved bool) step {
	switch {
	case old == nil:
		return start
	case depsMoved:
		return restart
	case reflect.DeepEqual(old.cfg, w.cfg):
		return keep
	case w.info.canReload != nil && w.info.canReload(old.mod):
		return reload
	}
	return restart
}

// attempt is one Load on its way, with what has to be undone if it fails.
type attempt struct {
	l     *Loader
	cfg   *config.Config
	ctx   context.Context
	undos []func(context.Context)
}

// run starts and reloads what is wanted, host by host and module by module, and builds the tables.
func (a *attempt) run(wanted []wantHost) ([]*hostSet, error) {
	var next []*hostSet
	for _, w := range wanted {
		s := &hostSet{states: w.states}
		old := (*a.l.view.Load())[w.host]
		if old != nil {
			s.loader = old.loader
		} else {
			s.loader = &hostLoader{all: a.l}
			s.loader.file.Store(a.cfg)
		}
		var before []*registration
		for i := range w.list {
			in, err := a.bring(s.loader, w.host, &w.list[i], old.find(w.list[i].info.Name), before)
			if err != nil {
				return nil, fmt.Errorf("host %s: %s: %w", w.host, w.list[i].info.Name, err)
			}
			s.list = append(s.list, in)
			before = append(slices.Clip(before), in.reg)
		}
		next = append(next, s)
	}
	return next, a.l.assemble(a.cfg, wanted, next)
}

// bring returns the instance that serves a wanted module from now on: the old one, as it is or reloaded, or a new one.
func (a *attempt) bring(hl *hostLoader, host string, w *want, old *instance, before []*registration) (*instance, error) {
	switch w.decide(old, old != nil && old.reg.stale(before)) {
	case keep:
		return old, nil
	case reload:
		a.undos = append(a.undos, func(ctx context.Context) {
			if err := old.reload(ctx, old.node); err != nil {
				a.l.env.Log.Error("module did not take its old section back", "host", host, "module", w.info.Name, "err", err)
			}
		})
		if err := old.reload(a.ctx, w.node); err != nil {
			return nil, fmt.Errorf("reload: %w", err)
		}
		return &instance{old.info, old.mod, w.cfg, w.node, old.reg}, nil
	}
	log := a.l.env.Log.With("host", host, "module", w.info.Name)
	in := &instance{w.info, w.mod, w.cfg, w.node, newRegistration(w.info.Name, log, before)}
	h := &Host{Name: host, Log: log, Hooks: &in.reg.hooks, Router: a.l.env.Router, Config: a.cfg, reg: in.reg, loader: hl, secret: a.l.env.Secret}
	if a.l.env.Store != nil {
		h.Store = a.l.env.Store.Bucket("modules", host, w.info.Name)
	}
	if a.l.env.Users != nil {
		h.Users = a.l.env.Users(host)
	}
	a.undos = append(a.undos, func(ctx context.Context) {
		if err := in.stop(ctx); err != nil {
			log.Error("module did not stop cleanly", "err", err)
		}
	})
	err := in.start(a.ctx, h)
	in.reg.seal()
	return in, err
}

// undo takes back what the attempt did, last first. An instance whose Start failed is stopped as well, for what it had
// begun.
func (a *attempt) undo() {
	ctx := context.WithoutCancel(a.ctx)
	for _, fn := range slices.Backward(a.undos) {
		fn(ctx)
	}
}

// start, reload, end and stop call the module. A panic in one is an error, so that a reload cannot take a running server down.

func (in *instance) start(ctx context.Context, h *Host) (err error) {
	defer recovered(&err)
	return in.mod.Start(ctx, h)
}

func (in *instance) reload(ctx context.Context, n *config.Node) (err error) {
	defer recovered(&err)
	_, err = in.info.Reload(ctx, in.mod, n)
	return err
}

func (in *instance) end(ctx context.Context) (err error) {
	defer recovered(&err)
	if e, ok := in.mod.(Ender); ok {
		e.End(ctx)
	}
	return nil
}

func (in *instance) stop(ctx context.Context) (err error) {
	defer recovered(&err)
	return in.mod.Stop(ctx)
}

func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

// Change is one line of a dry run.
type Change struct{ Host, Module, What string } // What: start, stop, reload, restart

// Plan tells what Load would do, without doing it. Mistakes of the file make an empty plan: Load names them. A restart
// that only follows from another module's is told as well.
func (l *Loader) Plan(cfg *config.Config) []Change {
	l.loading.Lock()
	defer l.loading.Unlock()
	wanted, err := l.decode(cfg)
	if err != nil {
		return nil
	}
	var out []Change
	view := *l.view.Load()
	for _, w := range wanted {
		old := view[w.host]
		var before []*registration
		stays := map[string]bool{}
		for i := range w.list {
			name := w.list[i].info.Name
			was := old.find(name)
			what := w.list[i].decide(was, was != nil && was.reg.stale(before))
			if what == keep || what == reload {
				before = append(before, was.reg)
			}
			if what != keep {
				out = append(out, Change{w.host, name, what.String()})
			}
			stays[name] = true
		}
		if old != nil {
			for _, in := range old.list {
				if !stays[in.info.Name] {
					out = append(out, Change{w.host, in.info.Name, "stop"})
				}
			}
		}
	}
	for _, s := range l.running {
		host := s.table.Host
		if !slices.ContainsFunc(wanted, func(w wantHost) bool { return w.host == host }) {
			for _, in := range s.list {
				out = append(out, Change{host, in.info.Name, "stop"})
			}
		}
	}
	return out
}
