package stanza

import (
	"bytes"
	"strconv"
)

// Element is a small tree for payloads that a module really reads, and for tests. Cold path: the stanza path never
// builds one.
type Element struct {
	NS, Name string
	Attrs    []Attr // namespace declarations are not among them
	Children []*Element
	Text     string // all character data directly inside, joined
}

// Attr is an attribute; NS is empty for one without prefix.
type Attr struct{ NS, Name, Value string }

// Attr returns the value of the attribute without namespace, or "".
func (e *Element) Attr(name string) string {
	if e != nil {
		for _, a := range e.Attrs {
			if a.NS == "" && a.Name == name {
				return a.Value
			}
		}
	}
	return ""
}

// Child returns the first child that fits, or nil. An empty ns means e's own, an empty name any.
func (e *Element) Child(ns, name string) *Element {
	if e == nil {
		return nil
	}
	if ns == "" {
		ns = e.NS
	}
	for _, c := range e.Children {
		if c.NS == ns && (name == "" || c.Name == name) {
			return c
		}
	}
	return nil
}

// ChildText returns the text of the first child of that name in e's namespace, or "".
func (e *Element) ChildText(name string) string {
	if c := e.Child("", name); c != nil {
		return c.Text
	}
	return ""
}

// ParseElement reads one element with the strict scanner, then as a tree. Without a declaration it is in no namespace.
func ParseElement(raw []byte) (*Element, error) {
	sc := Scanner{scanState: scanState{alone: true}}
	st, err := parseOwn(&sc, raw)
	if err != nil {
		return nil, err
	}
	return st.Root(), nil
}

// Payload returns the first child of an IQ that is no <error/>, as a tree, or nil.
func (s *Stanza) Payload() *Element {
	for i, c := range s.Children {
		if !s.isDropped(i) && !(c.NS == s.NS && string(s.Raw[c.Name.A:c.Name.B]) == "error") {
			return s.Element(i)
		}
	}
	return nil
}

// Element reads Children[i] as a tree, namespaces resolved. It copies: the tree outlives the read buffer. Cold path.
func (s *Stanza) Element(i int) *Element {
	t := s.builder()
	_, rest := token{raw: s.Raw[1:s.head]}.name()
	t.push(rest, t.defaultNS)
	return t.build(s.Bytes(s.Children[i]))
}

// Root reads the whole stanza as a tree, as AppendTo would send it. Cold path.
func (s *Stanza) Root() *Element {
	raw := s.Raw
	if s.changed() {
		raw = s.AppendTo(nil)
	}
	return s.builder().build(raw)
}

// builder returns a builder for what stands in s: the stream header's declarations are in force.
func (s *Stanza) builder() *treeBuilder {
	t := &treeBuilder{defaultNS: s.defaultNS}
	for _, o := range s.outer {
		t.scope = append(t.scope, Attr{Name: o.prefix, Value: o.uri})
	}
	return t
}

// treeBuilder makes trees of scanned bytes, without recursion.
type treeBuilder struct {
	scope     []Attr // declared prefixes, innermost last: prefix and URI
	defaultNS string
	open      []treeLevel
}

// treeLevel is an element that is being read, with what was in force outside it.
type treeLevel struct {
	e         *Element
	text      []byte // all of it, where it comes in several pieces
	scope     int
	defaultNS string
}

func (l *treeLevel) addText(tok token) {
	if tok.kind == tokenText && l.e.Text == "" && l.text == nil {
		l.e.Text = unescape(tok.raw, false)
		return
	}
	if l.text == nil {
		l.text = []byte(l.e.Text)
	}
	if tok.kind == tokenText {
		l.text = appendUnescaped(l.text, tok.raw, false)
	} else {
		l.text = appendLines(l.text, tok.raw)
	}
}

// push takes the declarations of a start tag into force.
func (t *treeBuilder) push(rest []byte, inherited string) (attrs int) {
	t.defaultNS = inherited
	for {
		name, value, after := nextAttr(rest)
		if name == nil {
			return attrs
		}
		rest = after
		if string(name) == "xmlns" {
			t.defaultNS = namespace(value)
		} else if p, ok := bytes.CutPrefix(name, []byte("xmlns:")); ok {
			t.scope = append(t.scope, Attr{Name: intern(p), Value: namespace(value)})
		} else {
			attrs++
		}
	}
}

