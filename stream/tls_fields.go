//go:build !safe

package stream

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// This file is the one place of the server with unsafe. It holds on to three unexported fields of tls.Conn, found by name and
// type when the program starts; TestTLSFields tells where they are not what they were. `go build -tags safe` does without.

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
