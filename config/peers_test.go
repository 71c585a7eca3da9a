package config

import (
	"fmt"
	"slices"
	"testing"
)

const peersFile = `[general]
hosts = ["one.example", "two.example", "three.example"]
[s2s]
require_encryption = false
secure_domains = ["A.Example.", "BÜCHER.test", "c。example"]
host_policy = [{host = "*.Bad.example", policy = "deny"}]
[s2s.hosts]
"PEER.example" = "10.0.0.2:5269"
"xn--bcher-kva.test" = ["tls://[fd00::2]:5270", "xmpp.example:1"]
[[host_config]]
host = "two.example"
[host_config.s2s]
secure_auth = false
insecure_domains = ["*.Lab.example"]
[[host_config]]
host = "three.example"
s2s = {require_encryption = false, secure_auth = true, secure_domains = [], default_policy = "deny"}
`

// TestS2SPolicy: a host's own section is laid over the global one key by key, and all names are prepared.
func TestS2SPolicy(t *testing.T) {
	c, err := Parse("f", []byte(peersFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"one.example":   "{false true [a.example bücher.test c.example] [] allow [{*.bad.example deny}]}",
		"two.example":   "{false false [a.example bücher.test c.example] [*.lab.example] allow [{*.bad.example deny}]}",
		"three.example": "{false true [] [] deny [{*.bad.example deny}]}",
	} {
		if got := fmt.Sprint(c.S2SPolicy(host)); got != want {
			t.Errorf("%s has %s, want %s", host, got, want)
		}
	}
	if got := fmt.Sprint(c.S2S.Hosts); got != "map[bücher.test:[tls://[fd00::2]:5270 xmpp.example:1] peer.example:[10.0.0.2:5269]]" {
		t.Errorf("hosts: %s", got)
	}
	var warnings []string
	for _, w := range c.Warnings {
		warnings = append(warnings, w.In("f"))
	}
	want := []string{
		"f:4: s2s.require_encryption: false has no effect: secure_auth is true, and certificates are shown in TLS only",
		`f:17: host_config "three.example" s2s.require_encryption: false has no effect: secure_auth is true, and certificates are shown in TLS only`,
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings: %q", warnings)
	}
}

// TestS2SHostsOfSections: hosts that only [[host_config]] names are no peers either.
func TestS2SHostsOfSections(t *testing.T) {
	_, err := Parse("f", []byte("[s2s]\nsecure_domains = ['localhost', 'own.example']\n[[host_config]]\nhost = 'own.example'\n"), nil)
	want := `f:2: s2s.secure_domains[1]: "own.example" is a host of this server, which is never its own peer`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestS2SInherited: what clashes with a list of the global section is a mistake of the host's, and told once.
func TestS2SInherited(t *testing.T) {
	_, err := Parse("f", []byte(`general.hosts = ["own.example"]
[s2s]
insecure_domains = ["a.example", "*"]
host_policy = [{host = "*", policy = "deny"}]
[[host_config]]
host = "own.example"
s2s.secure_domains = ["A.example"]
`), nil)
	want := `f:3: s2s.insecure_domains[1]: "*" is not a domain: s2s.secure_auth says what holds for all
f:4: s2s.host_policy[0].host: "*" is not a domain: s2s.default_policy says what holds for all
f:7: host_config "own.example" s2s.secure_domains[0]: "A.example" is in s2s.insecure_domains already`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestDiffS2S: listeners take more than a reload, everything else of [s2s] does not.
func TestDiffS2S(t *testing.T) {
	parse := func(text string) *Config {
		c, err := Parse("f", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	got := Diff(parse(""), parse(`[s2s]
listen = ["127.0.0.1:0"]
secure_auth = false
hosts = {"b.example" = "10.0.0.2:5269", plain = ["tls://10.0.0.3:5270", "10.0.0.3:5269"]}
dns_server = "127.0.0.1:5353"
connect_timeout = 5
[[host_config]]
host = "localhost"
s2s = {secure_auth = true}
`))
	want := []Change{
		{"s2s.listen", `["[::]:5269"]`, `["127.0.0.1:0"]`, ListenerRestart},
		{"s2s.secure_auth", "true", "false", Live},
		{"s2s.hosts", "{}", `{"b.example" = ["10.0.0.2:5269"], plain = ["tls://10.0.0.3:5270", "10.0.0.3:5269"]}`, Live},
		{"s2s.dns_server", `""`, `"127.0.0.1:5353"`, Live},
		{"s2s.connect_timeout", `"30s"`, `"5s"`, Live},
		{`host_config "localhost" s2s.secure_auth`, "(default)", "true", Live},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestParsePeerAddress(t *testing.T) {
	for text, want := range map[string]PeerAddress{
		"10.0.0.2:5269":           {"10.0.0.2", 5269, false},
		"tls://10.0.0.2:5270":     {"10.0.0.2", 5270, true},
		"[fd00::2]:5269":          {"fd00::2", 5269, false},
		"tls://xmpp.example:443":  {"xmpp.example", 443, true},
		"127.0.0.1:1":             {"127.0.0.1", 1, false},
		"":                        {},
		"10.0.0.2":                {},
		"10.0.0.2:":               {},
		"10.0.0.2:0":              {},
		"10.0.0.2:05269":          {},
		"10.0.0.2:70000":          {},
		"fd00::2:5269":            {},
		":5269":                   {},
		"[::]:5269":               {},
		"224.0.0.1:5269":          {},
		"TLS://10.0.0.2:5270":     {},
		"tls://tls://a:1":         {},
		"tcp://10.0.0.2:5270":     {},
		"a b:5269":                {},
		"me@a.example:5269":       {},
		"_xmpp._tcp.example:5269": {},
	} {
		got, err := ParsePeerAddress(text)
		if got != want || (err == nil) != (want != PeerAddress{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
