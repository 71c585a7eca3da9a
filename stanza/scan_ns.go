package stanza

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unicode/utf8"
)

const nsXMLNS = "http://www.w3.org/2000/xmlns/"

// declare takes the namespace declarations of the tag into force (Namespaces in XML §3, §2.2).
func (w *work) declare(b []byte) error {
	for i := range w.attrs {
		a := &w.attrs[i]
		if a.kind < attrNS {
			continue
		}
		uri := a.value(b)
		if !namespaceName(uri) {
			return errDeclaration
		}
		reserved := string(uri) == NSXML || string(uri) == nsXMLNS
		if a.kind == attrNS {
			if reserved {
				return errDeclaration
			}
			continue
		}
		prefix := Span{a.name.colon + 1, a.name.b}
		switch p := b[prefix.A:prefix.B]; {
		case string(p) == "xml":
			if string(uri) != NSXML {
				return errDeclaration
			}
			continue // true and needless
		case string(p) == "xmlns", reserved, len(uri) == 0:
			return errDeclaration
		default:
			d := decl{prefix: prefix, uri: a.val, esc: a.esc, bucket: bucket(p)}
			d.prev = w.heads[d.bucket]
			w.decls = append(w.decls, d)
			w.heads[d.bucket] = int32(len(w.decls))
		}
	}
	return nil
}

// declarable tells whether xmlns:prefix='uri' could stand in an element and change something.
func declarable(prefix, uri string) bool {
	name := nameSpan{a: 0}
	i, err := qname([]byte(prefix+" "), 0, &name)
	return err == nil && i == len(prefix) && name.colon == 0 && prefix != "xml" && prefix != "xmlns" &&
		uri != "" && uri != NSXML && uri != nsXMLNS && namespaceName([]byte(uri)) && validText(uri)
}

// namespaceName refuses what no URI or IRI can hold (RFC 3986 §2, RFC 3987 §2.2). XML itself would let it pass, but
// namespace-aware parsers glue URI and name together with one of these characters and give up where a URI brings its
// own: a stranger could end the streams of others.
func namespaceName(uri []byte) bool {
	for _, c := range uri {
		if notURI[c] {
			return false
		}
	}
	return true
}

var prefixSeed = maphash.MakeSeed()

func bucket(prefix []byte) uint8 { return uint8(maphash.Bytes(prefixSeed, prefix) & 63) }

// dropDecls goes back to n declarations.
func (w *work) dropDecls(n uint32) {
	for i := len(w.decls); i > int(n); i-- {
		d := &w.decls[i-1]
		w.heads[d.bucket] = d.prev
	}
	w.decls = w.decls[:n]
}

// binding is what a prefix stands for: a declaration in the element, or one of the stream header.
type binding struct {
	d     *decl
	outer string
}

// lookup finds what the prefix of a name stands for.
func (w *work) lookup(s *Scanner, b []byte, n nameSpan) (binding, error) {
	p := n.prefix(b)
	if len(w.decls) > 0 {
		for i := w.heads[bucket(p)]; i > 0; {
			d := &w.decls[i-1]
			if string(b[d.prefix.A:d.prefix.B]) == string(p) {
				return binding{d: d}, nil
			}
			i = d.prev
		}
	}
	if string(p) == "xml" {
		return binding{outer: NSXML}, nil
	}
	for i := range s.outer {
		if s.outer[i].prefix == string(p) {
			w.used |= 1 << i
			return binding{outer: s.outer[i].uri}, nil
		}
	}
	return binding{}, errPrefix
}

// value returns the namespace name, unescaped.
func (d *decl) value(b []byte) []byte {
	raw := b[d.uri.A:d.uri.B]
	if d.esc {
		raw = appendUnescaped(nil, raw, true)
	}
	return raw
}

// same tells whether two bindings mean the same namespace.
func (x binding) same(y binding, b []byte) bool {
	switch {
	case x.d == nil && y.d == nil:
		return x.outer == y.outer
	case x.d == nil:
		return string(y.d.value(b)) == x.outer
	case y.d == nil:
		return string(x.d.value(b)) == y.outer
	}
	return bytes.Equal(x.d.value(b), y.d.value(b))
}

// name returns the namespace name as a string.
func (x binding) name(b []byte) string {
	if x.d == nil {
		return x.outer
	}
	return intern(x.d.value(b))
}

// namespace returns the namespace of an element with these attributes.
func (w *work) namespace(s *Scanner, b []byte, n nameSpan, attrs []attr, inherited string) (string, error) {
	if n.colon == 0 {
		for i := range attrs {
			if attrs[i].kind == attrNS {
				return intern(attrs[i].value(b)), nil
			}
		}
		return inherited, nil
	}
	x, err := w.lookup(s, b, n)
	if err != nil {
		return "", err
	}
	return x.name(b), nil
}

// inherited returns the default namespace that the root hands down, which is not its own where it has a prefix.
func (w *work) inherited(s *Scanner, b []byte) string {
	if w.rootTag.colon == 0 {
		return w.rootNS
	}
	ns, _ := w.namespace(s, b, nameSpan{}, w.root, s.defaultNS())
	return ns
}

// value returns the attribute's value, unescaped.
func (a *attr) value(b []byte) []byte {
	raw := b[a.val.A:a.val.B]
	if a.esc {
		raw = appendUnescaped(nil, raw, true)
	}
	return raw
}

// manyAttrs is from when on comparing each with each is too slow.
const manyAttrs = 64

// checkAttrs checks that prefixes are declared and that no attribute is given twice (XML 1.0 §3.1), not under another
// prefix either (Namespaces in XML §6.3).
func (w *work) checkAttrs(s *Scanner, b []byte) error {
	if len(w.attrs) > manyAttrs {
		return w.checkManyAttrs(s, b)
	}
	for i := 1; i < len(w.attrs); i++ {
		n := w.attrs[i].name
		for _, o := range w.attrs[:i] {
			if o.name.b-o.name.a == n.b-n.a && string(o.name.all(b)) == string(n.all(b)) {
				return errDuplicate
			}
		}
	}
	if w.prefN == 0 {
		return nil
	}
	for i := range w.attrs {
		n := w.attrs[i].name
		if w.attrs[i].kind != attrPrefixed {
			continue
		}
		x, err := w.lookup(s, b, n)
		if err != nil {
			return err
		}
		if w.prefN == 1 {
			return nil
		}
		for _, o := range w.attrs[:i] {
			if o.kind != attrPrefixed || string(o.name.local(b)) != string(n.local(b)) {
				continue
			}
			if y, _ := w.lookup(s, b, o.name); x.same(y, b) {
				return errDuplicate
			}
		}
	}
	return nil
}

// checkManyAttrs is checkAttrs for tags that only a scanner without limits sees.
func (w *work) checkManyAttrs(s *Scanner, b []byte) error {
	keys := make([]string, 0, len(w.attrs)+w.prefN)
	for _, a := range w.attrs {
		keys = append(keys, string(a.name.all(b)))
		if a.kind == attrPrefixed {
			x, err := w.lookup(s, b, a.name)
			if err != nil {
				return err
			}
			keys = append(keys, " "+string(a.name.local(b))+" "+x.name(b))
		}
	}
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			return errDuplicate
		}
	}
	return nil
}

// decode is utf8.DecodeRune for what runeLen has checked.
func decode(b []byte) rune {
	r, _ := utf8.DecodeRune(b)
	return r
}
