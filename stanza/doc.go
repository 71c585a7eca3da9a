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
package stanza
