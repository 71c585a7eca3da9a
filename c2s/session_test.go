package c2s

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

func jid(s string) stanza.JID { return stanza.MustJID(s) }

func message(from, to, body string) *stanza.Stanza {
	return stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid(from), jid(to), []byte("<body>"+body+"</body>"))
}

// TestStanzaRules has what a client may not send, and what comes of it.
func TestStanzaRules(t *testing.T) {
	r := newRig(t, noTLS)
	const iq = "<x xmlns='urn:test'/>"
	for _, c := range []struct{ name, send, want string }{
		{"Z01 another's from", "<message from='admin@a.test/x' to='bob@a.test'/>", "SE invalid-from"},
		{"another resource", "<message from='alice@a.test/y' to='bob@a.test'/>", "SE invalid-from"},
		{"bad from", "<message from='@' to='bob@a.test'/>", "SE invalid-from"},
		{"X24 unknown", "<foo xmlns='urn:foo'/>", "SE unsupported-stanza-type"},
		{"X24 unknown here", "<foo/>", "SE unsupported-stanza-type"},
		{"X25 server's namespace", "<message xmlns='jabber:server' from='admin@a.test' to='bob@a.test'/>", "SE *"},
		{"X08 declaration inside", "<message><body><?xml version='1.0'?></body></message>", "SE *"},
		{"X09 bytes", "<message><body>\xc0\x80</body></message>", "SE not-well-formed"},
		{"X11 prefix", "<message><foo:b/></message>", "SE *"},
		{"X22 second header", header + "to='a.test'>", "SE *"},
		{"R02 size", "<message><body>" + strings.Repeat("x", 300<<10), "SE policy-violation"},
		{"R03 depth", "<message>" + strings.Repeat("<a>", 100), "SE policy-violation"},
		{"own full from", "<iq type='get' id='1' from='alice@a.test/x' to='a.test'>" + iq + "</iq>", "<iq type='result' id='1' *"},
		{"own bare from", "<iq type='get' id='1' from='alice@a.test' to='a.test'>" + iq + "</iq>", "<iq type='result' id='1' *"},
		{"own from otherwise spelt", "<iq type='get' id='1' from='ALICE@A.test/x' to='a.test'>" + iq + "</iq>", "<iq type='result' id='1' *"},
		{"bad to", "<message to='@' id='1'/>", "<message type='error' id='1' *<jid-malformed *"},
		{"empty to", "<iq type='get' id='1' to=''>" + iq + "</iq>", "<iq type='error' id='1' *<jid-malformed *"},
		{"X31 no id", "<iq type='get' to='a.test'>" + iq + "</iq>", "<iq type='error' *<error type='modify'><bad-request *"},
		{"X31 type", "<iq type='foo' id='1'>" + iq + "</iq>", "<iq type='error' id='1' *<bad-request *"},
		{"X31 no type", "<iq id='1'>" + iq + "</iq>", "<iq type='error' id='1' *<bad-request *"},
		{"X31 no child", "<iq type='get' id='1'/>", "<iq type='error' id='1' *<bad-request *"},
		{"X31 two children", "<iq type='set' id='1'>" + iq + iq + "</iq>", "<iq type='error' id='1' *<bad-request *"},
		{"X31 result", "<iq type='result' to='bob@a.test/y'/>", "nothing"},
		{"X31 error", "<iq type='error' id='1' to='nobody.test'/>", "nothing"},
		{"iq without to", "<iq type='get' id='1'>" + iq + "</iq>", "<iq type='result' id='1' to='alice@a.test/x' from='alice@a.test'/>"},
		{"session", "<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>", "<iq type='result' id='1' to='alice@a.test/x'/>"},
		{"priority", "<presence id='1'><priority>128</priority></presence>", "<presence type='error' id='1' *<bad-request *"},
		{"priority words", "<presence><priority>high</priority></presence>", "<presence type='error' *<bad-request *"},
		{"presence type", "<presence type='foo' id='1'/>", "<presence type='error' id='1' *<bad-request *"},
		{"subscribe to nobody", "<presence type='subscribe' id='1'/>", "<presence type='error' id='1' *<bad-request *"},
		{"message to oneself", "<presence/><message type='chat'><body>note</body></message>", "<message type='chat' from='alice@a.test/x'*><body>note</body></message>"},
		{"remote", "<message to='x@nobody.test' id='1'/>", "<message type='error' id='1' from='x@nobody.test' *<remote-server-not-found *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.client("alice", "x")
			p.t = t
			p.send("%s", c.send)
			switch {
			case strings.HasPrefix(c.want, "SE "):
				p.fails(c.want[3:])
			case c.want == "nothing":
			default:
				p.want(c.want)
			}
			if !strings.HasPrefix(c.want, "SE ") {
				p.quiet()
			}
		})
	}
	if kept := get(r.watch, &r.watch.kept); len(kept) > 0 {
		t.Errorf("something of this was delivered: %q", kept)
	}
}

