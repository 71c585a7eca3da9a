package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// pair is a module whose two options must not both be unset.
type pair struct {
	A int `toml:"a"`
	B int `toml:"b"`
	T struct {
		X int `toml:"x"`
		Y int `toml:"y"`
	} `toml:"t"`
}

func (p *pair) Check(errs *Errors) {
	if p.A == 0 || p.B == 0 {
		errs.Add("", "needs a and b")
	}
	if p.A < 0 {
		errs.Add("a", "must not be negative")
	}
}

var testModules = []Section{{Name: "mod_pair", Defaults: pair{}, Check: func(n *Node, errs *Errors) { Decode(n, pair{}, errs) }}}

func TestModuleOverlay(t *testing.T) {
	c, err := Parse("f", []byte(`
general.hosts = ["A.example", "b.example", "c.example"]
[modules.mod_pair]
a = 1
b = 2
t = {x = 3, y = 4}
[[host_config]]
host = "a.example"
[host_config.modules.mod_pair]
b = 5
t.y = 6
[[host_config]]
host = "B.example"
disabled_modules = ["mod_pair"]
`), testModules)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a.example", "b.example", "c.example"}; !reflect.DeepEqual(c.General.Hosts, want) {
		t.Errorf("hosts %q", c.General.Hosts)
	}
	for host, want := range map[string]string{"a.example": "{1 5 {3 6}} false", "b.example": "{1 2 {3 4}} true", "c.example": "{1 2 {3 4}} false"} {
		n, off := c.Module(host, "mod_pair")
		errs := &Errors{}
		if got := fmt.Sprint(Decode(n, pair{}, errs), off); got != want || len(errs.List) > 0 {
			t.Errorf("%s: %s, want %s; %s", host, got, want, errs)
		}
	}
	if n, off := c.Module("a.example", "mod_other"); n != nil || off {
		t.Errorf("%v, %v", n, off)
	}
	// Overlaying leaves what was read as it was.
	if n := c.Modules["mod_pair"].Keys["t"].Keys["y"]; n.Value != int64(4) {
		t.Errorf("the global section has %v", n.Value)
	}
}

func TestModulesAreCheckedAsHostsSeeThem(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		// Both hosts complete what is incomplete alone.
		{`general.hosts = ["a", "b"]
modules.mod_pair.a = 1
[[host_config]]
host = "a"
modules.mod_pair.b = 1
[[host_config]]
host = "b"
modules.mod_pair.b = 2`, ""},
		// One of them does not.
		{`general.hosts = ["a", "b"]
modules.mod_pair.a = 1
[[host_config]]
host = "a"
modules.mod_pair.b = 1`, "f:2: modules.mod_pair: needs a and b"},
		// A mistake that two hosts inherit is told once, where it was written.
		{`general.hosts = ["a", "b"]
modules.mod_pair.a = -1
[[host_config]]
host = "a"
modules.mod_pair.b = 1
[[host_config]]
host = "b"
modules.mod_pair.b = 2`, "f:2: modules.mod_pair.a: must not be negative"},
		// The section of a host that is not served is checked too.
		{`general.hosts = ["a"]
modules.mod_pair = {a = 1, b = 1}
[[host_config]]
host = "elsewhere.example"
modules.mod_pair.a = -1
modules.mod_pear = {}`, `f:5: host_config "elsewhere.example" modules.mod_pair.a: must not be negative
f:6: host_config "elsewhere.example" modules.mod_pear: unknown module; the nearest that exists is mod_pair`},
	} {
		_, err := Parse("f", []byte(test.text), testModules)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s\n\nsays\n%s\nwant\n%s", test.text, got, test.want)
		}
	}
}

