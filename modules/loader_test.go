package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// fakeConfig is the section of a fake module.
type fakeConfig struct {
	Value    string `toml:"value" doc:"a word"`
	Positive int    `toml:"positive" doc:"a number"`
}

func (c *fakeConfig) Check(errs *config.Errors) {
	if c.Positive < 0 {
		errs.Add("positive", "must be positive, is %d", c.Positive)
	}
}

// fake is a module whose behaviour a test writes; journal is what happened to all of them.
type fake struct {
	name  string
	cfg   fakeConfig
	start func(*fake, *Host) error
	log   *journal
}

type journal struct{ lines []string }

func (j *journal) add(format string, args ...any) {
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take returns what happened since the last call.
func (j *journal) take() string {
	s := strings.Join(j.lines, " ")
	j.lines = nil
	return s
}

func (f *fake) Start(_ context.Context, h *Host) error {
	f.log.add("start %s %s=%s", h.Name, f.name, f.cfg.Value)
	if f.start != nil {
		return f.start(f, h)
	}
	return nil
}

func (f *fake) Stop(context.Context) error { f.log.add("stop %s=%s", f.name, f.cfg.Value); return nil }

// live is a fake that takes a new section as it runs; it refuses the value "no".
type live struct{ fake }

func (l *live) Reload(_ context.Context, c fakeConfig) error {
	l.log.add("reload %s=%s", l.name, c.Value)
	if c.Value == "no" {
		return errors.New("not this one")
	}
	l.cfg = c
	return nil
}

func fakeInfo(j *journal, name string, on bool, start func(*fake, *Host) error) Info {
	return Define(Info{Name: name, Summary: "a fake", Default: on}, fakeConfig{Value: "default"}, func(c fakeConfig) Module {
		return &fake{name, c, start, j}
	})
}

func liveInfo(j *journal, name string) Info {
	return Define(Info{Name: name, Default: true}, fakeConfig{Value: "default"}, func(c fakeConfig) Module {
		return &live{fake{name, c, nil, j}}
	})
}

// bench is a loader with what it published.
type bench struct {
	*Loader
	t         *testing.T
	infos     []Info
	published []map[string]*Table
	log       bytes.Buffer
}

func newBench(t *testing.T, infos ...Info) *bench {
	b := &bench{t: t, infos: infos}
	b.Loader = NewLoader(infos, Env{
		Log:     slog.New(slog.NewTextHandler(&b.log, nil)),
		Publish: func(m map[string]*Table) { b.published = append(b.published, m) },
	})
	return b
}

func (b *bench) parse(toml string) *config.Config {
	b.t.Helper()
	if !strings.Contains(toml, "[general]") {
		toml = "[general]\nhosts = [\"a.test\"]\n" + toml
	}
	var s []config.Section
	for _, in := range b.infos {
		in.Section.Check = func(*config.Node, *config.Errors) {} // mistakes are for the loader to find here
		s = append(s, in.Section)
	}
	cfg, err := config.Parse("config.toml", []byte(toml), s)
	if err != nil {
		b.t.Fatal(err)
	}
	return cfg
}

func (b *bench) load(toml string) error {
	b.t.Helper()
	return b.Load(context.Background(), b.parse(toml))
}

func (b *bench) mustLoad(toml string) {
	b.t.Helper()
	if err := b.load(toml); err != nil {
		b.t.Fatal(err)
	}
}

func TestLoadOrderAndSelection(t *testing.T) {
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, nil), fakeInfo(j, "mod_b", false, nil), fakeInfo(j, "mod_c", true, nil))
	b.mustLoad(`
[general]
hosts = ["a.test", "b.test", "c.test"]
[modules.mod_a]
value = "x"
[[host_config]]
host = "b.test"
[host_config.modules.mod_b]
value = "y"
[[host_config]]
host = "c.test"
disabled_modules = ["mod_a"]
`)
	want := "start a.test mod_a=x start a.test mod_c=default start b.test mod_a=x start b.test mod_b=y start b.test mod_c=default start c.test mod_c=default"
	if got := j.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(b.published) != 1 || len(b.published[0]) != 3 || b.published[0]["b.test"] != b.Table("b.test") {
		t.Errorf("published %v", b.published)
	}
	if got := b.Table("b.test").Modules; !slices.Equal(got, []string{"mod_a", "mod_b", "mod_c"}) {
		t.Errorf("modules of b.test: %v", got)
	}
	var why []string
	for _, h := range b.Describe() {
		for _, m := range h.Modules {
			why = append(why, fmt.Sprintf("%s %s %v: %s", h.Host, m.Name, m.On, m.Why))
		}
	}
	for _, want := range []string{
		"a.test mod_a true: has a section in the file", "a.test mod_b false: not in the default set and without a section",
		"a.test mod_c true: default", "c.test mod_a false: disabled_modules names it",
	} {
		if !slices.Contains(why, want) {
			t.Errorf("missing %q in\n%s", want, strings.Join(why, "\n"))
		}
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	want = "stop mod_c=default stop mod_c=default stop mod_b=y stop mod_a=x stop mod_c=default stop mod_a=x"
	if got := j.take(); got != want {
		t.Errorf("stopped %s\nwant    %s", got, want)
	}
	if b.load("") == nil {
		t.Error("a stopped loader loads")
	}
}

