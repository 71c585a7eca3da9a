package modules

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
)

// offering is a module that offers commands.
type offering struct {
	nodes []string
	host  **Host
}

func (o offering) Start(_ context.Context, h *Host) error {
	for _, n := range o.nodes {
		h.Command(Command{Node: n, Name: "Name of " + n, Admin: n == "b"})
	}
	*o.host = h
	return nil
}

func (offering) Stop(context.Context) error { return nil }

func TestCommands(t *testing.T) {
	var host *Host
	define := func(name string, nodes ...string) Info {
		return Define(Info{Name: name, Default: true}, struct{}{}, func(struct{}) Module { return offering{nodes, &host} })
	}
	cfg := config.Default()
	cfg.General.Hosts = []string{"a.example"}
	l := NewLoader([]Info{define("mod_one", "c", "a"), define("mod_two", "b")}, Env{})
	if err := l.Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, c := range l.Describe()[0].Commands {
		nodes = append(nodes, c.Node)
		if c.Admin != (c.Node == "b") || c.Name != "Name of "+c.Node {
			t.Errorf("%+v", c)
		}
	}
	if got := strings.Join(nodes, " "); got != "a b c" {
		t.Errorf("commands are %q", got)
	}
	l = NewLoader([]Info{define("mod_one", "a"), define("mod_two", "b", "a")}, Env{})
	if err := l.Load(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "command a is claimed by mod_one and by mod_two") {
		t.Errorf("two of the same node: %v", err)
	}
}

func TestCommandCall(t *testing.T) {
	c := &CommandCall{Forms: []*stanza.Form{
		{Fields: []stanza.FormField{{Var: "a", Values: []string{"1", "2"}}}},
		{Fields: []stanza.FormField{{Var: "b", Values: []string{"3"}}, {Var: "empty"}}},
	}}
	if c.Value("a") != "1" || len(c.Values("a")) != 2 || c.Value("b") != "3" || c.Value("empty") != "" || c.Value("none") != "" {
		t.Error("values of the stages")
	}
}

// Who is an admin is one on his host alone, as the file is now.
func TestAdmin(t *testing.T) {
	var host *Host
	in := Define(Info{Name: "mod_one", Default: true}, struct{}{}, func(struct{}) Module { return offering{nil, &host} })
	l := NewLoader([]Info{in}, Env{})
	load := func(admins ...string) {
		t.Helper()
		cfg := config.Default()
		cfg.General.Hosts = []string{"a.example"}
		cfg.General.Admins = admins
		if err := l.Load(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	load("Root@a.example", "other@b.example")
	for addr, want := range map[string]bool{
		"root@a.example": true, "root@a.example/desk": true, "other@b.example": false, "root@b.example": false, "a.example": false, "other@a.example": false,
	} {
		if got := host.Admin(stanza.MustJID(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	load()
	if host.Admin(stanza.MustJID("root@a.example")) {
		t.Error("an admin after the reload")
	}
}
