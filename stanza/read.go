package stanza

import "bytes"

// reader walks through bytes that the scanner has checked; it trusts them.
type reader struct {
	b   []byte
	pos int
}

type tokenKind uint8

const (
	tokenEnd   tokenKind = iota // nothing left
	tokenStart                  // <a …> or <a …/>
	tokenClose                  // </a>
	tokenText
	tokenCDATA
)

// token is a piece of XML. For a start tag raw is what stands between < and > or />.
type token struct {
	kind  tokenKind
	raw   []byte
	empty bool
}

func (r *reader) next() token {
	b := r.b[r.pos:]
	if len(b) == 0 {
		return token{}
	}
	if b[0] != '<' {
		n := bytes.IndexByte(b, '<')
		if n < 0 {
			n = len(b)
		}
		r.pos += n
		return token{kind: tokenText, raw: b[:n]}
	}
	if bytes.HasPrefix(b, cdataStart) {
		b = b[len(cdataStart):]
		n := bytes.Index(b, cdataEnd)
		if n < 0 {
			r.pos = len(r.b)
			return token{}
		}
		r.pos += len(cdataStart) + n + len(cdataEnd)
		return token{kind: tokenCDATA, raw: b[:n]}
	}
	n := tagEnd(b)
	if n < 0 {
		r.pos = len(r.b)
		return token{}
	}
	r.pos += n + 1
	if b[1] == '/' {
		return token{kind: tokenClose, raw: b[2:n]}
	}
	t := token{kind: tokenStart, raw: b[1:n]}
	if b[n-1] == '/' {
		t.raw, t.empty = b[1:n-1], true
	}
	return t
}

// tagEnd returns the offset of the > that ends the tag at the start of b, or -1.
func tagEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '>':
			return i
		case '\'', '"':
			n := bytes.IndexByte(b[i+1:], c)
			if n < 0 {
				return -1
			}
			i += n + 1
		}
	}
	return -1
}

// name returns the qualified name of a start tag, and what follows.
func (t token) name() (name, rest []byte) {
	for i, c := range t.raw {
		if spaceClass[c] {
			return t.raw[:i], t.raw[i:]
		}
	}
	return t.raw, nil
}

// nextAttr takes the first attribute off the rest of a start tag; name is nil at its end.
func nextAttr(rest []byte) (name, value, after []byte) {
	i := 0
	for i < len(rest) && spaceClass[rest[i]] {
		i++
	}
	rest = rest[i:]
	eq := bytes.IndexByte(rest, '=')
	if eq < 0 {
		return nil, nil, nil
	}
	name = bytes.TrimRight(rest[:eq], " \t\r\n")
	rest = bytes.TrimLeft(rest[eq+1:], " \t\r\n")
	if len(rest) == 0 {
		return nil, nil, nil
	}
	n := bytes.IndexByte(rest[1:], rest[0])
	if n < 0 {
		return nil, nil, nil
	}
	return name, rest[1 : n+1], rest[n+2:]
}

// childAttr returns the value of an attribute without namespace of Children[i], or "", and builds no tree for it.
func (s *Stanza) childAttr(i int, attr string) string {
	r := reader{b: s.Bytes(s.Children[i])}
	_, rest := r.next().name()
	for {
		name, value, after := nextAttr(rest)
		if name == nil {
			return ""
		}
		if string(name) == attr {
			return unescape(value, true)
		}
		rest = after
	}
}

// Text returns the character data of the first child of that name in the stanza's own namespace (body, show, priority,
// thread …), unescaped.
func (s *Stanza) Text(name string) string {
	i := s.Find("", name)
	if i < 0 {
		return ""
	}
	r := reader{b: s.Bytes(s.Children[i])}
	var text []byte
	for depth := 0; ; {
		switch t := r.next(); t.kind {
		case tokenEnd:
			return string(text)
		case tokenStart:
			if !t.empty {
				depth++
			}
		case tokenClose:
			depth--
		case tokenText:
			if depth == 1 {
				text = appendUnescaped(text, t.raw, false)
			}
		case tokenCDATA:
			if depth == 1 {
				text = appendLines(text, t.raw)
			}
		}
	}
}

// appendLines appends what stands in a CDATA section, line ends normalised (XML 1.0 §2.11).
func appendLines(dst, raw []byte) []byte {
	for i, c := range raw {
		switch {
		case c == '\r':
			dst = append(dst, '\n')
		case c == '\n' && i > 0 && raw[i-1] == '\r':
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