func TestLang(t *testing.T) { // RFC 6120 §8.1.5
	r := newRig(t, noTLS)
	bob := r.client("bob", "y")
	p := r.dial()
	p.header("to='a.test'")
	p.send("%s", plain("alice"))
	p.want("<success *")
	p.header("to='a.test' xml:lang='de'")
	p.bind("x")
	p.send("<message to='bob@a.test/y'/><message to='bob@a.test/y' xml:lang='fr'/>")
	bob.want("<message to='bob@a.test/y' from='alice@a.test/x' xml:lang='de'/>")
	bob.want("<message to='bob@a.test/y' xml:lang='fr' from='alice@a.test/x'/>")
}

func TestPresence(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	s := r.router.Session(jid("alice@a.test/x"))
	if s.Presence() != nil {
		t.Error("available at once")
	}
	p.send("<presence><priority> -3 </priority></presence>")
	p.quiet()
	if ps := s.Presence(); ps == nil || ps.Priority != -3 || ps.Stanza.From() != s.JID() {
		t.Errorf("presence %+v", ps)
	}
	p.send("<presence type='unavailable'/>")
	p.quiet()
	if s.Presence() != nil {
		t.Error("still available")
	}
	p.send("<presence/></stream:stream>")
	p.closed()
	r.watch.until(t, "closed alice@a.test/x")
	want := []string{
		"opened alice@a.test/x",
		"presence alice@a.test/x  was=false",
		"presence alice@a.test/x unavailable was=true",
		"presence alice@a.test/x  was=false",
		"presence alice@a.test/x unavailable was=true",
		"closed alice@a.test/x",
	}
	if got := r.watch.seen(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events %q", got)
	}
	if r.router.Session(jid("alice@a.test/x")) != nil {
		t.Error("still there")
	}
}

func TestOutgoingHook(t *testing.T) {
	r := newRig(t, noTLS)
	p, bob := r.client("alice", "x"), r.client("bob", "y")
	for _, c := range []struct {
		err  error
		want string
	}{
		{modules.Done, ""},
		{stanza.Err(stanza.NotAcceptable, ""), "<message type='error' *<not-acceptable *"},
		{errors.New("secret detail"), "<message type='error' *<internal-server-error *"},
	} {
		set(r.watch, &r.watch.outgoing, func(_ context.Context, p *modules.Packet) error {
			if p.Stanza.Kind == stanza.KindMessage {
				if p.Origin.JID() != p.From {
					t.Errorf("from %s of %s", p.From, p.Origin.JID())
				}
				return c.err
			}
			return nil
		})
		p.send("<message to='bob@a.test/y'/>")
		if c.want != "" {
			if got := p.want(c.want); strings.Contains(got, "secret") {
				t.Error(got)
			}
		}
		p.quiet()
		bob.quiet()
	}
}

func TestToClientHook(t *testing.T) {
	r := newRig(t, noTLS)
	p, bob := r.client("alice", "x"), r.client("bob", "y")
	set(r.watch, &r.watch.toClient, func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Kind == stanza.KindMessage && p.Stanza.Type != stanza.TypeError {
			if p.Session.JID() != jid("bob@a.test/y") || p.To != p.Session.JID() || p.From != jid("alice@a.test/x") {
				t.Errorf("packet %+v", p)
			}
			return stanza.Err(stanza.Forbidden, "")
		}
		return nil
	})
	p.send("<message to='bob@a.test/y' type='chat'><body>x</body></message>")
	p.want("<message type='error' *<forbidden *")
	bob.quiet()
	if kept := get(r.watch, &r.watch.kept); len(kept) > 0 {
		t.Errorf("kept %q", kept)
	}
}

