package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// SetReadBuffer and SetWriteBuffer are what tests want of a connection beyond net.Conn.
func (s *socket) SetReadBuffer(n int) error {
	return syscall.SetsockoptInt(int(s.fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, n)
}

func (s *socket) SetWriteBuffer(n int) error {
	return syscall.SetsockoptInt(int(s.fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, n)
}

// adopted is tcpPair with a socket.
func adopted(t testing.TB, p *Poller) (*socket, *net.TCPConn) {
	t.Helper()
	s, c := tcpPair(t)
	if _, ok := s.(*net.TCPConn); !ok {
		return s.(*socket), c.(*net.TCPConn)
	}
	sock, ok := p.Adopt(s).(*socket)
	if !ok {
		t.Fatal("not adopted")
	}
	t.Cleanup(func() { sock.Close() })
	return sock, c.(*net.TCPConn)
}

// sleeper is a Resumer that tells when it is called.
type sleeper chan struct{}

func (s sleeper) Resume() { s <- struct{}{} }

func (s sleeper) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s:
	case <-time.After(10 * time.Second):
		t.Fatal("not resumed")
	}
}

func (s sleeper) quiet(t testing.TB) {
	t.Helper()
	select {
	case <-s:
		t.Fatal("resumed for nothing")
	default:
	}
}

// park parks, after reading what there is: edge-triggered events must not be lost between the two.
func (s sleeper) park(t testing.TB, sock *socket) (read string) {
	t.Helper()
	buf := make([]byte, 100)
	for !sock.park(s) {
		sock.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := sock.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		sock.SetReadDeadline(time.Time{})
		read += string(buf[:n])
	}
	return read
}

