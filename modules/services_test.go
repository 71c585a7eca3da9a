package modules

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
)

func TestSubdomain(t *testing.T) {
	for _, tt := range []struct{ label, host, want string }{
		{"conference", "a.test", "conference.a.test"},
		{"Conference", "a.test", "conference.a.test"},
		{"rooms.of", "a.test", "rooms.of.a.test"},
		{"räume", "bücher.test", "räume.bücher.test"},
		{"", "a.test", ""},
		{".", "a.test", ""},
		{"a b", "a.test", ""},
		{"x@y", "a.test", ""},
		{"x/y", "a.test", ""},
		{"conference", "10.0.0.1", ""},
		{"conference", "[fd00::1]", ""},
		{"conference", "localhost", "conference.localhost"},
	} {
		if got := Subdomain(tt.label, tt.host); got != tt.want {
			t.Errorf("%q of %q: %q, want %q", tt.label, tt.host, got, tt.want)
		}
	}
}

// serving is the section of a module that serves a subdomain.
type serving struct {
	Subdomain string `toml:"subdomain"`
	Domain    string `toml:"domain"`
}

func (c *serving) Check(errs *config.Errors) {
	if Subdomain(c.Subdomain, "example") == "" {
		errs.Add("subdomain", "is none")
	}
}

func (c serving) Services(host string) []string {
	if c.Domain != "" {
		return []string{c.Domain}
	}
	return []string{Subdomain(c.Subdomain, host)}
}

func servingInfo(name string, on bool) Info {
	return Define(Info{Name: name, Default: on}, serving{Subdomain: "rooms"}, func(c serving) Module { return &serves{c} })
}

type serves struct{ c serving }

func (m *serves) Start(_ context.Context, h *Host) error {
	for _, d := range m.c.Services(h.Name) {
		h.Serve(d, func(context.Context, *Packet) {}, "Rooms")
	}
	return nil
}

func (m *serves) Stop(context.Context) error { return nil }

// Names that are taken are mistakes of the file, with their lines.
func TestServicesOfFile(t *testing.T) {
	infos := []Info{servingInfo("mod_a", true), servingInfo("mod_b", false)}
	for _, tt := range []struct{ name, toml, want string }{
		{"one", "[general]\nhosts = [\"a.test\", \"b.test\"]\n", "[{rooms.a.test a.test mod_a} {rooms.b.test b.test mod_a}]"},
		{"two", "[general]\nhosts = [\"a.test\"]\n[modules.mod_b]\nsubdomain = \"irc\"\n", "[{rooms.a.test a.test mod_a} {irc.a.test a.test mod_b}]"},
		{"off on one host", "[general]\nhosts = [\"a.test\", \"b.test\"]\n[[host_config]]\nhost = \"b.test\"\ndisabled_modules = [\"mod_a\"]\n",
			"[{rooms.a.test a.test mod_a}]"},
		{"a host of that name", "[general]\nhosts = [\"a.test\", \"rooms.a.test\"]\n",
			"f: modules.mod_a: serves rooms.a.test for a.test, but general.hosts names it as a host of its own: choose another name, or switch one of them off (disabled_modules)"},
		{"a host of that name, with a section", "[general]\nhosts = [\"a.test\", \"irc.a.test\"]\n[modules.mod_a]\nsubdomain = \"irc\"\n",
			"f:3: modules.mod_a: serves irc.a.test for a.test, but general.hosts names it as a host of its own: choose another name, or switch one of them off (disabled_modules)"},
		{"another module's", "[general]\nhosts = [\"a.test\"]\n[modules.mod_b]\n",
			"f:3: modules.mod_b: serves rooms.a.test for a.test, but mod_a serves it on a.test: choose another name, or switch one of them off (disabled_modules)"},
		{"another host's", "[general]\nhosts = [\"a.test\", \"x.a.test\"]\n[[host_config]]\nhost = \"a.test\"\n[host_config.modules.mod_a]\nsubdomain = \"rooms.x\"\n",
			"f: modules.mod_a: serves rooms.x.a.test for x.a.test, but mod_a serves it on a.test: choose another name, or switch one of them off (disabled_modules)"},
		{"no subdomain", "[general]\nhosts = [\"a.test\"]\n[modules.mod_a]\ndomain = \"rooms.b.test\"\n", "f:3: modules.mod_a: \"rooms.b.test\" is no subdomain of a.test"},
		{"a mistake of its own", "[general]\nhosts = [\"a.test\"]\n[modules.mod_a]\nsubdomain = \"\"\n", "f:4: modules.mod_a.subdomain: is none"},
	} {
		cfg, err := config.Parse("f", []byte(tt.toml), Sections(infos))
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(ServedBy(infos, cfg))
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// A module that serves what is not the host's does not start.
func TestServeElsewhere(t *testing.T) {
	for _, domain := range []string{"rooms.b.test", "Rooms.a.test", "xa.test", ".a.test", "x@rooms.a.test"} {
		b := newBench(t, fakeInfo(&journal{}, "mod_a", true, func(_ *fake, h *Host) error {
			h.Serve(domain, func(context.Context, *Packet) {})
			return nil
		}))
		if err := b.load(""); err == nil || !strings.Contains(err.Error(), "is no subdomain of it") {
			t.Errorf("%s: %v", domain, err)
		}
	}
}
