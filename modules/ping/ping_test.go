package ping

import (
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func TestPing(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/r")
	h.User("bob")
	for _, tt := range []struct {
		typ, to, payload string
		want             stanza.Condition // empty: a result
	}{
		{"get", "a.test", "<ping xmlns='urn:xmpp:ping'/>", ""},
		{"get", "", "<ping xmlns='urn:xmpp:ping'/>", ""},
		{"get", "alice@a.test", "<ping xmlns='urn:xmpp:ping'/>", ""},
		{"get", "bob@a.test", "<ping xmlns='urn:xmpp:ping'/>", stanza.ServiceUnavailable},
		{"get", "nobody@a.test", "<ping xmlns='urn:xmpp:ping'/>", stanza.ServiceUnavailable},
		{"set", "a.test", "<ping xmlns='urn:xmpp:ping'/>", stanza.FeatureNotImplemented},
		{"get", "a.test", "<pong xmlns='urn:xmpp:ping'/>", stanza.FeatureNotImplemented},
	} {
		st := alice.IQ(tt.typ, tt.to, tt.payload)
		if tt.want == "" {
			if st.Type != stanza.TypeResult || len(st.Children) != 0 {
				t.Errorf("%+v: %s", tt, st.AppendTo(nil))
			}
		} else if st.StanzaError() == nil || st.StanzaError().Condition != tt.want {
			t.Errorf("%+v: %s", tt, st.AppendTo(nil))
		}
	}
	h.Send("<iq type='get' id='1' from='b.test' to='a.test'><ping xmlns='urn:xmpp:ping'/></iq>")
	if sent := h.Sent(); len(sent) != 1 || sent[0].Type != stanza.TypeResult || sent[0].From().String() != "a.test" {
		t.Errorf("another server gets %s", modtest.XML(sent))
	}
}