func TestPanicEndsOneStream(t *testing.T) { // O09
	r := newRig(t, noTLS)
	r.watch.mayPanic = true
	p, bob := r.client("alice", "x"), r.client("bob", "y")
	set(r.watch, &r.watch.outgoing, func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Kind == stanza.KindMessage {
			panic("hunter2")
		}
		return nil
	})
	p.send("<message to='bob@a.test/y'><body>hunter2</body></message>")
	p.fails("internal-server-error")
	bob.quiet()
	r.watch.until(t, "closed alice@a.test/x")
	if n := r.srv.Stats().Panics; n != 1 {
		t.Errorf("%d panics", n)
	}
	if log := r.log.String(); !strings.Contains(log, "mistake of the server") || strings.Contains(log, "hunter2") {
		t.Error(log)
	}
}

// A module that fails while a session ends keeps nobody from hearing of the end.
func TestPanicAtTheEnd(t *testing.T) {
	r := newRig(t, noTLS)
	r.watch.mayPanic = true
	p, _ := r.managed(r.dial(), "alice", "x")
	set(r.watch, &r.watch.gone, func(context.Context, modules.Presence) { panic("boo") })
	r.say("alice@a.test/x", "one")
	p.want("<message *")
	p.want("<r *")
	p.send("</stream:stream>")
	p.want("<a *")
	p.closed()
	r.watch.until(t, "closed alice@a.test/x")
	r.keptAre(1)
}

// A module may close the session whose stanza it is handling.
func TestCloseFromHandler(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	set(r.watch, &r.watch.outgoing, func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Kind == stanza.KindMessage {
			p.Origin.Close(&stream.Error{Condition: "reset"})
			p.Origin.Close(nil)
		}
		return nil
	})
	p.send("<message to='bob@a.test/y'/>")
	for got := p.next(); !strings.HasPrefix(got, "<stream:error>"); got = p.next() {
		if got == "" {
			t.Fatalf("no stream error in %q", p.tee.b)
		}
	}
	r.watch.until(t, "closed alice@a.test/x")
	if n := strings.Count(strings.Join(r.watch.seen(), " "), "closed"); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

func TestSessionValues(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	s := r.router.Session(jid("alice@a.test/x"))
	type key struct{}
	if s.Value(key{}) != nil {
		t.Error("a value from nowhere")
	}
	s.SetValue(key{}, 1)
	if s.Value(key{}) != 1 {
		t.Error("no value")
	}
	p.quiet()
	i := s.Info()
	if i.Mechanism != "PLAIN" || i.TLS != nil || i.Remote.String() != p.c.LocalAddr().String() || i.SM || i.Inactive || time.Since(i.LastIn) > time.Minute {
		t.Errorf("%+v", i)
	}
	if !strings.HasPrefix(s.ID(), "c2s-") || s.Hibernated() {
		t.Error(s.ID())
	}
}

// A client that does not read costs itself the session, and nobody else anything (R08, H04).
func TestSlowReader(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nwrite_buffer = 100000\nrate_c2s = 0\n")
	bob := r.client("bob", "y")
	bob.c.(*net.TCPConn).SetReadBuffer(4096)
	alice := r.client("alice", "x")
	body := strings.Repeat("x", 50000)
	for range 1000 {
		alice.send("<message to='bob@a.test/y' type='chat'><body>%s</body></message>", body)
		alice.quiet()
		if r.router.Session(jid("bob@a.test/y")) == nil {
			return
		}
		if n := waitingBytes(r); n > 300000 {
			t.Fatalf("%d bytes wait", n)
		}
	}
	t.Error("he has 50 MB and does not read")
}

func waitingBytes(r *rig) (n int) {
	for _, c := range r.srv.gate.All() {
		n += c.sc.Waiting()
	}
	return n
}
