package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/s2s"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/bolt"
	"github.com/xmppd/xmppd/storage/memory"
	"github.com/xmppd/xmppd/stream"
)

// The files below the data directory.
const (
	databaseName = "xmppd.db"
	keyringName  = "server.key"
	madeCerts    = "certs" // certificates that the server made itself
)

// server is everything, wired. newServer opens what lies on disk and starts the modules; serve adds the listeners.
type server struct {
	log      *slog.Logger
	level    *slog.LevelVar // nil: the log is not ours
	cfg      atomic.Pointer[config.Config]
	store    storage.Store
	keys     *auth.Keyring
	accounts *auth.Accounts
	throttle *auth.Throttle
	certs    *stream.Certificates
	router   *router.Router
	loader   *modules.Loader
	poller   *stream.Poller // nil: a goroutine for each connection
	c2s      *c2s.Server
	s2s      *s2s.Server
	peers    peers

	reloading sync.Mutex // one reload at a time
	listeners *listeners
}

func (s *server) config() *config.Config { return s.cfg.Load() }

// newServer opens a server that does not listen yet: directory, keys, database, accounts, modules, bottom to top.
// Commands use one like it where no server runs.
func newServer(ctx context.Context, cfg *config.Config, log *slog.Logger) (*server, error) {
	s := &server{log: log}
	s.cfg.Store(cfg)
	dir := cfg.Resolve(cfg.General.DataDir)
	if err := storage.CheckDir(dir); err != nil {
		return nil, err
	}
	var err error
	if s.store, err = openStore(cfg, dir, log); err != nil {
		return nil, err
	}
	if err := s.open(ctx, cfg, dir); err != nil {
		s.store.Close()
		return nil, err
	}
	return s, nil
}

// openStore opens the database that the configuration names.
func openStore(cfg *config.Config, dir string, log *slog.Logger) (storage.Store, error) {
	if cfg.Storage.Driver == "memory" {
		return memory.New(), nil
	}
	return bolt.Open(filepath.Join(dir, databaseName), bolt.Options{Log: log})
}

func (s *server) open(ctx context.Context, cfg *config.Config, dir string) (err error) {
	if s.keys, err = auth.OpenKeyring(filepath.Join(dir, keyringName)); err != nil {
		return err
	}
	if err := s.keys.Unlocked(); err != nil {
		s.log.Debug("the memory of the keyring is not locked", "err", err)
	}
	s.throttle = auth.NewThrottle(throttleLimits(cfg))
	s.accounts = auth.NewAccounts(s.store, authOptions(cfg, s.keys, s.log))
	if err := s.accounts.Verify(ctx, cfg.General.Hosts...); err != nil {
		s.log.Error("keyring", "err", err) // no reason to stop: new passwords are set with the same server
	}
	s.router = router.New(router.Options{
		Accounts: func(host string) router.Accounts {
			if u := s.users(host); u != nil {
				return u
			}
			return nil
		},
		Peers: &s.peers,
		Log:   s.log,
	})
	s.loader = modules.NewLoader(all.Modules, modules.Env{
		Log: s.log, Router: s.router, Store: s.store, Users: s.users,
		Secret: s.keys.Secret, Core: s.accounts.Mechanisms, Publish: s.router.Publish,
	})
	s.accounts.OnChange(s.accountChanged)
	return s.loader.Load(ctx, cfg)
}

// users returns the accounts of one of our hosts, or nil.
func (s *server) users(host string) auth.Users {
	for _, h := range s.config().General.Hosts {
		if h == host {
			return s.accounts.Host(host)
		}
	}
	return nil
}

// accountChanged tells the modules of a host what has happened to an account, whoever did it.
func (s *server) accountChanged(ctx context.Context, what string, j stanza.JID) {
	t := s.router.Table(j.Domain())
	if t == nil {
		return
	}
	switch what {
	case "created":
		t.Notify(ctx, modules.UserCreated, j)
	case "deleted":
		t.Notify(ctx, modules.UserDeleted, j)
	case "password":
		t.Notify(ctx, modules.UserPasswordChanged, j)
	case "disabled":
		t.Notify(ctx, modules.UserDisabled, j)
	}
}

func authOptions(cfg *config.Config, keys *auth.Keyring, log *slog.Logger) auth.Options {
	return auth.Options{Hashes: cfg.Auth.SCRAMHashes, Iterations: cfg.Auth.SCRAMIterations, Secret: keys.Secret, Log: log}
}

func throttleLimits(cfg *config.Config) auth.ThrottleLimits {
	l := cfg.Limits
	return auth.ThrottleLimits{
		PerMinute: l.AuthFailsPerMinute, PerDay: l.AuthFailsPerDay,
		Delay: time.Duration(l.AuthDelay), DelayMax: time.Duration(l.AuthDelayMax),
		Off: l.Profile == "off",
	}
}

// openTLS finds or makes a certificate for each host, and for what modules serve below it.
func (s *server) openTLS(cfg *config.Config) (err error) {
	s.certs, err = stream.OpenCertificates(certOptions(cfg, s.log))
	return err
}

func certOptions(cfg *config.Config, log *slog.Logger) stream.CertOptions {
	return stream.CertOptions{
		Dir:            cfg.Resolve(cfg.TLS.Certificates),
		Hosts:          cfg.General.Hosts,
		Services:       services(modules.ServedBy(all.Modules, cfg)),
		ServicesUnseen: !federates(cfg),
		SelfSigned:     cfg.TLS.SelfSigned,
		MadeDir:        filepath.Join(cfg.Resolve(cfg.General.DataDir), madeCerts),
		Log:            log,
	}
}

// services are the subdomains that modules serve, as their certificates know them.
func services(served []modules.Served) (out []stream.Service) {
	for _, s := range served {
		out = append(out, stream.Service{Domain: s.Domain, Host: s.Host})
	}
	return out
}

// federates tells whether other servers can connect.
func federates(cfg *config.Config) bool { return len(cfg.S2S.Listen)+len(cfg.S2S.ListenTLS) > 0 }

// tlsConfig returns how the configuration of a handshake is made, for who speaks the protocol that direct TLS names.
func (s *server) tlsConfig(alpn string) func(host string, direct bool) *tls.Config {
	return func(host string, direct bool) *tls.Config {
		cfg := s.config()
		return stream.ServerTLS(stream.TLSOptions{
			Profile: cfg.TLS.Profile, Curves: cfg.TLS.Curves, Certificates: s.certs, Host: host, Direct: direct, ALPN: alpn,
		})
	}
}

// close stops the modules and closes the storage. Streams are ended by then.
func (s *server) close(ctx context.Context) error {
	if s.poller != nil {
		s.poller.Close()
	}
	err := s.loader.Stop(ctx)
	s.accounts.Close()
	return errors.Join(err, s.store.Close())
}

// certProblems logs what is not right with certificates that work all the same, but for what was told before.
func (s *server) certProblems(told []stream.CertProblem) {
	for _, p := range s.certs.Problems() {
		if slices.Contains(told, p) {
			continue
		}
		s.log.Warn("certificate: "+p.Text, "host", p.Host, "file", p.File)
	}
}

// checkDHParam reads tls.dhparam where it is set. Go offers no finite-field DHE (RFC 9325 §4.1 advises against it), so
// the parameters are checked and used by nobody, and the log says so.
func checkDHParam(cfg *config.Config) error {
	if cfg.TLS.DHParam == "" {
		return nil
	}
	if err := stream.CheckDHParam(cfg.Resolve(cfg.TLS.DHParam)); err != nil {
		return fmt.Errorf("tls.dhparam: %w", err)
	}
	return nil
}
