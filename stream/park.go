package stream

import (
	"crypto/tls"
	"net"
)

// transport is a connection that can wait without a goroutine: a Poller's.
type transport interface {
	net.Conn
	// tryWrite writes what the socket takes now. That it takes less is no error.
	tryWrite(p []byte) (int, error)
	// wait returns when there may be something to read, or with an error; readNow reads, or fails with ErrIdle.
	wait() error
	readNow(p []byte) (int, error)
	// park has r resumed when wait would return; false: it would at once.
	park(r Resumer) bool
}

// Park gives the connection to its transport until Read would return: r.Resume is then called, once, on a goroutine of the
// transport's, and goes on with Read or parks again. Until then the connection has no goroutine and holds no buffer; who
// got true is not its reader any more. It returns false where Read would not have to wait, where it is in the middle of
// something, and where the transport is a goroutine for each connection: then the caller just reads. From the first call on
// Read fails with ErrIdle where it would wait for something new, and the caller parks again.
func (c *Conn) Park(r Resumer) bool {
	t := c.wire.poll
	if t == nil {
		return false
	}
	c.readMu.Lock()
	defer c.readMu.Unlock()
	c.wire.parks = true
	if rd := c.rd; c.readErr != nil || !c.begun || rd != nil && (rd.ahead || rd.off < len(rd.b)) || !c.calm() {
		return false
	}
	c.release()
	return c.arm() == nil && t.park(r)
}

// secure returns the TLS that is read from, or nil. The caller holds readMu.
func (c *Conn) secure() *tls.Conn {
	tc, _ := c.r.(*tls.Conn)
	return tc
}
