package stanza

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, s string) *Stanza {
	t.Helper()
	st, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return st
}

func TestAccessors(t *testing.T) {
	st := mustParse(t, `<message id='a&amp;"b' from='Romeo@Montague.example/o' to="juliet@capulet.example" type='chat' xml:lang='en'`+
		` xmlns:x='urn:x' x:id='no' a='1&#10;2
3'><body>one &lt; <![CDATA[<two> &amp;]]>`+"\r\n"+`three<b xmlns='urn:b'>no</b></body><body/><x:body/>`+
		`<thread xmlns='urn:t'/><thread>t</thread></message>`)
	if st.Kind != KindMessage || st.Type != TypeChat || st.Name != "message" || st.NS != NSClient {
		t.Errorf("%v %v %q %q", st.Kind, st.Type, st.Name, st.NS)
	}
	if st.ID() != `a&"b` || !st.HasID() || st.Lang() != "en" {
		t.Errorf("id %q, lang %q", st.ID(), st.Lang())
	}
	if st.From() != MustJID("romeo@montague.example/o") || st.To() != MustJID("juliet@capulet.example") || st.BadFrom() || st.BadTo() {
		t.Errorf("from %q, to %q", st.From(), st.To())
	}
	if a, ok := st.Attr("a"); a != "1\n2 3" || !ok {
		t.Errorf("a is %q", a)
	}
	if _, ok := st.Attr("lang"); ok {
		t.Error("xml:lang is no lang")
	}
	if got := st.Text("body"); got != "one < <two> &amp;\nthree" {
		t.Errorf("body is %q", got)
	}
	if st.Text("thread") != "t" || st.Text("subject") != "" {
		t.Error("thread or subject is wrong")
	}
	for _, c := range []struct {
		ns, name string
		want     int
	}{{"", "body", 0}, {NSClient, "body", 0}, {"urn:x", "body", 2}, {"urn:x", "", 2}, {"urn:t", "thread", 3}, {"", "thread", 4}, {"urn:q", "", -1}, {"", "x", -1}} {
		if got := st.Find(c.ns, c.name); got != c.want || st.Has(c.ns, c.name) != (got >= 0) {
			t.Errorf("Find(%q, %q) = %d, want %d", c.ns, c.name, got, c.want)
		}
	}
	if st.FindNext(0, "", "body") != 1 || st.FindNext(1, "", "body") != -1 {
		t.Error("FindNext is wrong")
	}
	if got := string(st.Bytes(st.Children[2])); got != "<x:body/>" {
		t.Errorf("Bytes: %q", got)
	}
	if e := st.Element(2); e.NS != "urn:x" || e.Name != "body" {
		t.Errorf("Element: %+v", e)
	}
	if e := st.Root(); e.Attr("id") != st.ID() || e.Child("urn:x", "body") == nil || e.ChildText("thread") != "t" || len(e.Attrs) != 7 {
		t.Errorf("Root: %+v", e)
	}
	if got := st.String(); strings.Contains(got, "two") || !strings.Contains(got, "romeo@montague.example/o") {
		t.Errorf("String: %s", got)
	}
}

