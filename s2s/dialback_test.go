package s2s

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDialbackKey(t *testing.T) { // S12
	for _, c := range []struct{ secret, receiving, originating, id, key string }{
		{"xmppd-dialback-secret", "remote.example", "local.example", "stream-id-42", "de3e9ad3a6c196b10701e479680c997f442aae1a08de8e0799d79398b600d5f6"},
		// XEP-0185 §2
		{"s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"},
	} {
		if got := dialbackKey([]byte(c.secret), c.receiving, c.originating, c.id); got != c.key {
			t.Errorf("%s %s %s: %s, want %s", c.receiving, c.originating, c.id, got, c.key)
		}
	}
}

// As the authoritative server (S10, S11).
func TestVerifyKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newWorld(t).newRig("a.test", insecure)
		p := r.stranger()
		p.header("to='a.test' from='b.test'")
		key := dialbackKey([]byte("the secret of a.test"), "b.test", "a.test", "some-id")
		for _, c := range []struct{ from, to, id, key, want string }{
			{"b.test", "a.test", "some-id", key, "type='valid'/>"},
			{"B.TEST", "A.test", "some-id", key, "type='valid'/>"},
			{"b.test", "a.test", "some-id", key + "0", "type='invalid'/>"},
			{"b.test", "a.test", "some-id", strings.ToUpper(key), "type='invalid'/>"},
			{"b.test", "a.test", "some-id", "", "type='invalid'/>"},
			{"b.test", "a.test", "other", key, "type='invalid'/>"},
			{"c.test", "a.test", "some-id", key, "type='invalid'/>"},
		} {
			p.send("<db:verify from='%s' to='%s' id='%s'>%s</db:verify>", c.from, c.to, c.id, c.key)
			p.want(fmt.Sprintf("<db:verify from='a.test' to='%s' id='%s' %s", strings.ToLower(c.from), c.id, c.want))
		}
		p.send("<db:verify from='b.test' to='nohost.test' id='1'>%s</db:verify>", key)
		p.want("<db:verify from='nohost.test' to='b.test' id='1' type='error'><error type='cancel'><item-not-found *</db:verify>")
		p.send("<db:verify from='x@b.test' to='a.test' id='1'>%s</db:verify>", key)
		p.fails("improper-addressing")
	})
}

// authority is the server of a domain that answers what it is asked for keys.
func (w *world) authority(domain string, answer func(p *peer, asked string)) {
	w.open(domain, func() (net.Conn, error) {
		c, s := net.Pipe()
		go func() {
			p := newPeer(w.t, s)
			defer s.Close()
			if p.next() == "" {
				return
			}
			p.send("%sfrom='%s' id='theirs'><stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>", header, domain)
			if asked := p.next(); asked != "" {
				answer(p, asked)
			}
			for p.next() != "" {
			}
		}()
		return c, nil
	})
}

