//go:build !safe

package stream

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
)

// TestTLSFields fails where Go has changed the inside of a tls.Conn. The server works then, but each idle connection holds
// buffers of 3.5 to 17 kB more: read conn.go of crypto/tls again, and mend tls_buffers.go or take it out.
func TestTLSFields(t *testing.T) {
	if tlsFields == nil {
		t.Fatal("the buffers of tls.Conn are not where they were: see the comment above this test")
	}
	field := func(name string, typ reflect.Type) reflect.StructField {
		return reflect.StructField{Name: name, PkgPath: "crypto/tls", Type: typ}
	}
	buffer, reader := reflect.TypeFor[bytes.Buffer](), reflect.TypeFor[bytes.Reader]()
	for _, typ := range []reflect.Type{
		reflect.StructOf([]reflect.StructField{field("rawInput", reflect.PointerTo(buffer)), field("input", reader), field("hand", buffer)}),
		reflect.StructOf([]reflect.StructField{field("rawInput", buffer), field("input", reader)}),
	} {
		if l := findTLSBuffers(typ); l != nil {
			t.Errorf("%v is taken for a tls.Conn", typ)
		}
	}
}

// TestTLSBuffers: an idle connection holds none, whatever was sent before, and what TLS has not handed out is never lost.
func TestTLSBuffers(t *testing.T) {
	h, c := openTLS(t, testOptions())
	held := func() int {
		raw, _, hand := tlsFields.of(h.secure())
		return raw.Cap() + hand.Cap()
	}
	body := strings.Repeat("x", 12<<10)
	for range 3 {
		write(t, c, "<message><body>"+body+"</body></message>"+chat)
		for range 2 {
			if _, err := h.Read(); err != nil {
				t.Fatal(err)
			}
		}
		// What Read does before it waits.
		h.readMu.Lock()
		h.release()
		h.readMu.Unlock()
		if n := held(); n != 0 {
			t.Errorf("TLS holds %d bytes", n)
		}
	}
	// Half of a record's plaintext is left: the buffer stays.
	write(t, c, "<message/>")
	one := make([]byte, 4)
	h.readMu.Lock()
	defer h.readMu.Unlock()
	if n, err := h.r.Read(one); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	tc := h.r.(*tls.Conn)
	if tlsFields.empty(tc) || tlsFields.reclaim(tc) != nil {
		t.Error("a buffer with bytes in it was taken")
	}
	tlsFields.lend(tc, make([]byte, 100))
	rest := make([]byte, 100)
	if n, err := tc.Read(rest); err != nil || string(one)+string(rest[:n]) != "<message/>" {
		t.Errorf("%q, %v", rest[:n], err)
	}
	if !tlsFields.empty(tc) {
		t.Error("not empty")
	}
	var none *tlsBuffers // as where the layout is unknown
	none.lend(tc, rest)
	if none.empty(tc) || none.reclaim(tc) != nil {
		t.Error("without a layout something is taken")
	}
}
