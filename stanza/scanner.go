package stanza

import (
	"math"
	"sync"
)

// Limits bound what a scanner takes, in bytes or counts. Zero fields mean no limit.
type Limits struct {
	Size       int // bytes of one first-level element
	Depth      int // nesting, the element itself is 1
	Elements   int // elements in one first-level element, itself included
	Attrs      int // attributes of one element, xmlns declarations not counted
	Namespaces int // xmlns declarations of one element
	Name       int // bytes of an element's or attribute's name
	Value      int // bytes of an attribute's value
}

// Scanner finds the first-level elements of a stream in the bytes that arrived, strictly: XML 1.0 well-formedness and
// characters, UTF-8, declared namespaces, and the restrictions of RFC 6120 §11.1. It is a push parser: the same code
// serves a goroutine per connection and an event loop. Not for concurrent use. The zero value works, without limits.
type Scanner struct {
	Limits Limits
	// DefaultNS is the stream's default namespace, jabber:client where empty.
	DefaultNS string
	// The scanner's own state.
	scanState
}

type scanState struct {
	w     *work   // nil until it is needed
	outer []outer // prefixes declared by the stream header
	err   error   // after it nothing is read
	// alone: elements by themselves, outside a stream (ParseElement): no default namespace, none whose prefix is forbidden.
	alone bool
}

// outer is a prefix that the stream header declared.
type outer struct{ prefix, uri string }

// The prefix stream is declared on every stream (RFC 6120 §4.8.5).
var streamPrefix = []outer{{"stream", NSStream}}

// maxOuter is how many prefixes of a stream header can be told apart; others count as not declared.
const maxOuter = 64

// maxElement bounds what a scanner without limits takes: spans are 32 bits.
const maxElement = math.MaxInt32

// Reset forgets all state, for a new stream. Limits and DefaultNS stay.
func (s *Scanner) Reset() {
	w := s.w
	s.scanState = scanState{w: w}
	if w != nil {
		w.inside = false
		s.Release()
	}
}

// Release gives the scanner's working memory back while no element is half read: for connections that fall silent. It
// is taken again when needed.
func (s *Scanner) Release() {
	if s.w != nil && !s.w.inside {
		s.w.release()
		s.w = nil
	}
}

// Inside tells whether the last Scan ended in the middle of an element.
func (s *Scanner) Inside() bool { return s.w != nil && s.w.inside }

// Prefixes tells the scanner the prefixes that the stream header declared beyond xmlns and xmlns:stream, as pairs of
// prefix and URI. A stanza that uses one gets the declaration on its own root when forwarded. What could not be declared
// in a stanza either is not declared.
func (s *Scanner) Prefixes(pairs ...string) {
	list := streamPrefix[:len(streamPrefix):len(streamPrefix)]
	for i := 0; i+1 < len(pairs) && len(list) < maxOuter; i += 2 {
		if prefix, uri := pairs[i], pairs[i+1]; declarable(prefix, uri) {
			list = append(list, outer{prefix, uri})
		}
	}
	s.outer = list
}

// Scan looks at b, which begins where the last complete element ended, and reads one first-level element into st.
//
// It returns the number of bytes to take off b: white space between elements and, on success, the element. Errors:
// ErrMore (b holds no complete element yet: take n bytes off and call again with more appended; what has been checked is
// not checked again), ErrStreamEnd (the stream's end tag </stream:stream>), or a *SyntaxError; after these two nothing
// more is read. On success st.Raw is a part of b.
func (s *Scanner) Scan(b []byte, st *Stanza) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	w := s.w
	if w == nil || !w.inside {
		for n < len(b) && spaceClass[b[n]] {
			n++
		}
		if n == len(b) {
			return n, ErrMore
		}
		if b[n] != '<' {
			s.err = errText
			if textClass[b[n]] == bad || b[n] >= 0x80 && runeLen(b[n:n+1]) < 0 {
				s.err = errUTF8
			}
			return n, s.err
		}
		if w == nil {
			w = workPool.Get().(*work)
			s.w = w
		}
		if s.outer == nil {
			s.outer = streamPrefix
		}
		w.begin()
	}
	e := b[n:]
	limit := s.Limits.Size
	if limit <= 0 || limit > maxElement {
		limit = maxElement
	}
	if len(e) > limit {
		e = e[:limit] // what lies beyond the limit is not looked at
	}
	switch err = w.run(s, e); err {
	case nil:
		w.fill(s, e[:w.pos:w.pos], st)
		w.inside = false
		return n + w.pos, nil
	case ErrMore:
		if len(e) < limit {
			return n, ErrMore
		}
		err = errSize
	case ErrStreamEnd:
		n += w.pos
	}
	s.err = err
	w.inside = false
	s.Release()
	return n, err
}