// As the receiving server: what the authoritative one says decides, and nobody else's word.
func TestDialbackIn(t *testing.T) {
	say := func(format string) func(*peer, string) {
		return func(p *peer, asked string) {
			_, id, _ := strings.Cut(asked, "id='")
			id, _, _ = strings.Cut(id, "'")
			p.send("%s", strings.ReplaceAll(format, "ID", id))
		}
	}
	for _, c := range []struct {
		name   string
		answer func(p *peer, asked string)
		want   string
	}{
		{"valid", say("<db:verify from='b.test' to='a.test' id='ID' type='valid'/>"), "<db:result from='a.test' to='b.test' type='valid'/>"},
		{"invalid", say("<db:verify from='b.test' to='a.test' id='ID' type='invalid'/>"), "<db:result from='a.test' to='b.test' type='invalid'/>"},
		{"another stream's", say("<db:verify from='b.test' to='a.test' id='x' type='valid'/><db:verify from='b.test' to='a.test' id='ID' type='invalid'/>"),
			"<db:result from='a.test' to='b.test' type='invalid'/>"},
		{"another domain's", say("<db:verify from='c.test' to='a.test' id='ID' type='valid'/><db:verify from='b.test' to='c.test' id='ID' type='valid'/>" +
			"<db:verify from='b.test' to='a.test' id='ID' type='invalid'/>"), "<db:result from='a.test' to='b.test' type='invalid'/>"},
		{"a result", say("<db:result from='b.test' to='a.test' id='ID' type='valid'/><db:verify from='b.test' to='a.test' id='ID' type='invalid'/>"),
			"<db:result from='a.test' to='b.test' type='invalid'/>"},
		{"an error", say("<db:verify from='b.test' to='a.test' id='ID' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>"),
			"<db:result from='a.test' to='b.test' type='error'><error type='wait'><remote-server-timeout *"},
		{"the end", say("</stream:stream>"), "<db:result from='a.test' to='b.test' type='error'><error type='wait'><remote-server-timeout *"},
		{"silence", func(*peer, string) {}, "<db:result from='a.test' to='b.test' type='error'><error type='wait'><remote-server-timeout *"},
		{"no server", nil, "<db:result from='a.test' to='b.test' type='error'><error type='cancel'><remote-server-not-found *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				r := w.newRig("a.test", insecure)
				if c.answer != nil {
					w.authority("b.test", c.answer)
				}
				p := r.stranger()
				p.header("to='a.test' from='b.test'")
				begin := time.Now()
				p.send("<db:result from='b.test' to='a.test'>some key</db:result>")
				p.want(c.want)
				if took := time.Since(begin); took > 31*time.Second { // S17
					t.Errorf("it took %v", took)
				}
				if strings.Contains(c.want, "type='invalid'") {
					p.ends()
					return
				}
				p.send("<message from='x@b.test' to='alice@a.test'/>")
				if strings.Contains(c.want, "type='valid'") {
					synctest.Wait()
					if n := len(r.inbox.all()); n != 1 {
						t.Errorf("%d stanzas", n)
					}
					return
				}
				p.fails("not-authorized")
			})
		})
	}
}

// What a request gets that no authority is asked for.
func TestDialbackRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", insecure+"host_policy = [{host = 'bad.test', policy = 'deny'}]\nsecure_domains = ['safe.test']\n")
		p := r.stranger()
		p.header("to='a.test'")
		for _, c := range []struct{ from, to, want string }{
			{"b.test", "nohost.test", "item-not-found"},
			{"a.test", "a.test", "not-acceptable"},
			{"bad.test", "a.test", "policy-violation"},
		} {
			p.send("<db:result from='%s' to='%s'>key</db:result>", c.from, c.to)
			p.want(fmt.Sprintf("<db:result from='%s' to='%s' type='error'><error *><%s *", c.to, c.from, c.want))
		}
		// S09: nobody has asked for these.
		p.send("<db:result from='b.test' to='a.test' type='valid'/><db:verify from='b.test' to='a.test' id='1' type='valid'/>")
		p.send("<db:result from='safe.test' to='a.test'>key</db:result>")
		p.fails("policy-violation") // S15: not in clear
		if n := w.dialed("b.test") + w.dialed("bad.test") + w.dialed("safe.test"); n != 0 {
			t.Errorf("%d connections", n)
		}

		p = r.stranger()
		p.header("to='a.test'")
		p.send("<db:result from='b.test' to='a.test' type='valid'/><message from='x@b.test' to='alice@a.test'/>")
		p.fails("not-authorized")

		p = r.stranger()
		p.header("to='a.test'")
		p.secure(w.certificate("other.test"))
		p.header("to='a.test'")
		p.send("<db:result from='safe.test' to='a.test'>key</db:result>")
		p.want("<db:result from='a.test' to='safe.test' type='error'><error type='auth'><not-authorized *")
	})
}

