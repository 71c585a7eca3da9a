package stanza

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// oracle reads XML by encoding/xml. White space in attribute values is made spaces, since encoding/xml does not normalise
// it (XML 1.0 §3.3.3) and cannot tell what came from references.
func oracle(in string) (*Element, error) {
	d := xml.NewDecoder(strings.NewReader(in))
	root := &Element{}
	open := []*Element{root}
	for {
		tok, err := d.Token()
		if err != nil {
			if err.Error() == "EOF" && len(root.Children) == 1 {
				return root.Children[0], nil
			}
			return nil, err
		}
		e := open[len(open)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			c := &Element{NS: tok.Name.Space, Name: tok.Name.Local}
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					c.Attrs = append(c.Attrs, Attr{a.Name.Space, a.Name.Local, spaces(a.Value)})
				}
			}
			e.Children = append(e.Children, c)
			open = append(open, c)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			e.Text += string(tok)
		default:
			return nil, fmt.Errorf("unexpected %T", tok)
		}
	}
}

var spaces = strings.NewReplacer("\t", " ", "\r\n", " ", "\n", " ", "\r", " ").Replace

// dump writes a tree so that equal trees have equal dumps.
func dump(e *Element) string {
	var b strings.Builder
	var walk func(e *Element, indent string)
	walk = func(e *Element, indent string) {
		if e.Name == "xmlns" { // encoding/xml forgets the namespace of an element of that name
			fmt.Fprintf(&b, "%s%q", indent, e.Name)
		} else {
			fmt.Fprintf(&b, "%s%q %q", indent, e.NS, e.Name)
		}
		for _, a := range e.Attrs {
			fmt.Fprintf(&b, " %q %q=%q", a.NS, a.Name, spaces(a.Value))
		}
		fmt.Fprintf(&b, " %q\n", e.Text)
		for _, c := range e.Children {
			walk(c, indent+" ")
		}
	}
	if e == nil {
		return "nil"
	}
	walk(e, "")
	return b.String()
}

func sortAttrs(e *Element) {
	slices.SortFunc(e.Attrs, func(a, b Attr) int { return strings.Compare(a.NS+" "+a.Name, b.NS+" "+b.Name) })
}

const (
	fuzzHead = "<stream:stream xmlns='jabber:client' xmlns:stream='" + NSStream + "' xmlns:p='urn:p'>"
	fuzzTail = "</stream:stream>"
)

func fuzzScanner(l Limits) *Scanner {
	sc := &Scanner{Limits: l}
	sc.Prefixes("p", "urn:p")
	return sc
}

// inStream reads an element as encoding/xml reads it inside a stream.
func inStream(t *testing.T, raw []byte) *Element {
	t.Helper()
	e, err := oracle(fuzzHead + string(raw) + fuzzTail)
	if err != nil {
		t.Fatalf("encoding/xml refuses %q: %v", raw, err)
	}
	if len(e.Children) != 1 {
		t.Fatalf("%q: %d elements for encoding/xml", raw, len(e.Children))
	}
	return e.Children[0]
}

