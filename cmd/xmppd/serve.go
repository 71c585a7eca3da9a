package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/c2s"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stream"
)

// drainTime is how long SIGTERM waits for clients to take what is theirs; a second signal does not wait.
const drainTime = 8 * time.Second

var serveCommand = &command{
	name: "serve", args: "[-pprof]", summary: "run the server in the foreground",
	help: `Runs the server in the foreground and logs to standard error: text on a terminal, JSON otherwise. It says "ready", with
its addresses, when it accepts connections. SIGHUP reloads the configuration and the certificates, SIGTERM ends all
streams properly and exits with 0.

example: xmppd serve -config /etc/xmppd/config.toml`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.BoolVar(&c.pprof, "pprof", false, "Go's profiles under /debug/pprof/ of the admin socket, DATA_DIR/xmppd.sock")
	},
	run: runServe,
}

func runServe(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return usageError("serve takes no argument")
	}
	if !c.pprof {
		runtime.MemProfileRate = 0 // nobody would see which allocations were sampled
	}
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	log, level := newLog(c, cfg)
	if err := secret.Harden(); err != nil {
		log.Warn("memory not kept from others", "err", err)
	}
	if os.Getenv("GOGC") == "" {
		paceGC()
	}
	s, err := startServer(ctx, cfg, log, level)
	if err != nil {
		return err
	}
	api := s.adminAPI()
	if c.pprof {
		api = withProfiles(api)
	}
	return s.serve(ctx, api)
}

// startServer opens everything up to the listeners. An error leaves nothing running, and what can be looked at before the
// first file is made is looked at: files, certificates, ports. So a start that fails leaves the disk as it was.
func startServer(ctx context.Context, cfg *config.Config, log *slog.Logger, level *slog.LevelVar) (*server, error) {
	if err := preflight(cfg); err != nil {
		return nil, err
	}
	ls := &listeners{log: log, open: map[string]*listener{}}
	if err := ls.apply(cfg); err != nil {
		return nil, runningAlready(ctx, cfg, err)
	}
	s, err := newServer(ctx, cfg, log)
	if err != nil {
		ls.close()
		return nil, err
	}
	s.level, s.listeners = level, ls
	if err := s.openTLS(cfg); err != nil {
		ls.close()
		s.close(context.WithoutCancel(ctx))
		return nil, err
	}
	if cfg.C2S.Transport == "epoll" {
		if s.poller, err = stream.NewPoller(); err != nil {
			ls.close()
			s.close(context.WithoutCancel(ctx))
			return nil, err
		}
	}
	s.c2s = c2s.New(c2s.Options{
		Config: cfg, Poller: s.poller, Router: s.router, Users: s.users, Throttle: s.throttle, Secret: s.keys.Secret,
		TLS: s.tlsConfig("xmpp-client"), Log: log,
	})
	if err := s.openPeers(cfg); err != nil {
		ls.close()
		s.close(context.WithoutCancel(ctx))
		return nil, err
	}
	ls.serve(map[string]acceptor{"c2s": s.c2s, "s2s": s.s2s})
	return s, nil
}

// runningAlready says so where a port is taken because this very server runs.
func runningAlready(ctx context.Context, cfg *config.Config, err error) error {
	dir := cfg.Resolve(cfg.General.DataDir)
	conn, derr := dialSocket(ctx, dir)
	if derr != nil {
		return err
	}
	conn.Close()
	return fmt.Errorf("a server runs already with the data directory %s; stop it first, or use `xmppd reload`", dir)
}

// serve runs, with an admin API on its socket, until ctx ends (SIGTERM, SIGINT), then drains.
func (s *server) serve(ctx context.Context, api http.Handler) error {
	cfg := s.config()
	stopAdmin, err := listenAdmin(cfg.Resolve(cfg.General.DataDir), api, s.log)
	if err != nil {
		s.shutdown()
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tidying, stopTidying := context.WithCancel(ctx)
	defer stopTidying()
	if os.Getenv("GOGC") != "off" {
		go tidy(tidying, s.store)
	}
	s.certProblems(nil)
	s.welcome(ctx, cfg)
	s.log.Info("ready", "c2s", s.listeners.addrs("c2s.listen", cfg.C2S.Listen), "c2s_tls", s.listeners.addrs("c2s.listen_tls", cfg.C2S.ListenTLS),
		"s2s", s.listeners.addrs("s2s.listen", cfg.S2S.Listen), "s2s_tls", s.listeners.addrs("s2s.listen_tls", cfg.S2S.ListenTLS),
		"hosts", cfg.General.Hosts, "pid", os.Getpid())
	for {
		select {
		case <-hup:
			if _, err := s.reload(ctx, false); err != nil {
				s.log.Error("reload refused, the old configuration stays in force", "err", err)
			}
		case <-ctx.Done():
			s.log.Info("shutting down")
			stopAdmin()
			return s.shutdown()
		}
	}
}

// shutdown ends all streams and closes everything. A second SIGTERM or SIGINT ends the process at once: what was
// acknowledged is on disk at any time.
func (s *server) shutdown() error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(again)
	go func() {
		if _, ok := <-again; ok {
			s.log.Warn("second signal, leaving at once")
			os.Exit(1)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.loader.End(ctx)
	s.s2s.Drain() // while senders are there to be told
	if err := s.c2s.Shutdown(ctx); err != nil {
		s.log.Warn("not all clients were waited for", "err", err)
	}
	if err := s.s2s.Shutdown(ctx); err != nil { // other servers know by now who has left
		s.log.Warn("not all servers were waited for", "err", err)
	}
	s.listeners.wg.Wait()
	err := s.close(ctx)
	s.log.Info("stopped")
	return err
}

// welcome tells a new admin what to do next: nobody has an account yet.
func (s *server) welcome(ctx context.Context, cfg *config.Config) {
	if os.Geteuid() == 0 {
		s.log.Warn("running as root: not needed, and better not; see doc/operating.md for a user of its own")
	}
	for _, w := range cfg.Warnings {
		s.log.Warn("configuration", "file", cfg.Path, "line", w.Line, "key", w.Path, "note", w.Text)
	}
	if cfg.TLS.DHParam != "" {
		s.log.Warn("tls.dhparam is sound and unused: Go offers no finite-field DHE (RFC 9325 §4.1 advises against it); ECDHE is used")
	}
	for _, host := range cfg.General.Hosts {
		empty := true
		s.users(host).List(ctx, func(auth.Account) bool { empty = false; return false })
		if empty {
			s.log.Info("no accounts yet; add one in another terminal", "host", host,
				"command", fmt.Sprintf("%s user add -config %s you@%s", self(), cfg.Path, host))
		}
	}
	for _, crt := range s.certs.List() {
		if crt.Generated {
			s.log.Info("self-signed certificate: give this file to clients that are to verify it", "host", crt.Host, "certificate", crt.File)
		}
	}
}

// self is how this program was probably called.
func self() string {
	exe, err := os.Executable()
	if err != nil || filepath.Base(filepath.Dir(exe)) == "exe" { // go run builds into a temporary .../exe/
		return "go run ./cmd/xmppd"
	}
	return filepath.Base(exe)
}