func TestKindAndType(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind Kind
		typ  Type
		ns   string
	}{
		{"<message/>", KindMessage, TypeNone, NSClient},
		{"<message type='ch&#97;t'/>", KindMessage, TypeChat, NSClient},
		{"<message type='normal'/>", KindMessage, TypeNormal, NSClient},
		{"<message type='headline'/>", KindMessage, TypeHeadline, NSClient},
		{"<message type='groupchat'/>", KindMessage, TypeGroupchat, NSClient},
		{"<message type='error'/>", KindMessage, TypeError, NSClient},
		{"<message type=''/>", KindMessage, TypeUnknown, NSClient},
		{"<message type='get'/>", KindMessage, TypeUnknown, NSClient},
		{"<presence/>", KindPresence, TypeNone, NSClient},
		{"<presence type='unavailable'/>", KindPresence, TypeUnavailable, NSClient},
		{"<presence type='subscribe'/>", KindPresence, TypeSubscribe, NSClient},
		{"<presence type='subscribed'/>", KindPresence, TypeSubscribed, NSClient},
		{"<presence type='unsubscribe'/>", KindPresence, TypeUnsubscribe, NSClient},
		{"<presence type='unsubscribed'/>", KindPresence, TypeUnsubscribed, NSClient},
		{"<presence type='probe'/>", KindPresence, TypeProbe, NSClient},
		{"<presence type='chat'/>", KindPresence, TypeUnknown, NSClient},
		{"<iq type='get'/>", KindIQ, TypeGet, NSClient},
		{"<iq type='set'/>", KindIQ, TypeSet, NSClient},
		{"<iq type='result'/>", KindIQ, TypeResult, NSClient},
		{"<iq type='error'/>", KindIQ, TypeError, NSClient},
		{"<iq type='foo'/>", KindIQ, TypeUnknown, NSClient},
		{"<iq xmlns='jabber:client'/>", KindIQ, TypeNone, NSClient},
		{"<message xmlns='jabber:server' type='chat'/>", KindOther, TypeUnknown, NSServer}, // X25
		{"<message xmlns=''/>", KindOther, TypeNone, ""},
		{"<r xmlns='urn:xmpp:sm:3'/>", KindOther, TypeNone, NSSM},
		{"<foo/>", KindOther, TypeNone, NSClient}, // X24
		{"<p:message xmlns:p='urn:p'/>", KindOther, TypeNone, "urn:p"},
		{"<stream:error/>", KindOther, TypeNone, NSStream},
	} {
		st := mustParse(t, c.in)
		if st.Kind != c.kind || st.Type != c.typ || st.NS != c.ns {
			t.Errorf("%s: %v %v %q", c.in, st.Kind, st.Type, st.NS)
		}
	}
	var st Stanza
	sc := Scanner{DefaultNS: NSServer}
	for in, want := range map[string]Kind{"<message/>": KindMessage, "<message xmlns='jabber:server'/>": KindMessage,
		"<message xmlns='jabber:client'/>": KindOther} {
		if _, err := sc.Scan([]byte(in), &st); err != nil || st.Kind != want {
			t.Errorf("%s between servers: %v, %v", in, st.Kind, err)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	st := mustParse(t, "<message to='a@b@c' from=''/>")
	if !st.BadTo() || !st.BadFrom() || !st.To().IsZero() || !st.From().IsZero() {
		t.Error("bad addresses are not noticed")
	}
	st.SetTo(MustJID("a@b"))
	st.SetFrom(JID{})
	if st.BadTo() || st.BadFrom() {
		t.Error("a bad address that was replaced is still bad")
	}
	if got := string(st.AppendTo(nil)); got != "<message to='a@b'/>" {
		t.Error(got)
	}
}

func TestAppendTo(t *testing.T) {
	a, b := MustJID("a@a.test/<'>"), MustJID("b@b.test")
	for _, c := range []struct {
		name, in, want string
		change         func(*Stanza)
	}{
		{"nothing", "<message  to = 'x@y' ><body>&#65;</body ></message >", "<message  to = 'x@y' ><body>&#65;</body ></message >", func(*Stanza) {}},
		{"from", "<message to='x@y'/>", "<message to='x@y' from='a@a.test/&lt;&apos;&gt;'/>", func(s *Stanza) { s.SetFrom(a) }},
		{"from replaced", "<message from=\"x@y\" to='z'/>", "<message from=\"a@a.test/&lt;&apos;&gt;\" to='z'/>", func(s *Stanza) { s.SetFrom(a) }},
		{"from removed", "<message id='1' \n from='x@y' to='z'/>", "<message id='1' to='z'/>", func(s *Stanza) { s.SetFrom(JID{}) }},
		{"both", "<iq to='x' from='y' id='1'></iq>", "<iq to='b@b.test' from='a@a.test/&lt;&apos;&gt;' id='1'></iq>", func(s *Stanza) { s.SetFrom(a); s.SetTo(b) }},
		{"set twice", "<iq/>", "<iq to='b@b.test'/>", func(s *Stanza) { s.SetTo(a); s.SetTo(b) }},
		{"set and removed", "<iq to='x'/>", "<iq/>", func(s *Stanza) { s.SetTo(a); s.SetTo(JID{}) }},
		{"id stays as it is", "<iq id='&#65;&quot;'/>", "<iq id='&#65;&quot;' to='b@b.test'/>", func(s *Stanza) { s.SetTo(b) }},
		{"language", "<message/>", "<message xml:lang='d&apos;e'/>", func(s *Stanza) { s.SetLang("d'e") }},
		{"language kept", "<message xml:lang=''/>", "<message xml:lang=''/>", func(s *Stanza) { s.SetLang("de") }},
		{"xmlns", "<message xmlns='jabber:client' id='1'/>", "<message id='1'/>", func(*Stanza) {}},
		{"xmlns of something else", "<foo xmlns='jabber:client'/>", "<foo xmlns='jabber:client'/>", func(*Stanza) {}},
		{"xmlns of another stream", "<message xmlns='jabber:server'/>", "<message xmlns='jabber:server' to='b@b.test'/>", func(s *Stanza) { s.SetTo(b) }},
		{"xmlns of a child", "<message><body xmlns='jabber:client'/></message>", "<message><body xmlns='jabber:client'/></message>", func(*Stanza) {}},
		{"prefixed attribute", "<message xmlns:p='u' p:to='1' p:from='2'/>", "<message xmlns:p='u' p:to='1' p:from='2' to='b@b.test'/>", func(s *Stanza) { s.SetTo(b) }},
		{"drop", "<message>1<a/>2<b><c/></b>3<d/></message>", "<message>1<a/>23<d/></message>", func(s *Stanza) { s.Drop(1); s.Drop(1) }},
		{"drop all", "<message><a/><b/></message>", "<message></message>", func(s *Stanza) { s.Drop(1); s.Drop(0) }},
		{"drop between brackets", "<message>]]<a/>]<b/>]<c/>><d/></message>", "<message>]]]]&gt;<d/></message>", func(s *Stanza) { s.Drop(0); s.Drop(1); s.Drop(2) }},
		{"drop behind a bracket", "<message>]<a/>]></message>", "<message>]]&gt;</message>", func(s *Stanza) { s.Drop(0) }},
		{"drop between line ends", "<message>\r<a/>\n</message>", "<message>\r&#10;</message>", func(s *Stanza) { s.Drop(0) }},
		{"add", "<message><a/></message >", "<message><a/><b/><c/></message >", func(s *Stanza) { s.Add([]byte("<b/>")); s.Add([]byte("<c/>")) }},
		{"add to empty", "<presence />", "<presence ><b/></presence>", func(s *Stanza) { s.Add([]byte("<b/>")) }},
		{"drop and add", "<message><a/></message>", "<message><b/></message>", func(s *Stanza) { s.Drop(0); s.Add([]byte("<b/>")) }},
	} {
		st := mustParse(t, c.in)
		c.change(st)
		if got := string(st.AppendTo([]byte("x"))); got != "x"+c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if string(st.Raw) != c.in {
			t.Errorf("%s: Raw changed", c.name)
		}
		if len(c.want) > st.Size() {
			t.Errorf("%s: size %d, is %d", c.name, st.Size(), len(c.want))
		}
		if kept := st.Retain(); string(kept.Raw) != c.want || kept.Kind != st.Kind || kept.NS != st.NS || kept.To() != st.To() {
			t.Errorf("%s: retained as %s", c.name, kept.Raw)
		}
	}
}

// TestStreamPrefixes: what a stanza takes from the stream header goes with it.
func TestStreamPrefixes(t *testing.T) {
	sc := Scanner{}
	sc.Prefixes("p", "urn:p?a&b'", "q", "urn:q", "xml", "urn:e", "xmlns", "urn:e", "bad", "a}b", "1", "urn:e", "a:b", "urn:e", "none", "",
		"control", "urn:\x01", "c", NSClient)
	scan := func(in string) (*Stanza, error) {
		defer func() { sc.err = nil }()
		var st Stanza
		_, err := sc.Scan([]byte(in), &st)
		return &st, err
	}
	for in, want := range map[string]string{
		"<message p:a='1'/>":                          "<message p:a='1' xmlns:p='urn:p?a&amp;b&apos;'/>",
		"<message><p:a/><q:b/></message>":             "<message xmlns:p='urn:p?a&amp;b&apos;' xmlns:q='urn:q'><p:a/><q:b/></message>",
		"<message><p:a xmlns:p='u'/></message>":       "<message><p:a xmlns:p='u'/></message>",
		"<message><p:a xmlns:p='u'/><p:a/></message>": "<message xmlns:p='urn:p?a&amp;b&apos;'><p:a xmlns:p='u'/><p:a/></message>",
		"<message><a><stream:b/></a></message>":       "<message xmlns:stream='" + NSStream + "'><a><stream:b/></a></message>",
		"<message/>":                                  "<message/>",
	} {
		st, err := scan(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(st.AppendTo(nil)); got != want || st.Size() < len(want) {
			t.Errorf("%s: sent as %s, want %s", in, got, want)
		}
		if kept := st.Retain(); dump(kept.Root()) != dump(st.Root()) || len(kept.Root().Attrs) != len(st.attrs) && kept.Root().NS != NSClient {
			t.Errorf("%s: retained as %s", in, kept.Raw)
		}
	}
	for in, want := range map[string]string{"<message><bad:a/></message>": badPrefix, "<message><none:a/></message>": badPrefix,
		"<message><control:a/></message>": badPrefix, "<c:message/>": badPrefix, "<message><xmlns:a/></message>": badPrefix, "<1:a/>": nwf} {
		if _, err := scan(in); condition(err) != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	sc.Reset()
	if _, err := scan("<message><p:a/></message>"); condition(err) != badPrefix {
		t.Errorf("prefixes survive Reset: %v", err)
	}
}

func TestClone(t *testing.T) {
	st := mustParse(t, "<message to='x'><a/><b/><c/><d/><e/></message>")
	for i := range 3 {
		st.Drop(i)
		st.Add([]byte("<+/>")) // what is added is not looked at here
	}
	one, two := st.Clone(), st.Clone()
	one.Drop(3)
	one.Add([]byte("<1/>"))
	one.SetTo(MustJID("one"))
	two.Drop(4)
	two.Add([]byte("<2/>"))
	for st, want := range map[*Stanza]string{
		st:  "<message to='x'><d/><e/><+/><+/><+/></message>",
		one: "<message to='one'><e/><+/><+/><+/><1/></message>",
		two: "<message to='x'><d/><+/><+/><+/><2/></message>",
	} {
		if got := string(st.AppendTo(nil)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if one.Has("", "a") || one.Has("", "d") || !one.Has("", "e") {
		t.Error("a dropped child is found")
	}
}

func TestRetainOutlivesTheBuffer(t *testing.T) {
	buf := []byte("<message to='a@b' id='1'><body>text</body></message>")
	var sc Scanner
	var st Stanza
	if _, err := sc.Scan(buf, &st); err != nil {
		t.Fatal(err)
	}
	e, kept := st.Root(), st.Retain()
	st.SetLang("de")
	changed := st.Retain()
	for i := range buf {
		buf[i] = 'x'
	}
	if _, err := sc.Scan([]byte("<iq from='c@d'><x xmlns='y'/></iq>"), &st); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Stanza{kept, changed} {
		if s.To() != MustJID("a@b") || s.ID() != "1" || s.Text("body") != "text" || !s.From().IsZero() {
			t.Errorf("retained: %v %q", s, s.Raw)
		}
	}
	if e.ChildText("body") != "text" || e.Attr("id") != "1" {
		t.Errorf("tree: %+v", e)
	}
	if changed.Lang() != "de" || kept.Lang() != "" {
		t.Error("the language is wrong")
	}
}

// TestRetainChecks: what was added and is no XML goes nowhere.
func TestRetainChecks(t *testing.T) {
	st := mustParse(t, "<message id='1'><body>x</body></message>")
	st.SetTo(MustJID("a@b"))
	st.Add([]byte("</message><iq>"))
	if got := string(st.Retain().Raw); got != "<message id='1' to='a@b'><body>x</body></message>" {
		t.Error(got)
	}
}

func TestNew(t *testing.T) {
	from, to := MustJID("a@b/'"), MustJID("c@d")
	for _, c := range []struct {
		got  *Stanza
		want string
	}{
		{New(KindIQ, TypeGet, "1<", from, to, []byte("<x xmlns='y'/>")), "<iq type='get' id='1&lt;' from='a@b/&apos;' to='c@d'><x xmlns='y'/></iq>"},
		{New(KindPresence, TypeNone, "", JID{}, JID{}, nil), "<presence/>"},
		{New(KindMessage, TypeChat, "", JID{}, to, []byte("<body>x</body>")), "<message type='chat' to='c@d'><body>x</body></message>"},
		{New(KindIQ, TypeResult, "1", JID{}, to, []byte("<x>&</x>")), "<iq type='error' id='1' to='c@d'><error type='cancel'>" +
			"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"},
		{New(KindIQ, TypeResult, "1", JID{}, to, []byte("</iq><iq>")), "<iq type='error' id='1' to='c@d'><error type='cancel'>" +
			"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"},
		{mustParse(t, "<iq type='get' id='&quot;' from='a@b/&apos;' to='c@d'><x xmlns='y'/></iq>").Result(nil),
			"<iq type='result' id='&quot;' from='c@d' to='a@b/&apos;'/>"},
	} {
		if string(c.got.Raw) != c.want {
			t.Errorf("%s, want %s", c.got.Raw, c.want)
		}
		if again := mustParse(t, c.want); again.String() != c.got.String() {
			t.Errorf("%s is indexed as %v", c.want, c.got)
		}
	}
}

func TestBounce(t *testing.T) {
	e := &Error{Type: Wait, Condition: ResourceConstraint, Text: "a<b", App: []byte("<x xmlns='urn:x'/>"), By: MustJID("s.test")}
	st := mustParse(t, "<message type='chat' id='1' from='a@b' to='c@d' xml:lang='de'><body>secret</body></message>")
	got := st.Bounce(e)
	if got.Kind != KindMessage || got.Type != TypeError || got.ID() != "1" || got.To() != st.From() || got.From() != st.To() || got.Lang() != "de" {
		t.Errorf("%s", got.Raw)
	}
	back := got.StanzaError()
	if back == nil || back.Type != e.Type || back.Condition != e.Condition || back.Text != e.Text || back.By != e.By || string(back.App) != string(e.App) {
		t.Errorf("%s read as %+v", got.Raw, back)
	}
	for in, want := range map[string]bool{
		"<message/>": true, "<message type='error'/>": false, "<message type='foo'/>": true,
		"<iq type='get'/>": true, "<iq type='set'/>": true, "<iq type='result'/>": false, "<iq type='error'/>": false, "<iq type='foo'/>": true,
		"<iq/>": true, "<presence/>": true, "<presence type='subscribe'/>": true, "<presence type='unavailable'/>": false,
		"<presence type='probe'/>": false, "<presence type='error'/>": false, "<r xmlns='urn:xmpp:sm:3'/>": false,
	} {
		if got := mustParse(t, in).Bounce(Err(ServiceUnavailable, "")); (got != nil) != want {
			t.Errorf("%s: bounced: %v", in, got != nil)
		}
	}
}

func TestStanzaError(t *testing.T) {
	const ns = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	for in, want := range map[string]string{
		"<iq type='error'><error type='auth'><forbidden " + ns + "/></error></iq>":                       "auth forbidden",
		"<iq type='error'><error type='foo'><forbidden " + ns + "/></error></iq>":                        "auth forbidden",
		"<iq type='error'><error><text " + ns + ">x</text><gone " + ns + ">xmpp:a@b</gone></error></iq>": "cancel gone",
		"<iq type='error'><error type='cancel'><foo " + ns + "/></error></iq>":                           "cancel undefined-condition",
		"<iq type='error'><error type='cancel' code='503'><forbidden xmlns='urn:x'/></error></iq>":       "cancel undefined-condition",
		"<iq type='error'/>": "",
		"<iq type='result'><error type='auth'><forbidden " + ns + "/></error></iq>":                          "",
		"<iq type='error'><error xmlns='urn:x' type='auth'><forbidden " + ns + "/></error></iq>":             "",
		"<iq type='error'><q xmlns='u'/><error type='wait'><internal-server-error " + ns + "/></error></iq>": "wait internal-server-error",
	} {
		got := ""
		if e := mustParse(t, in).StanzaError(); e != nil {
			got = string(e.Type) + " " + string(e.Condition)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for c, typ := range defaultType {
		st := New(KindIQ, TypeError, "1", JID{}, JID{}, Err(c, "").AppendTo(nil))
		if e := st.StanzaError(); e == nil || e.Condition != c || e.Type != typ {
			t.Errorf("%s: %s", c, st.Raw)
		}
	}
	if got := string((&Error{Condition: ItemNotFound, Code: 404}).AppendTo(nil)); got != "<error type='cancel' code='404'><item-not-found "+ns+"/></error>" {
		t.Error(got) // XEP-0086
	}
	if got := string((&Error{}).AppendTo(nil)); got != "<error type='cancel'><undefined-condition "+ns+"/></error>" {
		t.Error(got)
	}
}

func TestPayload(t *testing.T) {
	st := mustParse(t, "<iq type='error'><error type='cancel'/><p:q xmlns:p='urn:p' p:a='1'>x</p:q></iq>")
	if p := st.Payload(); p == nil || p.NS != "urn:p" || p.Name != "q" || p.Text != "x" || len(p.Attrs) != 1 || p.Attrs[0] != (Attr{"urn:p", "a", "1"}) {
		t.Errorf("%+v", p)
	}
	if p := mustParse(t, "<iq type='get'/>").Payload(); p != nil {
		t.Errorf("%+v", p)
	}
}

func TestXML(t *testing.T) {
	var x XML
	x.Start("query", "xmlns", "", "a", "", "b", "<'\"&\t\n\r>").Text("a]]>\"'\r\n\x00\xff\ufffe\u00e9\u20ac\U0001f600")
	x.Empty("item", "jid", "x").Leaf("l", "", "a", "1").Leaf("m", "t&").Raw([]byte("<r/>")).Start("open")
	want := "<query xmlns='' b='&lt;&apos;&quot;&amp;&#9;&#10;&#13;&gt;'>a]]&gt;\"'&#13;\n\ufffd\ufffd\ufffd\u00e9\u20ac\U0001f600" +
		"<item jid='x'/><l a='1'/><m>t&amp;</m><r/><open></open></query>"
	got := string(x.Bytes())
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	e, err := ParseElement([]byte(got))
	if err != nil || e.Attr("b") != "<'\"&\t\n\r>" || e.Text != "a]]>\"'\r\n\ufffd\ufffd\ufffd\u00e9\u20ac\U0001f600" {
		t.Errorf("%+v, %v", e, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("End without Start does not panic")
		}
	}()
	x.End()
}

// TestEscape: whatever is escaped is read back as it was, in values and in text.
func TestEscape(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []rune("ab<>&'\"]\t\n\r\u00e9\u20ac\U0001f600;#x")
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(20) {
			b.WriteRune(letters[rng.IntN(len(letters))])
		}
		s := b.String()
		var x XML
		x.Leaf("a", s, "b", s)
		e, err := ParseElement(x.Bytes())
		if err != nil || e.Text != s || e.Attr("b") != s {
			t.Fatalf("%q: %s, %+v, %v", s, x.Bytes(), e, err)
		}
	}
}

func TestAppendDelay(t *testing.T) {
	at := time.Date(2026, 11, 23, 23, 30, 5, 7e6, time.FixedZone("", 3600))
	for _, c := range []struct{ got, want string }{
		{string(AppendDelay(nil, MustJID("a@b/'"), at, "")), "<delay xmlns='urn:xmpp:delay' from='a@b/&apos;' stamp='2026-11-23T22:30:05.007Z'/>"},
		{string(AppendDelay([]byte("x"), JID{}, at, "a<b")), "x<delay xmlns='urn:xmpp:delay' stamp='2026-11-23T22:30:05.007Z'>a&lt;b</delay>"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{"": "unfinished", " ": "unfinished", "<a>": "unfinished", "<a/><b/>": nwf, "<a/> x": nwf, "</stream:stream>": "unfinished", "x": badFormat, " <a/> \n": "ok"} {
		st, err := Parse([]byte(in))
		got := condition(err)
		if err == nil && st != nil {
			got = "ok"
		}
		if got != want {
			t.Errorf("%q: %v", in, err)
		}
		if _, err := ParseElement([]byte(in)); (err == nil) != (want == "ok") {
			t.Errorf("%q as an element: %v", in, err)
		}
	}
	// By themselves elements may be what they may not be on a stream.
	for _, in := range []string{"<c:iq xmlns:c='jabber:client'/>", "<stream xmlns='" + NSStream + "'/>"} {
		if _, err := ParseElement([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}
