package pep

import (
	"crypto/sha1"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice = "alice@a.test"
	bob   = "bob@a.test"
	eve   = "eve@a.test"   // a stranger
	romeo = "romeo@b.test" // a contact elsewhere
	tune  = "http://jabber.org/protocol/tune"
	song  = "<tune xmlns='" + tune + "'><title>Moon</title></tune>"
)

func newHost(t testing.TB, toml ...string) *modtest.Host {
	t.Helper()
	return modtest.NewConfig(t, "a.test", strings.Join(toml, "\n"), roster.Info, disco.Info, caps.Info, Info)
}

// client makes the disco#info of a client that wants to hear of nodes, and the capabilities that stand for it.
func client(notify ...string) (query, c string) {
	list := []string{"http://jabber.org/protocol/disco#info"}
	for _, n := range notify {
		list = append(list, n+"+notify")
	}
	slices.Sort(list)
	s := "client/pc//test<" + strings.Join(list, "<") + "<"
	sum := sha1.Sum([]byte(s))
	query = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='test'/>"
	for _, f := range list {
		query += "<feature var='" + f + "'/>"
	}
	ver := base64.StdEncoding.EncodeToString(sum[:])
	return query + "</query>", "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:test' ver='" + ver + "'/>"
}

// listen makes a session available whose client wants to hear of nodes, answers the server's question, if it asks, and returns
// what else came, without presence.
func listen(t testing.TB, s *modtest.Session, notify ...string) []*stanza.Stanza {
	t.Helper()
	query, c := client(notify...)
	s.Available(0, c)
	return answer(s, query)
}

func answer(s *modtest.Session, query string) []*stanza.Stanza {
	var out []*stanza.Stanza
	for again := true; again; {
		again = false
		for _, st := range s.Sent() {
			switch {
			case st.Kind == stanza.KindIQ && st.Type == stanza.TypeGet && st.Has(stanza.NSDiscoInf, "query"):
				s.Say("<iq type='result' id='" + st.ID() + "' to='" + st.From().String() + "'>" + query + "</iq>")
				again = true
			case st.Kind != stanza.KindPresence:
				out = append(out, st)
			}
		}
	}
	return out
}

// befriend lets b see a's presence; both have said so.
func befriend(a, b *modtest.Session) {
	b.Say("<presence type='subscribe' to='" + a.JID().Bare().String() + "'/>")
	a.Say("<presence type='subscribed' to='" + b.JID().Bare().String() + "'/>")
	a.Sent()
	b.Sent()
}

// publish publishes an item with options, as pairs without pubsub#.
func publish(t testing.TB, s *modtest.Session, node, id, payload string, options ...string) {
	t.Helper()
	if st := tryPublish(s, node, id, payload, options...); st.Type != stanza.TypeResult {
		t.Fatalf("publish: %s", st.AppendTo(nil))
	}
}

func tryPublish(s *modtest.Session, node, id, payload string, options ...string) *stanza.Stanza {
	return s.IQ("set", "", publishXML(node, id, payload, options...))
}

func publishXML(node, id, payload string, options ...string) string {
	attr := ""
	if id != "" {
		attr = " id='" + id + "'"
	}
	x := "<pubsub xmlns='" + ns + "'><publish node='" + node + "'><item" + attr + ">" + payload + "</item></publish>"
	if len(options) > 0 {
		x += "<publish-options>" + form(formOptions, options...) + "</publish-options>"
	}
	return x + "</pubsub>"
}

func form(typ string, options ...string) string {
	x := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>" + typ + "</value></field>"
	for i := 0; i < len(options); i += 2 {
		x += "<field var='pubsub#" + options[i] + "'><value>" + options[i+1] + "</value></field>"
	}
	return x + "</x>"
}

// items writes the items of an answer or event: "id=payload's text".
func items(st *stanza.Stanza) string {
	var out []string
	var walk func(e *stanza.Element)
	walk = func(e *stanza.Element) {
		for _, c := range e.Children {
			switch c.Name {
			case "item":
				text := ""
				if len(c.Children) > 0 {
					text = string(c.Children[0].AppendTo(nil, ""))
				}
				out = append(out, c.Attr("id")+"="+text)
			case "retract":
				out = append(out, "-"+c.Attr("id"))
			case "purge", "delete", "configuration":
				out = append(out, c.Name)
			default:
				walk(c)
			}
		}
	}
	walk(st.Root())
	return strings.Join(out, " ")
}

// events writes events in short.
func events(list []*stanza.Stanza) string {
	var out []string
	for _, st := range list {
		if st.Kind == stanza.KindPresence {
			continue
		}
		out = append(out, items(st))
	}
	return strings.Join(out, "|")
}

func get(node, more string) string {
	return "<pubsub xmlns='" + ns + "'><items node='" + node + "'>" + more + "</items></pubsub>"
}

// refused wants an error with this condition, and pubsub's own one where it is not empty.
func refused(t testing.TB, st *stanza.Stanza, c stanza.Condition, app string) {
	t.Helper()
	e := st.StanzaError()
	if e == nil || e.Condition != c || app == "" && len(e.App) > 0 || app != "" && !strings.Contains(string(e.App), "<"+app+" xmlns='"+nsErrors+"'") {
		t.Errorf("got %s, want %s %s", st.AppendTo(nil), c, app)
	}
}

func ok(t testing.TB, st *stanza.Stanza) *stanza.Stanza {
	t.Helper()
	if st.Type != stanza.TypeResult {
		t.Fatalf("refused: %s", st.AppendTo(nil))
	}
	return st
}

// with are the modules of newHost, with the module under test shown.
func with(m **module) []modules.Info {
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { *m = newModule(c); return *m })
	return []modules.Info{roster.Info, disco.Info, caps.Info, in}
}

var idAttr = regexp.MustCompile(` id='(iq\d+)'`)

// mask writes answers without the ids of their requests.
func mask(list ...*stanza.Stanza) string { return idAttr.ReplaceAllString(modtest.XML(list), "") }
