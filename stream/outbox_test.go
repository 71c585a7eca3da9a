package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// slowly makes the kernel take little on both ends.
func slowly(t testing.TB, conns ...net.Conn) {
	for _, c := range conns {
		tc := c.(interface {
			SetReadBuffer(int) error
			SetWriteBuffer(int) error
		})
		if err := errors.Join(tc.SetReadBuffer(4096), tc.SetWriteBuffer(4096)); err != nil {
			t.Fatal(err)
		}
	}
}

// countRecords counts TLS records of application data in what is read.
type countRecords struct {
	net.Conn
	records atomic.Int32
	rest    int // bytes of the current record
	head    []byte
}

func (c *countRecords) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.rest > 0 {
			k := min(c.rest, len(b))
			c.rest, b = c.rest-k, b[k:]
			continue
		}
		c.head, b = append(c.head, b[0]), b[1:]
		if len(c.head) == 5 {
			if c.head[0] == 23 {
				c.records.Add(1)
			}
			c.rest = int(c.head[3])<<8 | int(c.head[4])
			c.head = c.head[:0]
		}
	}
	return n, err
}

func TestBatchCoalesces(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	raw := &countRecords{Conn: c}
	tc := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	go tc.Handshake()
	if err := conn.StartTLS(t.Context(), serverConfig(t)); err != nil {
		t.Fatal(err)
	}
	var b Batch
	ctx := WithBatch(t.Context(), &b)
	const n = 9
	for i := range n {
		queue(t, conn, ctx, fmt.Sprintf("<message id='%d'><body>%s</body></message>", i, strings.Repeat("x", 300)))
	}
	if len(b.conns) != 1 || conn.Waiting() == 0 {
		t.Errorf("%d entries in the batch, %d bytes wait", len(b.conns), conn.Waiting())
	}
	before := raw.records.Load()
	b.Flush()
	if len(b.conns) != 0 || conn.Waiting() != 0 || conn.batch != nil {
		t.Error("the batch is not empty")
	}
	got := expect(t, tc, "id='8'><body>"+strings.Repeat("x", 300)+"</body></message>")
	if c := strings.Count(got, "<message "); c != n {
		t.Errorf("%d messages", c)
	}
	if r := raw.records.Load() - before; r != 1 {
		t.Errorf("%d records, want 1", r)
	}
	// Much output: the first chunk, and then records as long as they can be.
	big := strings.Repeat("y", 1000)
	before = raw.records.Load()
	for range 50 {
		queue(t, conn, ctx, big)
	}
	queue(t, conn, ctx, "end")
	b.Flush()
	expect(t, tc, "end")
	if r := raw.records.Load() - before; r > 6 {
		t.Errorf("%d records for 50 kB", r)
	}
}

// What several readers have for the same audience goes out together; a few devices get theirs at once.
func TestAudience(t *testing.T) {
	for name, c := range map[string]struct {
		conns    int
		together bool
	}{"a few devices": {wide, false}, "an audience": {wide + 1, true}} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // who is ready waits for who runs
			var conns []*Conn
			var peers []net.Conn
			for range c.conns {
				conn, peer := open(t, testOptions())
				conns, peers = append(conns, conn), append(peers, peer)
			}
			say := func(b *Batch, text string) {
				ctx := WithBatch(t.Context(), b)
				for _, conn := range conns {
					queue(t, conn, ctx, text)
				}
			}
			// Go's scheduler prefers who has yielded at every 61st of its choices, and interrupts who runs on a machine that
			// is busy: what is right shows in most of the rounds.
			const rounds = 9
			together := 0
			for range rounds {
				var first, second Batch
				say(&first, "one")
				waits, done := 0, make(chan struct{})
				go func() { // another reader, which is ready to run
					defer close(done)
					for _, conn := range conns {
						waits += conn.Waiting()
					}
					say(&second, "two")
					second.Flush()
				}()
				first.Flush()
				<-done
				for _, peer := range peers {
					if got := expect(t, peer, "two"); !strings.HasSuffix(got, "onetwo") {
						t.Errorf("got %q", got)
					}
				}
				if waits == c.conns*len("one") {
					together++
				}
			}
			if (together > rounds/2) != c.together {
				t.Errorf("in %d of %d rounds all waited for what others said", together, rounds)
			}
		})
	}
}

func TestBatchIsFlushedEarly(t *testing.T) {
	conn, c := open(t, testOptions())
	var b Batch
	ctx := WithBatch(t.Context(), &b)
	for range 17 {
		queue(t, conn, ctx, strings.Repeat("z", 4096))
	}
	queue(t, conn, ctx, "!")
	if w := conn.Waiting(); w > 2*flushAt {
		t.Errorf("%d bytes wait for the batch", w)
	}
	b.Flush()
	expect(t, c, "!")
}

func TestQueueWithoutBatch(t *testing.T) {
	conn, c := open(t, testOptions())
	queue(t, conn, t.Context(), "<a/>")
	expect(t, c, "<a/>")
	queue(t, conn, t.Context(), "") // nothing is no record
	if conn.Waiting() != 0 || conn.out.head != nil {
		t.Error("nothing waits")
	}
}

