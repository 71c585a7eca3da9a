package stream

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// A tls.Conn keeps the buffer of the largest record that it ever read and that of its handshake for as long as it lives:
// 3.5 kB after a handshake with X25519MLKEM768, 17 kB after one full record, which is more than all the rest of an idle
// connection. It has no method that lets go of them. So while nothing is in them they are taken out here, from outside,
// and the next record is read into a buffer that belongs to the reader of the moment, as the plaintext's does.
//
// This is the one place of the server with unsafe. It holds on to three unexported fields, found by name and type when the
// program starts. Should a release of Go name them otherwise or make something else of them, nothing is taken out and
// idle connections cost what crypto/tls says; TestTLSFields tells.

// tlsBuffers is where in a tls.Conn its buffers are.
type tlsBuffers struct {
	rawInput uintptr // bytes.Buffer: the record that is being read
	input    uintptr // bytes.Reader: of it, what Read has not handed out
	hand     uintptr // bytes.Buffer: handshake messages
}

// tlsFields is nil where crypto/tls is not as it was when this was written.
var tlsFields = findTLSBuffers(reflect.TypeFor[tls.Conn]())

func findTLSBuffers(conn reflect.Type) *tlsBuffers {
	at := func(name string, typ reflect.Type) (uintptr, bool) {
		f, ok := conn.FieldByName(name)
		return f.Offset, ok && f.Type == typ && len(f.Index) == 1
	}
	var l tlsBuffers
	var ok [3]bool
	l.rawInput, ok[0] = at("rawInput", reflect.TypeFor[bytes.Buffer]())
	l.input, ok[1] = at("input", reflect.TypeFor[bytes.Reader]())
	l.hand, ok[2] = at("hand", reflect.TypeFor[bytes.Buffer]())
	if ok != [3]bool{true, true, true} {
		return nil
	}
	return &l
}

// of returns the buffers of a connection. crypto/tls touches them in Read and in the handshake alone, under a lock that
// nobody holds while the handshake is over and the caller is the only one who reads.
func (l *tlsBuffers) of(tc *tls.Conn) (rawInput *bytes.Buffer, input *bytes.Reader, hand *bytes.Buffer) {
	p := unsafe.Pointer(tc)
	return (*bytes.Buffer)(unsafe.Add(p, l.rawInput)), (*bytes.Reader)(unsafe.Add(p, l.input)), (*bytes.Buffer)(unsafe.Add(p, l.hand))
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
