package stanza

// index is what the scanner and those who change a stanza on its way remember with it.
type index struct {
	attrs []attr // of the root, in order
	// Where in attrs these are, one more than the index; 0: not there.
	iFrom, iTo, iID, iType, iLang, iNS uint16

	nameEnd uint32 // end of the root's name
	head    uint32 // where the root's start tag ends: offset of > or />
	tail    uint32 // where its end tag begins; head where empty
	empty   bool   // the root is <a/>

	// On the way out.
	newFrom, newTo, badFrom, badTo bool
	from, to                       JID
	lang                           string
	dropped                        []int  // indices of Children
	added                          []byte // before the end tag

	outer     []outer // prefixes of the stream header
	used      uint64  // which of them the stanza uses
	defaultNS string  // of the stream that it came from
}

// finish looks up what is asked of every stanza. The addresses are read here and not when they are asked for, so that a
// stanza under way in several sessions is only read.
func (s *Stanza) finish() {
	for i := range s.attrs {
		a := &s.attrs[i]
		at := uint16(min(i+1, 1<<16-1))
		switch a.kind {
		case attrPlain:
			switch string(a.name.all(s.Raw)) {
			case "from":
				s.iFrom = at
			case "to":
				s.iTo = at
			case "id":
				s.iID = at
			case "type":
				s.iType = at
			}
		case attrXML:
			if string(a.name.local(s.Raw)) == "lang" {
				s.iLang = at
			}
		case attrNS:
			s.iNS = at
		}
	}
	s.Kind = KindOther
	if s.NS == s.defaultNS { // and without prefix, else the scanner would have refused it
		switch s.Name {
		case "message":
			s.Kind = KindMessage
		case "presence":
			s.Kind = KindPresence
		case "iq":
			s.Kind = KindIQ
		}
	}
	s.Type = TypeNone
	if s.iType != 0 {
		s.Type = parseType(s.Kind, s.attrs[s.iType-1].value(s.Raw))
	}
	var err error
	if s.iFrom != 0 {
		s.from, err = InternJID(s.attrs[s.iFrom-1].value(s.Raw))
		s.badFrom = err != nil
	}
	if s.iTo != 0 {
		s.to, err = InternJID(s.attrs[s.iTo-1].value(s.Raw))
		s.badTo = err != nil
	}
}

func (s *Stanza) attrAt(i uint16) string {
	if i == 0 {
		return ""
	}
	a := &s.attrs[i-1]
	return unescape(s.Raw[a.val.A:a.val.B], true)
}

func (s *Stanza) isDropped(i int) bool {
	for _, d := range s.dropped {
		if d == i {
			return true
		}
	}
	return false
}

// parseType reads the type attribute: each kind knows its own values.
func parseType(k Kind, b []byte) Type {
	if string(b) == "error" && k != KindOther {
		return TypeError
	}
	switch k {
	case KindMessage: // RFC 6121 §5.2.2
		switch string(b) {
		case "chat":
			return TypeChat
		case "groupchat":
			return TypeGroupchat
		case "normal":
			return TypeNormal
		case "headline":
			return TypeHeadline
		}
	case KindPresence: // RFC 6121 §4.7.1
		switch string(b) {
		case "unavailable":
			return TypeUnavailable
		case "subscribe":
			return TypeSubscribe
		case "subscribed":
			return TypeSubscribed
		case "unsubscribe":
			return TypeUnsubscribe
		case "unsubscribed":
			return TypeUnsubscribed
		case "probe":
			return TypeProbe
		}
	case KindIQ: // RFC 6120 §8.2.3
		switch string(b) {
		case "get":
			return TypeGet
		case "set":
			return TypeSet
		case "result":
			return TypeResult
		}
	}
	return TypeUnknown
}