// R08, H04: a peer that does not read delays nobody and costs bounded memory; what was taken arrives whole, in order.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		s, c := tcpPair(t)
		slowly(t, s, c)
		const limit = 100_000
		conn := NewConn(s, Options{Namespace: stanza.NSClient, Limits: testLimits, WriteBuffer: limit})
		var r net.Conn = c
		if secure {
			tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			go tc.Handshake()
			if err := conn.StartTLS(t.Context(), serverConfig(t)); err != nil {
				t.Fatal(err)
			}
			r = tc
		}
		var want bytes.Buffer
		var err error
		n := 0
		for ; n < 100_000 && err == nil; n++ {
			line := fmt.Sprintf("<message id='%d'>%s</message>", n, strings.Repeat("x", n%2000))
			if err = conn.Queue(t.Context(), func(dst []byte) []byte { return append(dst, line...) }); err == nil {
				want.WriteString(line)
			}
			if w := conn.Waiting(); w > limit+largeChunk+1024 {
				t.Fatalf("%d bytes wait", w)
			}
		}
		if err != ErrSlow {
			t.Fatalf("%v after %d messages", err, n)
		}
		if w := conn.Waiting(); w < limit/2 {
			t.Errorf("slow with only %d bytes waiting", w)
		}
		// Then it reads.
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Error("what arrived is not what was taken")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := conn.WaitBelow(ctx, 0); err != nil {
			t.Error(err)
		}
		cancel()
		queue(t, conn, t.Context(), "<again/>")
		expect(t, r, "<again/>")
		if conn.out.head != nil || conn.wire.left != nil {
			t.Error("buffers are kept")
		}
		conn.Abort()
	}
}

// One element may be longer than all else that may wait, as long as the peer listens.
func TestOneBigElement(t *testing.T) {
	conn, c := open(t, Options{Namespace: stanza.NSClient, Limits: testLimits, WriteBuffer: 1000})
	big := "<a>" + strings.Repeat("b", 1<<20) + "</a>"
	done := make(chan string)
	go func() { done <- expect(t, c, "</a>") }()
	queue(t, conn, t.Context(), big)
	if got := <-done; got != big {
		t.Error("it is not whole")
	}
}

// Many goroutines write to one connection that reads in fits: each one's order stays.
func TestQueueOrder(t *testing.T) {
	conn, tc := openTLS(t, testOptions())
	slowly(t, conn.wire.Conn)
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var b Batch
			ctx := WithBatch(t.Context(), &b)
			for i := range each {
				for {
					err := conn.Queue(ctx, func(dst []byte) []byte { return fmt.Appendf(dst, "%d:%d%s;", w, i, strings.Repeat(" ", i)) })
					if err == nil {
						break
					}
					runtime.Gosched()
				}
				if i%3 == 0 {
					b.Flush()
				}
			}
			b.Flush()
		})
	}
	next := make([]int, writers)
	var buf []byte
	tc.SetReadDeadline(time.Now().Add(20 * time.Second))
	for total := 0; total < writers*each; {
		p := make([]byte, 5000)
		n, err := tc.Read(p)
		if err != nil {
			t.Fatal(err, next)
		}
		buf = append(buf, p[:n]...)
		for {
			line, rest, ok := bytes.Cut(buf, []byte(";"))
			if !ok {
				break
			}
			buf = rest
			var w, i int
			if _, err := fmt.Sscanf(string(line), "%d:%d", &w, &i); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if next[w] != i {
				t.Fatalf("writer %d: %d, want %d", w, i, next[w])
			}
			next[w]++
			total++
		}
	}
	wg.Wait()
}

// H04: the write timeout counts from the last byte taken.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		conn := NewConn(a, Options{Namespace: stanza.NSClient, WriteTimeout: 30 * time.Second})
		start := time.Now()
		queue(t, conn, t.Context(), "0123456789")
		one := make([]byte, 1)
		for range 5 {
			time.Sleep(20 * time.Second)
			if _, err := b.Read(one); err != nil {
				t.Fatal(err)
			}
		}
		<-conn.Done()
		if d := time.Since(start); d < 125*time.Second || d > 161*time.Second {
			t.Errorf("given up after %v", d)
		}
		if err := conn.Queue(t.Context(), func(dst []byte) []byte { return dst }); err != ErrClosed {
			t.Error(err)
		}
		if _, err := conn.Read(); err == nil || !strings.Contains(err.Error(), "write") {
			t.Errorf("the reader does not learn why: %v", err)
		}
		b.Close()
	})
}

// TLS writes when it reads, and a peer could make it write without end.
func TestWireIsBounded(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	conn := NewConn(a, testOptions())
	defer conn.Abort()
	p := make([]byte, 1000)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = conn.wire.Write(p)
	}
	if err != errFlood || n > 2*maxLeft/len(p) {
		t.Errorf("%v after %d writes", err, n)
	}
}

func TestWaitBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		conn := NewConn(a, testOptions())
		queue(t, conn, t.Context(), strings.Repeat("x", 100))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := conn.WaitBelow(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		go io.ReadFull(b, make([]byte, 100))
		if err := conn.WaitBelow(t.Context(), 0); err != nil {
			t.Error(err)
		}
		queue(t, conn, t.Context(), "y")
		time.AfterFunc(time.Second, conn.Hurry)
		for range 2 {
			if err := conn.WaitBelow(t.Context(), 0); err != ErrClosed {
				t.Error(err)
			}
		}
		go io.ReadFull(b, make([]byte, 1))
		if err := conn.waitBelow(t.Context(), 0, true); err != nil { // closing still waits
			t.Error(err)
		}
		queue(t, conn, t.Context(), "z")
		time.AfterFunc(time.Second, conn.Abort)
		if err := conn.WaitBelow(t.Context(), 0); err != ErrClosed {
			t.Error(err)
		}
		b.Close()
	})
}

func TestQueueAfterAbort(t *testing.T) {
	conn, _ := open(t, testOptions())
	conn.Abort()
	conn.Abort()
	if err := conn.Queue(t.Context(), func(dst []byte) []byte { return append(dst, 'x') }); err != ErrClosed {
		t.Error(err)
	}
	conn.Flush()
	conn.WriteHeader(Header{})
	conn.CloseWith(nil)
	if _, err := conn.Read(); err != ErrClosed {
		t.Error(err)
	}
}
