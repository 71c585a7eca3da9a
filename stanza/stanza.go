package stanza

// Kind says what a first-level element of a stream is.
type Kind uint8

// The kinds. Everything that is no stanza is KindOther: nonzas such as <r/>, <auth/>, <starttls/>.
const (
	KindOther Kind = iota
	KindMessage
	KindPresence
	KindIQ
)

// Type is the type attribute of a stanza (RFC 6120 §8.1.4, RFC 6121 §4.7.1 and §5.2.2).
type Type uint8

// The types. TypeNone: no attribute (RFC 6121: a message without type is normal, a presence is available).
// TypeUnknown: an attribute whose value the kind does not define.
const (
	TypeNone Type = iota
	TypeUnknown
	TypeError // message, presence, iq
	TypeGet   // iq
	TypeSet
	TypeResult
	TypeNormal // message
	TypeChat
	TypeGroupchat
	TypeHeadline
	TypeUnavailable // presence
	TypeSubscribe
	TypeSubscribed
	TypeUnsubscribe
	TypeUnsubscribed
	TypeProbe
)

// Span is a range of Stanza.Raw.
type Span struct{ A, B uint32 }

// Child is a first-level child element of a stanza.
type Child struct {
	All  Span // the whole element
	Name Span // its local name
	// NS is its namespace, inherited ones resolved; well-known namespaces are interned.
	NS string
}

// Stanza is one complete, validated first-level element of a stream: its bytes and a light index. See the package
// comment for who owns the bytes.
type Stanza struct {
	Raw      []byte // as it arrived; never changed
	Kind     Kind
	Type     Type
	Name     string  // local name of the element, interned for those the server knows
	NS       string  // its namespace
	Children []Child // capacity is reused by the scanner
	// Unexported: spans of the attributes, address overrides, dropped and added children. See build.go and forward.go.
	index
}

type index struct{} // the engine's own

// From returns the sender: what SetFrom stamped, else the attribute; zero where there is none.
func (s *Stanza) From() JID { panic("stanza") }

// To returns the addressee: what SetTo said, else the attribute; zero where there is none.
func (s *Stanza) To() JID { panic("stanza") }

// SetFrom replaces the from attribute on the way out; Raw stays.
func (s *Stanza) SetFrom(j JID) { panic("stanza") }

// SetTo replaces the to attribute on the way out; Raw stays. The zero JID removes it.
func (s *Stanza) SetTo(j JID) { panic("stanza") }

// SetLang says which xml:lang the stanza gets where it has none (RFC 6120 §8.1.5). Empty: none.
func (s *Stanza) SetLang(lang string) { panic("stanza") }

// ID returns the id attribute, unescaped; empty where there is none (HasID tells).
func (s *Stanza) ID() string { panic("stanza") }

// HasID tells whether there is an id attribute.
func (s *Stanza) HasID() bool { panic("stanza") }

// Attr returns an attribute without namespace, unescaped.
func (s *Stanza) Attr(name string) (string, bool) { panic("stanza") }

// Lang returns xml:lang of the stanza's own start tag.
func (s *Stanza) Lang() string { panic("stanza") }

// Has tells whether there is a first-level child of that namespace and name. An empty ns means the stanza's own
// namespace; an empty name means any.
func (s *Stanza) Has(ns, name string) bool { return s.Find(ns, name) >= 0 }

// Find returns the index in Children of the first child that fits (see Has), or -1. Dropped children are not found.
func (s *Stanza) Find(ns, name string) int { panic("stanza") }

// Bytes returns the bytes of a child, as they stand in Raw. Namespaces and prefixes declared outside it are not
// repeated: use Element to read it.
func (s *Stanza) Bytes(c Child) []byte { return s.Raw[c.All.A:c.All.B] }

// Payload returns the first child of an IQ that is no <error/>, as a tree, or nil.
func (s *Stanza) Payload() *Element { panic("stanza") }

// Element reads Children[i] as a tree, namespaces resolved. It copies: the tree outlives the read buffer. Cold path.
func (s *Stanza) Element(i int) *Element { panic("stanza") }

// Root reads the whole stanza as a tree. Cold path.
func (s *Stanza) Root() *Element { panic("stanza") }

// Text returns the character data of the first child of that name in the stanza's own namespace (body, show, priority,
// thread …), unescaped.
func (s *Stanza) Text(name string) string { panic("stanza") }

// StanzaError returns the <error/> of a stanza of TypeError, or nil.
func (s *Stanza) StanzaError() *Error { panic("stanza") }

// Drop leaves Children[i] out on the way out.
func (s *Stanza) Drop(i int) { panic("stanza") }

// Add appends an element before the end tag on the way out. The text must be well-formed: it comes from our own builder.
func (s *Stanza) Add(xml []byte) { panic("stanza") }

// AppendTo appends the stanza as it is to be sent: address overrides, default language, dropped and added children
// applied; an explicit xmlns of the root that merely repeats jabber:client or jabber:server is left out, so that the same
// bytes fit a client's and a server's stream.
func (s *Stanza) AppendTo(dst []byte) []byte { panic("stanza") }

// Size returns an upper bound of what AppendTo appends, in bytes.
func (s *Stanza) Size() int { panic("stanza") }

// Retain returns the stanza with its own copy of the bytes, changes included: for what is kept past the next read.
func (s *Stanza) Retain() *Stanza { panic("stanza") }

// Parse reads one stanza or element (in namespace jabber:client unless it says otherwise) from bytes of the disk or of
// our own making. It copies raw.
func Parse(raw []byte) (*Stanza, error) { panic("stanza") }

// New makes a stanza with the given payload (well-formed XML of our own builder, may be nil). Zero addresses and an empty
// id are left out.
func New(kind Kind, typ Type, id string, from, to JID, payload []byte) *Stanza { panic("stanza") }

// Result makes the answer to an IQ get or set: addresses swapped, same id.
func (s *Stanza) Result(payload []byte) *Stanza { panic("stanza") }

// Bounce makes the error stanza that answers s: addresses swapped, same kind, id and xml:lang (RFC 6120 §8.3.1). It
// returns nil where there must be no answer: s is an error or a result, or a presence that takes none.
func (s *Stanza) Bounce(e *Error) *Stanza { panic("stanza") }

// String names a stanza for logs: kind, type, id and addresses, never content.
func (s *Stanza) String() string { panic("stanza") }
