package stanza

// Kind says what a first-level element of a stream is.
type Kind uint8

// The kinds. Everything that is no stanza is KindOther: nonzas such as <r/>, <auth/>, <starttls/>, and elements of a
// stanza's name in a namespace that is not the stream's.
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

var kindNames = [...]string{KindMessage: "message", KindPresence: "presence", KindIQ: "iq"}

var typeNames = [...]string{
	TypeError: "error", TypeGet: "get", TypeSet: "set", TypeResult: "result", TypeNormal: "normal", TypeChat: "chat",
	TypeGroupchat: "groupchat", TypeHeadline: "headline", TypeUnavailable: "unavailable", TypeSubscribe: "subscribe",
	TypeSubscribed: "subscribed", TypeUnsubscribe: "unsubscribe", TypeUnsubscribed: "unsubscribed", TypeProbe: "probe",
}

// String returns the name of the element; empty for KindOther.
func (k Kind) String() string { return kindNames[k] }

// String returns the value of the attribute; empty for TypeNone and TypeUnknown.
func (t Type) String() string { return typeNames[t] }

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
// comment for who owns the bytes. Reading one from several goroutines is safe, changing it is not: see Clone.
type Stanza struct {
	Raw      []byte // as it arrived; never changed
	Kind     Kind
	Type     Type
	Name     string  // local name of the element, interned for those the server knows
	NS       string  // its namespace
	Children []Child // capacity is reused by the scanner
	// Unexported: spans of the attributes, address overrides, dropped and added children. See index.go and forward.go.
	index
}

// From returns the sender: what SetFrom stamped, else the attribute; zero where there is none, or none that is an
// address (BadFrom).
func (s *Stanza) From() JID { return s.from }

// To returns the addressee: what SetTo said, else the attribute; zero where there is none, or none that is an address
// (BadTo).
func (s *Stanza) To() JID { return s.to }

// BadFrom tells whether the from attribute is there and is no address.
func (s *Stanza) BadFrom() bool { return s.badFrom }

// BadTo tells whether the to attribute is there and is no address: jid-malformed (RFC 6120 §8.3.3.8).
func (s *Stanza) BadTo() bool { return s.badTo }

// SetFrom replaces the from attribute on the way out; Raw stays. The zero JID removes it.
func (s *Stanza) SetFrom(j JID) { s.from, s.newFrom, s.badFrom = j, true, false }

// SetTo replaces the to attribute on the way out; Raw stays. The zero JID removes it.
func (s *Stanza) SetTo(j JID) { s.to, s.newTo, s.badTo = j, true, false }

// SetLang says which xml:lang the stanza gets where it has none (RFC 6120 §8.1.5). Empty: none.
func (s *Stanza) SetLang(lang string) { s.lang = lang }

// ID returns the id attribute, unescaped; empty where there is none (HasID tells).
func (s *Stanza) ID() string { return s.attrAt(s.iID) }

// HasID tells whether there is an id attribute.
func (s *Stanza) HasID() bool { return s.iID != 0 }

// Lang returns xml:lang of the stanza's own start tag.
func (s *Stanza) Lang() string { return s.attrAt(s.iLang) }

// Attr returns an attribute without namespace, unescaped, as it arrived.
func (s *Stanza) Attr(name string) (string, bool) {
	for i := range s.attrs {
		if a := &s.attrs[i]; a.kind == attrPlain && string(a.name.all(s.Raw)) == name {
			return unescape(s.Raw[a.val.A:a.val.B], true), true
		}
	}
	return "", false
}

// Has tells whether there is a first-level child of that namespace and name. An empty ns means the stanza's own
// namespace; an empty name means any.
func (s *Stanza) Has(ns, name string) bool { return s.Find(ns, name) >= 0 }

// Find returns the index in Children of the first child that fits (see Has), or -1. Dropped children are not found.
func (s *Stanza) Find(ns, name string) int { return s.FindNext(-1, ns, name) }

// FindNext is Find for the children behind Children[i].
func (s *Stanza) FindNext(i int, ns, name string) int {
	if ns == "" {
		ns = s.NS
	}
	for i++; i < len(s.Children); i++ {
		c := &s.Children[i]
		if c.NS == ns && (name == "" || string(s.Raw[c.Name.A:c.Name.B]) == name) && !s.isDropped(i) {
			return i
		}
	}
	return -1
}

// ChildName returns the local name of Children[i].
func (s *Stanza) ChildName(i int) string {
	c := s.Children[i]
	return intern(s.Raw[c.Name.A:c.Name.B])
}

// Bytes returns the bytes of a child, as they stand in Raw. Namespaces and prefixes declared outside it are not
// repeated: use Element to read it.
func (s *Stanza) Bytes(c Child) []byte { return s.Raw[c.All.A:c.All.B] }

// String names a stanza for logs: kind, type, id and addresses, never content.
func (s *Stanza) String() string {
	var x XML
	attrs := []string{"type", s.Type.String(), "id", cut(s.ID()), "from", s.From().String(), "to", s.To().String()}
	if s.Kind == KindOther {
		attrs = []string{"xmlns", cut(s.NS)}
	}
	return string(x.Empty(cut(s.Name), attrs...).Bytes())
}

// cut keeps log lines short, whatever a stranger sends.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