// FuzzScanner: whatever the scanner accepts, encoding/xml accepts too and reads as the same tree; how the bytes are cut
// makes no difference; and what AppendTo writes is what was asked for, in both readings.
func FuzzScanner(f *testing.F) {
	for _, c := range scanCases {
		f.Add([]byte(c.in), uint8(3))
	}
	for _, s := range []string{chat, muc, form, "<message from='a@b' xmlns='jabber:client' to=\"c@d/&lt;\" \n><p:x p:y='1'/>" +
		"<stream:z/><!-- --></message>", "<p:iq xmlns:p='urn:q'><p:a p:b=''/>\r\n<![CDATA[\r]]></p:iq>", "<iq xmlns='' xmlns:q='u'><a xmlns='v'/><q:b/></iq>",
		"<presence xml:lang='de'><show>dnd</show><a a='\t\n\r&#9;&#10;&#13;'/></presence>"} {
		f.Add([]byte(s), uint8(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		if len(in) > 4096 {
			return
		}
		before := bytes.Clone(in)
		whole, err := scanAll(fuzzScanner(Limits{}), string(in), len(in)+1)
		for _, piece := range []int{1, int(cut) + 1} {
			sameScan(t, in, whole, err, Limits{}, piece)
		}
		l := Limits{Size: 10 + int(cut), Depth: 1 + int(cut)%5, Elements: 1 + int(cut)%7, Attrs: 1 + int(cut)%4, Namespaces: 1 + int(cut)%3,
			Name: 1 + int(cut)%11, Value: 1 + int(cut)%13}
		limited, lerr := scanAll(fuzzScanner(l), string(in), len(in)+1)
		for _, piece := range []int{1, int(cut)%16 + 2} {
			sameScan(t, in, limited, lerr, l, piece)
		}
		if len(limited) > len(whole) {
			t.Fatalf("%q: %d elements with limits, %d without", in, len(limited), len(whole))
		}
		checkElements(t, in)
		if !bytes.Equal(before, in) {
			t.Fatal("the scanner changed its input")
		}
	})
}

func sameScan(t *testing.T, in []byte, want []*Stanza, wantErr error, l Limits, piece int) {
	t.Helper()
	got, err := scanAll(fuzzScanner(l), string(in), piece)
	if err != wantErr || len(got) != len(want) {
		t.Fatalf("%q in pieces of %d: %d elements, %v; at once: %d, %v", in, piece, len(got), err, len(want), wantErr)
	}
	for i := range got {
		if !bytes.Equal(got[i].Raw, want[i].Raw) || got[i].String() != want[i].String() || !slices.Equal(got[i].Children, want[i].Children) {
			t.Fatalf("%q in pieces of %d: %s, at once %s", in, piece, got[i].Raw, want[i].Raw)
		}
	}
}

// checkElements compares each element of in with encoding/xml's reading, and what becomes of it on the way out.
func checkElements(t *testing.T, in []byte) {
	sc := fuzzScanner(Limits{})
	var st Stanza
	for {
		n, err := sc.Scan(in, &st)
		if err != nil {
			return
		}
		in = in[n:]
		want := inStream(t, st.Raw)
		if got := st.Root(); dump(got) != dump(want) {
			t.Fatalf("%q read as\n%sencoding/xml reads\n%s", st.Raw, dump(got), dump(want))
		}
		checkIndex(t, &st, want)
		checkForward(t, &st, want)
	}
}

func checkIndex(t *testing.T, st *Stanza, want *Element) {
	if st.Name != want.Name || st.NS != want.NS && st.Name != "xmlns" || len(st.Children) != len(want.Children) {
		t.Fatalf("%q: %q %q with %d children, want %q %q with %d", st.Raw, st.NS, st.Name, len(st.Children), want.NS, want.Name, len(want.Children))
	}
	if isStanza := want.NS == NSClient && (want.Name == "message" || want.Name == "presence" || want.Name == "iq"); isStanza != (st.Kind != KindOther) {
		t.Fatalf("%q: kind %d", st.Raw, st.Kind)
	}
	for _, name := range []string{"id", "type", "from", "to", "a"} {
		if got, _ := st.Attr(name); spaces(got) != want.Attr(name) {
			t.Fatalf("%q: %s is %q, want %q", st.Raw, name, got, want.Attr(name))
		}
	}
	for i, c := range want.Children {
		if got := st.Children[i]; got.NS != c.NS && c.Name != "xmlns" || st.ChildName(i) != c.Name {
			t.Fatalf("%q: child %d is %q %q, want %q %q", st.Raw, i, got.NS, st.ChildName(i), c.NS, c.Name)
		}
		if got := st.Element(i); dump(got) != dump(c) {
			t.Fatalf("%q: child %d read as\n%swant\n%s", st.Raw, i, dump(got), dump(c))
		}
		if c.Name == "body" && st.Find("", "body") == i && st.Text("body") != c.Text {
			t.Fatalf("%q: body is %q, want %q", st.Raw, st.Text("body"), c.Text)
		}
	}
}

func checkForward(t *testing.T, st *Stanza, want *Element) {
	// Nothing changed: the same tree, without help of the stream's header.
	plain := st.AppendTo(nil)
	again, err := Parse(plain)
	if err != nil {
		t.Fatalf("%q is sent as %q: %v", st.Raw, plain, err)
	}
	if dump(again.Root()) != dump(want) || again.Kind != st.Kind {
		t.Fatalf("%q is sent as %q", st.Raw, plain)
	}
	if kept := st.Retain(); dump(kept.Root()) != dump(want) || kept.String() != st.String() {
		t.Fatalf("%q is retained as %q", st.Raw, kept.Raw)
	}

	// Everything changed.
	c := st.Clone()
	from, to := MustJID("a@b/\"'<>&"), MustJID("c@d")
	c.SetFrom(from)
	c.SetTo(to)
	c.SetLang("x-'y")
	c.Add([]byte("<added xmlns='urn:added'/>"))
	want.Attrs = slices.DeleteFunc(want.Attrs, func(a Attr) bool { return a.NS == "" && (a.Name == "from" || a.Name == "to") })
	want.Attrs = append(want.Attrs, Attr{"", "from", from.String()}, Attr{"", "to", to.String()})
	hasLang := slices.ContainsFunc(want.Attrs, func(a Attr) bool { return a.NS == NSXML && a.Name == "lang" })
	if c.Kind != KindOther && !hasLang {
		want.Attrs = append(want.Attrs, Attr{NSXML, "lang", "x-'y"})
	}
	if len(c.Children) > 0 {
		c.Drop(0)
		want.Children = want.Children[1:]
	}
	want.Children = append(want.Children, &Element{NS: "urn:added", Name: "added"})
	out := c.AppendTo(nil)
	if len(out) > c.Size() {
		t.Fatalf("%q is sent as %q, longer than %d", st.Raw, out, c.Size())
	}
	again, err = Parse(out)
	if err != nil {
		t.Fatalf("%q is sent as %q: %v", st.Raw, out, err)
	}
	if again.From() != from || again.To() != to {
		t.Fatalf("%q is sent as %q: addresses %q, %q", st.Raw, out, again.From(), again.To())
	}
	for _, got := range []*Element{again.Root(), inStream(t, out), c.Root(), c.Retain().Root()} {
		sortAttrs(got)
		sortAttrs(want)
		if dump(got) != dump(want) {
			t.Fatalf("%q is sent as %q:\n%swant\n%s", st.Raw, out, dump(got), dump(want))
		}
	}
	if st.changed() && st.used == 0 && !st.dropsNS() {
		t.Fatal("changing a clone changed the stanza")
	}
}

// TestRandomTrees is FuzzScanner's comparison for what byte-wise mutation hardly finds: elements that are well-formed, or
// nearly so, with prefixes and namespaces hiding each other, references, CDATA, odd spaces and quotes.
func TestRandomTrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 22))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	uri := func() string { return pick("urn:a", "urn:b", "&#117;rn:b", NSClient, NSServer, "urn:p", NSStream) }
	name := func() string {
		return pick("a", "b", "body", "message", "p:a", "q:a", "r:b", "stream:x", "x-1", "\u00e9")
	}
	text := func() string {
		return pick("", "", "x", " ", "\n", "\r\n", "\r", "\t", "&lt;", "&#13;", "&#x1F600;", "\u20ac", "]]", ">", "&apos;\"", "<![CDATA[<&]]]>")
	}
	var element func(b *strings.Builder, depth int)
	element = func(b *strings.Builder, depth int) {
		n := name()
		if depth == 0 {
			n = pick("message", "presence", "iq", "message", "foo", "p:a")
		}
		b.WriteString("<" + n)
		for range rng.IntN(4) {
			attr := pick("a", "id", "to", "from", "p:a", "q:a", "xml:lang", "type", "xmlns", "xmlns:q", "xmlns:r", "xmlns:p")
			value := pick("1", "a@b", "&amp;x", "\t\n", "chat", "\u00fc", "'"[:0])
			if strings.HasPrefix(attr, "xmlns") {
				value = uri()
			}
			q := pick("'", "\"")
			b.WriteString(pick(" ", "\n", "  ") + attr + pick("=", " = ", "= ") + q + value + q)
		}
		b.WriteString(pick("", "", " "))
		if depth > 3 || rng.IntN(4) == 0 {
			b.WriteString("/>")
			return
		}
		b.WriteString(">")
		for range rng.IntN(4) {
			b.WriteString(text())
			element(b, depth+1)
		}
		b.WriteString(text() + "</" + n + pick("", "", "\n") + ">")
	}
	good := 0
	for range 3000 {
		var b strings.Builder
		element(&b, 0)
		in := []byte(b.String())
		if rng.IntN(3) == 0 { // one byte goes, or becomes another
			i := rng.IntN(len(in))
			if in[i] = in[rng.IntN(len(in))]; rng.IntN(2) == 0 {
				in = slices.Delete(in, i, i+1)
			}
		}
		whole, err := scanAll(fuzzScanner(Limits{}), string(in), len(in)+1)
		sameScan(t, in, whole, err, Limits{}, 1+rng.IntN(5))
		checkElements(t, in)
		good += len(whole)
	}
	if good < 300 {
		t.Errorf("only %d elements were well-formed", good)
	}
}

