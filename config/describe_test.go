package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	type key struct {
		Name   string `toml:"name,required" doc:"what it is called"`
		Shared bool   `toml:"shared" doc:"whose it is"`
	}
	type span struct {
		Value int    `toml:"value,required" doc:"how many"`
		Unit  string `toml:"unit,required" doc:"days or hours"`
	}
	type spans struct {
		Short span `toml:"short"`
		Long  span `toml:"long"`
	}
	type options struct {
		Words  []string `toml:"words" doc:"some | words"`
		Wait   Duration `toml:"wait"`
		Secret string   `toml:"secret" secret:"true"`
		Keys   []key    `toml:"keys"`
		Valid  spans    `toml:"valid"`
		Maybe  *span    `toml:"maybe"`
		Empty  string   `toml:"empty" secret:"true"`
		none   int
	}
	got := Describe(&options{Words: []string{"a", "b"}, Wait: 30 * minutes, Secret: "hunter2", none: 1})
	want := []Option{
		{"words", "list of strings", `["a", "b"]`, "some | words"},
		{"wait", "time span", `"30m"`, ""},
		{"secret", "string", "(secret)", ""},
		{"keys", "list of tables", "[]", ""},
		{"keys[].name", "string", "", "what it is called"},
		{"keys[].shared", "true or false", "false", "whose it is"},
		{"valid.short.value", "whole number", "", "how many"},
		{"valid.short.unit", "string", "", "days or hours"},
		{"valid.long.value", "whole number", "", "how many"},
		{"valid.long.unit", "string", "", "days or hours"},
		{"maybe.value", "whole number", "", "how many"},
		{"maybe.unit", "string", "", "days or hours"},
		{"empty", "string", `""`, ""},
	}
	if !reflect.DeepEqual(got, want) {
		for i := range got {
			t.Logf("%q", got[i])
		}
		t.Errorf("want %q", want)
	}
	if Describe(5) != nil {
		t.Error("a number has options")
	}
}

// TestEveryOptionIsExplained keeps an option from coming without a word of what it does.
func TestEveryOptionIsExplained(t *testing.T) {
	for _, s := range coreSections() {
		for _, o := range Describe(s.Defaults) {
			if o.Doc == "" {
				t.Errorf("%s.%s has no doc tag", s.Name, o.Key)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	doc := Markdown(testModules)
	if again := Markdown(testModules); !bytes.Equal(doc, again) {
		t.Error("two runs differ")
	}
	for _, line := range []string{
		"## [general]", "## [[host_config]]", "### [modules.mod_pair]", "| `t.x` | whole number | `0` |  |",
		"| `hosts` | list of strings | `[\"localhost\"]` | the domains that this server is |",
		"| `stanza_size_c2s` | size | `\"256KiB\"` | largest stanza of a client |",
	} {
		if !strings.Contains(string(doc), "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, doc)
		}
	}
	for _, path := range corePaths() {
		key := path[strings.IndexByte(path, '.')+1:]
		if !strings.Contains(string(doc), "| `"+key+"` |") {
			t.Errorf("%s is not in the page", path)
		}
	}
	none := Markdown([]Section{{Name: "mod_none", Defaults: struct{}{}}})
	if !strings.HasSuffix(string(none), "### [modules.mod_none]\n\nNo options.\n") {
		t.Error("a module without options")
	}
}

func TestDiff(t *testing.T) {
	parse := func(text string) *Config {
		t.Helper()
		c, err := Parse("f", []byte(text), append(testModules[:len(testModules):len(testModules)],
			anything("mod_spare"), anything("mod_auth_token"), anything("mod_keystore")))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	secret := "JYXEX4IQOEYFYQ2S3MC5P4ZT4SDHYEA7"
	old := parse(`[general]
hosts = ["a.example", "b.example"]
[modules.mod_pair]
a = 1
b = 2
t.x = 1
[modules.mod_auth_token]
otp_seed = "XVGR73KMZH2M4XMY"
token_secret = "` + secret + `"
[modules.mod_keystore]
keys = [{name = "k", type = "ram"}]
[[host_config]]
host = "a.example"
modules.mod_pair.a = 7
`)
	new := parse(`[general]
hosts = ["a.example", "b.example", "c.example"]
data_dir = "/var/lib/xmppd"
[c2s]
listen = ["127.0.0.1:5222"]
[storage]
driver = "memory"
[limits]
login_timeout = "90s"
stanza_size_c2s = 262144
[modules.mod_pair]
a = 1
b = 3
[modules.mod_auth_token]
otp_seed = "XVGR73KMZH2M4XMZ"
token_secret = "` + secret + `X"
[modules.mod_keystore]
keys = [{name = "k", type = "file", path = "p\u0007"}]
[modules.mod_spare]
[[host_config]]
host = "b.example"
disabled_modules = ["mod_pair"]
`)
	want := []Change{
		{"general.hosts", `["a.example", "b.example"]`, `["a.example", "b.example", "c.example"]`, Live},
		{"general.data_dir", `"data"`, `"/var/lib/xmppd"`, ServerRestart},
		{"c2s.listen", `["[::]:5222"]`, `["127.0.0.1:5222"]`, ListenerRestart},
		{"storage.driver", `"bolt"`, `"memory"`, ServerRestart},
		{"limits.login_timeout", `"1m"`, `"1m30s"`, Live},
		{"modules.mod_auth_token.otp_seed", "(secret)", "(secret)", Live},
		{"modules.mod_auth_token.token_secret", "(secret)", "(secret)", Live},
		{"modules.mod_keystore.keys", `[{name = "k", type = "ram"}]`, `[{name = "k", type = "file", path = "p\a"}]`, Live},
		{"modules.mod_pair.b", "2", "3", Live},
		{"modules.mod_pair.t.x", "1", "(default)", Live},
		{"modules.mod_spare", "(default)", "{}", Live},
		{`host_config "a.example" modules.mod_pair.a`, "7", "(default)", Live},
		{`host_config "b.example" disabled_modules`, "[]", `["mod_pair"]`, Live},
	}
	got := Diff(old, new)
	if !reflect.DeepEqual(got, want) {
		for _, c := range got {
			t.Logf("%q", c)
		}
		t.Errorf("want %q", want)
	}
	if changes := Diff(new, new); len(changes) > 0 {
		t.Errorf("no change, but %q", changes)
	}
}

// The transport is chosen when the server starts, and a reload says so.
func TestDiffTransport(t *testing.T) {
	was, is := Default(), Default()
	is.C2S.Transport = "epoll"
	want := []Change{{"c2s.transport", `"goroutine"`, `"epoll"`, ServerRestart}}
	if got := Diff(was, is); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// The epoll transport elsewhere than on Linux is a mistake, in plain words.
func TestTransportOfOtherSystems(t *testing.T) {
	for _, c := range []struct{ transport, system, want string }{
		{"epoll", "darwin", "only Linux has epoll, and this is darwin: use goroutine"},
		{"epoll", "linux", ""},
		{"goroutine", "windows", ""},
	} {
		errs := &Errors{seen: map[Mistake]bool{}}
		checkTransport(c.transport, c.system, errs)
		got := ""
		for _, m := range errs.List {
			got += m.Text
		}
		if got != c.want {
			t.Errorf("%s on %s: %q", c.transport, c.system, got)
		}
	}
}
