package s2s

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

func bubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(5 * time.Second) }) // for connections that close in peace
		fn(t)
	})
}

// What a stream header may say (S07, S13).
func TestHeader(t *testing.T) {
	for _, c := range []struct{ attrs, condition string }{
		{"to='nohost.test' from='b.test'", "host-unknown"},
		{"from='b.test'", "improper-addressing"},
		{"to='user@a.test' from='b.test'", "improper-addressing"},
		{"to='a.test' from='user@b.test'", "improper-addressing"},
		{"to='a.test' from='a.test'", "invalid-from"},
		{"to='a.test' from='A.TEST'", "invalid-from"},
		{"to='a.test' from='bad.test'", "policy-violation"},
		{"to='a.test' from='x.bad.test'", "policy-violation"},
		{"to='a.test' from='@'", "invalid-from"},
	} {
		t.Run(c.attrs, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newWorld(t).newRig("a.test", "[s2s]\nhost_policy = [{host = 'bad.test', policy = 'deny'}, {host = '*.bad.test', policy = 'deny'}]\n")
				p := r.stranger()
				p.send("%s%s>", header, c.attrs)
				p.want("<stream:stream *>")
				p.fails(c.condition)
			})
		})
	}
}

// What is offered when (S01, S02, S05), and that the id is never used twice.
func TestFeatures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "[s2s]\nsecure_auth = false\n")
		ids := map[string]bool{}
		check := func(p *peer, from, want string) {
			t.Helper()
			if got := p.header("to='a.test' " + from); !like(want, got) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if len(p.id) < 16 || ids[p.id] {
				t.Errorf("id %q", p.id)
			}
			ids[p.id] = true
		}
		const open = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
		const external = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>*"
		const dialback = "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
		p := r.stranger()
		check(p, "from='b.test'", open)
		p.secure(w.certificate("b.test"))
		check(p, "from='b.test'", external)
		p.external("=")
		p.want("<success *")
		check(p, "from='b.test'", "<stream:features><dialback *><sm xmlns='urn:xmpp:sm:3'/><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>600</idle-seconds></limits></stream:features>")

		p = r.stranger()
		check(p, "", open)
		p.secure(w.certificate("c.test"))
		check(p, "from='b.test'", dialback)
		p = r.stranger()
		check(p, "from='b.test'", open)
		p.secure(nil)
		check(p, "from='b.test'", dialback)
		p = r.stranger()
		check(p, "from='b.test'", open)
		p.secure(w.certificate("b.test"))
		p.fresh()
		p.send("%sto='a.test' from='c.test'>", header)
		p.want("<stream:stream *")
		p.fails("not-authorized") // the ends must not change
	})
}

// S02: where a certificate is needed, who has no valid one learns it with the stream header, and why.
func TestCertificateNeeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.stranger()
		p.header("to='a.test' from='b.test'")
		p.secure(w.certificate("c.test"))
		p.fresh()
		p.send("%sto='a.test' from='b.test'>", header)
		p.want("<stream:stream *")
		if e := p.fails("not-authorized"); !strings.Contains(e, "certificate is for c.test and not for b.test") {
			t.Error(e)
		}
	})
}

func TestExternal(t *testing.T) { // S03, S04
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct{ data, want string }{
		{"=", "<success *"},
		{"", "<success *"},
		{b64("b.test"), "<success *"},
		{b64("B.TEST"), "<success *"},
		{b64("c.test"), "<failure *><invalid-authzid/>*"},
		{b64("user@b.test"), "<failure *><invalid-authzid/>*"},
		{b64("a.test"), "<failure *><invalid-authzid/>*"},
		{"b.test", "<failure *><incorrect-encoding/>*"},
		{"Yi50\nZXN0", "<failure *><incorrect-encoding/>*"},
		{"<x/>", "<failure *><incorrect-encoding/>*"},
	} {
		t.Run(c.data, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				r := w.newRig("a.test", "")
				p := r.stranger()
				p.header("to='a.test' from='b.test'")
				p.secure(w.certificate("b.test"))
				p.header("to='a.test' from='b.test'")
				p.external(c.data)
				p.want(c.want)
			})
		})
	}
}

func TestExternalRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "[s2s]\nsecure_auth = false\n")
		p := r.stranger()
		p.header("to='a.test' from='b.test'")
		p.external("=")
		p.want("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><encryption-required/></failure>")
		p.secure(w.certificate("c.test"))
		p.header("to='a.test' from='b.test'")
		p.external("=")
		p.want("<failure *><not-authorized/></failure>")
		p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGIAYg==</auth>")
		p.want("<failure *><invalid-mechanism/></failure>")
		p.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		p.want("<failure *><malformed-request/></failure>")
		p.fails("policy-violation") // four are enough
	})
}

