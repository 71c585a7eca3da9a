package stanza

import (
	"bytes"
	"slices"
	"sync"
)

// Drop leaves Children[i] out on the way out.
func (s *Stanza) Drop(i int) {
	if !s.isDropped(i) {
		s.dropped = append(slices.Clip(s.dropped), i) // a clone may share the slice
	}
}

// Add appends an element before the end tag on the way out. The text must be well-formed: it comes from our own builder.
func (s *Stanza) Add(xml []byte) {
	if len(s.added) == 0 {
		s.added = slices.Clip(xml)
		return
	}
	s.added = append(slices.Clip(s.added), xml...)
}

// Clone returns a stanza that shares the bytes and can be given other addresses, dropped and added children. It is valid
// as long as s.
func (s *Stanza) Clone() *Stanza {
	c := *s
	return &c
}

// changed tells whether AppendTo has anything to do but copy.
func (s *Stanza) changed() bool {
	return s.newFrom || s.newTo || len(s.dropped) > 0 || len(s.added) > 0 || s.used != 0 || s.addsLang() || s.dropsNS()
}

func (s *Stanza) addsLang() bool { return s.lang != "" && s.iLang == 0 && s.Kind != KindOther }

// dropsNS tells whether the root declares what the stream declares already. An element of another kind keeps its
// declaration: without it, <message xmlns='jabber:server'/> of a client would become a message.
func (s *Stanza) dropsNS() bool {
	return s.iNS != 0 && s.Kind != KindOther && (s.NS == NSClient || s.NS == NSServer)
}

// AppendTo appends the stanza as it is to be sent: address overrides, default language, dropped and added children
// applied; an explicit xmlns of the root that merely repeats jabber:client or jabber:server is left out, so that the same
// bytes fit a client's and a server's stream.
func (s *Stanza) AppendTo(dst []byte) []byte {
	if !s.changed() {
		return append(dst, s.Raw...)
	}
	dst = s.appendHead(dst)
	if s.empty {
		if len(s.added) == 0 {
			return append(dst, "/>"...)
		}
		dst = append(append(dst, '>'), s.added...)
		return append(append(append(dst, "</"...), s.Raw[1:s.nameEnd]...), '>')
	}
	pos := s.head
	if len(s.dropped) > 0 {
		for i, c := range s.Children {
			if s.isDropped(i) {
				dst = appendJoined(dst, s.Raw[pos:c.All.A])
				pos = c.All.B
			}
		}
	}
	dst = appendJoined(dst, s.Raw[pos:s.tail])
	dst = append(dst, s.added...)
	return append(dst, s.Raw[s.tail:]...)
}

// scratch is where stanzas are put together that are kept: what is kept has no room to spare.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Encode returns what AppendTo appends, in bytes of its own: for queues.
func (s *Stanza) Encode() []byte {
	b := scratch.Get().(*[]byte)
	*b = s.AppendTo((*b)[:0])
	raw := bytes.Clone(*b)
	if cap(*b) <= 16<<10 {
		scratch.Put(b)
	}
	return raw
}

// AppendForwarded appends the stanza as it is to be sent, as what somebody passes on (XEP-0297 §3).
func (s *Stanza) AppendForwarded(dst []byte) []byte {
	dst = append(append(dst, "<forwarded xmlns='"+NSForward+"'><"...), s.Name...)
	dst = append(dst, " xmlns='"+NSClient+"'"...)
	at := len(dst)
	dst = s.AppendTo(dst)
	dst = append(dst[:at], dst[at+1+len(s.Name):]...) // <message is there already
	return append(dst, "</forwarded>"...)
}

