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
func (x *XML) Start(name string, attrs ...string) *XML { panic("stanza") }

// Empty writes an element without content.
func (x *XML) Empty(name string, attrs ...string) *XML { panic("stanza") }

// Leaf writes an element with text.
func (x *XML) Leaf(name, text string, attrs ...string) *XML { panic("stanza") }

// Text writes escaped character data. Characters that XML 1.0 cannot carry are replaced by U+FFFD.
func (x *XML) Text(s string) *XML { panic("stanza") }

// Raw writes well-formed XML as it is.
func (x *XML) Raw(b []byte) *XML { panic("stanza") }

// End closes the element opened last.
func (x *XML) End() *XML { panic("stanza") }

// Bytes closes what is open and returns all.
func (x *XML) Bytes() []byte { panic("stanza") }

// AppendEscaped appends s with & < > ' " escaped, fit for text and attribute values (tab, newline and return become
// character references so that attribute normalisation cannot change them).
func AppendEscaped(dst []byte, s string) []byte { panic("stanza") }
