package xtest

import (
	"crypto/rand"
	bin "encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// Hello is a ClientHello written by hand, for what crypto/tls does not offer.
type Hello struct {
	Record      uint16 // version of the record; 0x0301 where 0
	Version     uint16 // the highest, before TLS 1.3
	Versions    []uint16
	Suites      []uint16
	Compression []byte // {0} where nil
	Host        string // SNI
	KeyShare    bool   // an X25519 share, for TLS 1.3
	EarlyData   bool
}

// Answer is what a server says to a ClientHello.
type Answer struct {
	Alert       byte // 0: it went on
	Version     uint16
	Suite       uint16
	Compression byte
	Closed      bool // without an answer
}

// Alerts (RFC 8446 §6).
const (
	AlertHandshakeFailure     = 40
	AlertProtocolVersion      = 70
	AlertUnsupportedExtension = 110
)

func vec8(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }
func vec16(b []byte) []byte { return append(bin.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
func words(w ...uint16) (b []byte) {
	for _, v := range w {
		b = bin.BigEndian.AppendUint16(b, v)
	}
	return b
}

// Bytes is the hello in one record.
func (h Hello) Bytes() []byte {
	var ext []byte
	add := func(id uint16, body []byte) { ext = append(append(ext, words(id)...), vec16(body)...) }
	if h.Host != "" {
		add(0, vec16(append([]byte{0}, vec16([]byte(h.Host))...)))
	}
	add(10, vec16(words(29, 23, 24)))                                                     // x25519, P-256, P-384
	add(11, vec8(0))                                                                      // points
	add(13, vec16(words(0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0201))) // signatures
	if len(h.Versions) > 0 {
		add(43, vec8(words(h.Versions...)...))
	}
	random := make([]byte, 64)
	rand.Read(random)
	if h.KeyShare {
		add(51, vec16(append(words(29), vec16(random[32:])...)))
		add(45, vec8(1))
	}
	if h.EarlyData {
		add(42, nil)
	}
	comp := h.Compression
	if comp == nil {
		comp = []byte{0}
	}
	body := append(words(h.Version), random[:32]...)
	body = append(body, vec8(random[32:]...)...) // session id
	body = append(body, vec16(words(h.Suites...))...)
	body = append(body, vec8(comp...)...)
	if h.Version > 0x0300 {
		body = append(body, vec16(ext)...)
	}
	msg := append([]byte{1, 0}, vec16(body)...)
	if h.Record == 0 {
		h.Record = 0x0301
	}
	return append(append([]byte{22}, words(h.Record)...), vec16(msg)...)
}

// Ask sends the hello to the port of direct TLS and reads the first word of the answer.
func (h Hello) Ask(t testing.TB, s *Server) Answer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.C2STLS, Wait)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(Wait))
	if _, err := nc.Write(h.Bytes()); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(nc, head); err != nil {
		if isTimeout(err) {
			t.Fatal("the server neither answers nor closes")
		}
		return Answer{Closed: true}
	}
	body := make([]byte, bin.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(nc, body); err != nil {
		t.Fatal(err)
	}
	switch {
	case head[0] == 21 && len(body) == 2:
		if _, err := nc.Read(head); err == nil || errors.Is(err, net.ErrClosed) || isTimeout(err) {
			t.Errorf("the connection is still open after alert %d", body[1])
		}
		return Answer{Alert: body[1]}
	case head[0] == 22 && body[0] == 2 && len(body) > 39:
		a := Answer{Version: bin.BigEndian.Uint16(body[4:])}
		rest := body[38:]
		rest = rest[1+rest[0]:]
		a.Suite, a.Compression = bin.BigEndian.Uint16(rest), rest[2]
		return a
	}
	t.Fatalf("the server answers with a record of type %d: % x", head[0], body[:min(len(body), 16)])
	return Answer{}
}