// appendJoined appends what follows a dropped child. The text on both sides now meets: it must not make ]]> (XML 1.0 §2.4),
// nor one line end of two.
func appendJoined(dst, b []byte) []byte {
	switch {
	case bytes.HasSuffix(dst, cdataEnd[:2]) && bytes.HasPrefix(b, cdataEnd[2:]):
		dst, b = append(dst, "&gt;"...), b[1:]
	case bytes.HasSuffix(dst, cdataEnd[:1]) && bytes.HasPrefix(b, cdataEnd[1:]):
		dst, b = append(dst, "]&gt;"...), b[2:]
	case bytes.HasSuffix(dst, []byte("\r")) && bytes.HasPrefix(b, []byte("\n")):
		dst, b = append(dst, "&#10;"...), b[1:]
	}
	return append(dst, b...)
}

// appendHead appends the start tag up to its > or />.
func (s *Stanza) appendHead(dst []byte) []byte {
	pos := uint32(0)
	from, to := s.newFrom && !s.from.IsZero(), s.newTo && !s.to.IsZero() // still to be written
	for i := range s.attrs {
		a, at := &s.attrs[i], uint16(i+1)
		switch {
		case at == s.iFrom && s.newFrom && from:
			dst = s.from.appendEscaped(append(dst, s.Raw[pos:a.val.A]...))
			pos, from = a.val.B, false
		case at == s.iTo && s.newTo && to:
			dst = s.to.appendEscaped(append(dst, s.Raw[pos:a.val.A]...))
			pos, to = a.val.B, false
		case at == s.iFrom && s.newFrom, at == s.iTo && s.newTo, at == s.iNS && s.dropsNS():
			cut := a.name.a
			for cut > pos && spaceClass[s.Raw[cut-1]] {
				cut--
			}
			dst = append(dst, s.Raw[pos:cut]...)
			pos = a.val.B + 1
		}
	}
	dst = append(dst, s.Raw[pos:s.head]...)
	if from {
		dst = append(s.from.appendEscaped(append(dst, " from='"...)), '\'')
	}
	if to {
		dst = append(s.to.appendEscaped(append(dst, " to='"...)), '\'')
	}
	if s.addsLang() {
		dst = appendAttr(dst, "xml:lang", s.lang)
	}
	for i := range s.outer {
		if s.used&(1<<i) != 0 {
			dst = append(append(append(dst, " xmlns:"...), s.outer[i].prefix...), "='"...)
			dst = append(AppendEscaped(dst, s.outer[i].uri), '\'')
		}
	}
	return dst
}

// Size returns an upper bound of what AppendTo appends, in bytes.
func (s *Stanza) Size() int {
	n := len(s.Raw)
	if !s.changed() {
		return n
	}
	n += len(s.added) + len("></>") + int(s.nameEnd)
	if s.newFrom {
		n += len(" from=''") + s.from.escapedMax()
	}
	if s.newTo {
		n += len(" to=''") + s.to.escapedMax()
	}
	if s.addsLang() {
		n += len(" xml:lang=''") + len(s.lang)*maxEscape
	}
	for i := range s.outer {
		if s.used&(1<<i) != 0 {
			n += len(" xmlns:=''") + len(s.outer[i].prefix) + len(s.outer[i].uri)*maxEscape
		}
	}
	return n
}

// encode returns the stanza as it goes out, in a slice without room to spare: Size allows for the worst.
func (s *Stanza) encode() []byte {
	b := s.AppendTo(make([]byte, 0, s.Size()))
	if cap(b) > len(b)+len(b)/8 {
		b = slices.Clone(b)
	}
	return b
}

// Retain returns the stanza with its own copy of the bytes, changes included: for what is kept past the next read.
func (s *Stanza) Retain() *Stanza {
	if !s.changed() {
		c := *s
		c.Raw = slices.Clone(s.Raw)
		c.Children = slices.Clone(s.Children)
		c.attrs = slices.Clone(s.attrs)
		return &c
	}
	c, err := parseIn(s.encode(), s.defaultNS)
	if err != nil {
		// Only what was added can be broken: it never went through the scanner.
		t := s.Clone()
		t.added = nil
		if c, err = parseIn(t.encode(), s.defaultNS); err != nil {
			return New(s.Kind, s.Type, s.ID(), s.from, s.to, nil)
		}
	}
	return c
}
