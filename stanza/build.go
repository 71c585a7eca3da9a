package stanza

// parseIn is Parse for bytes that become the stanza's, with another default namespace.
func parseIn(raw []byte, defaultNS string) (*Stanza, error) {
	return parseOwn(&Scanner{DefaultNS: defaultNS}, raw)
}

// parseOwn reads raw, which becomes the stanza's, as the only element.
func parseOwn(sc *Scanner, raw []byte) (*Stanza, error) {
	st := new(Stanza)
	n, err := sc.Scan(raw, st)
	sc.Reset()
	if err == ErrMore || err == ErrStreamEnd {
		return nil, errUnfinished
	}
	if err != nil {
		return nil, err
	}
	for _, c := range raw[n:] {
		if !spaceClass[c] {
			return nil, errTrailing
		}
	}
	return st, nil
}

// Parse reads one stanza or element (in namespace jabber:client unless it says otherwise) from bytes of the disk or of
// our own making. It copies raw.
func Parse(raw []byte) (*Stanza, error) {
	return parseIn(append(make([]byte, 0, len(raw)), raw...), NSClient)
}

// New makes a stanza with the given payload (well-formed XML of our own builder, may be nil). Zero addresses and an empty
// id are left out. A payload that is not well-formed, a mistake of ours, never travels: the stanza becomes an
// internal-server-error.
func New(kind Kind, typ Type, id string, from, to JID, payload []byte) *Stanza {
	return (&head{kind, typ, id, "", from, to}).build(payload)
}

// head is what a stanza of our own says of itself. It is passed on as one: who reads for a client has a small stack.
type head struct {
	kind     Kind
	typ      Type
	id, lang string
	from, to JID
}

func (h *head) build(payload []byte) *Stanza {
	st, err := parseIn(h.append(payload), NSClient)
	if err != nil {
		return h.broken()
	}
	return st
}

// broken is what becomes of a stanza that is not well-formed.
func (h *head) broken() *Stanza {
	h.typ = TypeError
	st, _ := parseIn(h.append(Err(InternalServerError, "").AppendTo(nil)), NSClient)
	return st
}

func (h *head) append(payload []byte) []byte {
	name := h.kind.String()
	if name == "" {
		name = "message" // there is no building of anything else
	}
	dst := make([]byte, 0, 96+len(h.id)+len(payload)+len(h.lang)+h.from.escapedMax()+h.to.escapedMax())
	dst = append(append(dst, '<'), name...)
	if t := h.typ.String(); t != "" {
		dst = appendAttr(dst, "type", t)
	}
	if h.id != "" {
		dst = appendAttr(dst, "id", h.id)
	}
	if !h.from.IsZero() {
		dst = append(h.from.appendEscaped(append(dst, " from='"...)), '\'')
	}
	if !h.to.IsZero() {
		dst = append(h.to.appendEscaped(append(dst, " to='"...)), '\'')
	}
	if h.lang != "" {
		dst = appendAttr(dst, "xml:lang", h.lang)
	}
	if len(payload) == 0 {
		return append(dst, "/>"...)
	}
	return appendEnd(append(append(dst, '>'), payload...), name)
}

// Result makes the answer to an IQ get or set: addresses swapped, same id.
func (s *Stanza) Result(payload []byte) *Stanza {
	return (&head{KindIQ, TypeResult, s.ID(), "", s.to, s.from}).build(payload) // RFC 6120 §8.2.3
}

// Bounce makes the error stanza that answers s: addresses swapped, same kind, id and xml:lang (RFC 6120 §8.3.1). It
// returns nil where there must be no answer: s is an error or a result, or a presence that takes none.
func (s *Stanza) Bounce(e *Error) *Stanza {
	switch {
	case s.Kind == KindOther, s.Type == TypeError, s.Type == TypeResult:
		return nil
	case s.Type == TypeUnavailable, s.Type == TypeProbe: // nobody waits for an answer: the sender is gone or is a server
		return nil
	}
	return (&head{s.Kind, TypeError, s.ID(), s.Lang(), s.to, s.from}).build(e.AppendTo(nil))
}