// What passes once a pair of domains is proved, and what ends the stream (S06 to S08, S21).
func TestStanzas(t *testing.T) {
	for _, c := range []struct{ name, send, condition string }{
		{"to an account", "<message from='x@b.test/y' to='alice@a.test' id='1'/>", ""},
		{"other spelling", "<message from='X@B.TEST/y' to='alice@A.Test' id='1'/>", ""},
		{"from another domain", "<message from='admin@c.test' to='alice@a.test' id='1'/>", "invalid-from"},
		{"from our own", "<message from='admin@a.test' to='alice@a.test' id='1'/>", "invalid-from"},
		{"from a subdomain", "<message from='x@rooms.b.test' to='alice@a.test' id='1'/>", "invalid-from"},
		{"no from", "<message to='alice@a.test' id='1'/>", "improper-addressing"},
		{"bad from", "<message from='@b.test' to='alice@a.test' id='1'/>", "improper-addressing"},
		{"no to", "<message from='x@b.test' id='1'/>", "improper-addressing"},
		{"bad to", "<message from='x@b.test' to='@a.test' id='1'/>", "improper-addressing"},
		{"to nobody's domain", "<message from='x@b.test' to='alice@d.test' id='1'/>", "host-unknown"},
		{"a client's", "<message xmlns='jabber:client' from='x@b.test' to='alice@a.test' id='1'/>", "unsupported-stanza-type"},
		{"something else", "<foo xmlns='urn:foo'/>", "unsupported-stanza-type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newWorld(t).newRig("a.test", "")
				p := r.admitted("")
				p.send("%s", c.send)
				if c.condition != "" {
					p.fails(c.condition)
					if got := r.inbox.all(); len(got) > 0 {
						t.Errorf("arrived: %q", got)
					}
					return
				}
				synctest.Wait()
				if got := r.inbox.all(); len(got) != 1 || !like("<message from='x@b.test/y' to='alice@a.test' id='1'/>", got[0]) {
					t.Errorf("arrived: %q", got)
				}
			})
		})
	}
	for _, text := range []string{"", insecure} { // S08
		bubble(t, func(t *testing.T) {
			r := newWorld(t).newRig("a.test", text)
			p := r.stranger()
			p.header("to='a.test' from='b.test'")
			p.send("<message from='x@b.test' to='alice@a.test'/>")
			p.fails("not-authorized")
		})
	}
}

// A service of a host is a domain of ours like the host, with a pair of its own; the host's modules see what it gets.
func TestService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.admitted("")
		p.send("<message from='x@b.test' to='room@rooms.a.test'/>")
		p.fails("not-authorized") // nobody has asked for that pair
		p = r.admitted("<bidi xmlns='urn:xmpp:bidi'/>")
		p.send("<db:result from='b.test' to='rooms.a.test'>any</db:result>")
		p.want("<db:result from='rooms.a.test' to='b.test' type='valid'/>")
		p.send("<message from='x@b.test' to='room@rooms.a.test'/>")
		synctest.Wait()
		if got := r.inbox.all(); len(got) != 1 || r.inbox.peers != 1 {
			t.Errorf("%d arrived, FromPeer saw %d", len(got), r.inbox.peers)
		}
		r.send("room@rooms.a.test/y", "x@b.test", "back")
		p.want("<message from='room@rooms.a.test/y' to='x@b.test' id='back'>*")
	})
}

// A stanza that the syntax or a hook refuses comes back, and the stream goes on.
func TestRefusedStanzas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.admitted("<bidi xmlns='urn:xmpp:bidi'/>")
		p.send("<iq from='x@b.test' to='a.test' type='get' id='1'/>")
		p.want("<iq type='error' id='1' from='a.test' to='x@b.test'><error type='modify'><bad-request *")
		r.inbox.mu.Lock()
		r.inbox.refuse = stanza.Err(stanza.NotAcceptable, "")
		r.inbox.mu.Unlock()
		p.send("<message from='x@b.test' to='alice@a.test' id='2'/>")
		p.want("<message type='error' id='2' from='alice@a.test' to='x@b.test'><error type='modify'><not-acceptable *")
		p.send("<message type='error' from='x@b.test' to='alice@a.test' id='3'/></stream:stream>")
		p.ends()
	})
}