func TestParkedBytes(t *testing.T) {
	p := newPoller(t)
	sock, c := adopted(t, p)
	s := make(sleeper, 1)
	for i := range 100 {
		if got := s.park(t, sock); got != "" {
			t.Fatalf("%d: %q was there", i, got)
		}
		s.quiet(t)
		write(t, c, "x")
		s.wait(t)
		buf := make([]byte, 100)
		if n, err := sock.Read(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
}

// What resumes a parked connection besides bytes.
func TestParkedEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*socket, *net.TCPConn)
		want error
	}{
		"the peer closes":             {func(_ *socket, c *net.TCPConn) { c.Close() }, io.EOF},
		"the peer closes its side":    {func(_ *socket, c *net.TCPConn) { c.CloseWrite() }, io.EOF},
		"the peer resets":             {func(_ *socket, c *net.TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET},
		"we close":                    {func(s *socket, _ *net.TCPConn) { s.Close() }, net.ErrClosed},
		"a deadline passes":           {func(s *socket, _ *net.TCPConn) { s.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"a deadline that has passed":  {func(s *socket, _ *net.TCPConn) { s.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"a deadline comes nearer":     {deadlines2(time.Hour, 20*time.Millisecond), os.ErrDeadlineExceeded},
		"a deadline moves on and out": {deadlines2(10*time.Millisecond, 30*time.Millisecond), os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			sock, peer := adopted(t, newPoller(t))
			s := make(sleeper, 1)
			s.park(t, sock)
			c.do(sock, peer)
			s.wait(t)
			if n, err := sock.Read(make([]byte, 10)); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("%d, %v", n, err)
			}
			if sock.park(s) {
				t.Error("parks again")
			}
		})
	}
}

func deadlines2(a, b time.Duration) func(*socket, *net.TCPConn) {
	return func(s *socket, _ *net.TCPConn) {
		s.SetReadDeadline(time.Now().Add(a))
		s.SetReadDeadline(time.Now().Add(b))
	}
}

// The end of a peer that comes with its last bytes is seen, though there is but one event for both.
func TestLastBytesAndEnd(t *testing.T) {
	p := newPoller(t)
	for range 50 {
		sock, c := adopted(t, p)
		s := make(sleeper, 1)
		s.park(t, sock)
		write(t, c, "bye")
		c.Close()
		s.wait(t)
		var got []byte
		for {
			for sock.park(s) {
				s.wait(t)
			}
			buf := make([]byte, 100)
			n, err := sock.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != "bye" {
			t.Fatalf("%q", got)
		}
		sock.Close()
	}
}

// An event for a socket that is gone finds nobody, though another has its slot and its descriptor.
func TestEventsOfTheGone(t *testing.T) {
	p := newPoller(t)
	a, _ := adopted(t, p)
	p = a.p
	slot, gen := a.slot, p.slots[a.slot].gen
	if p.find(slot, gen) != a {
		t.Error("it was not found while it was there")
	}
	a.Close()
	if s := p.find(slot, gen); s != nil {
		t.Error("found after its end")
	}
	server, _ := tcpPair(t)
	b, ok := server.(*socket)
	if !ok || b.p != p {
		b = p.Adopt(server).(*socket)
		defer b.Close()
	}
	if b.p == p && (b.slot != slot || p.find(slot, gen) != nil || p.find(slot, p.slots[slot].gen) != b) {
		t.Errorf("slot %d after slot %d: an old event finds it", b.slot, slot)
	}
	if _, err := a.Read(make([]byte, 1)); err != net.ErrClosed {
		t.Error(err)
	}
	if _, err := a.tryWrite([]byte("x")); err != net.ErrClosed {
		t.Errorf("a closed socket writes to a descriptor of another: %v", err)
	}
	if err := a.Close(); err != net.ErrClosed {
		t.Error(err)
	}
}

// TestSocketChurn opens, writes to, parks and closes from all sides at once; under -race this is the test of the locks. No
// byte of one connection may turn up in another.
func TestSocketChurn(t *testing.T) {
	p := newPoller(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(w)))
			for i := range 40 {
				sock, c := adopted(t, p)
				mark := fmt.Sprintf("<%d %d>", w, i)
				s := make(sleeper, 8)
				var inner sync.WaitGroup
				inner.Go(func() {
					for range 20 {
						if _, err := io.WriteString(c, mark); err != nil {
							return
						}
						if rnd := i % 3; rnd == 0 {
							runtime.Gosched()
						}
					}
					if i%2 == 0 {
						c.Close()
					}
				})
				inner.Go(func() {
					for range 10 {
						sock.tryWrite([]byte(mark))
						sock.SetReadDeadline(time.Now().Add(time.Hour))
					}
				})
				stop := rnd.IntN(30)
				var got strings.Builder
				for n := 0; ; n++ {
					if n == stop {
						inner.Go(func() { sock.Close() })
					}
					if sock.park(s) {
						s.wait(t)
					}
					buf := make([]byte, 1+rnd.IntN(100))
					k, err := sock.Read(buf)
					got.Write(buf[:k])
					if err != nil {
						break
					}
					if len(got.String()) >= 20*len(mark) && i%2 != 0 {
						break
					}
				}
				if all := strings.Repeat(mark, 20); !strings.HasPrefix(all, got.String()) {
					t.Errorf("%s: got %q", mark, got.String())
				}
				sock.Close()
				inner.Wait()
				c.Close()
			}
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) != len(p.slots) || len(p.due) != 0 {
		t.Errorf("%d of %d slots are free, %d deadlines are left", len(p.free), len(p.slots), len(p.due))
	}
}

// Write waits for the peer, until the deadline.
func TestSocketWrite(t *testing.T) {
	sock, c := adopted(t, newPoller(t))
	slowly(t, sock, c)
	big := make([]byte, 200<<10)
	sock.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // what fits is written before, under load too
	if n, err := sock.Write(big); n <= 0 || n == len(big) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(n, err)
	} else {
		big = big[n:]
	}
	c.SetReadBuffer(1 << 20)
	sock.SetWriteBuffer(1 << 20)
	go io.Copy(io.Discard, c)
	sock.SetWriteDeadline(time.Time{})
	if n, err := sock.Write(big); n != len(big) || err != nil {
		t.Error(n, err)
	}
}

// parkedReader reads a Conn as c2s does.
type parkedReader struct {
	t    testing.TB
	c    *Conn
	got  atomic.Int32
	end  chan error
	deep atomic.Int32 // goroutines that read
}

func (r *parkedReader) Resume() {
	r.deep.Add(1)
	defer r.deep.Add(-1)
	for {
		if r.c.Park(r) {
			return
		}
		if _, err := r.c.Read(); err == ErrIdle {
			continue
		} else if err != nil {
			r.end <- err
			return
		}
		r.got.Add(1)
	}
}

