package push

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const (
	alice    = "alice@a.test"
	romeo    = "romeo@b.test"
	service1 = "push.c.test"
)

// host is a.test with mod_push, whose instance the test can look into.
type host struct {
	*modtest.Host
	m *module
}

func newHost(t *testing.T, toml string) *host {
	t.Helper()
	h := &host{}
	in := modules.Define(Info, defaults, func(c Config) modules.Module { h.m = newModule(c); return h.m })
	h.Host = modtest.NewConfig(t, "a.test", toml, roster.Info, blocking.Info, offline.Info, disco.Info, in)
	return h
}

func enable(t *testing.T, s *modtest.Session, jid, node, inner string) {
	t.Helper()
	if st := s.IQ("set", "", "<enable xmlns='"+ns+"' jid='"+jid+"' node='"+node+"'>"+inner+"</enable>"); st.Type != stanza.TypeResult {
		t.Fatalf("%s", st.AppendTo(nil))
	}
}

// say lets a message for alice in.
func say(h interface{ Send(string) }, to, inner string) {
	h.Send("<message type='chat' from='" + romeo + "/x' to='" + to + "'>" + inner + "</message>")
}

const body = "<body>between you and me</body>"

// pushes returns the pushes that left, as text.
func pushes(h *host) string {
	var out []string
	for _, st := range h.Sent() {
		if st.Kind == stanza.KindIQ {
			out = append(out, string(st.AppendTo(nil)))
		}
	}
	return strings.Join(out, "\n")
}

func condition(st *stanza.Stanza) stanza.Condition {
	if e := st.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// XEP-0357 §7: what a push says, and what it does not.
func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "")
		a := h.Session(alice + "/phone")
		enable(t, a, service1, "n1", "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"+nsOptions+"</value></field><field var='secret'><value>s &amp; t</value></field></x>")
		a.Close(nil)
		say(h, alice, body)
		got := pushes(h)
		want := "<pubsub xmlns='" + nsPubsub + "'><publish node='n1'><item><notification xmlns='" + ns + "'><x xmlns='jabber:x:data' type='submit'>" +
			"<field type='hidden' var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field><field var='message-count'><value>1</value></field></x></notification></item></publish>" +
			"<publish-options><x xmlns='jabber:x:data' type='submit'><field type='hidden' var='FORM_TYPE'><value>" + nsOptions + "</value></field><field var='secret'><value>s &amp; t</value></field></x></publish-options></pubsub>"
		if !strings.Contains(got, want) || !strings.Contains(got, " from='alice@a.test' to='"+service1+"'") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if strings.Contains(got, "between") || strings.Contains(got, romeo) {
			t.Errorf("it tells %s", got)
		}
		// What comes in the next seconds is told with the next push.
		say(h, alice, body)
		say(h, alice, body)
		if got := pushes(h); got != "" {
			t.Errorf("too early: %s", got)
		}
		time.Sleep(6 * time.Second)
		if got := pushes(h); !strings.Contains(got, "<value>3</value>") {
			t.Errorf("after a while: %s", got)
		}
		time.Sleep(time.Minute)
		if got := pushes(h); got != "" {
			t.Errorf("of nothing: %s", got)
		}
		if strings.Contains(h.Log(), "s & t") {
			t.Error("the log has the secret of the options")
		}
	})
}

func TestIncluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_push]\ninclude_sender = true\ninclude_body = true\n")
		a := h.Session(alice + "/phone")
		enable(t, a, service1, "n1", "")
		a.Close(nil)
		say(h, alice, body)
		if got := pushes(h); !strings.Contains(got, "<field var='last-message-sender'><value>"+romeo+"/x</value></field><field var='last-message-body'><value>between you and me</value></field>") || strings.Contains(got, "publish-options") {
			t.Errorf("got %s", got)
		}
	})
}