// work is the memory that a scanner needs while it is inside an element. All offsets count from the element's first
// byte, since the caller may move the bytes between two calls.
type work struct {
	inside bool
	state  state
	pos    int // next byte to look at

	open     []openTag
	decls    []decl
	heads    [64]int32 // latest declaration of prefixes by their hash, one more than the index in decls
	elements int
	empty    bool // the root is <a/>

	// The tag being read.
	tag   nameSpan
	attrs []attr
	nsN   int // xmlns declarations among attrs
	prefN int // other prefixed attributes among attrs
	// The attribute being read, and how far in.
	phase phase
	gap   bool // white space was seen before it
	name  nameSpan
	quote byte
	valA  int
	esc   bool

	// The root and what is known of it.
	root     []attr
	rootTag  nameSpan
	rootNS   string
	head     int // where the root's start tag ends: offset of > or />
	tail     int // where the root's end tag begins
	children []Child
	used     uint64 // prefixes of the stream header in use, by index
}

// nameSpan is a qualified name. Colon is 0 where there is none: a name never begins at offset 0.
type nameSpan struct{ a, colon, b uint32 }

// attr is an attribute of a tag.
type attr struct {
	name nameSpan
	val  Span
	kind attrKind
	esc  bool // the value holds references or white space to be normalised
}

type attrKind uint8

const (
	attrPlain attrKind = iota
	attrPrefixed
	attrXML   // xml:lang and its like
	attrNS    // xmlns
	attrNSPre // xmlns:p
)

// openTag is an element whose end tag is yet to come.
type openTag struct {
	name  nameSpan
	decls uint32 // length of work.decls before it
}

// decl is a declared prefix.
type decl struct {
	prefix, uri Span
	esc         bool
	bucket      uint8
	prev        int32 // the declaration that it hides in heads
}

var workPool = sync.Pool{New: func() any { return new(work) }}

// Working memory beyond these is not worth keeping.
const (
	keepOpen     = 256
	keepDecls    = 256
	keepAttrs    = 256
	keepChildren = 64
)

func (w *work) release() {
	if cap(w.open) > keepOpen || cap(w.decls) > keepDecls || cap(w.attrs) > keepAttrs || cap(w.root) > keepAttrs ||
		cap(w.children) > keepChildren {
		return
	}
	clear(w.children[:cap(w.children)])
	w.rootNS = ""
	workPool.Put(w)
}

// begin makes ready for an element whose < is at offset 0.
func (w *work) begin() {
	w.inside, w.state, w.pos = true, inMarkup, 0
	w.open, w.attrs, w.root, w.children = w.open[:0], w.attrs[:0], w.root[:0], w.children[:0]
	w.dropDecls(0)
	w.elements, w.used, w.empty = 0, 0, false
}

// fill makes a stanza of what was read.
func (w *work) fill(s *Scanner, raw []byte, st *Stanza) {
	st.Raw = raw
	st.NS = w.rootNS
	st.Name = intern(w.rootTag.local(raw))
	st.Children = append(st.Children[:0], w.children...)
	attrs := append(st.attrs[:0], w.root...)
	st.index = index{attrs: attrs, nameEnd: w.rootTag.b, head: uint32(w.head), tail: uint32(w.tail), empty: w.empty,
		outer: s.outer, used: w.used, defaultNS: s.defaultNS()}
	st.finish()
}

func (s *Scanner) defaultNS() string {
	if s.DefaultNS == "" && !s.alone {
		return NSClient
	}
	return s.DefaultNS
}

// local returns the part of the name behind the colon.
func (n nameSpan) local(b []byte) []byte {
	if n.colon != 0 {
		return b[n.colon+1 : n.b]
	}
	return b[n.a:n.b]
}

// prefix returns the part before the colon.
func (n nameSpan) prefix(b []byte) []byte { return b[n.a:n.colon] }

// all returns the whole name.
func (n nameSpan) all(b []byte) []byte { return b[n.a:n.b] }
