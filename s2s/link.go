package s2s

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// link is one connection with another server.
type link struct {
	srv     *engine
	set     *settings
	sc      *stream.Conn
	id      uint64
	out     bool // we opened it
	started time.Time

	// What follows belongs to the reading goroutine.
	state   stream.State
	direct  bool     // direct TLS (XEP-0368)
	header  bool     // the other server's stream header is due
	local   string   // of the stream's to or from, ours
	remote  string   // the other one; may be empty on a link that others opened
	sid     string   // the stream's id
	lang    string   // xml:lang of the stream (RFC 6120 §4.7.4)
	tries   int      // failed authentications
	keyOnly bool     // dialback is the only way to try, on a link that we opened
	offered features // of the other server, on a link that we opened
	batch   stream.Batch
	ctx     context.Context // carries batch
	pkt     modules.Packet  // of the stanza being handled

	ends   atomic.Pointer[pair] // local and remote, for others to see
	grants atomic.Pointer[[]*grant]
	bidi   atomic.Bool  // stanzas go both ways (XEP-0288)
	told   atomic.Int32 // lines in the log that the other server has caused
	used   atomic.Bool  // a stanza has gone either way since the last look (idle.go)

	pending map[pair]struct{} // dialback keys that are being verified; of engine.mu

	mu     sync.Mutex
	closed bool
	routes map[*route]*pings
	sm     *sm           // nil unless XEP-0198 is on
	alarm  time.Time     // when the first ping's answer is due; zero: none is on its way
	empty  chan struct{} // made by who waits for all to be acknowledged
}

func (s *engine) newLink(nc net.Conn, set *settings, out bool) *link {
	accept.Tune(nc)
	l := &link{srv: s, set: set, id: s.seq.Add(1), out: out, started: time.Now(), sc: stream.NewConn(nc, set.stream())}
	l.ctx = stream.WithBatch(s.ctx, &l.batch)
	l.grants.Store(&[]*grant{})
	s.mu.Lock()
	s.links[l] = struct{}{}
	late := s.stopped
	s.mu.Unlock()
	if late { // Shutdown did not see it
		l.sc.CloseWith(errShutdown)
	}
	return l
}

// ID names the link in logs.
func (l *link) ID() string {
	if l.out {
		return "s2s-out-" + strconv.FormatUint(l.id, 36)
	}
	return "s2s-in-" + strconv.FormatUint(l.id, 36)
}

// until sets the deadline of a step, counted from the connection's begin: trickling bytes wins no time.
func (l *link) until(d time.Duration) { l.sc.SetReadDeadline(l.started.Add(d)) }

var (
	errFresh   = errors.New("s2s: go on on a fresh goroutine")
	errClose   = errors.New("s2s: close")
	errAborted = errors.New("s2s: no TLS")

	errTimeout = &stream.Error{Condition: "connection-timeout"} // RFC 6120 §4.9.3.4
)

// run serves a link to its end.
func (l *link) run() {
	err := l.read()
	if err == errFresh {
		l.pause()
		go l.run()
		return
	}
	l.finish(err)
}

// read is the reading goroutine's loop. A mistake of ours, in a handler or here, ends this stream and nothing else.
func (l *link) read() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = l.panicked(r)
		}
	}()
	if l.direct && l.state&stream.Secure == 0 {
		if err := l.handshake(); err != nil {
			return err
		}
	}
	for {
		if l.header {
			if err := l.accept(); err != nil {
				return err
			}
			l.pause()
			continue
		}
		st, err := l.sc.Read()
		if err == os.ErrDeadlineExceeded { // ours; a write that failed so is another matter
			err = l.silence(time.Now())
			l.pause()
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := l.element(st); err != nil {
			return err
		}
		l.pause()
	}
}

// pause flushes what handlers queued, unless there is another element to handle at once.
func (l *link) pause() {
	if !l.sc.Buffered() {
		l.batch.Flush()
	}
}

// panicked ends the stream for a mistake of ours.
func (l *link) panicked(r any) error {
	l.srv.panicked(l.log(), r)
	return &stream.Error{Condition: "internal-server-error"} // RFC 6120 §4.9.3.8
}

func (s *engine) panicked(log *slog.Logger, r any) {
	s.panics.Add(1)
	log.Error("stream ended by a mistake of the server", "what", stream.Panic(r), "stack", string(debug.Stack()))
}