func TestReload(t *testing.T) {
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, nil), liveInfo(j, "mod_b"), fakeInfo(j, "mod_c", true, nil), fakeInfo(j, "mod_d", false, nil))
	b.mustLoad("")
	j.take()
	first := b.Table("a.test")

	const next = `
[modules.mod_a]
value = "new"
[modules.mod_b]
value = "new"
[modules.mod_d]
[[host_config]]
host = "a.test"
disabled_modules = ["mod_c"]
`
	plan := fmt.Sprint(b.Plan(b.parse(next)))
	if want := "[{a.test mod_a restart} {a.test mod_b reload} {a.test mod_d start} {a.test mod_c stop}]"; plan != want {
		t.Errorf("plan %s\nwant %s", plan, want)
	}
	if j.take() != "" {
		t.Error("the plan did something")
	}
	b.mustLoad(next)
	want := "start a.test mod_a=new reload mod_b=new start a.test mod_d=default stop mod_c=default stop mod_a=default"
	if got := j.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b.Table("a.test") == first || len(b.published) != 2 {
		t.Error("no new table in force")
	}
	if b.mustLoad(next); j.take() != "" {
		t.Error("loading the same file again did something")
	}
	if plan := b.Plan(b.parse(next)); len(plan) != 0 {
		t.Errorf("plan for the same file: %v", plan)
	}
}

func TestHostsComeAndGo(t *testing.T) {
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, nil))
	b.mustLoad("[general]\nhosts = [\"a.test\", \"b.test\"]")
	j.take()
	next := "[general]\nhosts = [\"b.test\", \"c.test\"]"
	if plan, want := fmt.Sprint(b.Plan(b.parse(next))), "[{c.test mod_a start} {a.test mod_a stop}]"; plan != want {
		t.Errorf("plan %s, want %s", plan, want)
	}
	b.mustLoad(next)
	if got, want := j.take(), "start c.test mod_a=default stop mod_a=default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if b.Table("a.test") != nil || b.Table("c.test") == nil || len(b.published[1]) != 2 {
		t.Error("tables do not follow the hosts")
	}
}

// A load that fails leaves all as it was: what was started is stopped, what was reloaded is reloaded back.
func TestAllOrNothing(t *testing.T) {
	j := &journal{}
	fails := func(f *fake, h *Host) error {
		switch f.cfg.Value {
		case "bad":
			return errors.New("no luck")
		case "panics":
			panic("oh")
		}
		return nil
	}
	b := newBench(t, fakeInfo(j, "mod_a", true, nil), liveInfo(j, "mod_b"), fakeInfo(j, "mod_c", true, fails))
	b.mustLoad("")
	j.take()
	table := b.Table("a.test")
	for _, tt := range []struct{ name, toml, want, err string }{
		{"a later start fails", "[modules.mod_a]\nvalue = \"n\"\n[modules.mod_b]\nvalue = \"n\"\n[modules.mod_c]\nvalue = \"bad\"",
			"start a.test mod_a=n reload mod_b=n start a.test mod_c=bad stop mod_c=bad reload mod_b=default stop mod_a=n", "host a.test: mod_c: no luck"},
		{"a start panics", "[modules.mod_c]\nvalue = \"panics\"",
			"start a.test mod_c=panics stop mod_c=panics", "host a.test: mod_c: panic: oh"},
		{"a reload fails", "[modules.mod_a]\nvalue = \"n\"\n[modules.mod_b]\nvalue = \"no\"",
			"start a.test mod_a=n reload mod_b=no reload mod_b=default stop mod_a=n", "host a.test: mod_b: reload: not this one"},
		{"a mistake in the file", "[modules.mod_a]\nvalue = \"n\"\npositive = -1\n[modules.mod_c]\npositive = -2", "", "must be positive, is -1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := b.load(tt.toml)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if got := j.take(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if b.Table("a.test") != table || len(b.published) != 1 {
				t.Error("something else is in force")
			}
		})
	}
	b.mustLoad("")
	if got := j.take(); got != "" {
		t.Errorf("after the failures the first file is not what runs: %s", got)
	}
}