// A valid certificate makes the key needless (XEP-0344), for a second domain, too.
func TestDialbackWithoutDialback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.stranger()
		p.header("to='a.test'")
		p.secure(w.certificate("b.test", "c.test"))
		p.header("to='a.test'")
		for _, from := range []string{"b.test", "c.test", "b.test"} {
			p.send("<db:result from='%s' to='a.test'>any</db:result>", from)
			p.want("<db:result from='a.test' to='" + from + "' type='valid'/>")
		}
		p.send("<db:result from='d.test' to='a.test'>any</db:result>")
		p.want("<db:result from='a.test' to='d.test' type='error'><error *><not-authorized *")
		p.send("<message from='x@b.test' to='alice@a.test'/><message from='x@c.test' to='alice@a.test'/><message from='x@d.test' to='alice@a.test'/>")
		p.fails("invalid-from")
		if n := len(r.inbox.all()); n != 2 {
			t.Errorf("%d stanzas", n)
		}
		if n := strings.Count(r.log.String(), "method=certificate"); n != 2 {
			t.Errorf("%d lines about it:\n%s", n, r.log)
		}
	})
}

// S16: a stream has only so many keys verified at once; another is not held up by those that take their time (S17).
func TestDialbackFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", insecure)
		for i := range 200 {
			w.authority(fmt.Sprintf("d%d.test", i), func(*peer, string) {})
		}
		p := r.stranger()
		p.header("to='a.test'")
		for i := range 200 {
			p.send("<db:result from='d%d.test' to='a.test'>key</db:result>", i)
			if i >= 50 {
				p.want(fmt.Sprintf("<db:result from='a.test' to='d%d.test' type='error'><error type='wait'><resource-constraint *", i))
			}
		}
		if n := r.srv.Stats().Out; n > 50 {
			t.Errorf("%d connections", n)
		}
		w.authority("good.test", func(p *peer, asked string) {
			_, id, _ := strings.Cut(asked, "id='")
			id, _, _ = strings.Cut(id, "'")
			p.send("<db:verify from='good.test' to='a.test' id='%s' type='valid'/>", id)
		})
		other := r.stranger()
		other.header("to='a.test'")
		begin := time.Now()
		other.send("<db:result from='good.test' to='a.test'>key</db:result>")
		other.want("<db:result from='a.test' to='good.test' type='valid'/>")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
		for range 50 {
			p.want("<db:result from='a.test' *remote-server-timeout *")
		}
	})
}

// An authoritative server that cannot be connected to is an error, too, and no denial.
func TestDialbackNoConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", insecure)
		w.open("b.test", func() (net.Conn, error) { return nil, ErrRefused })
		p := r.stranger()
		p.header("to='a.test'")
		p.send("<db:result from='b.test' to='a.test'>key</db:result>")
		p.want("<db:result from='a.test' to='b.test' type='error'><error type='cancel'><remote-connection-failed *")
		p.send("<db:verify from='b.test' to='a.test' id='1'>x</db:verify>") // the stream goes on
		p.want("<db:verify *type='invalid'/>")
	})
}

func FuzzDialback(f *testing.F) {
	for _, s := range []string{
		"<db:result from='b.test' to='a.test'>key</db:result>",
		"<db:result from='b.test' to='a.test' type='valid'/>",
		"<db:verify from='b.test' to='a.test' id='1'>key</db:verify>",
		"<db:verify from='b.test' to='a.test' id='1' type='error'><error><x/></error></db:verify>",
		"<db:other/>", "<db:result/>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			r := w.newRig("a.test", insecure)
			p := r.stranger()
			p.header("to='a.test'")
			go func() {
				for p.next() != "" {
				}
			}()
			p.c.Write([]byte(s))
			synctest.Wait()
			for _, st := range r.srv.Streams("") {
				if len(st.Pairs) > 0 {
					t.Errorf("%q proves %v", s, st.Pairs)
				}
			}
		})
	})
}
