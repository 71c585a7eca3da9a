package stanza

// Element is a small tree for payloads that a module really reads, and for tests. Cold path: the stanza path never
// builds one.
type Element struct {
	NS, Name string
	Attrs    []Attr
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

// ParseElement reads one element with the strict scanner, then as a tree.
func ParseElement(raw []byte) (*Element, error) { panic("stanza") }

// AppendTo appends the tree as XML, namespaces declared where they change from outer, which is the namespace in force.
func (e *Element) AppendTo(dst []byte, outer string) []byte { panic("stanza") }
