package stanza

// AppendStanzaID appends the ID that an archive gave to a message (XEP-0359 §3.1).
func AppendStanzaID(dst []byte, by JID, id string) []byte {
	dst = by.appendEscaped(append(dst, "<stanza-id xmlns='"+NSSID+"' by='"...))
	return append(AppendEscaped(append(dst, "' id='"...), id), "'/>"...)
}

// StanzaID returns the ID that an archive gave, or "" where there is none. Who asks must know that nobody else can have
// written it: see DropStanzaIDs.
func (s *Stanza) StanzaID(by JID) string {
	if i := s.nextStanzaID(-1, by); i >= 0 {
		return s.childAttr(i, "id")
	}
	return ""
}

// HasStanzaID tells whether something claims to be an ID of that archive: whether DropStanzaIDs has something to do.
func (s *Stanza) HasStanzaID(by JID) bool { return s.nextStanzaID(-1, by) >= 0 }

// DropStanzaIDs leaves out what claims to be an ID of that archive, however it spells the address (XEP-0359 §3.2). Those of
// others, and the sender's own <origin-id/>, stay.
func (s *Stanza) DropStanzaIDs(by JID) {
	for i := s.nextStanzaID(-1, by); i >= 0; i = s.nextStanzaID(i, by) {
		s.Drop(i)
	}
}

// nextStanzaID finds the next child behind Children[i] that says it is an archive's.
func (s *Stanza) nextStanzaID(i int, by JID) int {
	for i = s.FindNext(i, NSSID, "stanza-id"); i >= 0; i = s.FindNext(i, NSSID, "stanza-id") {
		if j, err := ParseJID(s.childAttr(i, "by")); err == nil && j == by {
			return i
		}
	}
	return -1
}
