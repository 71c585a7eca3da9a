package stream

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// Sizes of read buffers.
const (
	readSize  = 8 << 10
	readSpare = 32 << 10 // a buffer that grew beyond it is not kept for others
)

// reader is all that reading needs while there are bytes: an idle connection has none.
type reader struct {
	b       []byte // what was read; the unhandled part begins at off
	record  []byte // what TLS reads into; TLS has it while it is lent
	off     int
	scanner stanza.Scanner
	lim     *limits          // what the scanner has
	ready   bool             // the scanner knows the stream
	partial bool             // the scanner has seen the beginning of the element at off
	st      [2]stanza.Stanza // the one handed out, and one for looking ahead
	cur     int
	ahead   bool // st[1-cur], n and err are the result of the scan at off
	n       int
	err     error
}

var readers = sync.Pool{New: func() any { return &reader{b: make([]byte, 0, readSize)} }}

// acquire takes a reader for the connection and gives it the bytes that were read without one.
func (c *Conn) acquire(b []byte) {
	c.rd = readers.Get().(*reader)
	c.rd.b = append(c.rd.b[:0], b...)
	if tc := c.secure(); tc != nil {
		tlsFields.lend(tc, c.rd.record)
		c.rd.record = nil
	}
}

// release gives the reader back. The caller holds readMu.
func (c *Conn) release() {
	rd := c.rd
	if rd == nil {
		return
	}
	c.rd = nil
	rd.forget()
	rd.b, rd.off, rd.lim = rd.b[:0], 0, nil
	if tc := c.secure(); tc != nil {
		if b := tlsFields.reclaim(tc); cap(b) <= readSpare {
			rd.record = b
		}
	}
	if cap(rd.b) <= readSpare {
		readers.Put(rd)
	}
}

// forget drops what is known of the bytes, not the bytes.
func (rd *reader) forget() { rd.ready, rd.partial, rd.ahead, rd.err = false, false, false, nil }

