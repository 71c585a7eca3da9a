package stanza

// Limits bound what a scanner takes, in bytes or counts. Zero fields mean no limit.
type Limits struct {
	Size       int // bytes of one first-level element
	Depth      int // nesting, the element itself is 1
	Elements   int // elements in one first-level element
	Attrs      int // attributes of one element
	Namespaces int // xmlns declarations of one element
	Name       int // bytes of an element's or attribute's name
	Value      int // bytes of an attribute's value
}

// Scanner finds the first-level elements of a stream in the bytes that arrived, strictly: XML 1.0 well-formedness and
// characters, UTF-8, declared namespaces, and the restrictions of RFC 6120 §11.1. It is a push parser: the same code
// serves a goroutine per connection and an event loop. Not for concurrent use.
type Scanner struct {
	Limits Limits
	// DefaultNS is the stream's default namespace, jabber:client where empty.
	DefaultNS string
	// The scanner's own state: see scan.go.
	scanState
}

type scanState struct{}

// Reset forgets all state, for a new stream.
func (s *Scanner) Reset() { panic("stanza") }

// Prefixes tells the scanner the prefixes that the stream header declared beyond xmlns and xmlns:stream, as pairs of
// prefix and URI. A stanza that uses one gets the declaration on its own root when forwarded.
func (s *Scanner) Prefixes(pairs ...string) { panic("stanza") }

// Scan looks at b, which begins where the last complete element ended, and reads one first-level element into st.
//
// It returns the number of bytes to take off b: white space between elements and, on success, the element. Errors:
// ErrMore (b holds no complete element yet: call again with more bytes appended; what has been checked is not checked
// again), ErrStreamEnd (the stream's end tag </stream:stream>), or a *SyntaxError, after which the scanner is dead.
// On success st.Raw is a part of b.
func (s *Scanner) Scan(b []byte, st *Stanza) (n int, err error) { panic("stanza") }
