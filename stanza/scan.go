package stanza

import "bytes"

// state is where in an element the scanner stands. Between two calls of Scan all is in work, so that no byte is looked at
// more often than a few times however small the pieces are in which it arrives.
type state uint8

const (
	inMarkup  state = iota // at a <
	inName                 // in the name of a start tag
	inTag                  // behind it, up to >
	inContent              // between tags
	inCDATA                // in a CDATA section
	inEndTag               // behind the name of an end tag
)

// run reads on until the element is complete (nil), the bytes end (ErrMore) or something is wrong.
func (w *work) run(s *Scanner, b []byte) error {
	for {
		var done bool
		var err error
		switch w.state {
		case inMarkup:
			done, err = w.markup(s, b)
		case inName:
			done, err = w.startName(s, b)
		case inTag:
			done, err = w.startTag(s, b)
		case inContent:
			err = w.content(b)
		case inCDATA:
			err = w.cdata(b)
		case inEndTag:
			done, err = w.endTag(b)
		}
		if done || err != nil {
			return err
		}
	}
}

var (
	cdataStart = []byte("<![CDATA[")
	cdataEnd   = []byte("]]>")
	streamEnd  = []byte("stream:stream")
)

// markup looks at what a < begins.
func (w *work) markup(s *Scanner, b []byte) (done bool, err error) {
	i := w.pos
	if i+1 >= len(b) {
		return false, ErrMore
	}
	switch b[i+1] {
	case '/':
		return w.endName(b)
	case '?':
		return false, errInstruction // RFC 6120 §11.1; a late XML declaration is no better
	case '!':
		return false, w.declaration(b)
	}
	if s.Limits.Depth > 0 && len(w.open) >= s.Limits.Depth {
		return false, errDepth
	}
	if w.elements++; s.Limits.Elements > 0 && w.elements > s.Limits.Elements {
		return false, errElements
	}
	w.pos = i + 1
	w.tag = nameSpan{a: uint32(i + 1)}
	w.state = inName
	return w.startName(s, b)
}

// declaration looks at <! and lets CDATA pass (RFC 6120 §11.1 forbids the others).
func (w *work) declaration(b []byte) error {
	rest := b[w.pos:]
	if len(rest) < 3 {
		return ErrMore
	}
	switch rest[2] {
	case '-':
		return errComment
	case '[':
	default:
		return errDTD
	}
	if len(w.open) == 0 {
		return errText
	}
	if n := min(len(rest), len(cdataStart)); !bytes.Equal(rest[:n], cdataStart[:n]) {
		return errTag
	} else if n < len(cdataStart) {
		return ErrMore
	}
	w.pos += len(cdataStart)
	w.state = inCDATA
	return nil
}

// content reads character data up to the next <.
func (w *work) content(b []byte) (err error) {
	i := w.pos
	for {
		if i = skipPlain(b, i, &textClass); i == len(b) {
			w.pos = i
			return ErrMore
		}
		switch c := b[i]; {
		case c == '<':
			w.pos, w.state = i, inMarkup
			return nil
		case c == '&':
			n, err := reference(b[i:])
			if err != nil {
				w.pos = i
				return err
			}
			i += n
		case c == ']':
			n := min(len(b)-i, len(cdataEnd))
			if bytes.Equal(b[i:i+n], cdataEnd[:n]) {
				if n < len(cdataEnd) {
					w.pos = i
					return ErrMore
				}
				return errCDATAEnd // XML 1.0 §2.4
			}
			i++
		case c >= 0x80:
			if i, err = skipWide(b, i); err != nil {
				w.pos = i
				return err
			}
		default:
			return errControl
		}
	}
}

// cdata reads a CDATA section to its end.
func (w *work) cdata(b []byte) (err error) {
	i := w.pos
	for {
		if i = skipPlain(b, i, &cdataClass); i == len(b) {
			w.pos = i
			return ErrMore
		}
		switch c := b[i]; {
		case c == ']':
			n := min(len(b)-i, len(cdataEnd))
			if bytes.Equal(b[i:i+n], cdataEnd[:n]) {
				w.pos = i
				if n < len(cdataEnd) {
					return ErrMore
				}
				w.pos, w.state = i+n, inContent
				return nil
			}
			i++
		case c >= 0x80:
			if i, err = skipWide(b, i); err != nil {
				w.pos = i
				return err
			}
		default:
			return errControl
		}
	}
}

// maxReference bounds a reference: leading zeros could go on for ever.
const maxReference = 24

// reference returns the length of the entity or character reference that b begins with.
func reference(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, ErrMore
	}
	if b[1] == '#' {
		return charReference(b)
	}
	for _, e := range entities {
		if n := min(len(b), len(e.name)); string(b[:n]) == e.name[:n] {
			if n < len(e.name) {
				return 0, ErrMore
			}
			return n, nil
		}
	}
	switch nameClass[b[1]] {
	case nameStart, nameColon, nameWide:
		return 0, errEntity
	}
	return 0, errReference
}

// charReference reads &#10; or &#xA; (XML 1.0 §4.1).
func charReference(b []byte) (int, error) {
	r, digits, base, i := rune(0), 0, rune(10), 2
	if len(b) > 2 && b[2] == 'x' {
		base, i = 16, 3
	}
	for ; i < len(b); i++ {
		c, d := b[i], rune(-1)
		switch {
		case c == ';':
			if digits == 0 || !xmlChar(r) {
				return 0, errReference
			}
			return i + 1, nil
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		}
		if digits++; d < 0 || digits > maxReference {
			return 0, errReference
		}
		if r = r*base + d; r > 0x10ffff {
			return 0, errReference
		}
	}
	return 0, ErrMore
}

// entities are the only ones there are (XML 1.0 §4.6, RFC 6120 §11.1).
var entities = [...]struct {
	name string
	char byte
}{{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&apos;", '\''}, {"&quot;", '"'}}

// endName compares the name of an end tag with that of the element to be closed.
func (w *work) endName(b []byte) (done bool, err error) {
	want := streamEnd
	if n := len(w.open); n > 0 {
		want = w.open[n-1].name.all(b)
	}
	have := b[w.pos+2:]
	n := min(len(have), len(want))
	if string(have[:n]) != string(want[:n]) {
		return false, errEndTag
	}
	if n < len(want) {
		return false, ErrMore
	}
	if len(w.open) == 1 {
		w.tail = w.pos
	}
	w.pos += 2 + n
	w.state = inEndTag
	return w.endTag(b)
}

// endTag reads an end tag from behind its name.
func (w *work) endTag(b []byte) (done bool, err error) {
	i := w.pos
	for i < len(b) && spaceClass[b[i]] {
		i++
	}
	w.pos = i
	if i == len(b) {
		return false, ErrMore
	}
	if b[i] != '>' {
		return false, errEndTag
	}
	w.pos = i + 1
	n := len(w.open) - 1
	if n < 0 {
		return true, ErrStreamEnd
	}
	mark := w.open[n].decls
	w.open = w.open[:n]
	w.state = inContent
	w.closed(n, mark)
	return n == 0, nil
}

// closed leaves an element that ends at pos and is nested in depth others.
func (w *work) closed(depth int, mark uint32) {
	if len(w.decls) > int(mark) {
		w.dropDecls(mark)
	}
	if depth == 1 {
		w.children[len(w.children)-1].All.B = uint32(w.pos)
	}
}