// Read returns the next first-level element, valid until the next Read. Errors: stanza.ErrStreamEnd, *Error, or an I/O
// error. After os.ErrDeadlineExceeded, when the deadline passed, reading can go on; after any other error it cannot.
// An element that takes longer than Options.StanzaTime is an *Error connection-timeout.
func (c *Conn) Read() (*stanza.Stanza, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	for c.readErr == nil {
		if c.closing.Load() {
			return nil, c.why(ErrClosed)
		}
		if rd := c.rd; rd != nil {
			if rd.off < len(rd.b) && !rd.ahead {
				c.scan(rd)
			}
			if rd.ahead {
				n, err := rd.n, rd.err
				rd.ahead, rd.err = false, nil
				if err == nil {
					rd.off += n
					rd.cur = 1 - rd.cur
					c.stanzaBy = 0
					return &rd.st[rd.cur], nil
				}
				if err == stanza.ErrStreamEnd {
					c.ended.Store(true)
				}
				c.readErr = FromSyntax(err)
				break
			}
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return nil, c.readErr
}

// scan looks for an element at rd.off. Where there is none yet, only white space is taken off.
func (c *Conn) scan(rd *reader) {
	if !rd.ready {
		rd.ready = true
		rd.scanner.Reset()
		rd.scanner.DefaultNS = c.o.Namespace
		rd.scanner.Prefixes(c.prefixes...)
	}
	if lim := c.lim.Load(); !rd.partial && lim != rd.lim {
		rd.lim = lim
		rd.scanner.Limits = lim.scan
	}
	rd.n, rd.err = rd.scanner.Scan(rd.b[rd.off:], &rd.st[1-rd.cur])
	if rd.err != stanza.ErrMore {
		rd.ahead, rd.partial = true, false
		return
	}
	rd.off += rd.n
	rd.err = nil
	if max := c.lim.Load().blanks; max > 0 {
		if c.blank += int32(rd.n); int(c.blank) > max {
			rd.ahead, rd.partial = true, false
			rd.err = &Error{Condition: "policy-violation", Text: "too much white space"}
			return
		}
	}
	if rd.partial = rd.off < len(rd.b); rd.partial {
		c.begin()
	}
}

// begin starts the clock for an element that is not complete.
func (c *Conn) begin() {
	if c.o.StanzaTime > 0 && c.stanzaBy == 0 {
		c.stanzaBy = at(time.Now().Add(c.o.StanzaTime))
	}
}

// Buffered tells whether the next Read has its answer already, an element or an error: while it has, output can wait for
// more. A part of an element does not count.
func (c *Conn) Buffered() bool {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	rd := c.rd
	if rd == nil || c.readErr != nil || !c.begun {
		return false
	}
	if !rd.ahead && rd.off < len(rd.b) && !rd.partial {
		c.scan(rd)
	}
	return rd.ahead
}

// fill waits for bytes. A connection with nothing pending waits without a buffer.
func (c *Conn) fill() error {
	if c.rd != nil && c.rd.off == len(c.rd.b) {
		c.release()
	}
	if c.rd == nil && c.calm() {
		if err := c.wait(); err != nil {
			return err
		}
		c.acquire(nil)
	}
	if c.rd == nil {
		n, err := c.receive(c.first[:])
		if err != nil {
			return err
		}
		c.acquire(c.first[:n])
		return nil
	}
	rd := c.rd
	if rd.off > 0 {
		rd.b = rd.b[:copy(rd.b, rd.b[rd.off:])]
		rd.off = 0
	}
	if len(rd.b) == cap(rd.b) {
		// The scanner lets no element grow beyond its limit, so the buffer does not either.
		size := 2 * cap(rd.b)
		if max := c.lim.Load().scan.Size; max > len(rd.b) {
			size = min(size, max+readSize)
		}
		rd.b = append(make([]byte, 0, size), rd.b...)
	}
	n, err := c.receive(rd.b[len(rd.b):cap(rd.b)])
	rd.b = rd.b[:len(rd.b)+n]
	return err
}

// calm tells whether nothing of the peer's is on its way between the socket and us, and the socket can be waited for.
func (c *Conn) calm() bool {
	switch {
	case !c.wire.between():
		return false
	case c.secure() != nil:
		return c.dry && (c.wire.direct != nil || c.wire.poll != nil)
	}
	return c.wire.parks
}

// wait waits for the first bytes of something new, and minds the deadlines.
func (c *Conn) wait() error {
	for {
		if err := c.arm(); err != nil {
			return err
		}
		var err error
		if c.wire.parks {
			err = c.wire.fetch()
		} else {
			err = c.wire.idle()
		}
		if err == nil || err == ErrIdle {
			return err
		}
		if err := c.failed(err); err != nil {
			return err
		}
	}
}

// failed is what becomes of an error of reading; nil: reading goes on.
func (c *Conn) failed(err error) error {
	switch {
	case err == ErrIdle:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.expired()
	}
	return c.why(err)
}

// receive reads into p, as much as the rate allows, and minds the deadlines.
func (c *Conn) receive(p []byte) (int, error) {
	for {
		allowed, err := c.ration(len(p))
		if err != nil {
			return 0, err
		}
		if err := c.arm(); err != nil {
			return 0, err
		}
		n := 0
		if c.dry {
			err = c.wire.idle()
		}
		if err == nil {
			n, err = c.r.Read(p[:allowed])
		}
		c.dry = n < allowed || tlsFields.empty(c.secure()) // TLS has handed out all of a record
		if err == ErrIdle && (c.rd == nil || c.rd.off == len(c.rd.b)) {
			return 0, err
		}
		if n > 0 {
			c.tokens -= float64(n)
			c.heard.Store(int64(at(time.Now())))
			return n, nil // an error that came with them comes again
		}
		if err != nil {
			if err := c.failed(err); err != nil {
				return 0, err
			}
		}
	}
}

// arm sees to it that the socket's deadline is no later than those wanted. It may be earlier: then expired finds that
// nothing is over yet, and the next arm sets it right. So a deadline that moves on with every stanza costs no timer.
func (c *Conn) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() {
		return ErrClosed
	}
	want := c.deadline
	if c.stanzaBy != 0 && (want == 0 || c.stanzaBy < want) {
		want = c.stanzaBy
	}
	if want != 0 && (c.armed == 0 || want < c.armed) {
		c.setDeadline(want)
	}
	return nil
}

// expired tells which deadline has passed, if any.
func (c *Conn) expired() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() {
		return ErrClosed
	}
	now := at(time.Now())
	c.setDeadline(0)
	switch {
	case c.stanzaBy != 0 && now >= c.stanzaBy:
		c.readErr = &Error{Condition: "connection-timeout", Text: "the element took too long to arrive"}
		return c.readErr
	case c.deadline != 0 && now >= c.deadline:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// why returns the reason that a connection was given up for, where that is not the error of the read itself.
func (c *Conn) why(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return c.cause
	case c.closing.Load():
		return ErrClosed
	}
	return err
}