// namespace returns a declaration's value, unescaped.
func namespace(value []byte) string {
	if bytes.IndexByte(value, '&') >= 0 {
		value = appendUnescaped(nil, value, true)
	}
	return intern(value)
}

func (t *treeBuilder) resolve(prefix []byte) string {
	if string(prefix) == "xml" {
		return NSXML
	}
	for i := len(t.scope) - 1; i >= 0; i-- {
		if t.scope[i].Name == string(prefix) {
			return t.scope[i].Value
		}
	}
	return ""
}

// build reads the first element of b.
func (t *treeBuilder) build(b []byte) *Element {
	r := reader{b: b}
	for {
		tok := r.next()
		switch tok.kind {
		case tokenEnd:
			return nil // not from the scanner
		case tokenStart:
			e := t.start(tok)
			if !tok.empty {
				continue
			}
			if t.end(); len(t.open) == 0 {
				return e
			}
		case tokenClose:
			e := t.open[len(t.open)-1].e
			if t.end(); len(t.open) == 0 {
				return e
			}
		case tokenText, tokenCDATA:
			if len(t.open) == 0 {
				continue
			}
			t.open[len(t.open)-1].addText(tok)
		}
	}
}

var colon = []byte(":")

// start begins an element, inside the innermost one that is open.
func (t *treeBuilder) start(tok token) *Element {
	level := treeLevel{e: new(Element), scope: len(t.scope), defaultNS: t.defaultNS}
	qname, rest := tok.name()
	n := t.push(rest, t.defaultNS)
	e := level.e
	if prefix, local, ok := bytes.Cut(qname, colon); ok {
		e.NS, e.Name = t.resolve(prefix), intern(local)
	} else {
		e.NS, e.Name = t.defaultNS, intern(qname)
	}
	if n > 0 {
		e.Attrs = make([]Attr, 0, n)
	}
	for {
		name, value, after := nextAttr(rest)
		if name == nil {
			break
		}
		rest = after
		if string(name) == "xmlns" || bytes.HasPrefix(name, []byte("xmlns:")) {
			continue
		}
		a := Attr{Value: unescape(value, true)}
		if prefix, local, ok := bytes.Cut(name, colon); ok {
			a.NS, name = t.resolve(prefix), local
		}
		a.Name = intern(name)
		e.Attrs = append(e.Attrs, a)
	}
	if len(t.open) > 0 {
		p := t.open[len(t.open)-1].e
		p.Children = append(p.Children, e)
	}
	t.open = append(t.open, level)
	return e
}

// end leaves the innermost element that is open.
func (t *treeBuilder) end() {
	n := len(t.open) - 1
	if t.open[n].text != nil {
		t.open[n].e.Text = string(t.open[n].text)
	}
	t.scope, t.defaultNS = t.scope[:t.open[n].scope], t.open[n].defaultNS
	t.open = t.open[:n]
}

// AppendTo appends the tree as XML, namespaces declared where they change from outer, which is the namespace in force.
// Text comes before children: the tree does not know how they were mixed.
func (e *Element) AppendTo(dst []byte, outer string) []byte {
	dst = append(append(dst, '<'), e.Name...)
	if e.NS != outer {
		dst = appendAttr(dst, "xmlns", e.NS)
	}
	for i, a := range e.Attrs {
		switch a.NS {
		case "":
			dst = appendAttr(dst, a.Name, a.Value)
		case NSXML:
			dst = appendAttr(dst, "xml:"+a.Name, a.Value)
		default:
			p := "ns" + strconv.Itoa(i)
			dst = appendAttr(dst, "xmlns:"+p, a.NS)
			dst = appendAttr(dst, p+":"+a.Name, a.Value)
		}
	}
	if e.Text == "" && len(e.Children) == 0 {
		return append(dst, "/>"...)
	}
	dst = appendText(append(dst, '>'), e.Text)
	for _, c := range e.Children {
		dst = c.AppendTo(dst, e.NS)
	}
	return appendEnd(dst, e.Name)
}
