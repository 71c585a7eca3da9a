package c2s

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// client is a connection and how far it has come. All but sess belongs to the reading goroutine.
type client struct {
	srv     *server
	policy  *policy
	sc      *stream.Conn
	id      uint64
	visitor netip.Addr

	state stream.State
	lang  string       // xml:lang of the stream (RFC 6120 §4.7.4)
	n     *negotiation // until a resource is bound
	*login

	sess   atomic.Pointer[session]
	pinged bool
	owed   bool  // the session owes outcomes
	turn   uint8 // elements handled, for elementsInTurn

	batch stream.Batch // the context of all that the reading goroutine does
}

// login is who has logged in, and with what. A client and its session share it; after the login it does not change.
type login struct {
	ident auth.Identity
	agent *modules.UserAgent // what it says of itself, where it does
}

// installation stands for the client's installation, where it has named one (XEP-0388 §2.1).
func (l *login) installation() string {
	if l.agent == nil {
		return ""
	}
	return l.agent.Client
}

// negotiation is what only a client that has no resource yet needs.
type negotiation struct {
	conn     auth.Conn
	direct   bool // direct TLS, whose handshake is still to come
	header   bool // a stream header is due
	started  time.Time
	deadline time.Time
	attempt  *attempt
	tries    int       // failed logins
	untried  int       // logins that failed before anything secret was looked at
	tasked   bool      // XEP-0388: there was a <continue/>
	looked   time.Time // when the credentials of the login were looked at
	password time.Time // of what age the account's password was then
}

func (s *server) newClient(nc net.Conn, from netip.Addr, p *policy, direct bool) *client {
	now := time.Now()
	c := &client{srv: s, policy: p, id: s.seq.Add(1), visitor: from, login: &login{}, sc: stream.NewConn(nc, p.stream())}
	c.n = &negotiation{direct: direct, header: true, started: now}
	c.n.conn.Remote = nc.RemoteAddr()
	stream.WithBatch(s.ctx, &c.batch)
	c.until(time.Duration(p.HandshakeTimeout))
	return c
}

// until sets the deadline of a step, counted from the connection's begin: trickling bytes wins no time.
func (c *client) until(d time.Duration) {
	c.n.deadline = c.n.started.Add(d)
	c.sc.SetReadDeadline(c.n.deadline)
}

// elementsInTurn is how many elements of one client are handled before it is others' turn. Go's scheduler takes turns every
// 10 ms only: where hundreds send more than can be handled, who logs in or asks as an admin would wait for all of them at
// each step, for seconds.
const elementsInTurn = 16

// errFresh asks run to go on on a goroutine with a small stack.
var errFresh = errors.New("c2s: go on on a fresh goroutine")

// errParked ends the goroutine, not the connection: Resume goes on with it.
var errParked = errors.New("c2s: parked")

// errReplaced ends a connection whose session has ended or moved to another connection.
var errReplaced = errors.New("c2s: session has gone elsewhere")

var errTimeout = &stream.Error{Condition: "connection-timeout"} // RFC 6120 §4.9.3.4

// run serves a connection to its end.
func (c *client) run() {
	switch err := c.read(); err {
	case errParked:
	case errFresh:
		c.pause()
		go c.run()
	default:
		c.finish(err)
	}
}

// Resume implements stream.Resumer.
func (c *client) Resume() { c.run() }

// read is the reading goroutine's loop. A mistake of ours, in a handler or here, ends this stream and nothing else.
func (c *client) read() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = c.panicked(r)
		}
	}()
	if c.n != nil && c.n.direct {
		if err := c.directTLS(); err != nil {
			return err
		}
	}
	for {
		if c.n != nil && c.n.header {
			if err := c.open(); err != nil {
				return err
			}
			c.pause()
			continue
		}
		if c.n == nil && c.sc.Park(c) {
			return errParked
		}
		st, err := c.sc.Read()
		if err == stream.ErrIdle {
			continue // to park
		}
		if err == os.ErrDeadlineExceeded { // ours; a write that failed so is another matter
			err = c.silence(time.Now())
			c.pause()
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := c.element(st); err != nil {
			return err
		}
		c.pause()
		if c.turn++; c.turn%elementsInTurn == 0 {
			runtime.Gosched()
		}
	}
}