func TestHostsOfHostConfig(t *testing.T) {
	c, err := Parse("f", []byte("[general]\nlog_level = 'debug'\n[[host_config]]\nhost = 'Two.example'\n[[host_config]]\nhost = 'one.example'\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"two.example", "one.example"}; !reflect.DeepEqual(c.General.Hosts, want) {
		t.Errorf("hosts %q, want %q", c.General.Hosts, want)
	}
	if h := c.Hosts["one.example"]; h == nil || h.Line != 5 {
		t.Errorf("%+v", h)
	}
}

func TestWarnings(t *testing.T) {
	c, err := Parse("f", []byte(`[general]
hosts = ["localhost"]
[tls]
certificates = "/no/such/directory"
[[host_config]]
host = "elsewhere.example"
`), testModules)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range c.Warnings {
		got = append(got, m.In("f"))
	}
	want := []string{
		`f:4: tls.certificates: /no/such/directory: there is no such file; hosts get self-signed certificates (tls.self_signed)`,
		`f:5: host_config "elsewhere.example": the host is not in general.hosts (line 2): it is not served, and the section has no effect`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.Hosts) != 0 {
		t.Errorf("hosts that are not served: %v", c.Hosts)
	}
}

func TestPatternsArePrepared(t *testing.T) {
	c, err := Parse("f", []byte(`[s2s]
secure_domains = ["A.Example"]
insecure_domains = ["*.B.Example"]
host_policy = [{host = "*.C.Example", policy = "deny"}]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.S2S.SecureDomains, c.S2S.InsecureDomains, c.S2S.HostPolicy); got != "[a.example] [*.b.example] [{*.c.example deny}]" {
		t.Error(got)
	}
}

func TestFilesThatAreThere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/ca.pem", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := "[tls]\ntrusted_ca_file = 'ca.pem'\ndhparam = '" + dir + "/ca.pem'\ncertificates = '.'\nself_signed = false\n"
	if _, err := Parse(dir+"/config.toml", []byte(text), nil); err != nil {
		t.Error(err)
	}
	_, err := Parse(dir+"/config.toml", []byte("tls.certificates = 'ca.pem'"), nil)
	if err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Error(err)
	}
}

// TestNoSecretIsRepeated makes mistakes with and around secrets.
func TestNoSecretIsRepeated(t *testing.T) {
	for _, text := range []string{
		`token_secret = "canary"`, `token_secret = canary`, `token_secret = "canary`, `token_secret = "\canary"`, `token_secret = ["canary"]`,
		`token_secret = {canary = "canary"`, `token_secret = """canary`, `token_secret "canary"`, `token_secret = "x" "canary"`,
		"token_secret = \"a\"\ntoken_secret = \"canary\"", `otp_seed = "canary"`, `otp_seed = 'canary' # canary`, `otp_sede = "canary"`,
		"otp_seed = \"canary\x01\"", "otp_seed = \"canary\xff\"",
	} {
		for _, header := range []string{"[modules.mod_auth_token]\n", "", "[[host_config]]\nhost = 'localhost'\n[host_config.modules.mod_auth_token]\n"} {
			_, err := Parse("f", []byte(header+text), nil)
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s%s: %v", header, text, err)
			}
		}
	}
}

// FuzzParse checks that no file makes the reader fall over, and that what it says is about the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"bad", "good"} {
		entries, err := os.ReadDir(testdata + "/" + pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".toml") {
				data, err := os.ReadFile(testdata + "/" + pattern + "/" + e.Name())
				if err != nil {
					f.Fatal(err)
				}
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, testModules)
		if err != nil {
			errs, ok := err.(*Errors)
			if !ok || len(errs.List) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			for i, m := range errs.List {
				if lines := strings.Count(string(data), "\n") + 1; m.Line < 1 || m.Line > lines {
					t.Errorf("line %d of %d: %s", m.Line, lines, m.Text)
				}
				if i > 0 && m.Line < errs.List[i-1].Line {
					t.Error("not sorted")
				}
			}
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("a mistake has more than one line: %q", err)
				}
			}
			return
		}
		if len(c.General.Hosts) == 0 {
			t.Error("no hosts")
		}
		for _, h := range c.General.Hosts {
			for _, s := range testModules {
				c.Module(h, s.Name)
			}
		}
		if changes := Diff(c, c); len(changes) > 0 {
			t.Errorf("differs from itself: %v", changes)
		}
		Diff(Default(), c)
	})
}
