package s2s

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xmppd/xmppd/modules"
)

// What a service of a host says to other servers goes on a stream of its own, proved in its own name.
func TestServiceOut(t *testing.T) {
	const anyCert = "[s2s]\nsecure_auth = false\n"
	for _, c := range []struct {
		name, ofA, ofB string
		names          []string // in the certificate of a.test
		method         string   // by which b.test believes it; empty: not at all
	}{
		{"its name in the host's certificate", "", "", []string{"a.test", "rooms.a.test"}, byExternal},
		{"a wildcard", "", "", []string{"a.test", "*.a.test"}, byExternal},
		{"not in it, and not needed", "", anyCert, []string{"a.test"}, byDialback},
		{"not in it", "", "", []string{"a.test"}, ""},
		{"in clear", insecure, insecure, []string{"a.test"}, byDialback},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, c.ofA, c.ofB)
				a.w.open("rooms.a.test", a.connect)
				*a.cert = *a.w.certificate(c.names...)
				a.send("room@rooms.a.test/x", "bob@b.test", "m")
				if c.method == "" {
					a.bounced(t, 1, "remote-server-timeout")
					return
				}
				b.inbox.wait(t, 1)
				synctest.Wait()
				if !strings.Contains(b.log.String(), "direction=in host=b.test peer=rooms.a.test method="+c.method) {
					t.Errorf("log of b.test:\n%s", b.log)
				}
				a.send("alice@a.test", "bob@b.test", "n")
				b.inbox.wait(t, 2)
				synctest.Wait()
				var pairs []string
				for _, i := range a.srv.Streams("rooms.a.test") {
					pairs = append(pairs, fmt.Sprintf("%v %s %s %d", i.Out, i.Local, i.Remote, len(i.Pairs)))
				}
				if got := strings.Join(pairs, "; "); got != "true rooms.a.test b.test 1" {
					t.Errorf("streams of the service: %s", got)
				}
				if n := len(a.srv.Streams("b.test")); n != 2 {
					t.Errorf("%d streams with b.test, want one for each pair", n)
				}
			})
		})
	}
}

// What others say to it comes in under the rules of its host.
func TestServiceIn(t *testing.T) {
	const anyCert = "[s2s]\nsecure_auth = false\n"
	for _, c := range []struct {
		name, ofA, ofB string
		names          []string // in the certificate of a.test
		refused        string
	}{
		{"its name in the host's certificate", "", "", []string{"a.test", "rooms.a.test"}, ""},
		{"not in it, and not needed", anyCert, anyCert, []string{"a.test"}, ""},
		{"not in it", "", "", []string{"a.test"}, "remote-server-timeout"},
		{"the host's policy", "[[host_config]]\nhost = \"a.test\"\ns2s.default_policy = \"deny\"\n", "", []string{"a.test", "rooms.a.test"}, "remote-server-timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, c.ofA, c.ofB)
				a.w.open("rooms.a.test", a.connect)
				*a.cert = *a.w.certificate(c.names...)
				b.send("bob@b.test", "room@rooms.a.test", "m")
				if c.refused != "" {
					b.bounced(t, 1, c.refused)
					return
				}
				if got := a.inbox.wait(t, 1)[0]; got != "<message from='bob@b.test' to='room@rooms.a.test' id='m'><body>m</body></message>" {
					t.Error(got)
				}
				a.inbox.mu.Lock()
				if a.inbox.peers != 1 {
					t.Errorf("FromPeer saw %d", a.inbox.peers)
				}
				a.inbox.mu.Unlock()
				a.send("room@rooms.a.test/x", "bob@b.test", "back")
				b.inbox.wait(t, 1)
			})
		})
	}
}

// As the authoritative server of a service: the key is for its name.
func TestServiceKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", insecure)
		p := r.stranger()
		p.header("to='rooms.a.test' from='b.test'")
		if !strings.Contains(p.last, "from='rooms.a.test'") {
			t.Errorf("%s", p.last)
		}
		for local, typ := range map[string]string{"rooms.a.test": "valid", "a.test": "invalid"} {
			key := dialbackKey([]byte("the secret of a.test"), "b.test", local, "some-id")
			p.send("<db:verify from='b.test' to='rooms.a.test' id='some-id'>%s</db:verify>", key)
			p.want("<db:verify from='rooms.a.test' to='b.test' id='some-id' type='" + typ + "'/>")
		}
	})
}

// Nobody else speaks for a service, and a stream for the host is none for it.
func TestServiceOnlyOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", insecure)
		p := r.stranger()
		p.send("%sto='a.test' from='rooms.a.test'>", header)
		p.want("<stream:stream *>")
		p.fails("invalid-from")
		p = r.stranger()
		p.header("to='a.test' from='b.test'")
		p.send("<db:result from='rooms.a.test' to='a.test'>key</db:result>")
		p.want("<db:result from='a.test' to='rooms.a.test' type='error'>*<not-acceptable *")
		p = r.admitted("")
		p.send("<message from='room@rooms.a.test' to='alice@a.test'/>")
		p.fails("invalid-from")
		if got := r.inbox.all(); len(got) != 0 {
			t.Errorf("arrived: %s", got)
		}
	})
}

// The certificate of a host is shown for services that have none, whatever name was asked for; what it proves is the other
// server's to judge.
func TestServiceBySNI(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "[s2s]\nsecure_auth = false\n")
		for _, sni := range []string{"a.test", "rooms.a.test"} {
			for _, to := range []string{"a.test", "rooms.a.test"} {
				p := r.stranger()
				p.header("to='" + to + "' from='b.test'")
				p.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
				p.want("<proceed *")
				tc := tls.Client(p.c, &tls.Config{InsecureSkipVerify: true, ServerName: sni})
				if err := tc.Handshake(); err != nil {
					t.Fatal(err)
				}
				p.c = tc
				if f := p.header("to='" + to + "' from='b.test'"); !strings.Contains(f, "<dialback ") {
					t.Errorf("SNI %s, to %s: %s", sni, to, f)
				}
			}
		}
	})
}

// A reload that takes a service away ends its streams; one that makes another server's domain ours ends those with it.
func TestServiceGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.admitted("")
		p.send("<db:result from='b.test' to='rooms.a.test'>any</db:result>")
		p.want("<db:result from='rooms.a.test' to='b.test' type='valid'/>")
		q := r.admittedAs("x.a.test", "")
		r.router.Publish(map[string]*modules.Table{"a.test": {Host: "a.test", Domains: map[string]modules.Service{"x.a.test": {}}}})
		r.srv.Reload(r.cfg, w, r.verify)
		p.fails("host-gone")
		q.fails("policy-violation")
		r.send("room@rooms.a.test/x", "y@c.test", "stray")
		synctest.Wait()
		if n := w.dialed("c.test"); n != 0 {
			t.Errorf("%d attempts in the name of what is not ours", n)
		}
	})
}
