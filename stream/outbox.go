package stream

import (
	"context"
	"fmt"
)

// flushAt is how much is collected before it is sent even though a batch is open.
const flushAt = 4 * largeChunk

// maxRounds bounds the work that one flusher does for others, who queue while it writes.
const maxRounds = 64

// Queue appends output: fn appends to the outbox and returns it. It never blocks. It fails with ErrSlow when the peer is
// too far behind, and with ErrClosed. Nothing is sent until Flush, or until the batch of ctx is flushed; without a batch it
// is flushed at once. fn runs with the outbox locked: it must not use c.
func (c *Conn) Queue(ctx context.Context, fn func(dst []byte) []byte) error {
	b := BatchOf(ctx)
	c.mu.Lock()
	if c.closed || c.closing.Load() {
		c.mu.Unlock()
		return ErrClosed
	}
	stuck := c.wire.blocked.Load()
	if stuck && c.out.size >= c.o.WriteBuffer {
		c.mu.Unlock()
		return ErrSlow
	}
	ch := c.out.room()
	was := len(ch.b)
	ch.b = fn(ch.b)
	n := len(ch.b) - was
	if stuck && c.out.size+n > c.o.WriteBuffer {
		ch.b = ch.b[:was]
		c.mu.Unlock()
		return ErrSlow
	}
	c.out.size += n
	now := b == nil || c.out.size >= flushAt
	if !now && c.batch != b {
		c.batch = b
		if b.conns == nil {
			b.conns = b.few[:0]
		}
		b.conns = append(b.conns, c)
	}
	c.mu.Unlock()
	if now {
		c.flush(nil)
	}
	return nil
}

// Flush sends what is queued as far as the socket takes it, and leaves the rest to a goroutine. It never blocks.
func (c *Conn) Flush() { c.flush(nil) }

// flush is Flush; done is the batch that need not flush c any more.
//
// One goroutine writes at a time. Who finds another one at it leaves: the other looks for more before it ends. While the
// wire has something left nothing is encrypted; drain calls Flush when it is done. blocked is read and writing is cleared
// under one hold of mu, so that either this flusher sees that the wire is free again, or drain's Flush finds nobody writing.
func (c *Conn) flush(done *Batch) {
	c.mu.Lock()
	if done != nil && c.batch == done {
		c.batch = nil
	}
	if c.writing || c.held {
		c.mu.Unlock()
		return
	}
	c.writing = true
	for round := 0; !c.closed && c.out.head != nil && !c.wire.blocked.Load(); round++ {
		if round == maxRounds {
			c.writing = false
			c.mu.Unlock()
			go c.flush(nil)
			return
		}
		ch := c.out.take()
		tc := c.tls
		c.mu.Unlock()
		n := min(len(ch.b)-ch.off, largeChunk)
		p := ch.b[ch.off : ch.off+n]
		var err error
		switch {
		case n == 0: // a refused Queue
		case tc != nil:
			_, err = tc.Write(p)
		default:
			_, err = c.wire.Write(p)
		}
		c.mu.Lock()
		c.out.size -= n
		if ch.off += n; ch.off < len(ch.b) && err == nil {
			c.out.putBack(ch)
		} else {
			ch.free()
		}
		if err != nil {
			c.writing = false
			c.mu.Unlock()
			c.fail(err)
			return
		}
	}
	c.writing = false
	if c.closed {
		c.out.drop()
	}
	c.wake()
	c.mu.Unlock()
}

// wake lets those go on who wait for the peer to take something. The caller holds mu.
func (c *Conn) wake() {
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// Waiting returns the bytes queued and not yet taken by the socket.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.size + c.wire.waiting()
}

// Blocked tells whether the socket takes nothing more for now.
func (c *Conn) Blocked() bool { return c.wire.blocked.Load() }

// WaitBelow flushes, then waits until no more than n bytes wait for the peer. It is for those who produce much for this
// one peer on its own behalf, such as offline messages; nobody else may wait for a peer. It fails with ErrClosed after
// Hurry.
func (c *Conn) WaitBelow(ctx context.Context, n int) error { return c.waitBelow(ctx, n, false) }

// Hurry is called before a connection is given up by somebody who has to wait for those who wait for its peer: they go on
// at once.
func (c *Conn) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurried = true
	c.wake()
}

// waitBelow is WaitBelow; last says that it is closing that waits.
func (c *Conn) waitBelow(ctx context.Context, n int, last bool) error {
	c.Flush()
	for {
		c.mu.Lock()
		if c.closed || c.hurried && !last {
			c.mu.Unlock()
			return ErrClosed
		}
		if c.out.size+c.wire.waiting() <= n {
			c.mu.Unlock()
			return nil
		}
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		wait := c.drained // Abort wakes too
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fail gives the connection up because it cannot be written to.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.cause == nil && !c.closed {
		c.cause = fmt.Errorf("stream: write: %w", err)
	}
	c.mu.Unlock()
	c.Abort()
}
