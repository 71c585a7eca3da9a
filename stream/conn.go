package stream

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// Options configure a Conn.
type Options struct {
	Namespace    string        // content namespace: stanza.NSClient or stanza.NSServer
	Limits       stanza.Limits // in force until SetLimits
	WriteTimeout time.Duration // a peer that takes nothing this long is gone
	WriteBuffer  int           // bytes that may wait for a slow peer; beyond it Queue fails with ErrSlow
	Rate, Burst  int           // bytes a second read in the long run, and at once; 0: no limit
	StanzaTime   time.Duration // from a stanza's first byte to its last
}

// Header is what a stream header says (RFC 6120 §4.7).
type Header struct {
	To, From stanza.JID
	ID       string
	Lang     string
	Version  string
	Prefixes []string // pairs of prefix and URI declared beyond the two that every stream has
}

// Conn is one XML stream on a connection. Read methods belong to one goroutine; Queue, Flush and Close may be called
// from any.
type Conn struct{ connState }

type connState struct{}

// NewConn takes over a connection.
func NewConn(nc net.Conn, o Options) *Conn { panic("stream") }

// ReadHeader waits for the XML declaration and the stream header, which it checks (RFC 6120 §4.7, §4.8, §11.4 to §11.6).
// Errors are *Error to be sent with CloseWith, or an I/O error. h is filled as far as it was read, so that an answer
// can name the host that was asked for.
func (c *Conn) ReadHeader(h *Header) error { panic("stream") }

// WriteHeader queues <?xml version='1.0'?> and our stream header (RFC 6120 §4.7). Nothing of the header is invented: the
// caller gives id, from, to and lang.
func (c *Conn) WriteHeader(h Header) { panic("stream") }

// Read returns the next first-level element, valid until the next Read. Errors: stanza.ErrStreamEnd, *Error, or an I/O
// error (os.ErrDeadlineExceeded when the deadline passed).
func (c *Conn) Read() (*stanza.Stanza, error) { panic("stream") }

// Buffered tells whether the read buffer holds bytes not yet handled: while it does, output can wait for more.
func (c *Conn) Buffered() bool { panic("stream") }

// SetReadDeadline bounds all reads until it is changed; the zero time lifts it.
func (c *Conn) SetReadDeadline(t time.Time) { panic("stream") }

// SetLimits changes the scanner's limits, after login.
func (c *Conn) SetLimits(l stanza.Limits, rate, burst int) { panic("stream") }

// Restart prepares for a new stream header on the same connection (RFC 6120 §4.3.3). Bytes already buffered are kept:
// clients pipeline.
func (c *Conn) Restart() { panic("stream") }

// StartTLS runs the server's handshake. It refuses, without reading further, when bytes of the peer are buffered that
// were sent in the clear behind <starttls/> (RFC 6120 §5.4.3.3: STARTTLS injection). The caller has flushed <proceed/>.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error { panic("stream") }

// TLS returns the state of the connection's TLS, or nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState { panic("stream") }

// ServerCertificate returns our own leaf certificate that this connection was shown, in DER; nil without TLS.
// tls-server-end-point is made of it (RFC 5929 §4).
func (c *Conn) ServerCertificate() []byte { panic("stream") }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { panic("stream") }

// Queue appends output: fn appends to the outbox and returns it. It never blocks. It fails with ErrSlow when the peer is
// too far behind, and with ErrClosed. Nothing is sent until Flush, or until the batch of ctx is flushed; without a batch it
// is flushed at once.
func (c *Conn) Queue(ctx context.Context, fn func(dst []byte) []byte) error { panic("stream") }

// Flush sends what is queued as far as the socket takes it, and leaves the rest to a goroutine. It never blocks.
func (c *Conn) Flush() { panic("stream") }

// Waiting returns the bytes queued and not yet taken by the socket.
func (c *Conn) Waiting() int { panic("stream") }

// CloseWith sends what is queued, then the stream error if there is one, then </stream:stream>, waits briefly for the
// peer's, and closes the connection. It writes our header first where none was sent (RFC 6120 §4.9.1.2).
func (c *Conn) CloseWith(e *Error) { panic("stream") }

// Abort closes the connection without a word.
func (c *Conn) Abort() { panic("stream") }
