// Package modtest is a virtual host in memory for the tests of modules: the real loader and router, and fakes for what
// lies around them (sessions, accounts, other servers) that record what was sent. All runs on the goroutine of the test.
//
//	h := modtest.New(t, "a.test", roster.Info)
//	alice := h.Session("alice@a.test/r")
//	answer := alice.IQ("get", "", `<query xmlns='jabber:iq:roster'/>`)
//	alice.Say(`<presence to='bob@b.test' type='subscribe'/>`)
//	h.Sent() // what left for b.test
package modtest

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/memory"
)

// Host is a virtual host with the modules under test.
type Host struct {
	Name   string
	Router *router.Router
	Loader *modules.Loader
	Users  *Users
	Store  storage.Store

	t     testing.TB
	infos []modules.Info
	log   *buffer

	mu   sync.Mutex
	sent []*stanza.Stanza
	ids  int
}

// New makes a host with these modules, in this order, all switched on with their defaults.
func New(t testing.TB, host string, infos ...modules.Info) *Host {
	t.Helper()
	return NewConfig(t, host, "", infos...)
}

// NewConfig is New with a configuration in TOML. [general] need not be there; modules without a section are switched on
// unless disabled_modules names them.
func NewConfig(t testing.TB, host, toml string, infos ...modules.Info) *Host {
	t.Helper()
	h, err := TryConfig(t, host, toml, infos...)
	if err != nil {
		t.Fatalf("modules do not start: %v", err)
	}
	return h
}

// TryConfig is NewConfig for tests of what must not start: mistakes of the file and of Start are returned.
func TryConfig(t testing.TB, host, toml string, infos ...modules.Info) (*Host, error) {
	t.Helper()
	h := &Host{Name: host, Store: memory.New(), t: t, infos: infos, log: &buffer{}}
	h.Users = newUsers(h)
	log := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Router = router.New(router.Options{
		Accounts: func(name string) router.Accounts {
			if name != host {
				return nil
			}
			return h.Users
		},
		Peers: peers{h},
		Log:   log,
	})
	h.Loader = modules.NewLoader(infos, modules.Env{
		Log:     log,
		Router:  h.Router,
		Store:   h.Store,
		Users:   func(string) auth.Users { return h.Users },
		Publish: h.Router.Publish,
	})
	t.Cleanup(func() {
		if err := h.Loader.Stop(context.Background()); err != nil {
			t.Errorf("modules do not stop: %v", err)
		}
	})
	return h, h.Reload(toml)
}

// Reload brings the host to another configuration, as SIGHUP does.
func (h *Host) Reload(toml string) error {
	cfg, err := h.Parse(toml)
	if err != nil {
		return err
	}
	return h.Loader.Load(context.Background(), cfg)
}

// Parse reads a configuration as NewConfig does.
func (h *Host) Parse(toml string) (*config.Config, error) {
	if !strings.Contains(toml, "[general]") {
		toml = strings.TrimRight(toml, "\n") + "\n[general]\nhosts = [\"" + h.Name + "\"]\n"
	}
	cfg, err := config.Parse("config.toml", []byte(toml), modules.Sections(h.infos))
	if err != nil {
		return nil, err
	}
	for _, in := range h.infos {
		if n, off := cfg.Module(h.Name, in.Name); n == nil && !off {
			if cfg.Modules == nil {
				cfg.Modules = map[string]*config.Node{}
			}
			cfg.Modules[in.Name] = &config.Node{Keys: map[string]*config.Node{}, Path: "modules." + in.Name}
		}
	}
	return cfg, nil
}

// Table returns the table in force.
func (h *Host) Table() *modules.Table { return h.Loader.Table(h.Name) }

// Log returns what was logged so far.
func (h *Host) Log() string { return h.log.String() }

// Send lets a stanza of another server (or of anybody: its from and to are believed) in.
func (h *Host) Send(xml string) {
	h.t.Helper()
	p := modules.NewPacket(h.parse(xml))
	ctx := context.Background()
	if err := h.Table().Hooks.FromPeer.Run(ctx, p); err != nil {
		h.bounce(ctx, p, err)
		return
	}
	h.Router.Route(ctx, p)
}

// Sent returns what left for other servers since the last call.
func (h *Host) Sent() []*stanza.Stanza {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.sent
	h.sent = nil
	return out
}

// Preauth runs an IQ of a connection that has not logged in, and returns the answer; nil where no module answers.
func (h *Host) Preauth(conn *auth.Conn, xml string) *stanza.Stanza {
	h.t.Helper()
	st := h.parse(xml)
	if len(st.Children) == 0 {
		return nil
	}
	fn := h.Table().IQ(modules.Preauth, st.Children[0].NS)
	if fn == nil {
		return nil
	}
	q := &modules.IQ{Packet: modules.NewPacket(st), Payload: st.Payload(), Conn: conn}
	payload, err := fn(context.Background(), q)
	switch e := err.(type) {
	case nil:
		return st.Result(payload)
	case *stanza.Error:
		return st.Bounce(e)
	}
	if err != modules.Done {
		return st.Bounce(stanza.Err(stanza.InternalServerError, ""))
	}
	return nil
}

// XML writes stanzas out, one a line, for messages and comparisons.
func XML(list []*stanza.Stanza) string {
	var b bytes.Buffer
	for _, st := range list {
		b.Write(append(st.AppendTo(nil), '\n'))
	}
	return b.String()
}

func (h *Host) parse(xml string) *stanza.Stanza {
	h.t.Helper()
	st, err := stanza.Parse([]byte(xml))
	if err != nil {
		h.t.Fatalf("bad stanza in the test: %v: %s", err, xml)
	}
	return st
}

// bounce answers as a handler's error says.
func (h *Host) bounce(ctx context.Context, p *modules.Packet, err error) {
	if err == modules.Done {
		return
	}
	e, ok := err.(*stanza.Error)
	if !ok {
		h.t.Logf("handler failed: %v", err)
		e = stanza.Err(stanza.InternalServerError, "")
	}
	h.Router.Bounce(ctx, p, e)
}

// peers records what leaves for other servers.
type peers struct{ h *Host }

func (p peers) Send(_ context.Context, pk *modules.Packet) error {
	p.h.mu.Lock()
	p.h.sent = append(p.h.sent, pk.Stanza.Retain())
	p.h.mu.Unlock()
	return nil
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// take removes the first stanza that fits from a list and returns it.
func take(list *[]*stanza.Stanza, fits func(*stanza.Stanza) bool) *stanza.Stanza {
	i := slices.IndexFunc(*list, fits)
	if i < 0 {
		return nil
	}
	st := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return st
}
