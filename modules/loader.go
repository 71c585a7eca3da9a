package modules

import (
	"context"
	"log/slog"

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
	// Core returns the mechanisms that auth itself offers on a host.
	Core func(host string) []auth.Mechanism
	// Publish puts new tables in force, all hosts at once. Called at the end of a successful Load.
	Publish func(map[string]*Table)
}

// Loader starts, reloads and stops the modules of all hosts.
type Loader struct{ loaderState }

type loaderState struct{}

// NewLoader makes a loader for the modules of modules/all.
func NewLoader(all []Info, env Env) *Loader { panic("modules") }

// Load starts the modules that cfg wants, or, called again, brings the running ones to what a new cfg wants: unchanged
// instances stay, changed ones get Reload or are started anew, those no longer wanted are stopped. All or nothing: after
// an error the old tables and instances go on serving.
func (l *Loader) Load(ctx context.Context, cfg *config.Config) error { panic("modules") }

// Change is one line of a dry run.
type Change struct{ Host, Module, What string } // What: start, stop, reload, restart

// Plan tells what Load would do, without doing it.
func (l *Loader) Plan(cfg *config.Config) []Change { panic("modules") }

// Table returns the table in force, or nil.
func (l *Loader) Table(host string) *Table { panic("modules") }

// Stop stops all modules, last first.
func (l *Loader) Stop(ctx context.Context) error { panic("modules") }

// hostLoader is one virtual host's instances, in order. See load.go.
type hostLoader struct{}

func (l *hostLoader) current() *Table       { panic("modules") }
func (l *hostLoader) regs() []*registration { panic("modules") }
