package stanza

import (
	"bytes"
	"slices"
	"strings"
)

// Copy returns the bytes of an element within Children[i], found by counting: path[0] is its place among the children of
// Children[i], and so on, elements only. They stand on their own: namespaces declared further out are declared again. What
// a module keeps of a payload it does not understand comes from here, since a tree loses how text and elements were mixed.
// It returns nil where there is no such element. Cold path.
func (s *Stanza) Copy(i int, path ...int) []byte {
	t := s.builder()
	_, rest := token{raw: s.Raw[1:s.head]}.name()
	t.push(rest, t.defaultNS)
	b := s.Bytes(s.Children[i])
	r := reader{b: b}
	var at []int // elements begun so far at each level that is open
	for {
		begin := r.pos
		tok := r.next()
		switch tok.kind {
		case tokenEnd:
			return nil
		case tokenStart:
			if len(at) > 0 {
				at[len(at)-1]++
			}
			if len(at) == len(path) && found(at, path) {
				return t.alone(b[begin:], tok)
			}
			if tok.empty {
				if len(at) == 0 {
					return nil
				}
				continue
			}
			t.enter(tok)
			at = append(at, 0)
		case tokenClose:
			t.end()
			if at = at[:len(at)-1]; len(at) == 0 {
				return nil
			}
		}
	}
}

// found tells whether the element that has just begun is the one that path leads to: at counts from one.
func found(at, path []int) bool {
	for k := range path {
		if at[k] != path[k]+1 {
			return false
		}
	}
	return true
}

// enter takes what a start tag declares into force until end.
func (t *treeBuilder) enter(tok token) {
	level := treeLevel{e: new(Element), scope: len(t.scope), defaultNS: t.defaultNS}
	_, rest := tok.name()
	t.push(rest, t.defaultNS)
	t.open = append(t.open, level)
}

// alone copies the element that begins b, whose start tag is tok, with the declarations that it needs.
func (t *treeBuilder) alone(b []byte, tok token) []byte {
	b = b[:elementEnd(b)]
	qname, rest := tok.name()
	var own []string // prefixes that it declares itself
	hasDefault := false
	for name, _, after := nextAttr(rest); name != nil; name, _, after = nextAttr(after) {
		if string(name) == "xmlns" {
			hasDefault = true
		} else if p, ok := bytes.CutPrefix(name, []byte("xmlns:")); ok {
			own = append(own, string(p))
		}
	}
	head := 1 + len(qname)
	out := append(make([]byte, 0, len(b)+64), b[:head]...)
	if !hasDefault {
		out = appendAttr(out, "xmlns", t.defaultNS)
	}
	for k := len(t.scope) - 1; k >= 0; k-- { // the innermost declaration of a prefix holds
		p := t.scope[k]
		if !slices.Contains(own, p.Name) && strings.Contains(string(b), p.Name+":") {
			out = appendAttr(out, "xmlns:"+p.Name, p.Value)
			own = append(own, p.Name)
		}
	}
	return append(out, b[head:]...)
}

// elementEnd returns the length of the element that begins b.
func elementEnd(b []byte) int {
	r := reader{b: b}
	for depth := 0; ; {
		switch tok := r.next(); tok.kind {
		case tokenEnd:
			return len(b) // not from the scanner
		case tokenStart:
			if !tok.empty {
				depth++
			} else if depth == 0 {
				return r.pos
			}
		case tokenClose:
			if depth--; depth == 0 {
				return r.pos
			}
		}
	}
}