func TestPark(t *testing.T) {
	if transportUnderTest != "epoll" {
		t.Skip("for TestEpoll")
	}
	for name, do := range map[string]func(*Conn, net.Conn){
		"abort":     func(c *Conn, _ net.Conn) { c.Abort() },
		"end":       func(c *Conn, _ net.Conn) { c.CloseWith(nil) },
		"peer ends": func(_ *Conn, p net.Conn) { io.WriteString(p, "</stream:stream>") },
		"peer goes": func(_ *Conn, p net.Conn) { p.Close() },
		"silence":   func(c *Conn, _ net.Conn) { c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
	} {
		for _, secure := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s TLS=%t", name, secure), func(t *testing.T) {
				var c *Conn
				var peer net.Conn
				if secure {
					c, peer = openTLS(t, testOptions())
				} else {
					c, peer = open(t, testOptions())
				}
				c.SetReadDeadline(time.Now().Add(time.Hour))
				r := &parkedReader{t: t, c: c, end: make(chan error, 1)}
				go r.Resume()
				for n, part := range []string{chat, " ", chat + chat, chat[:len(chat)/2], chat[len(chat)/2:]} {
					write(t, peer, part)
					want := []int32{1, 1, 3, 3, 4}[n]
					until(t, func() bool { return r.got.Load() == want })
					if n == 3 {
						continue // in the middle of an element its reader waits
					}
					until(t, func() bool { return r.deep.Load() == 0 })
					c.readMu.Lock()
					if c.rd != nil || c.wire.in != nil {
						t.Error("a parked connection holds a buffer")
					}
					if tc := c.secure(); tc != nil && tlsFields != nil {
						raw, _, hand := tlsFields.of(tc)
						if raw.Cap() != 0 || hand.Cap() != 0 {
							t.Errorf("TLS holds %d and %d bytes", raw.Cap(), hand.Cap())
						}
					}
					c.readMu.Unlock()
				}
				do(c, peer)
				select {
				case <-r.end:
				case <-time.After(10 * time.Second):
					t.Fatal("nobody was resumed")
				}
			})
		}
	}
}

func until(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain")
		}
	}
}

// A connection that is no TCP connection stays what it is.
func TestAdoptsTCPAlone(t *testing.T) {
	p := newPoller(t)
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if p.Adopt(a) != a {
		t.Error("a pipe was adopted")
	}
}

func TestSocketAddresses(t *testing.T) {
	sock, c := adopted(t, newPoller(t))
	if sock.RemoteAddr().String() != c.LocalAddr().String() || sock.LocalAddr().String() != c.RemoteAddr().String() {
		t.Errorf("%v to %v, the peer says %v to %v", sock.LocalAddr(), sock.RemoteAddr(), c.RemoteAddr(), c.LocalAddr())
	}
}

// Handshakes work over a socket as over any connection, with a deadline.
func TestSocketHandshakeEnds(t *testing.T) {
	sock, _ := adopted(t, newPoller(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	c := NewConn(sock, testOptions())
	defer c.Abort()
	if err := c.StartTLS(ctx, &tls.Config{}); err == nil {
		t.Error("a handshake without a peer")
	}
}

func TestDeadlines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var h deadlines
	in := map[*socket]bool{}
	for range 10000 {
		switch {
		case len(h) == 0 || rnd.IntN(5) < 3:
			s := &socket{}
			h.add(s, instant(rnd.IntN(1000)))
			in[s] = true
		default:
			s := h[rnd.IntN(len(h))]
			if rnd.IntN(2) == 0 {
				s = h[0]
				for o := range in {
					if o.due < s.due {
						t.Fatalf("%d is first, and there is %d", s.due, o.due)
					}
				}
			}
			h.remove(s)
			delete(in, s)
			h.remove(s) // does nothing
		}
		if len(h) != len(in) {
			t.Fatalf("%d, want %d", len(h), len(in))
		}
		if len(h) > 300 {
			for _, s := range slices.Clone(h) {
				h.remove(s)
			}
			clear(in)
		}
	}
}

// TestParkAfterFullBuffer: where a record fills the reader's buffer exactly, and nobody knows what TLS holds, the reader finds
// out without waiting inside TLS, and parks. Half an element is waited for; the end is said and heard as ever.
func TestParkAfterFullBuffer(t *testing.T) {
	if transportUnderTest != "epoll" {
		t.Skip("for TestEpoll")
	}
	known := tlsFields
	tlsFields = nil
	t.Cleanup(func() { tlsFields = known })
	c, peer := openTLS(t, testOptions())
	r := &parkedReader{t: t, c: c, end: make(chan error, 1)}
	go r.Resume()
	parked := func() bool { return r.deep.Load() == 0 }
	until(t, parked)
	full := "<message><body>" + strings.Repeat("x", readSize-len("<message><body></body></message>")) + "</body></message>"
	for n := range int32(3) {
		write(t, peer, full)
		until(t, func() bool { return r.got.Load() == n+1 })
		until(t, parked)
	}
	write(t, peer, chat+"<message>") // the last read brings what fits, and half of an element stays
	until(t, func() bool { return r.got.Load() == 4 })
	write(t, peer, "</message>")
	until(t, func() bool { return r.got.Load() == 5 })
	until(t, parked)
	c.CloseWith(nil)
	expect(t, peer, "</stream:stream>")
	select {
	case <-c.Done():
		t.Error("the peer's end was not waited for")
	case <-time.After(50 * time.Millisecond):
	}
	write(t, peer, "</stream:stream>")
	if err := <-r.end; err != ErrClosed {
		t.Error(err)
	}
}
