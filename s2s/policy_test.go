package s2s

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
)

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPolicyTable goes through every combination of require_encryption, secure_auth and what the lists say of the peer.
func TestPolicyTable(t *testing.T) {
	type want struct{ cert, tls bool }
	lists := []struct {
		name, toml string
		cert       func(secureAuth bool) bool
	}{
		{"no entry", ``, func(s bool) bool { return s }},
		{"an entry for another", `secure_domains = ["b.test"]` + "\n" + `insecure_domains = ["c.test"]`, func(s bool) bool { return s }},
		{"secure", `secure_domains = ["peer.test"]`, func(bool) bool { return true }},
		{"insecure", `insecure_domains = ["peer.test"]`, func(bool) bool { return false }},
		{"secure by pattern", `secure_domains = ["*.test"]`, func(bool) bool { return true }},
		{"insecure by pattern", `insecure_domains = ["*.test"]`, func(bool) bool { return false }},
		{"secure in an insecure zone", `secure_domains = ["peer.test"]` + "\n" + `insecure_domains = ["*.test"]`, func(bool) bool { return true }},
		{"insecure in a secure zone", `secure_domains = ["*.test"]` + "\n" + `insecure_domains = ["peer.test"]`, func(bool) bool { return false }},
	}
	for _, require := range []bool{true, false} {
		for _, secure := range []bool{true, false} {
			for _, l := range lists {
				t.Run(fmt.Sprintf("require_encryption=%v secure_auth=%v %s", require, secure, l.name), func(t *testing.T) {
					p := NewPolicy(parse(t, fmt.Sprintf("[s2s]\nrequire_encryption = %v\nsecure_auth = %v\n%s\n", require, secure, l.toml)))
					w := want{cert: l.cert(secure)}
					w.tls = w.cert || require || secure
					if got := (want{p.NeedCert("localhost", "peer.test"), p.NeedTLS("localhost", "peer.test")}); got != w {
						t.Errorf("%+v, want %+v", got, w)
					}
				})
			}
		}
	}
}

// TestPolicyDecisions is the same in numbers that do not come from the code's own formula.
func TestPolicyDecisions(t *testing.T) {
	for _, line := range []string{
		// require secure list      cert tls
		"  true    true   none     yes  yes",
		"  true    true   secure   yes  yes",
		"  true    true   insecure no   yes",
		"  true    false  none     no   yes",
		"  true    false  secure   yes  yes",
		"  true    false  insecure no   yes",
		"  false   true   none     yes  yes",
		"  false   true   secure   yes  yes",
		"  false   true   insecure no   yes",
		"  false   false  none     no   no",
		"  false   false  secure   yes  yes",
		"  false   false  insecure no   no",
	} {
		f := strings.Fields(line)
		list := map[string]string{"none": "", "secure": `secure_domains = ["peer.test"]`, "insecure": `insecure_domains = ["peer.test"]`}[f[2]]
		p := NewPolicy(parse(t, "[s2s]\nrequire_encryption = "+f[0]+"\nsecure_auth = "+f[1]+"\n"+list))
		if cert, tls := p.NeedCert("localhost", "peer.test"), p.NeedTLS("localhost", "peer.test"); cert != (f[3] == "yes") || tls != (f[4] == "yes") {
			t.Errorf("%s: certificate %v, TLS %v", line, cert, tls)
		}
	}
}

// TestPolicyPatterns: the name itself, then the longest pattern, then the default.
func TestPolicyPatterns(t *testing.T) {
	p := NewPolicy(parse(t, `[s2s]
default_policy = "deny"
host_policy = [
  {host = "*.example", policy = "allow"},
  {host = "*.BAD.example", policy = "deny"},
  {host = "good.bad.example", policy = "allow"},
  {host = "*.really.good.bad.example", policy = "deny"},
  {host = "*.xn--bcher-kva.test", policy = "allow"},
  {host = "BÜCHER。test", policy = "allow"},
  {host = "10.0.0.1", policy = "allow"},
  {host = "[FD00::0:1]", policy = "allow"},
]`))
	for domain, want := range map[string]bool{
		"example":                             false, // a pattern is for those under the domain
		"a.example":                           true,
		"a.b.c.example":                       true,
		"bad.example":                         true,
		"a.bad.example":                       false,
		"a.b.bad.example":                     false,
		"good.bad.example":                    true,
		"a.good.bad.example":                  false,
		"really.good.bad.example":             false,
		"a.really.good.bad.example":           false,
		"notbad.example":                      true,
		"example.org":                         false,
		"xexample":                            false,
		"bücher.test":                         true,
		"a.bücher.test":                       true,
		"bucher.test":                         false,
		"10.0.0.1":                            true,
		"10.0.0.2":                            false,
		"[fd00::1]":                           true,
		"":                                    false,
		"*.example":                           true, // no domain, and matched as any
		strings.Repeat("a.", 500) + "example": true,
	} {
		if got := p.Allows("localhost", domain); got != want {
			t.Errorf("%q is allowed: %v, want %v", domain, got, want)
		}
	}
}

