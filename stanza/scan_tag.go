package stanza

// phase is where in an attribute the scanner stands.
type phase uint8

const (
	beforeName phase = iota
	inAttrName
	beforeEquals
	beforeQuote
	inValue
)

// qname reads a name from i on into n, whose beginning is known; it returns where the name ends.
func (s *Scanner) qname(b []byte, i int, n *nameSpan) (int, error) {
	i, err := qname(b, i, n)
	if s.Limits.Name > 0 && i-int(n.a) > s.Limits.Name {
		return i, errLongName // ahead of err: in smaller pieces this would have been seen first
	}
	return i, err
}

// qname reads on in a name as XML 1.0 §2.3 and Namespaces in XML §4 have it: one colon at most, something on both sides.
func qname(b []byte, i int, n *nameSpan) (int, error) {
	if i == int(n.a) && i < len(b) && nameClass[b[i]] == nameStart {
		for i++; i < len(b) && nameClass[b[i]] >= nameRest; i++ { // the usual name goes no further than this
		}
	}
	for ; i < len(b); i++ {
		class := nameClass[b[i]]
		first := i == int(n.a) || n.colon != 0 && i == int(n.colon)+1
		switch {
		case class == nameStart, class == nameRest && !first:
		case class == nameColon && !first && n.colon == 0:
			n.colon = uint32(i)
		case class == nameNo && !first:
			n.b = uint32(i)
			return i, nil
		case class == nameWide:
			size := runeLen(b[i:])
			if size < 0 {
				return i, errUTF8
			}
			if size == 0 {
				return i, ErrMore
			}
			if !nameRune(decode(b[i:i+size]), first) {
				return i, errName
			}
			i += size - 1
		default:
			return i, errName
		}
	}
	return i, ErrMore
}

// startName reads the name of a start tag, then the rest of it.
func (w *work) startName(s *Scanner, b []byte) (done bool, err error) {
	if w.pos, err = s.qname(b, w.pos, &w.tag); err != nil {
		return false, err
	}
	w.attrs, w.nsN, w.prefN = w.attrs[:0], 0, 0
	w.phase, w.gap = beforeName, false
	w.state = inTag
	return w.startTag(s, b)
}

// startTag reads a start tag from behind its name. Each phase goes on where the last call ended.
func (w *work) startTag(s *Scanner, b []byte) (done bool, err error) {
	i := w.pos
	for {
		switch w.phase {
		case beforeName:
			for i < len(b) && spaceClass[b[i]] {
				i++
				w.gap = true
			}
			w.pos = i
			if i == len(b) {
				return false, ErrMore
			}
			switch b[i] {
			case '>':
				w.pos = i + 1
				return w.opened(s, b, i, false)
			case '/':
				if i+1 == len(b) {
					return false, ErrMore
				}
				if b[i+1] != '>' {
					return false, errTag
				}
				w.pos = i + 2
				return w.opened(s, b, i, true)
			}
			if !w.gap {
				return false, errSpace
			}
			w.name = nameSpan{a: uint32(i)}
			w.phase = inAttrName
			fallthrough
		case inAttrName:
			if i, err = s.qname(b, i, &w.name); err != nil {
				w.pos = i
				return false, err
			}
			if err = w.attrName(s, b); err != nil {
				return false, err
			}
			w.phase = beforeEquals
			fallthrough
		case beforeEquals:
			for i < len(b) && spaceClass[b[i]] {
				i++
			}
			w.pos = i
			if i == len(b) {
				return false, ErrMore
			}
			if b[i] != '=' {
				return false, errAttribute
			}
			i++
			w.phase = beforeQuote
			fallthrough
		case beforeQuote:
			for i < len(b) && spaceClass[b[i]] {
				i++
			}
			w.pos = i
			if i == len(b) {
				return false, ErrMore
			}
			if w.quote = b[i]; w.quote != '\'' && w.quote != '"' {
				return false, errAttribute
			}
			i++
			w.valA, w.esc = i, false
			w.phase = inValue
			fallthrough
		case inValue:
			i, err = w.value(b, i)
			if s.Limits.Value > 0 && i-w.valA > s.Limits.Value {
				return false, errLongValue
			}
			if err != nil {
				w.pos = i
				return false, err
			}
			a := &w.attrs[len(w.attrs)-1]
			a.val, a.esc = Span{uint32(w.valA), uint32(i)}, w.esc
			i++
			w.phase, w.gap = beforeName, false
		}
	}
}

