package stanza

// XML writes small pieces of XML: Start, attributes as pairs, Text, End. The zero value is ready; it never fails, End
// without Start panics (a mistake of ours). Names are constants of ours and are not escaped, values and text are.
//
//	var x stanza.XML
//	x.Start("query", "xmlns", stanza.NSRoster, "ver", v)
//	x.Empty("item", "jid", j.String())
//	x.End()
//	return x.Bytes()
type XML struct {
	b    []byte
	open []string
}

// Start opens an element; attrs are pairs of name and value, a pair with an empty value is left out unless it is xmlns.
func (x *XML) Start(name string, attrs ...string) *XML {
	x.tag(name, attrs)
	x.b = append(x.b, '>')
	x.open = append(x.open, name)
	return x
}

// Empty writes an element without content.
func (x *XML) Empty(name string, attrs ...string) *XML {
	x.tag(name, attrs)
	x.b = append(x.b, "/>"...)
	return x
}

// Leaf writes an element with text.
func (x *XML) Leaf(name, text string, attrs ...string) *XML {
	if text == "" {
		return x.Empty(name, attrs...)
	}
	return x.Start(name, attrs...).Text(text).End()
}

// Text writes escaped character data. Characters that XML 1.0 cannot carry are replaced by U+FFFD.
func (x *XML) Text(s string) *XML {
	x.b = appendText(x.b, s)
	return x
}

// Raw writes well-formed XML as it is.
func (x *XML) Raw(b []byte) *XML {
	x.b = append(x.b, b...)
	return x
}

// End closes the element opened last.
func (x *XML) End() *XML {
	n := len(x.open) - 1
	x.b = appendEnd(x.b, x.open[n])
	x.open = x.open[:n]
	return x
}

// Bytes closes what is open and returns all.
func (x *XML) Bytes() []byte {
	for len(x.open) > 0 {
		x.End()
	}
	return x.b
}

func (x *XML) tag(name string, attrs []string) {
	x.b = append(append(x.b, '<'), name...)
	for i := 0; i+1 < len(attrs); i += 2 {
		if attrs[i+1] != "" || attrs[i] == "xmlns" {
			x.b = appendAttr(x.b, attrs[i], attrs[i+1])
		}
	}
}

// appendAttr appends an attribute with a space before it.
func appendAttr(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ' '), name...), "='"...)
	return append(AppendEscaped(dst, value), '\'')
}

func appendEnd(dst []byte, name string) []byte {
	return append(append(append(dst, "</"...), name...), '>')
}
