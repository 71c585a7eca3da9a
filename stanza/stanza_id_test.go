package stanza

import (
	"strings"
	"testing"
)

func TestStanzaIDs(t *testing.T) {
	by := MustJID("bob@a.test")
	const genuine = "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@a.test' id='1'/>"
	for _, tt := range []struct{ child, id string }{
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='bob@a.test' id='1'/>", "1"},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='BOB@A.Test' id='1'/>", "1"},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='b&#111;b@a.test' id='1'>x</stanza-id>", "1"},
		{"<s:stanza-id xmlns:s='urn:xmpp:sid:0' by=\"bob@a.test\" id='&lt;'/>", "<"},
		{"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='bob@a.test'/><stanza-id xmlns='urn:xmpp:sid:0' by='bob@a.test' id='2'/>", "1"},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='bob@a.test/x' id='1'/>", ""},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='room@b.test' id='1'/>", ""},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='' id='1'/>", ""},
		{"<stanza-id xmlns='urn:xmpp:sid:0' by='@' id='1'/>", ""},
		{"<stanza-id xmlns='urn:other' by='bob@a.test' id='1'/>", ""},
		{"<origin-id xmlns='urn:xmpp:sid:0' by='bob@a.test' id='1'/>", ""},
		{"<x xmlns='urn:x'>" + genuine + "</x>", ""}, // not a child of the message
		{"", ""},
	} {
		const head, tail = "<message><body>x</body>", "<y xmlns='urn:y'/></message>"
		st, err := Parse([]byte(head + tt.child + tail))
		if err != nil {
			t.Fatal(err)
		}
		if got := st.StanzaID(by); got != tt.id {
			t.Errorf("%s: ID %q, want %q", tt.child, got, tt.id)
		}
		st.DropStanzaIDs(by)
		want := head + tail
		if tt.id == "" {
			want = head + tt.child + tail
		}
		if got := string(st.AppendTo(nil)); got != want {
			t.Errorf("%s: left %s", tt.child, got)
		}
		st.Add(AppendStanzaID(nil, by, "new"))
		if got := st.Retain(); got.StanzaID(by) != "new" || strings.Count(string(got.Raw), "'new'") != 1 {
			t.Errorf("%s: added, %s", tt.child, got.Raw)
		}
	}
	odd := string(AppendStanzaID(nil, MustJID("o\\27brien@a.test"), "<'&"))
	if odd != "<stanza-id xmlns='urn:xmpp:sid:0' by='o\\27brien@a.test' id='&lt;&apos;&amp;'/>" {
		t.Error(odd)
	}
}
