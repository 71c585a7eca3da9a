package stream

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxLeft bounds what waits below TLS for a peer that takes nothing: one record, and TLS's own answers to a peer that
// asks for new keys again and again.
const maxLeft = 64 << 10

var errFlood = errors.New("stream: peer makes TLS speak and does not listen")

// wire is the connection below TLS, with a Write that never waits: what the socket does not take is kept, and a goroutine
// that lives only as long as something is left writes it. TLS itself writes here when it reads (alerts, new keys), and a
// reader must not wait for a slow peer either.
type wire struct {
	net.Conn
	direct  *direct   // nil: no way to write without waiting, but poll's
	poll    transport // nil: to wait takes a goroutine
	up      *Conn
	blocked atomic.Bool // something is left; while it is, nothing more should be written

	mu   sync.Mutex
	left *chunk // not yet taken by the socket, beyond what drain has in hand
	hand int32  // bytes that drain has in hand
	err  error
	leaf *[]byte // the certificate shown

	records // the reading side
}

// direct is how a socket of package net is read and written without waiting: the functions are called with its descriptor.
// They are made once, because a closure costs an allocation, so their arguments and results stand beside them.
type direct struct {
	raw syscall.RawConn

	once func(fd uintptr) bool // see tryOnce; guarded by wire.mu
	p    []byte
	n    int
	err  error

	fetch    func(fd uintptr) bool // see fetchOnce; the reading goroutine's
	in       *chunk
	fetchErr error
}

func newWire(nc net.Conn, up *Conn) *wire {
	w := &wire{Conn: nc, up: up}
	if t, ok := nc.(transport); ok {
		w.poll = t
	} else if sc, ok := nc.(syscall.Conn); ok && canTry {
		if raw, err := sc.SyscallConn(); err == nil {
			d := &direct{raw: raw}
			d.once, d.fetch = d.tryOnce, d.fetchOnce
			w.direct = d
		}
	}
	return w
}

// Write takes all of p or fails for good.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	n := 0
	if !w.blocked.Load() {
		var err error
		if n, err = w.try(p); err != nil {
			w.err = err
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	if w.left == nil {
		w.left = newChunk(len(p) - n)
	}
	if len(w.left.b)+len(p)-n > maxLeft {
		w.err = errFlood
		return n, w.err
	}
	w.left.b = append(w.left.b, p[n:]...)
	if !w.blocked.Load() {
		w.blocked.Store(true)
		go w.drain()
	}
	return len(p), nil
}

// try writes what the socket takes now. The caller holds mu.
func (w *wire) try(p []byte) (int, error) {
	switch {
	case w.poll != nil:
		return w.poll.tryWrite(p)
	case w.direct == nil:
		return 0, nil
	}
	d := w.direct
	d.p, d.n, d.err = p, 0, nil
	err := d.raw.Write(d.once)
	d.p = nil
	if err == nil {
		err = d.err
	}
	return d.n, err
}

// drain writes what is left, waiting for the peer. A peer that takes nothing for the write timeout is gone.
func (w *wire) drain() {
	for {
		w.mu.Lock()
		ch := w.left
		w.left = nil
		if ch == nil {
			w.Conn.SetWriteDeadline(time.Time{})
			w.blocked.Store(false)
			w.mu.Unlock()
			w.up.Flush()
			return
		}
		w.hand = int32(len(ch.b))
		w.mu.Unlock()
		for p := ch.b; len(p) > 0; {
			w.Conn.SetWriteDeadline(time.Now().Add(w.up.o.WriteTimeout))
			n, err := w.Conn.Write(p)
			p = p[n:]
			w.mu.Lock()
			w.hand = int32(len(p))
			w.mu.Unlock()
			if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
				w.fail(err)
				return
			}
		}
		ch.free()
	}
}

// fail gives the connection up. What is left is left to the collector.
func (w *wire) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.up.fail(err)
}

// waiting returns the bytes that the socket has not taken.
func (w *wire) waiting() int {
	if !w.blocked.Load() {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := int(w.hand)
	if w.left != nil {
		n += len(w.left.b)
	}
	return n
}

// SetWriteDeadline does nothing: no write waits, and the deadline of the socket is drain's.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads alone, for the same reason.
func (w *wire) SetDeadline(t time.Time) error { return w.Conn.SetReadDeadline(t) }

// CloseWrite tells the peer that nothing more comes, where the transport can.
func (w *wire) CloseWrite() {
	if cw, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite()
	}
}

// noteCertificate is called in the handshake with the certificate chosen.
func (w *wire) noteCertificate(leaf *[]byte) {
	w.mu.Lock()
	w.leaf = leaf
	w.mu.Unlock()
}

func (w *wire) certificate() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaf == nil {
		return nil
	}
	return *w.leaf
}