// FuzzElement: a tree that was read and written is the same tree, and the one that encoding/xml reads.
func FuzzElement(f *testing.F) {
	for _, s := range []string{form, roster, "<a xmlns='u' xmlns:p='v' p:b='1' c='&#10;'>x<p:d/>y<![CDATA[]]]]><![CDATA[>]]></a>",
		"<p:a xmlns:p='u' xml:lang='de'><b xmlns='w'><c xmlns=''/></b></p:a>", "<a b='\r\n\t'>\r\n\r</a>", "<a>&#13;&#x1F600;</a>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		e, err := ParseElement(in)
		if err != nil {
			return
		}
		// The prefix of streams is known everywhere.
		outside, err := oracle("<x xmlns:stream='" + NSStream + "'>" + string(in) + "</x>")
		if err != nil || len(outside.Children) != 1 {
			t.Fatalf("encoding/xml refuses %q: %v", in, err)
		}
		want := outside.Children[0]
		if dump(e) != dump(want) {
			t.Fatalf("%q read as\n%sencoding/xml reads\n%s", in, dump(e), dump(want))
		}
		for _, outer := range []string{"", NSClient} {
			out := e.AppendTo(nil, outer)
			if outer != "" {
				out = []byte(string(appendAttr([]byte("<x"), "xmlns", outer)) + ">" + string(out) + "</x>")
			}
			again, err := ParseElement(out)
			if err != nil {
				t.Fatalf("%q written as %q: %v", in, out, err)
			}
			if outer != "" {
				again = again.Children[0]
			}
			if dump(again) != dump(e) {
				t.Fatalf("%q written as %q:\n%swant\n%s", in, out, dump(again), dump(e))
			}
		}
	})
}