// attrName makes an entry for the attribute whose name was read, if there may be one more.
func (w *work) attrName(s *Scanner, b []byte) error {
	kind := attrPlain
	n := w.name
	switch {
	case n.colon != 0:
		switch string(n.prefix(b)) {
		case "xmlns":
			kind = attrNSPre
		case "xml":
			kind = attrXML
		default:
			kind = attrPrefixed
			w.prefN++
		}
	case n.b-n.a == 5 && string(n.all(b)) == "xmlns":
		kind = attrNS
	}
	if kind >= attrNS {
		if w.nsN++; s.Limits.Namespaces > 0 && w.nsN > s.Limits.Namespaces {
			return errNamespaces
		}
	} else if s.Limits.Attrs > 0 && len(w.attrs)-w.nsN >= s.Limits.Attrs {
		return errAttrs
	}
	w.attrs = append(w.attrs, attr{name: n, kind: kind})
	return nil
}

// value reads an attribute's value up to its quote, whose offset it returns.
func (w *work) value(b []byte, i int) (end int, err error) {
	for {
		if i = skipPlain(b, i, &valueClass); i == len(b) {
			return i, ErrMore
		}
		switch c := b[i]; {
		case c == w.quote:
			return i, nil
		case c == '\'' || c == '"':
			i++
		case c == '<':
			return i, errLess // XML 1.0 §3.1
		case c == '&':
			n, err := reference(b[i:])
			if err != nil {
				return i, err
			}
			w.esc = true
			i += n
		case c >= 0x80:
			if i, err = skipWide(b, i); err != nil {
				return i, err
			}
		case c == '\t' || c == '\n' || c == '\r':
			w.esc = true
			i++
		default:
			return i, errControl
		}
	}
}

// opened handles a complete start tag: its > or /> is at end.
func (w *work) opened(s *Scanner, b []byte, end int, empty bool) (done bool, err error) {
	depth := len(w.open)
	mark := uint32(len(w.decls))
	if w.nsN > 0 {
		if err = w.declare(b); err != nil {
			return false, err
		}
	}
	if w.tag.colon != 0 && depth >= 2 { // the namespaces of root and children are looked up below
		if _, err = w.lookup(s, b, w.tag); err != nil {
			return false, err
		}
	}
	if len(w.attrs) > 0 {
		if err = w.checkAttrs(s, b); err != nil {
			return false, err
		}
	}
	switch depth {
	case 0:
		if err = w.openedRoot(s, b, end, empty); err != nil {
			return false, err
		}
	case 1:
		ns := w.rootNS
		if w.nsN > 0 || w.tag.colon != 0 || w.rootTag.colon != 0 {
			if ns, err = w.namespace(s, b, w.tag, w.attrs, w.inherited(s, b)); err != nil {
				return false, err
			}
		}
		local := Span{w.tag.a, w.tag.b}
		if w.tag.colon != 0 {
			local.A = w.tag.colon + 1
		}
		w.children = append(w.children, Child{All: Span{A: w.tag.a - 1}, Name: local, NS: ns})
	}
	w.state = inContent
	if !empty {
		w.open = append(w.open, openTag{w.tag, mark})
		return false, nil
	}
	w.closed(depth, mark)
	return depth == 0, nil
}

// openedRoot takes note of the first-level element's start tag.
func (w *work) openedRoot(s *Scanner, b []byte, end int, empty bool) (err error) {
	if w.rootNS, err = w.namespace(s, b, w.tag, w.attrs, s.defaultNS()); err != nil {
		return err
	}
	if !s.alone {
		if w.rootNS == NSStream && string(w.tag.local(b)) == "stream" {
			return errSecondStream
		}
		// RFC 6120 §4.8.5: what belongs to the content namespace comes without prefix.
		if w.tag.colon != 0 && w.rootNS == s.defaultNS() {
			return errContentNS
		}
	}
	w.rootTag = w.tag
	w.attrs, w.root = w.root[:0], w.attrs
	w.head, w.tail, w.empty = end, end, empty
	return nil
}
