package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"
)

// closeTime is how long a peer is waited for in each of the two steps of closing: its </stream:stream>, and its end of
// the connection.
const closeTime = time.Second

// maxDiscard bounds what is read of a peer that goes on sending meanwhile.
const maxDiscard = 4 << 20

var endTag = []byte("</stream:stream>")

// CloseWith sends what is queued, then the stream error if there is one, then </stream:stream>, waits briefly for the
// peer's, and closes the connection. It writes our header first where none was sent (RFC 6120 §4.9.1.2). It does not
// block: the waiting is a goroutine's, for two seconds at most; Done tells when all is over. A Read that waits, and all
// later ones, return ErrClosed. Calls after the first do nothing.
func (c *Conn) CloseWith(e *Error) {
	c.mu.Lock()
	if c.closed || c.closing.Swap(true) {
		c.mu.Unlock()
		return
	}
	if c.held { // in a handshake there is nothing to say
		c.mu.Unlock()
		c.Abort()
		return
	}
	// A reader that waits is woken; from now on the deadline is ours.
	c.wire.SetReadDeadline(time.Unix(1, 0))
	ch := c.out.room()
	was := len(ch.b)
	if !c.greeted {
		c.greeted = true
		h := Header{ID: rand.Text()}
		if c.asked != nil {
			h.From = *c.asked
		}
		ch.b = appendHeader(ch.b, c.o.Namespace, h)
	}
	if e != nil {
		ch.b = e.AppendTo(ch.b)
	}
	ch.b = append(ch.b, endTag...)
	c.out.size += len(ch.b) - was
	c.mu.Unlock()
	c.Flush()
	go c.linger()
}

// linger ends the connection: the stream (RFC 6120 §4.4), then TLS (RFC 8446 §6.1), then TCP. What the peer still sends
// is read and dropped, because closing a socket with unread bytes makes TCP discard what we wrote.
func (c *Conn) linger() {
	defer c.Abort()
	limit := time.Now().Add(closeTime)
	ctx, cancel := context.WithDeadline(context.Background(), limit)
	err := c.waitBelow(ctx, 0, true)
	cancel()
	if err != nil {
		return // gone, or it takes nothing
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	c.release()
	c.wire.parks = false
	// A peer that never spoke XMPP has no end tag to wait for, and a browser waits for us.
	if c.begun && !c.ended.Load() && !c.discard(limit, endTag) {
		return
	}
	c.mu.Lock()
	tc := c.tls
	c.mu.Unlock()
	if tc != nil {
		tc.CloseWrite()
	}
	c.wire.CloseWrite()
	c.discard(time.Now().Add(closeTime), nil)
}

// discard reads until the bytes of until were seen, or the time is up. It returns false when there is nothing more to
// read.
func (c *Conn) discard(limit time.Time, until []byte) bool {
	c.wire.SetReadDeadline(limit)
	ch := newChunk(0)
	defer ch.free()
	buf := ch.b[:cap(ch.b)]
	keep := 0 // a beginning of until at the end of what was read
	for total := 0; total < maxDiscard; {
		n, err := c.r.Read(buf[keep:])
		total += n
		if n += keep; until != nil {
			if bytes.Contains(buf[:n], until) {
				return true
			}
			keep = copy(buf, buf[max(0, n-len(until)+1):n])
		}
		if err != nil {
			return !time.Now().Before(limit)
		}
	}
	return true
}

// Abort closes the connection without a word.
func (c *Conn) Abort() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.closing.Store(true)
	if !c.writing {
		c.out.drop()
	}
	c.wake()
	if c.done != nil {
		close(c.done)
	}
	c.mu.Unlock()
	c.wire.Close()
}