// Which device is told of which message.
func TestWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_push]\nmin_interval = \"0s\"\n")
		phone, desk := h.Session(alice+"/phone"), h.Session(alice+"/desk")
		enable(t, phone, service1, "phone", "")
		enable(t, desk, service1, "desk", "")
		phone.Available(0, "")
		desk.Available(0, "")
		nodes := func() string {
			synctest.Wait()
			var out []string
			for _, st := range h.Sent() {
				if st.Kind == stanza.KindIQ && st.Type == stanza.TypeSet {
					out = append(out, st.Payload().Child("", "publish").Attr("node"))
				}
			}
			return strings.Join(out, " ")
		}
		check := func(why, want string) {
			t.Helper()
			if got := nodes(); got != want {
				t.Errorf("%s: pushed to %q, want %q", why, got, want)
			}
		}
		say(h, alice, body)
		check("both are there", "")
		phone.Hibernate()
		check("nothing waits", "")
		say(h, alice, body)
		check("one sleeps", "phone")
		say(h, alice+"/desk", body)
		check("to the other's resource", "phone")
		phone.Resume()
		say(h, alice, body)
		check("it is back", "")
		phone.Change(func(i *modules.SessionInfo) { i.Inactive = true })
		say(h, alice, body)
		check("nobody looks at it", "phone")
		phone.Change(func(i *modules.SessionInfo) { i.Inactive, i.Unacked = false, 2 })
		phone.Hibernate()
		check("it sleeps, and has not got what it was sent", "phone")
		desk.Refuse(stream.ErrClosed) // it is on its way out
		phone.Refuse(stream.ErrClosed)
		say(h, alice, body)
		check("nobody took it", "phone desk")
		phone.Refuse(nil)
		desk.Close(nil)
		for _, w := range []struct{ name, xml, want string }{
			{"encrypted", "<message from='" + romeo + "' to='" + alice + "' type='chat'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>", "phone desk"},
			{"a call", "<message from='" + romeo + "' to='" + alice + "' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='1'/></message>", "phone desk"},
			{"the end of a call", "<message from='" + romeo + "' to='" + alice + "' type='chat'><retract xmlns='urn:xmpp:jingle-message:0' id='1'/></message>", ""},
			{"typing", "<message from='" + romeo + "' to='" + alice + "' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", ""},
			{"an error", "<message from='" + romeo + "' to='" + alice + "' type='error'>" + body + "</message>", ""},
			{"a headline", "<message from='" + romeo + "' to='" + alice + "' type='headline'>" + body + "</message>", ""},
			{"a room, for the one in it", "<message from='room@b.test/x' to='" + alice + "/phone' type='groupchat'>" + body + "</message>", "phone"},
			{"a room, for one that is gone", "<message from='room@b.test/x' to='" + alice + "/desk' type='groupchat'>" + body + "</message>", ""},
			{"presence", "<presence from='" + romeo + "' to='" + alice + "'/>", ""},
		} {
			h.Send(w.xml)
			check(w.name, w.want)
		}
		if st := h.Session(alice+"/new").IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='"+romeo+"'/></block>"); st.Type != stanza.TypeResult {
			t.Fatal("not blocked")
		}
		say(h, alice, body)
		check("who is blocked", "")
	})
}

// XEP-0357 §5, §6.
func TestEnable(t *testing.T) {
	h := newHost(t, "[modules.mod_push]\nmax_services = 2\n")
	a, m := h.Session(alice+"/phone"), h.Session("mallory@a.test/m")
	if got := string(a.IQ("get", alice, "<query xmlns='"+stanza.NSDiscoInf+"'/>").AppendTo(nil)); !strings.Contains(got, "'"+ns+"'") {
		t.Errorf("not announced: %s", got)
	}
	form := func(ft string, size int) string {
		return "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>" + ft + "</value></field><field var='a'><value>" + strings.Repeat("x", size) + "</value></field></x>"
	}
	for _, tt := range []struct {
		typ, to, payload string
		want             stanza.Condition
	}{
		{"set", "", "<enable xmlns='" + ns + "'/>", stanza.BadRequest},
		{"get", "", "<enable xmlns='" + ns + "' jid='p.test'/>", stanza.BadRequest},
		{"set", "", "<other xmlns='" + ns + "' jid='p.test'/>", stanza.BadRequest},
		{"set", "", "<enable xmlns='" + ns + "' jid='@'/>", stanza.JIDMalformed},
		{"set", "", "<enable xmlns='" + ns + "' jid='http://127.0.0.1/x'/>", stanza.JIDMalformed}, // R21
		{"set", "", "<enable xmlns='" + ns + "' jid='" + alice + "/x'/>", stanza.NotAllowed},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test' node='" + strings.Repeat("n", 2000) + "'/>", stanza.NotAcceptable},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test'>" + form("urn:other", 1) + "</enable>", stanza.BadRequest},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test'>" + form(nsOptions, 5000) + "</enable>", stanza.NotAcceptable},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test'>" + form(nsOptions, 500) + "</enable>", ""},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test'/>", ""}, // the same again
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test' node='2'/>", ""},
		{"set", "", "<enable xmlns='" + ns + "' jid='p.test' node='3'/>", stanza.ResourceConstraint},
		{"set", "mallory@a.test", "<enable xmlns='" + ns + "' jid='p.test'/>", stanza.ServiceUnavailable},
		{"set", "", "<disable xmlns='" + ns + "' jid='other.test'/>", ""},
	} {
		if st := a.IQ(tt.typ, tt.to, tt.payload); condition(st) != tt.want {
			t.Errorf("%s: %s, want %s", tt.payload, st.AppendTo(nil), tt.want)
		}
	}
	enable(t, m, "p.test", "m", "")
	count := func(local string) int {
		l, err := h.m.services.Get(context.Background(), local)
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	h.m.services.Forget("alice") // from the disk
	if n := count("alice"); n != 2 {
		t.Errorf("%d services", n)
	}
	a.IQ("set", "", "<disable xmlns='"+ns+"' jid='p.test' node='2'/>")
	if n := count("alice"); n != 1 {
		t.Errorf("%d services", n)
	}
	enable(t, a, "p.test", "2", "")
	a.IQ("set", "", "<disable xmlns='"+ns+"' jid='p.test'/>")
	if n := count("alice"); n != 0 {
		t.Errorf("%d services", n)
	}
	enable(t, a, "p.test", "2", "")
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	h.User("alice")
	h.m.services.Forget("alice")
	if n := count("alice"); n != 0 || count("mallory") != 1 {
		t.Errorf("%d services after the account", n)
	}
}