// pause flushes what handlers queued, unless there is another element to handle at once.
func (c *client) pause() {
	if c.sc.Buffered() {
		return
	}
	c.batch.Flush()
	if c.owed {
		c.owed = false
		c.sess.Load().settled(c)
		c.batch.Flush()
	}
}

// element deals with one first-level element.
func (c *client) element(st *stanza.Stanza) error {
	s := c.sess.Load()
	if s == nil {
		return c.negotiate(st)
	}
	if c.pinged {
		c.pinged = false
		c.silence(time.Now()) // the deadline was that for the answer
	}
	return s.handle(c, st)
}

// panicked ends the stream for a mistake of ours.
func (c *client) panicked(r any) error {
	c.srv.panicked(c.log(), r)
	return &stream.Error{Condition: "internal-server-error"} // RFC 6120 §4.9.3.8
}

// panicked notes a mistake of ours.
func (s *server) panicked(log *slog.Logger, r any) {
	s.panics.Add(1)
	log.Error("stream ended by a mistake of the server", "what", stream.Panic(r), "stack", string(debug.Stack()))
}

// finish ends a connection, for whatever reason.
func (c *client) finish(err error) {
	defer c.srv.wg.Done()
	defer c.srv.gate.Leave(c)
	c.batch.Flush()
	s := c.sess.Load()
	var se *stream.Error
	switch {
	case err == errReplaced, errors.Is(err, stream.ErrClosed): // somebody else is closing the connection
		if s != nil {
			s.lost(c, nil)
		}
	case errors.As(err, &se) && se.Condition != errTimeout.Condition:
		if s != nil {
			s.end(se)
		}
		c.sc.CloseWith(se)
	case err == stanza.ErrStreamEnd, err == errClose: // RFC 6120 §4.4
		if s != nil {
			s.end(nil)
		}
		c.sc.CloseWith(nil)
	default: // XEP-0198 §6: the stream is unfinished
		if s != nil {
			s.lost(c, se)
		}
		switch {
		case se != nil:
			c.sc.CloseWith(se)
		case err == io.EOF: // who has only stopped sending still gets what is on its way
			c.sc.CloseWith(nil)
		default:
			c.sc.Abort()
		}
	}
	if c.n != nil && c.state&stream.Authenticated == 0 {
		c.log().Debug("connection ended before login", "why", reason(err))
	}
}

// reason says why a connection ended, without quoting the peer.
func reason(err error) string {
	if err == nil {
		return ""
	}
	var se *stream.Error
	if errors.As(err, &se) {
		return se.Condition
	}
	return err.Error()
}

// errClose ends a stream without a stream error.
var errClose = errors.New("c2s: close")

// log returns the logger of this client's lines.
func (c *client) log() *slog.Logger {
	l := c.srv.log.With("id", sessionID(c.id))
	if c.n != nil && c.n.conn.Host != "" {
		return l.With("host", c.n.conn.Host)
	}
	if c.ident.JID.Domain() != "" {
		return l.With("host", c.ident.JID.Domain())
	}
	return l
}

// table is that of the client's host. A host that is gone from the configuration ends its streams (RFC 6120 §4.9.3.5).
func (c *client) table() (*modules.Table, error) {
	host := c.ident.JID.Domain()
	if c.n != nil {
		host = c.n.conn.Host
	}
	if t := c.srv.o.Router.Table(host); t != nil {
		return t, nil
	}
	return nil, &stream.Error{Condition: "host-gone"}
}

// queue sends something that is no stanza.
func (c *client) queue(fn func(dst []byte) []byte) error { return c.sc.Queue(&c.batch, fn) }

func (c *client) say(xml string) error {
	return c.queue(func(dst []byte) []byte { return append(dst, xml...) })
}

func sessionID(id uint64) string { return "c2s-" + strconv.FormatUint(id, 36) }

// token returns 130 random bits, fit for attributes.
func token() string { return rand.Text() }
