package c2s

import (
	"context"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
)

// TestStreamErrors has each way to end a stream before login: what the client sends first, and the error. Our header comes
// first in any case (RFC 6120 §4.9.1.2).
func TestStreamErrors(t *testing.T) {
	r := newRig(t, "")
	const open = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
	for _, c := range []struct{ name, send, want string }{
		{"X05 encoding", "<?xml version='1.0' encoding='ISO-8859-1'?>" + open + "to='a.test'>", "unsupported-encoding"},
		{"X07 xml version", "<?xml version='1.1'?>" + open + "to='a.test'>", "not-well-formed"},
		{"X16 stream namespace", "<stream:stream xmlns='jabber:client' xmlns:stream='urn:x' version='1.0' to='a.test'>", "invalid-namespace"},
		{"X17 content namespace", strings.Replace(open, "jabber:client", "jabber:server", 1) + "to='a.test'>", "invalid-namespace"},
		{"X18 root", "<foo xmlns='jabber:client'>", "bad-format"},
		{"X01 doctype", "<!DOCTYPE x>" + open + "to='a.test'>", "restricted-xml"},
		{"X20 no to", open + ">", "improper-addressing"},
		{"X20 unknown to", open + "to='nobody.test'>", "host-unknown"},
		{"to is no address", open + "to='a@b@c'>", "improper-addressing"},
		{"to is an account", open + "to='alice@a.test'>", "improper-addressing"},
		{"X21 no version", strings.Replace(open, "version='1.0' ", "", 1) + "to='a.test'>", "unsupported-version"},
		{"bad from", open + "to='a.test' from='@'>", "invalid-from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			p.send("%s", c.send)
			h := p.want("<stream:stream *>")
			if strings.Contains(h, "from='") && !strings.Contains(h, "from='a.test'") {
				t.Errorf("from is a host of ours: %s", h)
			}
			p.fails(c.want)
		})
	}
}

// Nobody logs in to a module's subdomain.
func TestService(t *testing.T) {
	info := modules.Define(modules.Info{Name: "mod_rooms"}, struct{}{}, func(struct{}) modules.Module { return rooms{} })
	r := newRig(t, "", info)
	if !r.router.Served("rooms.a.test") {
		t.Fatal("the subdomain is not served")
	}
	for _, from := range []string{"", " from='alice@rooms.a.test'"} {
		p := r.dial()
		p.send("%sto='rooms.a.test'%s>", header, from)
		if h := p.want("<stream:stream *>"); strings.Contains(h, " from=") {
			t.Errorf("from is a host of ours: %s", h)
		}
		p.fails("host-unknown")
	}
	p := r.dialTLS(&tls.Config{ServerName: "rooms.a.test"})
	p.send("%sto='rooms.a.test'>", header)
	p.want("<stream:stream *>")
	p.fails("host-unknown")
}

type rooms struct{}

func (rooms) Start(_ context.Context, h *modules.Host) error {
	h.Serve("rooms."+h.Name, func(context.Context, *modules.Packet) {})
	return nil
}

func (rooms) Stop(context.Context) error { return nil }

// TestEarly has what a client must not send before login.
func TestEarly(t *testing.T) {
	r := newRig(t, "")
	bind := "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
	for _, c := range []struct{ name, send, want string }{
		{"X30 message", "<message to='bob@a.test'><body>x</body></message>", "not-authorized"},
		{"X30 presence", "<presence/>", "not-authorized"},
		{"X30 iq", "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>", "not-authorized"},
		{"X32 bind", bind, "not-authorized"},
		{"preauth iq before TLS", "<iq type='get' id='1'><x xmlns='urn:test'/></iq>", "not-authorized"},
		{"unknown", "<foo xmlns='urn:foo'/>", "not-authorized"},
		{"acknowledgement", "<r xmlns='urn:xmpp:sm:3'/>", "not-authorized"},
		{"X02 comment", "<!-- x -->", "restricted-xml"},
		{"X03 instruction", "<?php x?>", "restricted-xml"},
		{"R01 size", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + strings.Repeat("A", 12000), "policy-violation"},
		{"R01 depth", "<a xmlns='urn:a'>" + strings.Repeat("<a>", 20), "policy-violation"},
		{"X22 second header", header + "to='a.test'>", "*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			p.header("to='a.test'")
			p.send("%s", c.send)
			p.fails(c.want)
		})
	}
}

