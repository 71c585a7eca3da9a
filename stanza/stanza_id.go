package stanza

// AppendStanzaID appends the ID that an archive gave to a message (XEP-0359 §3.1).
func AppendStanzaID(dst []byte, by JID, id string) []byte {
	dst = by.appendEscaped(append(dst, "<stanza-id xmlns='"+NSSID+"' by='"...))
	return append(AppendEscaped(append(dst, "' id='"...), id), "'/>"...)
}

// StanzaID returns the ID that an archive gave, or "" where there is none. Who asks must know that nobody else can have
// written it: see DropStanzaIDs.
func (s *Stanza) StanzaID(by JID) string {
	for i := s.Find(NSSID, "stanza-id"); i >= 0; i = s.FindNext(i, NSSID, "stanza-id") {
		if e := s.Element(i); isBy(e, by) {
			return e.Attr("id")
		}
	}
	return ""
}

// DropStanzaIDs leaves out what claims to be an ID of that archive, however it spells the address (XEP-0359 §3.2). Those of
// others, and the sender's own <origin-id/>, stay.
func (s *Stanza) DropStanzaIDs(by JID) {
	for i := s.Find(NSSID, "stanza-id"); i >= 0; i = s.FindNext(i, NSSID, "stanza-id") {
		if isBy(s.Element(i), by) {
			s.Drop(i)
		}
	}
}

func isBy(e *Element, by JID) bool {
	j, err := ParseJID(e.Attr("by"))
	return err == nil && j == by
}
