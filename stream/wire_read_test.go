package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestRecords: whatever the pieces in which records arrive, TLS gets all of the bytes, and of one record at a time.
func TestRecords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []byte
	var ends []int // of records
	for _, n := range []int{700, 0, 0, 1, 4, 5, 6, 300, 16<<10 + 256, 1, 1<<16 - 1, 0, 12, 256, 255, 5, 0, 20} {
		all = append(all, 22, 3, 3, byte(n>>8), byte(n))
		for range n {
			all = append(all, byte(rnd.Uint32()))
		}
		ends = append(ends, len(all))
	}
	for name, size := range map[string]int{"bytes": 1, "pieces": 517, "records": 1 << 17, "chunks": smallChunk} {
		t.Run(name, func(t *testing.T) {
			server, client := net.Pipe()
			defer client.Close()
			w := &wire{Conn: server}
			w.framed = true
			go func() {
				for off := 0; off < len(all); off += size {
					client.Write(all[off:min(off+size, len(all))])
				}
				client.Close()
			}()
			buf := make([]byte, 1<<17)
			pos, end := 0, 0
			for {
				if w.in == nil && rnd.IntN(3) == 0 && pos < len(all) { // as if the socket had been waited for
					w.in = newChunk(0)
					n, _ := server.Read(w.in.b[:cap(w.in.b)])
					if w.in.b = w.in.b[:n]; n == 0 {
						w.in = nil
					}
				}
				n, err := w.Read(buf[:1+rnd.IntN(len(buf)-1)])
				if !bytes.Equal(buf[:n], all[pos:pos+n]) {
					t.Fatalf("at %d: other bytes", pos)
				}
				if pos += n; n > 0 && pos > ends[end] {
					t.Fatalf("%d bytes of the next record", pos-ends[end])
				}
				if pos == ends[end] {
					if end++; w.head != 0 {
						t.Fatal("the end of a record was not seen")
					}
				} else if n > 0 && w.head == 0 {
					t.Fatalf("the end of a record was seen %d bytes early", ends[end]-pos)
				}
				if err != nil || end == len(ends) {
					break
				}
			}
			if pos != len(all) {
				t.Errorf("%d bytes of %d", pos, len(all))
			}
		})
	}
}

// lumps is a client's connection that keeps what is written until it is flushed, in pieces of a size, or the client reads.
type lumps struct {
	net.Conn
	b    []byte
	size int
}

func (l *lumps) Write(p []byte) (int, error) { l.b = append(l.b, p...); return len(p), nil }

func (l *lumps) Read(p []byte) (int, error) {
	l.flush()
	return l.Conn.Read(p)
}

func (l *lumps) flush() {
	for len(l.b) > 0 {
		n := min(l.size, len(l.b))
		l.Conn.Write(l.b[:n])
		l.b = l.b[n:]
	}
}

// TestPiecesOfTLS: elements arrive in records that come together, the first with the end of the handshake, or byte by byte;
// none waits for the next.
func TestPiecesOfTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{1, 7, 1400, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", tls.VersionName(version), size), func(t *testing.T) {
				s, c := tcpPair(t)
				conn := NewConn(s, testOptions())
				defer conn.Abort()
				l := &lumps{Conn: c, size: size}
				tc := tls.Client(l, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
				const n = 50
				body := func(i int) string {
					return fmt.Sprintf("<message id='%d'>%s</message>", i, strings.Repeat("x", i*37%900))
				}
				sent := make(chan error, 1)
				next := make(chan int)
				go func() {
					err := tc.Handshake()
					tc.Write([]byte(clientHeader))
					for i := range n / 2 {
						tc.Write([]byte(body(i)))
					}
					l.flush()
					for i := range next { // then one at a time: each must arrive by itself
						tc.Write([]byte(body(i)))
						l.flush()
					}
					sent <- err
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := conn.StartTLS(ctx, serverConfig(t)); err != nil {
					t.Fatal(err)
				}
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				var h Header
				if err := conn.ReadHeader(&h); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					if i >= n/2 {
						next <- i
					}
					st, err := conn.Read()
					if err != nil || st.ID() != fmt.Sprint(i) || string(st.Raw) != body(i) {
						t.Fatalf("%d: %v %v", i, st, err)
					}
				}
				close(next)
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				c.Close()
				if st, err := conn.Read(); err == nil {
					t.Errorf("after the end: %v", st)
				}
			})
		}
	}
}

// TestWaitsOutsideTLS: who has nothing to read waits above TLS, without a buffer.
func TestWaitsOutsideTLS(t *testing.T) {
	h, c := openTLS(t, testOptions())
	if h.wire.direct == nil {
		t.Skip("this system has no way to wait for a socket alone")
	}
	write(t, c, chat)
	if _, err := h.Read(); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { _, err := h.Read(); got <- err }()
	buf := make([]byte, 1<<20)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all := string(buf[:runtime.Stack(buf, true)])
		if i := strings.Index(all, "stream.(*wire).idle("); i >= 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nobody waits for the socket:\n%s", all)
		}
	}
	write(t, c, chat)
	if err := <-got; err != nil {
		t.Error(err)
	}
}