func TestStreamIDs(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nprofile='off'\n")
	seen := map[string]bool{}
	for range 100 {
		p := r.dial()
		for range 2 { // X34: new after a restart too
			p.header("to='a.test'")
			if len(p.id) < 16 || seen[p.id] {
				t.Fatalf("stream id %q", p.id)
			}
			seen[p.id] = true
			p.send("%s", plain("alice"))
			if p.next(); len(seen)%2 == 0 {
				break
			}
		}
		p.c.Close()
	}
}

func TestHeaderAnswer(t *testing.T) {
	r := newRig(t, "")
	p := r.dial()
	p.send("%sto='A.test' from='alice@a.test/x' xml:lang='de'>", header)
	h := p.want("<stream:stream *>")
	for _, want := range []string{"from='a.test'", "to='alice@a.test'", "version='1.0'", "xml:lang='en'"} { // RFC 6120 §4.7
		if !strings.Contains(h, want) {
			t.Errorf("%s lacks %s", h, want)
		}
	}
}

// X36: who was let in at one host stays there.
func TestHostMustNotChange(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.dial()
	p.header("to='a.test'")
	p.send("%s", plain("alice"))
	p.want("<success *")
	p.fresh()
	p.send("%sto='b.test'>", header)
	p.want("<stream:stream *>")
	p.fails("not-authorized")
}

func TestFromMustBeWhoLoggedIn(t *testing.T) {
	r := newRig(t, noTLS)
	for from, ok := range map[string]bool{"alice@a.test": true, "bob@a.test": false, "alice@b.test": false} {
		p := r.dial()
		p.header("to='a.test'")
		p.send("%s", plain("alice"))
		p.want("<success *")
		p.fresh()
		p.send("%sto='a.test' from='%s'>", header, from)
		p.want("<stream:stream *>")
		if ok {
			p.want("<stream:features>*")
			continue
		}
		p.fails("invalid-from")
	}
}

// T07: after login there must be a new header.
func TestStanzaInsteadOfHeader(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.dial()
	p.header("to='a.test'")
	p.send("%s", plain("alice"))
	p.want("<success *")
	p.fresh()
	p.send("<presence/>")
	p.want("<stream:stream *>")
	p.fails("*")
}

func TestCompressionIsNotOffered(t *testing.T) { // T05
	r := newRig(t, noTLS)
	p := r.dial()
	if f := p.header("to='a.test'"); strings.Contains(f, "compress") {
		t.Error(f)
	}
	p.talk(`
		C: <compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>
		S: <failure xmlns='http://jabber.org/protocol/compress'><unsupported-method/></failure>`)
}

// X19: what is no XMPP gets a short answer and the end.
func TestNoXMPP(t *testing.T) {
	r := newRig(t, "")
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n", "\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("\x00", 5000)} {
		p := r.dial()
		p.send("%s", s)
		p.c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, err := io.ReadAll(p.c)
		if err != nil && !strings.Contains(err.Error(), "reset") || len(b) > 1024 {
			t.Errorf("%q: %d bytes, %v", s[:8], len(b), err)
		}
	}
}

func TestPreauthRequests(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.dial()
	p.talk(`
		header
		C: <iq type='get' id='1'><x xmlns='urn:test'/></iq>
		S: <iq type='result' id='1' from='a.test'><hello xmlns='urn:test' host='a.test'/></iq>
		C: <iq type='get' id='2' to='a.test'><x xmlns='urn:test'/></iq>
		S: <iq type='result' id='2' from='a.test'><hello xmlns='urn:test' host='a.test'/></iq>
		C: <iq type='set' id='3'><x xmlns='urn:test'/></iq>
		S: <iq type='error' id='3' from='a.test'>*<not-acceptable *</iq>
		C: <iq type='get' id='4' to='b.test'><x xmlns='urn:test'/></iq>`)
	p.fails("not-authorized")
}

// A stanza between login and binding is not processed (RFC 6120 §7.1).
func TestStanzaBeforeBind(t *testing.T) {
	r := newRig(t, noTLS)
	for _, s := range []string{"<presence/>", "<message to='bob@a.test'/>", "<iq type='get' id='1'><x xmlns='urn:test'/></iq>", "<foo xmlns='urn:foo'/>"} {
		p := r.dial()
		p.login("alice")
		p.send("%s", s)
		p.fails("*")
	}
}