// TestPolicyOfHosts: a host's own section counts for it and its services, and for no other host.
func TestPolicyOfHosts(t *testing.T) {
	p := NewPolicy(parse(t, `[general]
hosts = ["one.test", "two.test", "deep.two.test", "plain.two.test"]
[s2s]
insecure_domains = ["lab.example"]
host_policy = [{host = "bad.example", policy = "deny"}]
[[host_config]]
host = "two.test"
[host_config.s2s]
secure_auth = false
secure_domains = ["bank.example"]
default_policy = "deny"
host_policy = [{host = "bank.example", policy = "allow"}]
[[host_config]]
host = "deep.two.test"
s2s = {require_encryption = false, secure_auth = false}
`))
	for _, test := range []struct {
		local, remote    string
		allow, cert, tls bool
	}{
		{"one.test", "bank.example", true, true, true},
		{"one.test", "bad.example", false, true, true},
		{"one.test", "lab.example", true, false, true},
		{"two.test", "bank.example", true, true, true},
		{"two.test", "a.example", false, false, true},
		{"two.test", "bad.example", false, false, true},
		{"rooms.two.test", "bank.example", true, true, true},
		{"rooms.two.test", "a.example", false, false, true},
		{"deep.two.test", "a.example", true, false, false},
		{"deep.two.test", "bad.example", false, false, false},
		{"x.deep.two.test", "a.example", true, false, false},
		{"plain.two.test", "a.example", true, true, true}, // a host, not a service of the other one
		{"x.plain.two.test", "lab.example", true, false, true},
		{"unknown.test", "a.example", true, true, true},
		{"test", "lab.example", true, false, true},
	} {
		if allow, cert, tls := p.Allows(test.local, test.remote), p.NeedCert(test.local, test.remote), p.NeedTLS(test.local, test.remote); allow != test.allow || cert != test.cert || tls != test.tls {
			t.Errorf("%s and %s: allowed %v, certificate %v, TLS %v", test.local, test.remote, allow, cert, tls)
		}
	}
}

// TestPolicyOfServices: who serves a domain decides, not what it looks like.
func TestPolicyOfServices(t *testing.T) {
	p := NewPolicy(parse(t, `[general]
hosts = ["one.test", "deep.one.test"]
[[host_config]]
host = "one.test"
s2s = {default_policy = "deny"}
`))
	p.owner = func(domain string) string {
		return map[string]string{"one.test": "one.test", "deep.one.test": "deep.one.test", "rooms.deep.one.test": "one.test", "x.rooms.one.test": "one.test"}[domain]
	}
	for local, allow := range map[string]bool{
		"one.test": false, "deep.one.test": true, "rooms.deep.one.test": false, "x.rooms.one.test": false,
		"other.deep.one.test": true, "other.one.test": false, "unknown.test": true, // served by nobody
	} {
		if got := p.Allows(local, "b.test"); got != allow {
			t.Errorf("%s: %v", local, got)
		}
	}
}

// TestPolicyCost: every stanza for another server asks.
func TestPolicyCost(t *testing.T) {
	p := NewPolicy(parse(t, "[s2s]\nhost_policy = [{host = '*.bad.example', policy = 'deny'}]\n[[host_config]]\nhost = 'localhost'\ns2s.secure_auth = false\n"))
	long := strings.Repeat("a.b.", 20) + "good.example"
	if n := testing.AllocsPerRun(100, func() { p.Allows("localhost", long) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