// A file names what a client may, and no more: pushes go there in the account's name.
func TestImport(t *testing.T) {
	h := newHost(t, "[modules.mod_push]\nmax_services = 2\n")
	h.Session(alice + "/phone")
	take := func(list string) error {
		e, err := stanza.Parse([]byte("<services xmlns='" + nsPortable + "'>" + list + "</services>"))
		if err != nil {
			t.Fatal(err)
		}
		return h.m.Import(t.Context(), stanza.MustJID(alice), e)
	}
	form := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>%s</value></field><field var='a'><value>%s</value></field></x>"
	for what, list := range map[string]string{
		"the account itself": "<service jid='" + alice + "' node='n'/>",
		"no address":         "<service jid='@' node='n'/>",
		"none":               "<service node='n'/>",
		"a long node":        "<service jid='p.test' node='" + strings.Repeat("n", 2000) + "'/>",
		"another form":       "<service jid='p.test' node='n'>" + fmt.Sprintf(form, "urn:other", "x") + "</service>",
		"large options":      "<service jid='p.test' node='n'>" + fmt.Sprintf(form, nsOptions, strings.Repeat("x", 5000)) + "</service>",
	} {
		if err := take(list); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if l, err := h.m.services.Get(t.Context(), "alice"); len(l) > 0 || err != nil {
		t.Errorf("there are %d services, %v", len(l), err)
	}
	if err := take("<service jid='p.test' node='n'>" + fmt.Sprintf(form, nsOptions, "x") + "</service>"); err != nil {
		t.Error(err)
	}
	if err := take("<service jid='p.test' node='2'/><service jid='p.test' node='3'/>"); err == nil {
		t.Error("more than max_services")
	}
}

// XEP-0357 §7: who answers with errors alone is told nothing more.
func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_push]\nmin_interval = \"0s\"\nmax_errors = 3\n")
		a := h.Session(alice + "/phone")
		enable(t, a, service1, "n1", "")
		a.Close(nil)
		push := func() string {
			synctest.Wait()
			h.Sent()
			say(h, alice, body)
			for _, st := range h.Sent() {
				if st.Kind == stanza.KindIQ {
					return st.ID()
				}
			}
			return ""
		}
		answer := func(typ, from, id string) {
			h.Send("<iq type='" + typ + "' id='" + id + "' from='" + from + "' to='" + alice + "'/>")
		}
		for range 2 {
			answer("error", service1, push())
		}
		answer("result", service1, push())
		for i := range 3 {
			id := push()
			if id == "" {
				t.Fatalf("given up after %d", i)
			}
			answer("error", "other.test", id) // it is not for others to say
			answer("error", "other.test", id)
			answer("error", service1, id)
			answer("error", service1, id) // once is once
		}
		if id := push(); id != "" {
			t.Error("told after it was given up")
		}
		if !strings.Contains(h.Log(), "push service given up") {
			t.Error("the log does not say so")
		}
	})
}

// A service that nobody reaches is one that answers with errors.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_push]\nmin_interval = \"0s\"\nmax_errors = 2\n")
		a := h.Session(alice + "/phone")
		enable(t, a, "nobody@a.test/x", "n1", "")
		a.Close(nil)
		for range 3 {
			say(h, alice, body)
			synctest.Wait()
		}
		if got := strings.Count(h.Log(), "push service given up"); got != 1 {
			t.Errorf("given up %d times", got)
		}
	})
}

// Who has no service pays a look-up.
func TestCost(t *testing.T) {
	h := newHost(t, "")
	h.Session(alice + "/one")
	m := h.m
	st, err := stanza.Parse([]byte("<message from='" + romeo + "/x' to='" + alice + "' type='chat'>" + body + "</message>"))
	if err != nil {
		t.Fatal(err)
	}
	p := modules.NewPacket(st)
	m.message(context.Background(), p)
	if n := testing.AllocsPerRun(100, func() { m.message(context.Background(), p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzEnable(f *testing.F) {
	f.Add("<enable xmlns='" + ns + "' jid='p.test' node='x'><x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>" + nsOptions + "</value></field></x></enable>")
	f.Add("<disable xmlns='" + ns + "' jid='p.test'/>")
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := stanza.ParseElement([]byte(payload)); err != nil {
			t.Skip()
		}
		h := modtest.New(t, "a.test", roster.Info, Info)
		a := h.Session(alice + "/phone")
		a.IQ("set", "", payload)
		a.Close(nil)
		say(h, alice, body)
		for _, st := range h.Sent() {
			if _, err := stanza.Parse(st.AppendTo(nil)); err != nil {
				t.Errorf("%v: %s", err, st.AppendTo(nil))
			}
		}
	})
}
