package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stream"
	"github.com/xmppd/xmppd/test/xtest"
)

// servedFile is a configuration of a.test, which serves rooms.a.test.
func servedFile(t *testing.T, dir, text string) (*config.Config, []modules.Served) {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(dir, "config.toml"), []byte("[general]\nhosts = ['a.test']\n"+text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, []modules.Served{{Domain: "rooms.a.test", Host: "a.test", Module: "mod_rooms"}}
}

// printed writes findings as `check` does; only those about the service.
func printed(list []finding) string {
	var b strings.Builder
	for _, f := range list {
		if strings.Contains(f.Text, "rooms.a.test") {
			fmt.Fprintf(&b, "%v %s\n", f.OK, f.Text)
		}
	}
	return b.String()
}

// TestCheckServicesTLS: whatever a service's certificate is, it keeps no server from starting, and the admin learns what it lacks.
func TestCheckServicesTLS(t *testing.T) {
	ca := xtest.NewCA(t)
	for _, tt := range []struct {
		name  string
		files map[string]xtest.Issue // certificates in certs/
		says  string                 // CERTS is the directory; what follows "…" is not compared
	}{
		{"the host's has the name", map[string]xtest.Issue{"a.test": {Names: []string{"a.test", "*.a.test"}}},
			"true rooms.a.test: CERTS/a.test.crt: the certificate of a.test names it as well: a.test, *.a.test\n"},
		{"its own", map[string]xtest.Issue{"a.test": {Names: []string{"a.test"}}, "rooms.a.test": {Names: []string{"rooms.a.test"}}},
			"true rooms.a.test: CERTS/rooms.a.test.crt: names rooms.a.test; ECDSA key; …\n" +
				"true rooms.a.test: other servers can verify it: the name is right, and the chain (1 in the file) leads to an authority that is trusted here\n"},
		{"its own, of nobody's trust", map[string]xtest.Issue{"a.test": {Names: []string{"a.test"}}, "rooms.a.test": {Names: []string{"rooms.a.test"}, Self: true}},
			"true rooms.a.test: CERTS/rooms.a.test.crt: names rooms.a.test; ECDSA key; …\n" +
				"true rooms.a.test: note: other servers see that it is self-signed: those that want valid certificates (secure_auth, as most do) refuse this host\n"},
		{"no name", map[string]xtest.Issue{"a.test": {Names: []string{"a.test"}}},
			"true note: certificate of rooms.a.test: CERTS/a.test.crt: it is that of a.test and does not cover rooms.a.test: other servers that want valid certificates refuse to talk to this service. Have the name added to the certificate, or put rooms.a.test.crt and rooms.a.test.key into CERTS\n"},
		{"another name", map[string]xtest.Issue{"a.test": {Names: []string{"a.test"}}, "rooms.a.test": {Names: []string{"b.test"}}},
			"true note: certificate of rooms.a.test: CERTS/rooms.a.test.crt: it does not cover the host, only b.test\n"},
		{"none yet", nil, "true rooms.a.test has no certificate of its own; the server makes a self-signed one at its start, as for a.test\n"},
	} {
		dir := t.TempDir()
		certs := filepath.Join(dir, "certs")
		if err := os.Mkdir(certs, 0o700); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{"ca.pem": ca.PEM()}
		for name, what := range tt.files {
			p := ca.Issue(t, what)
			files["certs/"+name+".crt"], files["certs/"+name+".key"] = p.Crt, p.Key
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, served := servedFile(t, dir, "[tls]\ntrusted_ca_file = 'ca.pem'\n")
		o := certOptions(cfg, nil)
		o.Services = services(served)
		got := printed(append(checkServicesTLS(o), checkFederation(cfg, o)...))
		want := strings.Split(strings.ReplaceAll(tt.says, "CERTS", certs), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(want) {
				t.Errorf("%s:\n%s", tt.name, got)
				break
			}
			if begin, _, cut := strings.Cut(want[i], "…"); cut && !strings.HasPrefix(line, begin) || !cut && line != want[i] {
				t.Errorf("%s:\n%s\nwant\n%s", tt.name, line, want[i])
			}
		}
		// A service's problems are warnings: with what is there the certificates open.
		o.SelfSigned, o.MadeDir = true, filepath.Join(dir, "made")
		if s, err := stream.OpenCertificates(o); err != nil || s.Of("rooms.a.test") == nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestCheckServicesDNS: what other servers find for a service, what is missing as a hint and what is wrong as a mistake.
func TestCheckServicesDNS(t *testing.T) {
	const (
		here = "[c2s]\nlisten = ['127.0.0.1:5222']\nlisten_tls = []\n[s2s]\nlisten = ['127.0.0.1:5269']\n"
		off  = "[c2s]\nlisten = ['127.0.0.1:5222']\nlisten_tls = []\n[s2s]\nlisten = []\n"
		name = "_xmpp-server._tcp.rooms.a.test"
	)
	for _, tt := range []struct {
		name, text, says string
		give             func(d *xtest.DNS)
	}{
		{"nothing", here, "true rooms.a.test: note: servers find nothing: there is no record _xmpp-server._tcp and no address; add _xmpp-server._tcp.rooms.a.test. 3600 IN SRV 0 5 5269 xmpp.a.test.\n",
			func(d *xtest.DNS) { d.SRV("_xmpp-server._tcp.a.test", 0, 5, 5269, "xmpp.a.test") }},
		{"nothing, the host neither", here, "true rooms.a.test: note: servers find nothing: there is no record _xmpp-server._tcp and no address; add _xmpp-server._tcp.rooms.a.test. 3600 IN SRV 0 5 5269 a.test.\n", nil},
		{"a record", here, "true rooms.a.test: servers find xmpp.a.test:5269 (127.0.0.1): _xmpp-server._tcp; it is this machine\n",
			func(d *xtest.DNS) { d.SRV(name, 0, 5, 5269, "xmpp.a.test") }},
		{"an address", here, "true rooms.a.test: servers find rooms.a.test:5269 (127.0.0.1): no record: the host itself; it is this machine\n" +
			"true rooms.a.test: note: it works without records; to be able to move, add _xmpp-server._tcp.rooms.a.test. 3600 IN SRV 0 5 5269 rooms.a.test.\n",
			func(d *xtest.DNS) { d.Address("rooms.a.test", "127.0.0.1") }},
		{"an address, and an unusual port", strings.Replace(here, "5269", "15269", 1),
			"true rooms.a.test: note: servers find no record and try port 5269, on which s2s.listen does not listen; add _xmpp-server._tcp.rooms.a.test. 3600 IN SRV 0 5 15269 a.test.\n",
			func(d *xtest.DNS) { d.Address("rooms.a.test", "127.0.0.1") }},
		{"a wrong record", here, "false rooms.a.test: servers find xmpp.a.test:5270 (127.0.0.1): _xmpp-server._tcp; it is this machine, but s2s.listen has no such address and port: listen there, or set the record to _xmpp-server._tcp.rooms.a.test. 3600 IN SRV 0 5 5269 a.test.\n",
			func(d *xtest.DNS) { d.SRV(name, 0, 5, 5270, "xmpp.a.test") }},
		{"no federation", off, "true rooms.a.test: there are no records for servers, and nothing listens for them\n", nil},
	} {
		dns := xtest.NewDNS(t)
		dns.Address("xmpp.a.test", "127.0.0.1")
		if tt.give != nil {
			tt.give(dns)
		}
		cfg, served := servedFile(t, t.TempDir(), fmt.Sprintf("%sdns_server = %q\n", tt.text, dns.Addr))
		if got := printed(checkDNS(context.Background(), cfg, served)); got != tt.says {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.says)
		}
	}
}
