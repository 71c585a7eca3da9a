package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// dnsConfig writes a file for `check` and returns its path.
func dnsConfig(t *testing.T, dns *xtest.DNS, hosts, c2s, s2s string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	text := fmt.Sprintf("[general]\nhosts = [%s]\n[c2s]\n%s\n[s2s]\ndns_server = %q\n%s\n", hosts, c2s, dns.Addr, s2s)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckDNS: `xmppd check dns` tells what others find, whether it leads here, and which lines are missing.
func TestCheckDNS(t *testing.T) {
	const (
		here   = `listen = ["127.0.0.1:5222"]` + "\nlisten_tls = []"
		hereS  = `listen = ["127.0.0.1:5269"]`
		client = "_xmpp-client._tcp.a.test"
		server = "_xmpp-server._tcp.a.test"
	)
	for _, test := range []struct {
		name     string
		hosts    string // a.test where empty
		c2s, s2s string // STARTTLS on the usual ports of 127.0.0.1 where empty
		give     func(d *xtest.DNS)
		code     int
		says     []string // lines, or their beginnings
	}{
		{name: "all is well", give: func(d *xtest.DNS) {
			d.SRV(client, 0, 5, 5222, "xmpp.a.test")
			d.SRV(server, 0, 5, 5269, "xmpp.a.test")
			d.Address("xmpp.a.test", "127.0.0.1")
		}, says: []string{
			"ok   dns    a.test: clients find xmpp.a.test:5222 (127.0.0.1): _xmpp-client._tcp; it is this machine\n",
			"ok   dns    a.test: servers find xmpp.a.test:5269 (127.0.0.1): _xmpp-server._tcp; it is this machine\n",
		}},
		{name: "nothing", code: 1, says: []string{
			"BAD  dns    a.test: clients find nothing: there is no record _xmpp-client._tcp and no address; add _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 5222 a.test., and a.test. 3600 IN A ADDRESS\n",
			"BAD  dns    a.test: servers find nothing: there is no record _xmpp-server._tcp and no address; add _xmpp-server._tcp.a.test. 3600 IN SRV 0 5 5269 a.test., and a.test. 3600 IN A ADDRESS\n",
		}},
		{name: "an address alone", give: func(d *xtest.DNS) { d.Address("a.test", "127.0.0.1") }, says: []string{
			"ok   dns    a.test: clients find a.test:5222 (127.0.0.1): no record: the host itself; it is this machine\n",
			"ok   dns    a.test: note: it works without records; to be able to move, add _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 5222 a.test.\n",
			"ok   dns    a.test: servers find a.test:5269 (127.0.0.1): no record: the host itself; it is this machine\n",
		}},
		{name: "an address alone, unusual ports", c2s: `listen = ["127.0.0.1:15222"]` + "\nlisten_tls = []", s2s: `listen = ["127.0.0.1:15269"]`,
			give: func(d *xtest.DNS) { d.Address("a.test", "127.0.0.1") }, code: 1, says: []string{
				"BAD  dns    a.test: clients find no record and try port 5222, on which c2s.listen does not listen; add _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 15222 a.test.\n",
				"BAD  dns    a.test: servers find no record and try port 5269, on which s2s.listen does not listen; add _xmpp-server._tcp.a.test. 3600 IN SRV 0 5 15269 a.test.\n",
			}},
		{name: "another port", give: func(d *xtest.DNS) {
			d.SRV(client, 0, 5, 5223, "xmpp.a.test")
			d.Address("xmpp.a.test", "127.0.0.1")
			d.Address("a.test", "127.0.0.1")
		}, code: 1, says: []string{
			"BAD  dns    a.test: clients find xmpp.a.test:5223 (127.0.0.1): _xmpp-client._tcp; it is this machine, but c2s.listen has no such address and port: listen there, or set the record to _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 5222 a.test.\n",
		}},
		{name: "another machine", give: func(d *xtest.DNS) {
			d.SRV(client, 0, 5, 5222, "xmpp.a.test")
			d.SRV(server, 0, 5, 5269, "xmpp.a.test")
			d.Address("xmpp.a.test", "192.0.2.7", "2001:db8::7")
		}, says: []string{
			"ok   dns    a.test: note: clients find xmpp.a.test:5222 (192.0.2.7): _xmpp-client._tcp; it is no address of this machine, which is right behind a router or proxy that forwards port 5222\n",
			"ok   dns    a.test: note: servers find xmpp.a.test:5269 (2001:db8::7)",
		}},
		{name: "loopback while listening everywhere", c2s: `listen = ["[::]:5222"]` + "\nlisten_tls = []", s2s: `listen = ["0.0.0.0:5269"]`, give: func(d *xtest.DNS) {
			d.Address("a.test", "127.0.1.1")
		}, code: 1, says: []string{
			"BAD  dns    a.test: clients find a.test:5222 (127.0.1.1): no record: the host itself; it is a loopback address, where nobody else gets here (is it from /etc/hosts?)\n",
			"BAD  dns    a.test: servers find a.test:5269 (127.0.1.1)",
		}},
		{name: "a target without address", give: func(d *xtest.DNS) {
			d.SRV(client, 0, 5, 5222, "nothere.a.test")
			d.SRV(server, 0, 5, 0, "a.test")
		}, code: 1, says: []string{
			"BAD  dns    a.test: _xmpp-client._tcp leads to nothere.a.test, which has no address; add nothere.a.test. 3600 IN A ADDRESS\n",
			"BAD  dns    a.test: _xmpp-server._tcp has port 0, to which nobody connects; replace it by _xmpp-server._tcp.a.test. 3600 IN SRV 0 5 5269 a.test.\n",
		}},
		{name: "no such service", s2s: "listen = []", give: func(d *xtest.DNS) {
			d.SRV(client, 0, 0, 0, ".")
			d.SRV(server, 0, 0, 0, ".")
		}, code: 1, says: []string{
			"BAD  dns    a.test: _xmpp-client._tcp says that there is no such service, but c2s.listen has addresses; replace it by _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 5222 a.test.\n",
			"ok   dns    a.test: _xmpp-server._tcp says that there is no such service, and there is none\n",
		}},
		{name: "no federation", s2s: "listen = []", give: func(d *xtest.DNS) { d.Address("a.test", "127.0.0.1") }, says: []string{
			"ok   dns    a.test: there are no records for servers, and nothing listens for them\n",
		}},
		{name: "direct TLS is not found", c2s: `listen = ["127.0.0.1:5222"]` + "\n" + `listen_tls = ["127.0.0.1:5223"]`, s2s: hereS + "\n" + `listen_tls = ["127.0.0.1:0"]`, give: func(d *xtest.DNS) {
			d.SRV(client, 0, 5, 5222, "xmpp.a.test")
			d.SRV(server, 0, 5, 5269, "xmpp.a.test")
			d.Address("xmpp.a.test", "127.0.0.1")
		}, says: []string{
			"ok   dns    a.test: note: clients do not find direct TLS (c2s.listen_tls); add _xmpps-client._tcp.a.test. 3600 IN SRV 0 5 5223 xmpp.a.test.\n",
			"ok   dns    a.test: note: servers do not find direct TLS (s2s.listen_tls); add _xmpps-server._tcp.a.test. 3600 IN SRV 0 5 5270 xmpp.a.test.\n",
		}},
		{name: "direct TLS alone", c2s: `listen = ["127.0.0.1:5222"]` + "\n" + `listen_tls = ["127.0.0.1:443"]`, s2s: "listen = []", give: func(d *xtest.DNS) {
			d.SRV("_xmpps-client._tcp.a.test", 0, 5, 443, "a.test")
			d.Address("a.test", "127.0.0.1")
		}, says: []string{
			"ok   dns    a.test: clients find a.test:443 (127.0.0.1): _xmpps-client._tcp; it is this machine\n",
			"ok   dns    a.test: note: clients that do not know of direct TLS find nothing here; add _xmpp-client._tcp.a.test. 3600 IN SRV 0 5 5222 a.test.\n",
		}},
		{name: "the DNS fails", give: func(d *xtest.DNS) {
			d.Fail(client, xtest.ServFail)
			d.SRV(server, 0, 5, 5269, "xmpp.a.test")
			d.Fail("xmpp.a.test", xtest.Refused)
		}, code: 1, says: []string{
			"BAD  dns    a.test: DNS failed: the DNS has no answer for _xmpp-client._tcp.a.test: ",
			"BAD  dns    a.test: _xmpp-server._tcp leads to xmpp.a.test: DNS failed: ",
		}},
		{name: "hosts that are not looked up", hosts: `"localhost", "10.0.0.1", "[fd00::1]", "x.localhost"`, says: []string{
			"ok   dns    localhost is this machine for everybody", "ok   dns    10.0.0.1 is an address", "ok   dns    [fd00::1] is an address", "ok   dns    x.localhost is this machine",
		}},
		{name: "U-labels", hosts: `"bücher.test"`, s2s: "listen = []", code: 1, says: []string{
			"BAD  dns    bücher.test: clients find nothing: there is no record _xmpp-client._tcp and no address; add _xmpp-client._tcp.xn--bcher-kva.test. 3600 IN SRV 0 5 5222 xn--bcher-kva.test., and xn--bcher-kva.test. 3600 IN A ADDRESS\n",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dns := xtest.NewDNS(t)
			if test.give != nil {
				test.give(dns)
			}
			if test.hosts == "" {
				test.hosts = `"a.test"`
			}
			if test.c2s == "" {
				test.c2s = here
			}
			if test.s2s == "" {
				test.s2s = hereS
			}
			config := dnsConfig(t, dns, test.hosts, test.c2s, test.s2s)
			out, errs, code := xtest.Xmppd(t, "", "check", "dns", "-config", config)
			if code != test.code || errs != "" {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			for _, line := range test.says {
				if !strings.Contains("\n"+out, "\n"+line) {
					t.Errorf("does not say\n%sbut\n%s", line, out)
				}
			}
			if bad := strings.Contains(out, "BAD"); bad != (test.code == 1) {
				t.Errorf("exit %d with\n%s", code, out)
			}
			var list []struct {
				Check, Text string
				OK          bool
			}
			again, _, code := xtest.Xmppd(t, "", "check", "dns", "-json", "-config", config)
			if err := json.Unmarshal([]byte(again), &list); err != nil || code != test.code || len(list) != strings.Count(out, "\n") {
				t.Errorf("-json: exit %d, %v\n%s", code, err, again)
			}
		})
	}
}

// TestCheckAsksNoDNS: a check of everything, and a start, work without a network.
func TestCheckAsksNoDNS(t *testing.T) {
	dns := xtest.NewDNS(t)
	config := dnsConfig(t, dns, `"a.test"`, "", "listen = []")
	if out, errs, code := xtest.Xmppd(t, "", "check", "-config", config); code != 0 || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if q := dns.Asked(); len(q) > 0 {
		t.Errorf("asked for %q", q)
	}
}

// TestCheckFederation: `xmppd check tls` tells what other servers make of a certificate; the server starts all the same.
func TestCheckFederation(t *testing.T) {
	ca := xtest.NewCA(t)
	trusted := "[tls]\ntrusted_ca_file = 'ca.pem'\n"
	for _, test := range []struct {
		name  string
		extra string
		certs bool
		code  int
		says  string
		days  int // until it expires; 0: long
	}{
		{"verified", "[s2s]\nlisten = ['127.0.0.1:0']\n" + trusted, true, 0, "ok   tls    a.test: other servers can verify it: the name is right, and the chain (1 in the file) leads to an authority that is trusted here\n", 0},
		{"unknown authority", "[s2s]\nlisten = ['127.0.0.1:0']\n", true, 1,
			"BAD  tls    a.test: other servers refuse it: the certificate was signed by an unknown authority, CN=test authority; the file must hold the intermediate certificates as well", 0},
		{"no federation", "[s2s]\nlisten = []\n", true, 0, "ok   tls    a.test: ", 0},
		{"expires soon", "[s2s]\nlisten = []\n", true, 0, "ok   tls    a.test: ", 5},
		{"authorities that are none", "[s2s]\nlisten = ['127.0.0.1:0']\n[tls]\ntrusted_ca_file = 'config.toml'\n", false, 1,
			"BAD  tls    tls.trusted_ca_file: ", 0},
		{"none yet", "[s2s]\nlisten = ['127.0.0.1:0']\n", false, 0, "ok   tls    a.test has no certificate", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string][]byte{
				"ca.pem":      ca.PEM(),
				"config.toml": []byte("[general]\nhosts = ['a.test']\n[c2s]\nlisten = ['127.0.0.1:0']\nlisten_tls = []\n" + test.extra),
			}
			if err := os.Mkdir(filepath.Join(dir, "certs"), 0o700); err != nil {
				t.Fatal(err)
			}
			if test.certs {
				what := xtest.Issue{Names: []string{"a.test"}}
				if test.days > 0 {
					what.To = time.Now().Add(time.Duration(test.days) * 24 * time.Hour)
				}
				p := ca.Issue(t, what)
				files["certs/a.test.crt"], files["certs/a.test.key"] = p.Crt, p.Key
			}
			for name, data := range files {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			config := filepath.Join(dir, "config.toml")
			out, errs, code := xtest.Xmppd(t, "", "check", "tls", "-config", config)
			if code != test.code || errs != "" || !strings.Contains(out, "\n"+test.says) {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			if strings.Contains(out, "; renew it\n") != (test.days > 0) {
				t.Errorf("says of %d days\n%s", test.days, out)
			}
			if strings.Contains(out, "other servers") != strings.Contains(test.extra, "127.0.0.1") && test.certs {
				t.Errorf("says of other servers\n%s", out)
			}
		})
	}
}

// TestCheckSelfSigned: a certificate of the server's own making is no mistake, but says what it is not good for.
func TestCheckSelfSigned(t *testing.T) {
	s := xtest.New(t, xtest.Options{})
	s.Stop()
	text, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("[s2s]\nlisten = []"), []byte("[s2s]\nlisten = ['127.0.0.1:0']"), 1)
	if err := os.WriteFile(s.Config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := xtest.Xmppd(t, "", "check", "tls", "-config", s.Config)
	if code != 0 || errs != "" || !strings.Contains(out, "ok   tls    localhost: note: other servers see that it is self-signed") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
