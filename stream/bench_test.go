package stream

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

var chat = "<message to='bob@a.test/phone' type='chat' id='m1'><body>" + strings.Repeat("hello ", 40) +
	"</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"

// hop carries one stanza from a client over two connections to another client, the way a router does.
type hop struct {
	from, to *Conn
	in, out  net.Conn
	batch    Batch
	buf      []byte
	msg      []byte
}

func newHop(t testing.TB, secure bool) *hop {
	h := &hop{buf: make([]byte, 64<<10), msg: []byte(chat)}
	if !secure {
		h.from, h.in = open(t, testOptions())
		h.to, h.out = open(t, testOptions())
		return h
	}
	var a, b net.Conn
	h.from, a = openTLS(t, testOptions())
	h.to, b = openTLS(t, testOptions())
	h.in, h.out = a, b
	return h
}

func (h *hop) read(t testing.TB) *stanza.Stanza {
	if _, err := h.in.Write(h.msg); err != nil {
		t.Fatal(err)
	}
	st, err := h.from.Read()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (h *hop) deliver(t testing.TB, st *stanza.Stanza, n int) {
	ctx := WithBatch(t.Context(), &h.batch)
	for range n {
		if err := h.to.Queue(ctx, func(dst []byte) []byte { return append(dst, st.Raw...) }); err != nil {
			t.Fatal(err)
		}
	}
	h.batch.Flush()
	if _, err := io.ReadFull(h.out, h.buf[:n*len(st.Raw)]); err != nil {
		t.Fatal(err)
	}
}

// The path of a stanza allocates nothing: not reading, not queueing, not writing.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	// crypto/tls allocates once for each record read: here, and at the client who gets it.
	for secure, allowed := range map[bool]float64{false: 0, true: 2} {
		h := newHop(t, secure)
		ctx := WithBatch(t.Context(), &h.batch)
		one := func() {
			st := h.read(t)
			if err := h.to.Queue(ctx, func(dst []byte) []byte { return append(dst, st.Raw...) }); err != nil {
				t.Fatal(err)
			}
			if !h.from.Buffered() {
				h.batch.Flush()
			}
			if _, err := io.ReadFull(h.out, h.buf[:len(st.Raw)]); err != nil {
				t.Fatal(err)
			}
			h.from.SetReadDeadline(time.Now().Add(time.Minute))
		}
		one()
		if n := testing.AllocsPerRun(500, one); n > allowed {
			t.Errorf("TLS %v: %v allocations for each stanza", secure, n)
		}
	}
}

// BenchmarkRead is the client's write, and a stanza's way from the socket to the index.
func BenchmarkRead(b *testing.B) {
	h := newHop(b, true)
	b.ReportAllocs()
	b.SetBytes(int64(len(h.msg)))
	for b.Loop() {
		h.read(b)
	}
}

// BenchmarkDeliver is queue, flush, and the client's read, for one stanza and for eleven in one flush.
func BenchmarkDeliver(b *testing.B) {
	for name, n := range map[string]int{"one": 1, "eleven": 11} {
		b.Run(name, func(b *testing.B) {
			h := newHop(b, true)
			st := h.read(b).Retain()
			b.ReportAllocs()
			b.SetBytes(int64(n * len(h.msg)))
			for b.Loop() {
				h.deliver(b, st, n)
			}
		})
	}
}

// BenchmarkQueue is queueing alone: the outbox is emptied without a socket.
func BenchmarkQueue(b *testing.B) {
	a, c := net.Pipe()
	defer c.Close()
	conn := NewConn(a, testOptions())
	defer conn.Abort()
	var batch Batch
	ctx := WithBatch(b.Context(), &batch)
	msg := []byte(chat)
	b.ReportAllocs()
	for b.Loop() {
		conn.Queue(ctx, func(dst []byte) []byte { return append(dst, msg...) })
		conn.out.drop()
	}
}

// BenchmarkIdle is what a silent connection costs, both ends of it: half is the client's, which has no Conn.
func BenchmarkIdle(b *testing.B) {
	const n = 200
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		stop := make([]func(), 0, n)
		for range n {
			h, c := openTLS(b, testOptions())
			write(b, c, chat)
			if _, err := h.Read(); err != nil {
				b.Fatal(err)
			}
			go h.Read()
			stop = append(stop, h.Abort, func() { c.Close() })
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/pair")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-B/pair")
		for _, f := range stop {
			f()
		}
	}
}
