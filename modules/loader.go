package modules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/storage"
)

// Env is what the loader gives to every module of every host.
type Env struct {
	Log    *slog.Logger
	Router Router
	Store  storage.Store // each module gets Bucket("modules", host, name)
	Users  func(host string) auth.Users
	// Secret gives 32 bytes derived from the keyring for a use, see Host.Secret. Without it secrets last as long as the
	// process, which suits a store in memory only.
	Secret func(label string) []byte
	// Core returns the mechanisms that auth itself offers on a host.
	Core func(host string) []auth.Mechanism
	// Publish puts new tables in force, all hosts at once. Called at the end of a successful Load.
	Publish func(map[string]*Table)
}

// Loader starts, reloads and stops the modules of all hosts. Its methods may be called from any goroutine; Load and Stop
// wait for each other.
type Loader struct{ loaderState }

type loaderState struct {
	all []Info
	env Env

	loading sync.Mutex // held by Load, Plan and Stop
	running []*hostSet // in the order of the file; written under loading
	stopped bool

	view atomic.Pointer[map[string]*hostSet] // what is in force, for readers
}

// hostSet is one virtual host's instances, in order, and its table. It is not changed once it is in force.
type hostSet struct {
	loader *hostLoader
	list   []*instance
	states []ModuleState
	table  *Table
}

func (s *hostSet) find(name string) *instance {
	if s != nil {
		for _, in := range s.list {
			if in.info.Name == name {
				return in
			}
		}
	}
	return nil
}

// instance is a running module.
type instance struct {
	info *Info
	mod  Module
	cfg  any          // the decoded section
	node *config.Node // the section, to go back to it
	reg  *registration
}

// hostLoader is what the instances of one virtual host see of the loader, whichever load they came with.
type hostLoader struct {
	all   *Loader
	table atomic.Pointer[Table]
	file  atomic.Pointer[config.Config]
	live  atomic.Pointer[[]*registration]
}

func (l *hostLoader) current() *Table { return l.table.Load() }

func (l *hostLoader) regs() []*registration {
	if p := l.live.Load(); p != nil {
		return *p
	}
	return nil
}

// NewLoader makes a loader for the modules of modules/all.
func NewLoader(all []Info, env Env) *Loader {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Secret == nil {
		env.Secret = newSecret()
	}
	l := &Loader{loaderState{all: all, env: env}}
	l.view.Store(&map[string]*hostSet{})
	return l
}

// Load starts the modules that cfg wants, or, called again, brings the running ones to what a new cfg wants: unchanged
// instances stay, changed ones get Reload or are started anew, those no longer wanted are stopped. All or nothing: after
// an error the old tables and instances go on serving. Mistakes of the file are a *config.Errors with all of them.
func (l *Loader) Load(ctx context.Context, cfg *config.Config) error {
	l.loading.Lock()
	defer l.loading.Unlock()
	if l.stopped {
		return errors.New("modules: the loader has been stopped")
	}
	wanted, err := l.decode(cfg)
	if err != nil {
		return err
	}
	a := &attempt{l: l, cfg: cfg, ctx: ctx}
	next, err := a.run(wanted)
	if err != nil {
		a.undo()
		return err
	}
	l.publish(ctx, cfg, next)
	return nil
}

// End lets the modules say what they have to say before the server ends: see Ender. A panic in one is logged.
func (l *Loader) End(ctx context.Context) {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.end(ctx, l.running, nil)
}

// end is End for those of some hosts that do not stay.
func (l *Loader) end(ctx context.Context, hosts []*hostSet, stays map[*registration]bool) {
	for _, s := range hosts {
		for _, in := range s.list {
			if stays[in.reg] {
				continue
			}
			if err := in.end(ctx); err != nil {
				l.env.Log.Error("module did not end cleanly", "host", s.table.Host, "module", in.info.Name, "err", err)
			}
		}
	}
}

// publish puts a new state in force and stops what is no longer part of it.
func (l *Loader) publish(ctx context.Context, cfg *config.Config, next []*hostSet) {
	tables := make(map[string]*Table, len(next))
	view := make(map[string]*hostSet, len(next))
	stays := map[*registration]bool{}
	for _, s := range next {
		tables[s.table.Host], view[s.table.Host] = s.table, s
		regs := make([]*registration, len(s.list))
		for i, in := range s.list {
			regs[i], stays[in.reg] = in.reg, true
		}
		s.loader.live.Store(&regs)
		s.loader.file.Store(cfg)
		s.loader.table.Store(s.table)
	}
	old := l.running
	l.running = next
	l.end(ctx, old, stays) // before what it says could not be sent in the name of its service any more
	l.view.Store(&view)
	if l.env.Publish != nil {
		l.env.Publish(tables)
	}
	for _, s := range slices.Backward(old) {
		for _, in := range slices.Backward(s.list) {
			if stays[in.reg] {
				continue
			}
			if err := in.stop(ctx); err != nil { // what is new serves already: there is no way back
				l.env.Log.Error("module did not stop cleanly", "host", s.table.Host, "module", in.info.Name, "err", err)
			}
		}
	}
}

// Table returns the table in force, or nil.
func (l *Loader) Table(host string) *Table {
	if s := (*l.view.Load())[host]; s != nil {
		return s.table
	}
	return nil
}

// Stop stops all modules, last first. The tables stay readable; a Load after it fails.
func (l *Loader) Stop(ctx context.Context) error {
	l.loading.Lock()
	defer l.loading.Unlock()
	l.stopped = true
	var errs []error
	for _, s := range slices.Backward(l.running) {
		for _, in := range slices.Backward(s.list) {
			if err := in.stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: stop: %w", s.table.Host, in.info.Name, err))
			}
		}
	}
	l.running = nil
	return errors.Join(errs...)
}
