package stanza

import (
	"reflect"
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
		{"<stanza-id xmlns='urn:xmpp:sid:0' xmlns:x='urn:x' x:by='bob@a.test' id='1'/>", ""},
		{"<stanza-id xmlns='urn:xmpp:sid:0' xmlns:x='urn:x' x:by='b' x:id='2' by = 'bob@a.test' id = \"1\" />", "1"},
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
		if st.HasStanzaID(by) != (tt.id != "") {
			t.Errorf("%s: has one: %v", tt.child, tt.id == "")
		}
		st.DropStanzaIDs(by)
		if st.HasStanzaID(by) {
			t.Errorf("%s: still has one", tt.child)
		}
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

// What is passed on is the stanza as it would be sent, in its own namespace, whatever stands around it.
func TestAppendForwarded(t *testing.T) {
	for _, xml := range []string{
		"<message/>",
		"<message from='a@b' to='c@d'><body>x</body></message>",
		"<message xmlns='jabber:client' type='chat'  ><body>x</body><thread/></message>",
		"<message xmlns=\"jabber:client\"/>",
		"<message xmlns:p='urn:p' p:a='1'><p:x/><y xmlns='urn:y'/></message>",
	} {
		st, err := Parse([]byte(xml))
		if err != nil {
			t.Fatal(err)
		}
		st.SetFrom(MustJID("romeo@montague.example/orchard"))
		st.SetLang("de")
		st.Add([]byte("<z xmlns='urn:z'/>"))
		out := st.AppendForwarded([]byte("<before/>"))
		e, err := ParseElement(out[len("<before/>"):])
		if err != nil {
			t.Fatalf("%s: %v: %s", xml, err, out)
		}
		want := st.Root()
		if e.NS != NSForward || e.Name != "forwarded" || len(e.Children) != 1 || !reflect.DeepEqual(e.Children[0], want) {
			t.Errorf("%s: %s", xml, out)
		}
	}
}
