package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/test/xtest"
)

// echoConfig is the section of mod_echo, which serves echo.HOST: it sends messages back, and tells of those that came back.
type echoConfig struct{}

func (echoConfig) Services(host string) []string { return []string{modules.Subdomain("echo", host)} }

type echo struct{ came chan string }

func (m *echo) Start(_ context.Context, h *modules.Host) error {
	for _, d := range (echoConfig{}).Services(h.Name) {
		h.Serve(d, func(ctx context.Context, p *modules.Packet) {
			if p.Stanza.Type != stanza.TypeNone {
				m.came <- string(p.Stanza.AppendTo(nil))
				return
			}
			st := stanza.New(stanza.KindMessage, stanza.TypeHeadline, "back", p.To, p.From, nil)
			h.Router.Route(ctx, modules.NewPacket(st))
		}, "Echo")
	}
	return nil
}

func (*echo) Stop(context.Context) error { return nil }

// logText is what a server has logged.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

// serviceServer starts a server for a host, with all modules and mod_echo.
func serviceServer(t *testing.T, host string, files map[string][]byte, hosts string) (*server, *logText) {
	t.Helper()
	dir := t.TempDir()
	files["config.toml"] = serviceFile(host, hosts, "")
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "config.toml"), sections())
	if err != nil {
		t.Fatal(err)
	}
	text := &logText{}
	s, err := startServer(context.Background(), cfg, slog.New(slog.NewTextHandler(text, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.listeners.close()
		if err := s.shutdown(); err != nil {
			t.Error(err)
		}
	})
	s.certProblems(nil)
	return s, text
}

func serviceFile(host, hosts, more string) []byte {
	return fmt.Appendf(nil, "[general]\nhosts = [%q]\ndata_dir = 'data'\n[storage]\ndriver = 'memory'\n[c2s]\nlisten = []\nlisten_tls = []\n"+
		"[s2s]\nlisten = ['127.0.0.1:0']\nsecure_auth = false\n[s2s.hosts]\n%s\n[[host_config]]\nhost = %q\n%s\n", host, hosts, host, more)
}

// TestService: a service of one server talks with one of another, on streams of their own, with what certificates there are; a
// reload takes it away and brings it back.
func TestService(t *testing.T) {
	m := &echo{came: make(chan string, 10)}
	was := all.Modules
	all.Modules = append(slices.Clip(was), modules.Define(modules.Info{Name: "mod_echo", Default: true}, echoConfig{}, func(echoConfig) modules.Module { return m }))
	t.Cleanup(func() { all.Modules = was })

	p := xtest.NewCA(t).Issue(t, xtest.Issue{Names: []string{"a.test"}})
	a, log := serviceServer(t, "a.test", map[string][]byte{"certs/a.test.crt": p.Crt, "certs/a.test.key": p.Key}, "")
	at := a.listeners.own()[0].String()
	b, _ := serviceServer(t, "b.test", map[string][]byte{}, fmt.Sprintf("'a.test' = %q\n'echo.a.test' = %q", at, at))
	rewrite := func(more string) {
		t.Helper()
		bt := b.listeners.own()[0].String()
		if err := os.WriteFile(a.config().Path, serviceFile("a.test", fmt.Sprintf("'b.test' = %q\n'echo.b.test' = %q", bt, bt), more), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := a.reload(context.Background(), false); err != nil {
			t.Fatal(err)
		}
	}
	rewrite("")
	const lacks = "does not cover echo.a.test"
	if n := log.count(lacks); n != 1 {
		t.Errorf("told %d times that the certificate lacks the name", n)
	}
	if c := b.certs.Of("echo.b.test"); c == nil || c.Leaf.VerifyHostname("echo.b.test") != nil {
		t.Error("no certificate was made for a service")
	}

	talk := func(want string) {
		t.Helper()
		st := stanza.New(stanza.KindMessage, stanza.TypeNone, "there", stanza.MustJID("x@echo.b.test"), stanza.MustJID("y@echo.a.test"), nil)
		b.router.Route(context.Background(), modules.NewPacket(st))
		select {
		case got := <-m.came:
			if !strings.HasPrefix(got, want) {
				t.Errorf("came %s", got)
			}
		case <-time.After(xtest.Wait):
			t.Fatal("nothing came")
		}
	}
	talk("<message type='headline' id='back' from='y@echo.a.test' to='x@echo.b.test'")
	list := a.peerSessions("echo.a.test")
	if len(list) != 1 || list[0].JID != "echo.b.test" || list[0].Peer.describe() != "in: echo.b.test <-> echo.a.test" {
		t.Errorf("streams of the service: %+v", list)
	}
	if n := len(a.peerSessions("a.test")); n != 0 {
		t.Errorf("%d streams of the host", n)
	}

	rewrite("disabled_modules = ['mod_echo']")
	if a.router.Served("echo.a.test") {
		t.Error("it is still served")
	}
	for end := time.Now().Add(xtest.Wait); len(b.peerSessions("echo.a.test")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its streams go on")
		}
	}
	talk("<message type='error' ")
	rewrite("")
	if n := log.count(lacks); n != 2 {
		t.Errorf("told %d times, after the service came back", n)
	}

	// A name that is taken is a mistake of the file, and the old one stays in force.
	text := strings.Replace(string(serviceFile("a.test", "", "")), `hosts = ["a.test"]`, `hosts = ["a.test", "echo.a.test"]`, 1)
	if err := os.WriteFile(a.config().Path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.reload(context.Background(), false); err == nil || !strings.Contains(err.Error(), "mod_echo: serves echo.a.test for a.test, but general.hosts names it") {
		t.Errorf("a host of the service's name: %v", err)
	}
}