// element deals with one first-level element.
func (l *link) element(st *stanza.Stanza) error {
	if st.Kind != stanza.KindOther {
		return l.stanza(st)
	}
	switch st.NS {
	case nsDialback:
		return l.dialback(st)
	case stanza.NSSM:
		return l.manage(st)
	case stanza.NSStream:
		if st.Name == "error" {
			return peerError(st)
		}
	}
	if !l.out {
		return l.negotiate(st)
	}
	return unsupported
}

// theirError is a stream error that the other server has sent.
type theirError struct{ condition, text string }

func (e *theirError) Error() string {
	if e.text != "" {
		return "the other server says " + e.condition + ": " + strconv.QuoteToASCII(e.text)
	}
	return "the other server says " + e.condition
}

// peerError reads a stream error of the peer's (RFC 6120 §4.9).
func peerError(st *stanza.Stanza) error {
	e := &theirError{condition: "undefined-condition"}
	for i, c := range st.Root().Children {
		switch {
		case c.NS != stanza.NSStreams || len(c.Name) > 40:
		case c.Name == "text":
			e.text = c.Text[:min(len(c.Text), 200)]
		case i == 0:
			e.condition = c.Name
		}
	}
	return e
}

// finish ends a link, for whatever reason, and hands what the peer has not acknowledged back to its routes.
func (l *link) finish(err error) {
	defer l.srv.wg.Done()
	l.batch.Flush()
	l.leave()
	var se *stream.Error
	switch {
	case errors.As(err, &se):
		l.sc.CloseWith(se)
	case err == stanza.ErrStreamEnd, err == errClose, err == io.EOF, errors.As(err, new(*theirError)):
		l.sc.CloseWith(nil) // RFC 6120 §4.4; who has only stopped sending still gets what is on its way
	case errors.Is(err, stream.ErrClosed): // somebody else is closing the connection
	default:
		l.sc.Abort()
	}
	switch known := len(*l.grants.Load()) > 0; {
	case err == errClose:
	case known && (se != nil && se != errShutdown || errors.As(err, new(*theirError))): // somebody has made a mistake
		l.note("stream ended", "why", ending(err))
	default:
		l.log().Debug("stream ended", "why", ending(err))
	}
	l.handBack()
}

// leave takes a link out of all lists: it takes no more stanzas.
func (l *link) leave() {
	s := l.srv
	s.gate.Leave(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	seen := map[string]bool{}
	for _, g := range *l.grants.Load() {
		if s.back[g.pair] == l {
			delete(s.back, g.pair)
		}
		if !l.out && !seen[g.remote] {
			seen[g.remote] = true
			if s.streams[g.remote]--; s.streams[g.remote] <= 0 {
				delete(s.streams, g.remote)
			}
		}
	}
}

// ending says why a stream ended, for the log.
func ending(err error) string {
	switch {
	case err == nil:
		return ""
	case err == stanza.ErrStreamEnd:
		return "the other server has ended the stream"
	case err == io.EOF:
		return "the other server has closed the connection"
	}
	return err.Error()
}

// log returns the logger of this link's lines.
func (l *link) log() *slog.Logger {
	log := l.srv.log.With("id", l.ID())
	if ends := l.ends.Load(); ends != nil {
		log = log.With("host", ends.local, "peer", ends.remote)
	}
	return log.With("remote", l.sc.RemoteAddr().String())
}

// maxNotes is how many lines for the admin one link may cause.
const maxNotes = 20

// note logs what the other server has done wrong, as often as it is of use to the admin.
func (l *link) note(msg string, args ...any) {
	level := slog.LevelInfo
	if l.told.Add(1) > maxNotes {
		level = slog.LevelDebug
	}
	l.log().Log(context.Background(), level, msg, args...)
}

// queue sends something that is no stanza.
func (l *link) queue(fn func(dst []byte) []byte) error { return l.sc.Queue(l.ctx, fn) }

func (l *link) say(xml string) error {
	return l.queue(func(dst []byte) []byte { return append(dst, xml...) })
}

// tlsVersion is the version of the link's TLS, for people.
func (l *link) tlsVersion() string {
	if cs := l.sc.TLS(); cs != nil {
		return stream.TLSVersionName(cs.Version)
	}
	return "none"
}
