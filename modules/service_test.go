package modules

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/config"
)

type greeter interface{ Greet() string }

type hello string

func (h hello) Greet() string { return string(h) }

type provider struct {
	what    string
	started func(*Host)
}

func (p provider) Start(_ context.Context, h *Host) error {
	Provide[greeter](h, hello(p.what))
	Provide(h, hello(p.what)) // the same as another type
	if p.started != nil {
		p.started(h)
	}
	return nil
}
func (p provider) Stop(context.Context) error { return nil }

// ServiceOf finds what modules provide, on the host that is asked for only, and nothing that nobody provides.
func TestServiceOf(t *testing.T) {
	var hosts []*Host
	in := Define(Info{Name: "mod_greeter", Default: true}, struct{}{}, func(struct{}) Module {
		return provider{what: "hello", started: func(h *Host) { hosts = append(hosts, h) }}
	})
	l := NewLoader([]Info{in}, Env{})
	if _, ok := ServiceOf[greeter](l, "a.example"); ok {
		t.Error("there is a service before anything is loaded")
	}
	cfg := config.Default()
	cfg.General.Hosts = []string{"a.example"}
	if err := l.Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if g, ok := ServiceOf[greeter](l, "a.example"); !ok || g.Greet() != "hello" {
		t.Errorf("got %v, %v", g, ok)
	}
	if all := ServicesOf[greeter](l, "a.example"); len(all) != 1 {
		t.Errorf("it is found %d times", len(all))
	}
	if all := FindAll[greeter](hosts[0]); len(all) != 1 {
		t.Errorf("it is found %d times", len(all))
	}
	if g, ok := FindOn[greeter](hosts[0], "a.example"); !ok || g.Greet() != "hello" {
		t.Errorf("on the host: %v, %v", g, ok)
	}
	if _, ok := FindOn[greeter](hosts[0], "b.example"); ok {
		t.Error("another host has it")
	}
	if _, ok := ServiceOf[greeter](l, "b.example"); ok {
		t.Error("a host that is not served has a service")
	}
	if _, ok := ServiceOf[interface{ Nobody() }](l, "a.example"); ok {
		t.Error("there is a service that nobody provides")
	}
}
