package mam

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	nsData = stanza.NSData
	nsRSM  = "http://jabber.org/protocol/rsm"
)

// host makes a host with archives; the module is what it has of them, until a reload.
func host(t testing.TB, toml string, more ...modules.Info) (*modtest.Host, *module) {
	t.Helper()
	var m *module
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { m = newModule(c); return m })
	h := modtest.NewConfig(t, "a.test", toml, append([]modules.Info{roster.Info, in, carbons.Info}, more...)...)
	return h, m
}

// answer is what a query brought.
type answer struct {
	iq       *stanza.Stanza
	messages []*stanza.Element // in order of arrival: result
}

func (a answer) ids() (list []string) {
	for _, r := range a.messages {
		list = append(list, r.Attr("id"))
	}
	return list
}

// bodies writes the bodies of the messages that came.
func (a answer) bodies() string {
	var list []string
	for _, r := range a.messages {
		list = append(list, r.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message").ChildText("body"))
	}
	return strings.Join(list, " ")
}

func (a answer) fin() *stanza.Element { return a.iq.Payload() }

func (a answer) rsm() *stanza.Element { return a.fin().Child(nsRSM, "set") }

// condition is the error that came, or "".
func (a answer) condition() stanza.Condition {
	if e := a.iq.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// fields writes a form of pairs.
func fields(pairs ...string) string {
	var x stanza.XML
	x.Start("x", "xmlns", nsData, "type", "submit").Start("field", "var", "FORM_TYPE", "type", "hidden").Leaf("value", ns).End()
	for i := 0; i < len(pairs); i += 2 {
		x.Start("field", "var", pairs[i])
		for _, v := range strings.Split(pairs[i+1], " ") {
			x.Leaf("value", v)
		}
		x.End()
	}
	return string(x.Bytes())
}

func rsm(xml string) string { return "<set xmlns='" + nsRSM + "'>" + xml + "</set>" }

// ask queries; the session's other stanzas are lost.
func ask(t testing.TB, s *modtest.Session, parts ...string) answer {
	t.Helper()
	s.Sent()
	iq := s.IQ("set", "", "<query xmlns='"+ns+"' queryid='q&amp;1'>"+strings.Join(parts, "")+"</query>")
	a := answer{iq: iq}
	for _, st := range s.Sent() {
		if i := st.Find(ns, "result"); i >= 0 {
			r := st.Element(i)
			if st.From() != s.JID().Bare() || st.To() != s.JID() || r.Attr("queryid") != "q&1" || st.Type != stanza.TypeNone {
				t.Errorf("result: %s", st.AppendTo(nil))
			}
			a.messages = append(a.messages, r)
		}
	}
	return a
}

// entry is an item of alice's archive, of a time.
func entry(at time.Time, text string) storage.Entry {
	bob := stanza.MustJID("bob@b.test")
	st := stanza.New(stanza.KindMessage, stanza.TypeChat, "", bob, stanza.MustJID("alice@a.test"), []byte(body(text)))
	return storage.Entry{Owner: "alice", Item: archive.NewItem(at, bob, archive.Encode(st))}
}

func body(text string) string { return "<body>" + text + "</body>" }

func chat(to, payload string) string {
	return fmt.Sprintf("<message to='%s' type='chat' id='m'>%s</message>", to, payload)
}
