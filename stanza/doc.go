// Package stanza holds what travels over XMPP: JIDs, stanzas, their errors, and the strict scanner that makes a stanza
// out of bytes. It does no I/O and imports nothing of ours.
//
// # Implementation notes
//
//   - A Stanza is the bytes that arrived plus a light index. Nobody re-encodes what nobody changed: a new address, an
//     added or a dropped child is spliced in by [Stanza.AppendTo].
//   - Whatever becomes a Stanza went through [Scanner]: the wire, the disk and a module's own text alike. What is
//     forwarded is exactly what was checked.
//   - A Stanza read from a stream points into the read buffer and is valid until the next read. Who keeps it calls
//     [Stanza.Retain].
//   - A Stanza may be read by many goroutines. Who changes one that others may hold calls [Stanza.Clone] first.
//   - The scanner reads each byte once, whatever the pieces in which it arrives: scan.go is the states between tags,
//     scan_tag.go those inside one, scan_ns.go what prefixes mean. All positions are offsets from the element's first
//     byte, so the caller may move its buffer. Its working memory comes from a pool: a silent stream holds none.
//   - It is stricter than XML 1.0 in three places, since what one parser takes and another refuses ends streams or smuggles
//     stanzas: names follow the fourth edition too (chars.go), namespace names hold no character that no URI has
//     (scan_ns.go), and a reference has no more than 24 digits.
//   - Addresses are prepared once per spelling: [InternJID] remembers them in a cache of fixed size (intern.go).
package stanza
