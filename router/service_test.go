package router

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// outbox is a Peers that keeps what leaves.
type outbox []string

func (o *outbox) Send(_ context.Context, p *modules.Packet) error {
	*o = append(*o, p.From.String()+" > "+p.To.String())
	return nil
}

// echo is a module that serves a subdomain and sends what comes there back; it notes what leaves for other servers.
type echo struct {
	host    *modules.Host
	leaving []string
	refuse  error
}

func (m *echo) Start(_ context.Context, h *modules.Host) error {
	m.host = h
	h.Serve("echo."+h.Name, func(ctx context.Context, p *modules.Packet) {
		st := p.Stanza.Clone()
		st.SetFrom(p.To)
		st.SetTo(p.From)
		h.Router.Route(ctx, modules.NewPacket(st))
	})
	h.Hooks.ToPeer.On(modules.Check, func(_ context.Context, p *modules.Packet) error {
		m.leaving = append(m.leaving, p.From.String()+" > "+p.To.String())
		return m.refuse
	})
	return nil
}

func (m *echo) Stop(context.Context) error { return nil }

// A subdomain belongs to the host whose module serves it: stanzas for it go to the module, and those from it pass that host's
// ToPeer.
func TestService(t *testing.T) {
	m, left := &echo{}, &outbox{}
	r := New(Options{Peers: left})
	info := modules.Define(modules.Info{Name: "mod_echo", Default: true}, struct{}{}, func(struct{}) modules.Module { return m })
	cfg, err := config.Parse("f", []byte("[general]\nhosts = [\"a.test\", \"b.test\"]\n[[host_config]]\nhost = \"b.test\"\ndisabled_modules = [\"mod_echo\"]\n"),
		modules.Sections([]modules.Info{info}))
	if err != nil {
		t.Fatal(err)
	}
	l := modules.NewLoader([]modules.Info{info}, modules.Env{Router: r, Publish: r.Publish})
	if err := l.Load(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		domain        string
		local, served bool
		owner         string
	}{
		{"a.test", true, true, "a.test"}, {"echo.a.test", false, true, "a.test"}, {"b.test", true, true, "b.test"},
		{"echo.b.test", false, false, ""}, {"x.a.test", false, false, ""}, {"", false, false, ""},
	} {
		owner := ""
		if tb := r.Owner(tt.domain); tb != nil {
			owner = tb.Host
		}
		if r.Local(tt.domain) != tt.local || r.Served(tt.domain) != tt.served || owner != tt.owner {
			t.Errorf("%s: local %v, served %v, of %q", tt.domain, r.Local(tt.domain), r.Served(tt.domain), owner)
		}
	}
	alice := &sink{jid: stanza.MustJID("alice@b.test/r")}
	r.Add(alice)
	route := func(from, to string) {
		t.Helper()
		st, err := stanza.Parse([]byte("<message from='" + from + "' to='" + to + "' type='chat'><body>x</body></message>"))
		if err != nil {
			t.Fatal(err)
		}
		r.Route(context.Background(), modules.NewPacket(st))
	}
	route("alice@b.test/r", "room@echo.a.test/x")
	if alice.n != 1 {
		t.Errorf("alice got %d", alice.n)
	}
	route("x@c.test/r", "echo.a.test")
	route("room@echo.a.test", "y@c.test")
	want := "echo.a.test > x@c.test/r, room@echo.a.test > y@c.test"
	if got := strings.Join(*left, ", "); got != want {
		t.Errorf("left: %s", got)
	}
	if got := strings.Join(m.leaving, ", "); got != want {
		t.Errorf("ToPeer saw %s", got)
	}
	m.refuse = modules.Done
	if route("room@echo.a.test", "y@c.test"); len(*left) != 2 || len(m.leaving) != 3 {
		t.Errorf("ToPeer did not hold it up: %s", *left)
	}
	if route("alice@b.test/r", "y@c.test"); len(*left) != 3 || len(m.leaving) != 3 {
		t.Error("another host's is none of its business")
	}
}