// Who connects and proves nothing is not waited for.
func TestSlowStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(p *peer)
		after time.Duration
	}{
		"no header": {func(*peer) {}, 30 * time.Second},
		"no TLS":    {func(p *peer) { p.header("to='a.test' from='b.test'") }, 30 * time.Second},
		"no proof": {func(p *peer) {
			p.header("to='a.test' from='b.test'")
			p.secure(nil)
			p.header("to='a.test' from='b.test'")
		}, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newWorld(t).newRig("a.test", "[s2s]\nsecure_auth = false\n")
				begin := time.Now()
				p := r.stranger()
				c.do(p)
				for p.next() != "" {
				}
				if took := time.Since(begin).Round(time.Second); took < c.after || took > c.after+2*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A link without stanzas ends by itself, one with stanzas stays.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", "[limits]\nidle_timeout_s2s = '10m'\n")
		begin := time.Now()
		p := r.admitted("")
		for range 5 {
			time.Sleep(9 * time.Minute)
			p.send("<message from='x@b.test' to='alice@a.test'/>")
		}
		p.ends()
		if took := time.Since(begin); took < 45*time.Minute || took > 66*time.Minute {
			t.Errorf("it took %v", took)
		}
		if n := len(r.inbox.all()); n != 5 {
			t.Errorf("%d stanzas", n)
		}
	})
}

// Once a server has proved who it is, the time for that is no matter any more.
func TestStaying(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", insecure)
		p := r.admitted("")
		time.Sleep(5 * time.Minute)
		p.send("<message from='x@b.test' to='alice@a.test'/>")
		synctest.Wait()
		if n := len(r.inbox.all()); n != 1 {
			t.Errorf("%d stanzas", n)
		}
	})
}

// TLS does not begin in the middle of a proof.
func TestLateTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", insecure)
		w.authority("b.test", func(*peer, string) {})
		p := r.stranger()
		p.header("to='a.test' from='b.test'")
		p.send("<db:result from='b.test' to='a.test'>key</db:result><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		p.want("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		p.ends()
		time.Sleep(time.Minute)
	})
}

// The servers of one domain get only so many streams.
func TestStreamsOfOneDomain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "[limits]\ns2s_streams = 2\n")
		first := r.admitted("")
		r.admitted("")
		p := r.stranger()
		p.header("to='a.test' from='b.test'")
		p.secure(w.certificate("b.test"))
		p.header("to='a.test' from='b.test'")
		p.external("=")
		p.fails("resource-constraint")
		first.send("</stream:stream>")
		first.ends()
		time.Sleep(5 * time.Second)
		r.admitted("")
	})
}

// A new configuration ends what it does not allow any more, and nothing else (F.8).
func TestReload(t *testing.T) {
	for name, c := range map[string]struct{ text, condition string }{
		"denied":    {"[s2s]\nhost_policy = [{host = 'b.test', policy = 'deny'}]\n", "policy-violation"},
		"unrelated": {"[s2s]\nhost_policy = [{host = 'c.test', policy = 'deny'}]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				r := w.newRig("a.test", "")
				p := r.admitted("")
				p.send("<message from='x@b.test' to='alice@a.test'/>")
				synctest.Wait()
				r.srv.Reload(r.parse("a.test", c.text), w, r.verify)
				if c.condition != "" {
					p.fails(c.condition)
					return
				}
				p.send("<message from='x@b.test' to='alice@a.test'/>")
				synctest.Wait()
				if n := len(r.inbox.all()); n != 2 {
					t.Errorf("%d stanzas", n)
				}
			})
		})
	}
}

// Shutdown says why.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", "")
		p := r.admitted("")
		done := make(chan error, 1)
		go func() { done <- r.srv.Shutdown(t.Context()) }()
		p.fails("system-shutdown")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// XEP-0198 on a stream that another server opened.
func TestManagedIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", "")
		p := r.admitted("")
		p.send("<r xmlns='urn:xmpp:sm:3'/>")
		p.fails("unsupported-stanza-type")
		p = r.admitted("")
		p.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		p.want("<enabled xmlns='urn:xmpp:sm:3'/>")
		p.send("<enable xmlns='urn:xmpp:sm:3'/>")
		p.want("<failed xmlns='urn:xmpp:sm:3'><unexpected-request *")
		for i := range 3 {
			p.send("<message from='x@b.test' to='alice@a.test'/><r xmlns='urn:xmpp:sm:3'/>")
			p.want(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", i+1))
		}
		p.send("<a xmlns='urn:xmpp:sm:3' h='7'/>")
		p.want("<stream:error><undefined-condition *<handled-count-too-high xmlns='urn:xmpp:sm:3' h='7' send-count='0'/></stream:error>")
		p.ends()
	})
}
