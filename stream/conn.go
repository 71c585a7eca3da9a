package stream

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// Options configure a Conn.
type Options struct {
	Namespace    string        // content namespace: stanza.NSClient or stanza.NSServer
	Limits       stanza.Limits // in force until SetLimits
	WriteTimeout time.Duration // a peer that takes nothing this long is gone; 0: 30 s
	WriteBuffer  int           // bytes that may wait for a slow peer; beyond it Queue fails with ErrSlow; 0: 1 MiB
	Rate, Burst  int           // bytes a second read in the long run, and at once; 0: no limit
	StanzaTime   time.Duration // from a stanza's first byte to its last; 0: no limit
	Blanks       int           // bytes of white space between elements, in all, until SetLimits; 0: no limit
}

// What Options has where it says nothing.
const (
	defaultWriteTimeout = 30 * time.Second
	defaultWriteBuffer  = 1 << 20
)

// Header is what a stream header says (RFC 6120 §4.7).
type Header struct {
	To, From stanza.JID
	ID       string
	Lang     string
	Version  string
	Prefixes []string // pairs of prefix and URI declared beyond the two that every stream has
}

// Conn is one XML stream on a connection. Read methods belong to one goroutine; Queue, Flush, SetReadDeadline, SetLimits,
// Hurry, CloseWith and Abort may be called from any.
type Conn struct {
	o       *Options // shared
	wire    *wire
	lim     atomic.Pointer[limits]
	heard   atomic.Int64 // when the peer last sent anything; an instant
	closing atomic.Bool  // no more is queued, none is read
	ended   atomic.Bool  // the peer sent </stream:stream>

	readState
	writeState
}

// readState is the reading goroutine's; who holds readMu is that.
type readState struct {
	readMu   sync.Mutex
	r        net.Conn // the wire, or TLS on it
	rd       *reader  // nil while nothing is buffered
	prefixes []string // declared by the peer's header
	begun    bool     // the peer's header is read
	again    bool     // it is not the first on this connection
	readErr  error
	stanzaBy instant // when the incomplete element must be complete
	blank    int32   // bytes of white space between elements so far, while they are limited
	tokens   float64 // bytes that may be read at once
	counted  instant // when tokens was last right
	rated    *limits // what tokens are counted for
	dry      bool    // the last read brought less than there was room for
	first    [4]byte // what an idle connection reads into, where it cannot wait for its socket instead
}

// writeState is what mu guards. Lock order: mu, then wire.mu.
type writeState struct {
	mu       sync.Mutex
	out      outbox
	writing  bool        // a goroutine is in flush
	held     bool        // a handshake is running: nothing may be written
	greeted  bool        // our header is sent
	asked    *stanza.JID // the host that the peer's header asks for; nil once ours has answered
	closed   bool
	hurried  bool  // nobody waits for the peer any more, but for closing
	cause    error // why the connection was given up, where it was not the caller
	tls      *tls.Conn
	batch    *Batch        // who has the connection already
	done     chan struct{} // closed with the connection; made by who asks for it
	drained  chan struct{} // made by those who wait for the peer
	deadline instant       // what the caller wants of reads
	armed    instant       // what the socket knows; may be earlier than needed
}

// instant is a point in time, counted from the start of the process by a clock that nobody sets: a third of a time.Time.
// 0 is no point in time.
type instant time.Duration

var processStart = time.Now()

// at makes an instant of a time; of the zero time, none.
func at(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	if d := t.Sub(processStart); d != 0 {
		return instant(d)
	}
	return 1
}

// time is the other way round.
func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return processStart.Add(time.Duration(i))
}

// limits are what SetLimits changes.
type limits struct {
	scan        stanza.Limits
	rate, burst int
	blanks      int
}

// Options and limits are the same for thousands of connections, which share them.
var optionsInUse, limitsInUse sync.Map // by their values

// shared returns the one copy of v that all use. What there is of them, configurations decide, not peers.
func shared[T comparable](all *sync.Map, v T) *T {
	if p, ok := all.Load(v); ok {
		return p.(*T)
	}
	p, _ := all.LoadOrStore(v, &v)
	return p.(*T)
}

// NewConn takes over a connection. What is neither a *net.TCPConn nor has its SyscallConn works too, but each write costs
// a goroutine.
func NewConn(nc net.Conn, o Options) *Conn {
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	if o.WriteBuffer <= 0 {
		o.WriteBuffer = defaultWriteBuffer
	}
	c := &Conn{o: shared(&optionsInUse, o)}
	c.heard.Store(int64(at(time.Now())))
	c.wire = newWire(nc, c)
	c.r = c.wire
	c.lim.Store(shared(&limitsInUse, limits{o.Limits, o.Rate, o.Burst, o.Blanks}))
	return c
}

// Heard returns when the peer last sent anything, were it white space only (RFC 6120 §4.6.1); at first, when the connection
// was taken over.
func (c *Conn) Heard() time.Time { return instant(c.heard.Load()).time() }

// SetReadDeadline bounds all reads until it is changed; the zero time lifts it. It may be called for every stanza: the
// socket's own timer is moved only when it must.
func (c *Conn) SetReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = at(t)
	if c.deadline != 0 && c.armed != 0 && c.deadline < c.armed {
		c.setDeadline(c.deadline) // a read may be waiting
	}
}

// setDeadline tells the socket. The caller holds mu. Once closing has begun the deadline is the closing's.
func (c *Conn) setDeadline(t instant) {
	if !c.closing.Load() {
		c.armed = t
		c.wire.SetReadDeadline(t.time())
	}
}

// SetLimits changes the scanner's limits, after login. They hold from the next element on. White space is not limited any
// more: it is how clients keep a connection alive (RFC 6120 §4.6.1).
func (c *Conn) SetLimits(l stanza.Limits, rate, burst int) {
	c.lim.Store(shared(&limitsInUse, limits{l, rate, burst, 0}))
}

// Restart prepares for a new stream header on the same connection (RFC 6120 §4.3.3). Bytes already buffered are kept:
// clients pipeline.
func (c *Conn) Restart() {
	c.readMu.Lock()
	c.prefixes, c.begun, c.again = nil, false, true
	if c.rd != nil {
		c.rd.forget()
	}
	c.readMu.Unlock()
	c.mu.Lock()
	c.greeted, c.asked = false, nil
	c.mu.Unlock()
}

// TLS returns the state of the connection's TLS, or nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	c.mu.Lock()
	tc := c.tls
	c.mu.Unlock()
	if tc == nil {
		return nil
	}
	st := tc.ConnectionState()
	return &st
}

// ServerCertificate returns our own leaf certificate that this connection was shown, in DER; nil without TLS.
// tls-server-end-point is made of it (RFC 5929 §4).
func (c *Conn) ServerCertificate() []byte { return c.wire.certificate() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// Done is closed when the connection is closed: at once after Abort, within closeTime after CloseWith.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.closed {
			close(c.done)
		}
	}
	return c.done
}
