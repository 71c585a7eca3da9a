package stream

import (
	"bytes"
	"crypto/tls"
)

// A tls.Conn keeps the buffer of the largest record that it ever read and that of its handshake for as long as it lives:
// 3.5 kB after a handshake with X25519MLKEM768, 17 kB after one full record, which is more than all the rest of an idle
// connection. It has no method that lets go of them. So while nothing is in them they are taken out here, from outside,
// and the next record is read into a buffer that belongs to the reader of the moment, as the plaintext's does.
//
// How they are reached stands in tls_fields.go. Where they cannot be, because a release of Go has made something else of
// them or the program was built with the tag safe, nothing is taken out and idle connections cost what crypto/tls says.

// tlsBuffers is where in a tls.Conn its buffers are.
type tlsBuffers struct {
	rawInput uintptr // bytes.Buffer: the record that is being read
	input    uintptr // bytes.Reader: of it, what Read has not handed out
	hand     uintptr // bytes.Buffer: handshake messages
}

// empty tells whether TLS has handed out all that it has read. The caller reads.
func (l *tlsBuffers) empty(tc *tls.Conn) bool {
	if l == nil || tc == nil {
		return false
	}
	raw, in, _ := l.of(tc)
	return raw.Len() == 0 && in.Len() == 0
}

// lend gives TLS a buffer to read records into, which reclaim takes back. The caller reads.
func (l *tlsBuffers) lend(tc *tls.Conn, b []byte) {
	if !l.empty(tc) {
		return
	}
	raw, in, _ := l.of(tc)
	in.Reset(nil) // it points into the buffer that goes
	*raw = *bytes.NewBuffer(b[:0])
}

// reclaim takes out the buffers that hold nothing and returns that of records, or nil. The caller reads.
func (l *tlsBuffers) reclaim(tc *tls.Conn) []byte {
	if !l.empty(tc) {
		return nil
	}
	raw, in, hand := l.of(tc)
	in.Reset(nil)
	if hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	raw.Reset()
	b := raw.AvailableBuffer()
	*raw = bytes.Buffer{}
	return b
}