// Mistakes of all sections are reported together, and a section for all hosts once.
func TestMistakesTogether(t *testing.T) {
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, nil), fakeInfo(j, "mod_b", true, nil))
	err := b.load("[general]\nhosts = [\"a.test\", \"b.test\"]\n[modules.mod_a]\npositive = -1\n[modules.mod_b]\npositive = -2")
	var errs *config.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error is %T %v", err, err)
	}
	if len(errs.List) != 2 || errs.List[0].Line != 4 || errs.List[1].Line != 6 {
		t.Errorf("mistakes: %v", errs)
	}
	if j.take() != "" {
		t.Error("something was started")
	}
}

func TestConflicts(t *testing.T) {
	claims := func(f *fake, h *Host) error {
		h.IQ(Server, "urn:x", func(context.Context, *IQ) ([]byte, error) { return nil, nil })
		h.IQ(Account, "urn:x"+f.name, func(context.Context, *IQ) ([]byte, error) { return nil, nil })
		h.Serve("sub.a.test", func(context.Context, *Packet) {})
		h.SASL(auth.Mechanism{Name: "X-FAKE", Server: func(*auth.Exchange) sasl.Mechanism { return sasl.Mechanism{} }})
		if f.name == "mod_b" {
			h.Serve("a.test", func(context.Context, *Packet) {})
		}
		return nil
	}
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, claims), fakeInfo(j, "mod_b", true, claims))
	err := b.load("")
	if err == nil {
		t.Fatal("no conflict")
	}
	for _, want := range []string{
		`IQ namespace "urn:x" (server) is claimed by mod_a and by mod_b`, "domain sub.a.test is claimed by mod_a and by mod_b",
		"mechanism X-FAKE is claimed by mod_a and by mod_b", "domain a.test is claimed by the virtual host and by mod_b",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if got := j.take(); !strings.HasSuffix(got, "stop mod_b=default stop mod_a=default") {
		t.Errorf("not undone: %s", got)
	}
}

func TestTable(t *testing.T) {
	nothing := func(context.Context, *Packet) error { return nil }
	start := func(f *fake, h *Host) error {
		switch f.name {
		case "mod_a":
			h.Hooks.Outgoing.On(Watch, nothing)
			h.Hooks.Outgoing.On(Check, nothing)
			h.Disco(Server, "urn:z", "urn:b")
			h.Identity(Server, Identity{"server", "im", "x"})
			h.SASL(auth.Mechanism{Name: "LOW", Weight: 1})
			h.SASL(auth.Mechanism{Name: "PLAIN", Weight: 9})
			h.Form(Server, func() []byte { return []byte("<x/>") })
		case "mod_b":
			h.Hooks.Outgoing.On(Check, nothing)
			h.Hooks.Outgoing.On(Keep, nothing)
			h.Disco(Server, "urn:b", "urn:a")
			h.Disco(Account, "urn:c")
			h.Identity(Server, Identity{"server", "im", "x"})
			h.SASL(auth.Mechanism{Name: "HT-X", Weight: 5, Unlisted: true})
			h.Stream(stream.Feature{Name: "f"})
			h.Serve("sub.a.test", func(context.Context, *Packet) {}, "Sub")
			h.Hooks.UserCreated.On(Keep, func(context.Context, stanza.JID) { f.log.add("created") })
		}
		return nil
	}
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, start), fakeInfo(j, "mod_b", true, start))
	b.mustLoad("[c2s]\nsasl_mechanisms = [\"PLAIN\"]")
	tb := b.Table("a.test")

	var order []string
	for _, h := range tb.DescribeHooks()[0].Handlers {
		order = append(order, h.Module+" "+h.Phase.String())
	}
	if got, want := strings.Join(order, ", "), "mod_a Check, mod_b Check, mod_b Keep, mod_a Watch"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	ids, features, forms := tb.Disco(Server)
	if len(ids) != 1 || !slices.Equal(features, []string{"urn:a", "urn:b", "urn:z"}) || len(forms) != 1 {
		t.Errorf("disco %v %v %d", ids, features, len(forms))
	}
	var mechs []string
	for _, m := range tb.Mechanisms {
		mechs = append(mechs, m.Name)
	}
	if !slices.Equal(mechs, []string{"PLAIN", "HT-X"}) {
		t.Errorf("mechanisms %v", mechs)
	}
	if len(tb.Features) != 1 || tb.Domains["sub.a.test"].Handle == nil || tb.Domains["sub.a.test"].Name != "Sub" {
		t.Error("feature or domain is missing")
	}
	j.take()
	tb.Notify(context.Background(), UserCreated, stanza.JID{})
	tb.Notify(context.Background(), UserDeleted, stanza.JID{})
	if got := j.take(); got != "created" {
		t.Errorf("notified: %s", got)
	}
}

