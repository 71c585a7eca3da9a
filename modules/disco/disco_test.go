package disco

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	info  = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
	items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
)

// other is a module that disco describes.
var other = modules.Define(modules.Info{Name: "mod_other"}, struct{}{}, func(struct{}) modules.Module { return otherModule{} })

type otherModule struct{}

func (otherModule) Start(_ context.Context, h *modules.Host) error {
	h.Disco(modules.Server, "urn:other")
	h.Disco(modules.Account, "urn:other:account")
	h.Serve("muc.a.test", func(context.Context, *modules.Packet) {}, "Rooms & more")
	h.Serve("bare.a.test", func(context.Context, *modules.Packet) {})
	h.Form(modules.Server, func() []byte {
		return []byte("<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:f</value></field></x>")
	})
	modules.Provide[Roster](h, friends{})
	return nil
}
func (otherModule) Stop(context.Context) error { return nil }

// friends lets friend@b.test see everybody.
type friends struct{}

func (friends) Subscribed(_ context.Context, _, contact stanza.JID) bool {
	return contact == stanza.MustJID("friend@b.test")
}

// vars lists what a disco answer names, in order.
func vars(st *stanza.Stanza) string {
	var out []string
	for _, c := range st.Payload().Children {
		switch c.Name {
		case "identity":
			out = append(out, c.Attr("category")+"/"+c.Attr("type"))
		case "feature":
			out = append(out, c.Attr("var"))
		case "item":
			out = append(out, c.Attr("jid")+"="+c.Attr("name"))
		case "x":
			out = append(out, "form")
		}
	}
	return strings.Join(out, " ")
}

func TestServer(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_disco]\nitems = [{jid = \"Irc.b.test\", name = \"<IRC>\"}]\n", Info, other)
	alice := h.Session("alice@a.test/r")
	for _, tt := range []struct{ payload, want string }{
		{info, "server/im http://jabber.org/protocol/disco#info http://jabber.org/protocol/disco#items urn:other form"},
		{items, "bare.a.test= muc.a.test=Rooms & more irc.b.test=<IRC>"},
	} {
		if got := vars(alice.IQ("get", "a.test", tt.payload)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.payload, got, tt.want)
		}
	}
}

func TestAccount(t *testing.T) {
	h := modtest.New(t, "a.test", Info, other)
	alice := h.Session("alice@a.test/r")
	h.Session("alice@a.test/quiet")
	alice.Available(0, "")
	const infoWant = "account/registered http://jabber.org/protocol/disco#info http://jabber.org/protocol/disco#items urn:other:account"
	for _, to := range []string{"", "alice@a.test"} {
		if got := vars(alice.IQ("get", to, info)); got != infoWant {
			t.Errorf("own info: %s", got)
		}
		if got := vars(alice.IQ("get", to, items)); got != "alice@a.test/r=" {
			t.Errorf("own items: %s", got)
		}
	}
	h.Send("<iq type='get' id='1' from='friend@b.test/x' to='alice@a.test'>" + info + "</iq>")
	if got := vars(h.Sent()[0]); got != infoWant {
		t.Errorf("a contact sees %s", got)
	}
}

// To strangers an account that exists answers as one that does not, byte for byte (XEP-0030 §11).
func TestStrangers(t *testing.T) {
	h := modtest.New(t, "a.test", Info, other)
	alice := h.Session("alice@a.test/r")
	h.User("bob")
	ask := func(from, to, typ, payload string) string {
		h.Send("<iq type='" + typ + "' id='1' from='" + from + "' to='" + to + "'>" + payload + "</iq>")
		sent := h.Sent()
		if len(sent) != 1 || sent[0].Type != stanza.TypeError || sent[0].StanzaError().Condition != stanza.ServiceUnavailable {
			t.Fatalf("%s: %s", to, modtest.XML(sent))
		}
		return strings.ReplaceAll(modtest.XML(sent), to, "X")
	}
	for _, payload := range []string{
		info, items,
		"<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>",
		"<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>",
		"<other xmlns='http://jabber.org/protocol/disco#info'/>",
	} {
		for _, typ := range []string{"get", "set"} {
			known := ask("mallory@b.test/x", "bob@a.test", typ, payload)
			unknown := ask("mallory@b.test/x", "eve@a.test", typ, payload)
			if known != unknown {
				t.Errorf("%s %s:\n%s%s", typ, payload, known, unknown)
			}
		}
		// Users of the same server are strangers too.
		known := strings.ReplaceAll(string(alice.IQ("get", "bob@a.test", payload).AppendTo(nil)), "bob", "X")
		unknown := strings.ReplaceAll(string(alice.IQ("get", "eve@a.test", payload).AppendTo(nil)), "eve", "X")
		if mask(known) != mask(unknown) {
			t.Errorf("%s:\n%s\n%s", payload, known, unknown)
		}
	}
}

// mask takes the id out of a stanza.
func mask(s string) string {
	i := strings.Index(s, " id='")
	return s[:i] + s[i+5+strings.Index(s[i+5:], "'"):]
}

func TestNodes(t *testing.T) {
	h := modtest.New(t, "a.test", Info, other)
	alice := h.Session("alice@a.test/r")
	q := "<query xmlns='http://jabber.org/protocol/disco#info' node='"
	for _, tt := range []struct{ to, payload string }{
		{"a.test", q + "n'/>"}, {"a.test", q + Node + "#'/>"}, {"a.test", strings.Replace(q, "#info", "#items", 1) + "n'/>"},
		{"alice@a.test", q + "n'/>"}, {"alice@a.test", strings.Replace(q, "#info", "#items", 1) + "n'/>"},
	} {
		if st := alice.IQ("get", tt.to, tt.payload); st.Type != stanza.TypeError || st.StanzaError().Condition != stanza.ItemNotFound {
			t.Errorf("%s %s: %s", tt.to, tt.payload, st.AppendTo(nil))
		}
	}
	if st := alice.IQ("set", "a.test", info); st.StanzaError() == nil || st.StanzaError().Condition != stanza.FeatureNotImplemented {
		t.Errorf("set: %s", st.AppendTo(nil))
	}
}

func TestConfig(t *testing.T) {
	_, err := modtest.TryConfig(t, "a.test", "[modules.mod_disco]\nitems = [{jid = \"a@@b\"}]\n", Info)
	if err == nil || !strings.Contains(err.Error(), "config.toml:2: modules.mod_disco.items") {
		t.Errorf("error %v", err)
	}
}