// What is registered after Start is in no table: it is ignored, and the log says so. The same goes for a table in force.
func TestLateRegistration(t *testing.T) {
	var h *Host
	b := newBench(t, fakeInfo(&journal{}, "mod_a", true, func(_ *fake, host *Host) error { h = host; return nil }))
	b.mustLoad("")
	h.Hooks.ToBare.On(Check, func(context.Context, *Packet) error { return nil })
	h.Disco(Server, "urn:late")
	Provide(h, 7)
	if got := strings.Count(b.log.String(), "registered after Start, ignored"); got != 3 {
		t.Errorf("%d complaints in the log:\n%s", got, b.log.String())
	}
	tb := b.Table("a.test")
	tb.Hooks.ToBare.On(Check, func(context.Context, *Packet) error { return nil })
	if !tb.Hooks.ToBare.Empty() || !h.Hooks.ToBare.Empty() {
		t.Error("a late handler was taken")
	}
	if _, err := Find[int](h); err == nil {
		t.Error("a late service was taken")
	}
}

type service interface{ Word() string }
type word string

func (w word) Word() string { return string(w) }

// Services are found by the modules behind the one that offers them, and who found one is started anew with it.
func TestServices(t *testing.T) {
	offers := func(f *fake, h *Host) error { Provide[service](h, word(f.cfg.Value)); return nil }
	needs := func(f *fake, h *Host) error {
		s, err := Find[service](h)
		if err != nil {
			return err
		}
		f.log.add("found %s", s.Word())
		return nil
	}
	var asks *Host
	likes := func(f *fake, h *Host) error {
		asks = h
		if s, err := Find[service](h); err == nil {
			f.log.add("may use %s", s.Word())
		}
		return nil
	}
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_likes_early", true, likes), fakeInfo(j, "mod_offers", false, offers),
		fakeInfo(j, "mod_needs", false, needs), fakeInfo(j, "mod_likes", true, likes))
	b.mustLoad("")
	j.take()
	if err := b.load("[modules.mod_needs]"); err == nil || !strings.Contains(err.Error(), "no module that offers modules.service") {
		t.Errorf("error %v", err)
	}
	j.take()
	b.mustLoad("[modules.mod_offers]\nvalue = \"one\"\n[modules.mod_needs]")
	want := "start a.test mod_offers=one start a.test mod_needs=default found one start a.test mod_likes=default may use one stop mod_likes=default"
	if got := j.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	plan := fmt.Sprint(b.Plan(b.parse("[modules.mod_offers]\nvalue = \"two\"\n[modules.mod_needs]")))
	if want := "[{a.test mod_offers restart} {a.test mod_needs restart} {a.test mod_likes restart}]"; plan != want {
		t.Errorf("plan %s", plan)
	}
	b.mustLoad("[modules.mod_offers]\nvalue = \"two\"\n[modules.mod_needs]")
	if got := j.take(); !strings.Contains(got, "found two") || !strings.Contains(got, "may use two") {
		t.Errorf("got %s", got)
	}
	if s, err := Find[service](asks); err != nil || s.Word() != "two" {
		t.Errorf("at request time: %v %v", s, err)
	}
}

// Options that are not the module's own change without a restart.
func TestFileFollows(t *testing.T) {
	var h *Host
	j := &journal{}
	b := newBench(t, fakeInfo(j, "mod_a", true, func(_ *fake, host *Host) error {
		h = host
		if h.Table() != nil || h.File() == nil {
			t.Error("Table or File during the first Start")
		}
		return nil
	}))
	b.mustLoad("[limits]\nroster_items = 5")
	j.take()
	b.mustLoad("[limits]\nroster_items = 6")
	if h.File().Limits.RosterItems != 6 || h.Config.Limits.RosterItems != 5 || j.take() != "" || h.Table() != b.Table("a.test") {
		t.Error("the instance does not see the file in force, or was restarted")
	}
}

func TestActor(t *testing.T) {
	if ActorOf(context.Background()) != nil {
		t.Error("an actor out of nothing")
	}
	var s struct{ Session }
	if ActorOf(WithActor(context.Background(), s)) != Session(s) {
		t.Error("the actor is lost")
	}
}

// A secret is the same each time, and another for each module, host and label.
func TestSecret(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"mod_a", "mod_b"} {
		for _, host := range []string{"a.test", "b.test"} {
			h := &Host{Name: host, reg: newRegistration(name, nil, nil), secret: newSecret()}
			for _, label := range []string{"x", "y"} {
				s := string(h.Secret(label))
				if len(s) != 32 || s != string(h.Secret(label)) {
					t.Errorf("%s of %s: %q is %d bytes, then %q", name, host, label, len(s), h.Secret(label))
				}
				h2 := &Host{Name: host, reg: h.reg, secret: func(label string) []byte { return []byte(label) }}
				if other, there := seen[string(h2.Secret(label))]; there {
					t.Errorf("%s of %s has the secret %q of %s", name, host, label, other)
				}
				seen[string(h2.Secret(label))] = name + host + label
			}
		}
	}
}
