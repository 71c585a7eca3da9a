// Package c2s serves clients: a file per step of a client's life, from listener to outbox.
//
// # Implementation notes
//
//   - A client is a connection, a session is what survives it (XEP-0198 §5). One goroutine reads a connection; it starts
//     afresh after the TLS handshake and after login, so that the stack those needed is not kept for hours. On the epoll
//     transport it ends where there is nothing to read, and the transport calls Resume on another when there is.
//   - An idle reader's stack is 2 KiB. It grows by doubling, copied each time, and the collector makes it small again: most
//     stanzas get along with 4 KiB, because what few of them need stands in functions of its own.
//   - Lock order: session.run, then session.mu; stream.Conn locks for itself. run is held while a stanza of the client is
//     handled and while the session ends or moves to another connection, so h of XEP-0198 is exact and nothing happens
//     after the end. mu is held for bookkeeping only, never while hooks or the router run.
//   - A session ends in exactly one place, session.end; a module that calls Close never waits for it.
//   - No timer and no goroutine belongs to an idle connection: time is kept by one read deadline (idle.go). A hibernated
//     session has one timer.
package c2s

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stream"
)

// Router is what c2s needs of the router beyond what modules see of it. *router.Router implements it.
type Router interface {
	modules.Router
	// Table returns the modules' table in force for a virtual host, or nil where the host is not ours. One atomic load.
	Table(host string) *modules.Table
	// Add makes a session reachable. The caller has resolved conflicts: the full JID is free, else it returns false.
	Add(s modules.Session) bool
	// Remove makes it unreachable; unknown sessions are ignored.
	Remove(s modules.Session)
	// PresenceChanged reorders the account's sessions after the session's Presence changed.
	PresenceChanged(s modules.Session)
	// Redeliver takes a stanza back that a session had taken and its client never acknowledged (XEP-0198 §4). at is that of
	// modules.Return.
	Redeliver(ctx context.Context, p *modules.Packet, at time.Time)
}

// Options are what a Server works with.
type Options struct {
	Config   *config.Config
	Router   Router
	Users    func(host string) auth.Users // nil result: host is not ours
	Throttle *auth.Throttle
	Secret   func(label string) []byte // a 32-byte key of the server's keyring, derived for a use
	// TLS returns the configuration for a handshake. host is the stream's to, for STARTTLS without SNI; direct tells
	// direct TLS (ALPN xmpp-client) from STARTTLS.
	TLS    func(host string, direct bool) *tls.Config
	Poller *stream.Poller // waits for connections that have nothing to say; nil: a goroutine for each does
	Log    *slog.Logger
}

// Server accepts clients.
type Server struct{ server }

type server struct {
	o      Options
	log    *slog.Logger
	policy atomic.Pointer[policy]

	ctx    context.Context // of all handlers; ends when Shutdown has done what it can
	cancel context.CancelFunc
	stop   chan struct{} // closed when Shutdown begins

	gate    accept.Gate[*client]
	resume  resumable
	binding [64]sync.Mutex // by account: makes limit and conflict checks of bind one step
	leaving sync.Map       // sessions by JID while their end is told: nobody takes their name so long
	turns   accept.Turns   // for handshakes
	seq     atomic.Uint64  // of session ids
	panics  atomic.Uint64

	mu        sync.Mutex
	stopped   bool
	listeners map[net.Listener]struct{}
	wg        sync.WaitGroup // reading goroutines, and sessions on their way to the end
}

// New makes a server; Serve gives it listeners.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{server{o: o, log: o.Log, stop: make(chan struct{}), listeners: map[net.Listener]struct{}{}}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.policy.Store(newPolicy(o.Config))
	s.turns = accept.NewTurns()
	s.resume.init()
	return s
}

// Reload puts limits and login policy of a new configuration in force: for new connections at once; standing ones keep
// the limits they began with, and what is asked anew each time (resource conflicts, numbers of sessions) changes at once.
func (s *Server) Reload(cfg *config.Config) { s.policy.Store(newPolicy(cfg)) }

// Stats are numbers for the admin.
type Stats struct {
	Connections int    // open, logged in or not
	Waiting     int    // of these, not yet logged in
	Hibernated  int    // sessions that wait to be resumed
	Panics      uint64 // streams that ended by a mistake of ours
}

// Stats returns what the server is doing now.
func (s *Server) Stats() Stats {
	all, waiting := s.gate.Count()
	return Stats{all, waiting, s.resume.hibernated(), s.panics.Load()}
}

var errShutdown = &stream.Error{Condition: "system-shutdown"} // RFC 6120 §4.9.3.20

// Shutdown stops accepting, ends all streams with system-shutdown (RFC 6120 §4.9.3.20), hands unacknowledged messages on,
// and returns when all is done or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopped
	if first {
		s.stopped = true
		close(s.stop)
		for l := range s.listeners {
			l.Close()
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if first {
			s.endAll()
		}
		s.wg.Wait()
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.cancel()
		for _, c := range s.gate.All() {
			c.sc.Abort()
		}
		return ctx.Err()
	}
}

// endAll ends every connection and every hibernated session, a few at a time. All are gone before any hands back what its
// client has not acknowledged, so that nothing goes to one that will be gone a moment later.
func (s *server) endAll() {
	clients := s.gate.All()
	sessions := s.resume.sessions()
	for _, c := range clients {
		if ses := c.sess.Load(); ses != nil {
			sessions = append(sessions, ses)
		} else {
			c.sc.CloseWith(errShutdown)
		}
	}
	left := make([][]unacked, len(sessions))
	each(len(sessions), func(i int) {
		var batch stream.Batch
		left[i] = sessions[i].depart(stream.WithBatch(s.ctx, &batch), errShutdown, func() bool { return true })
		batch.Flush()
	})
	each(len(sessions), func(i int) {
		sessions[i].handBack(s.ctx, left[i])
	})
	for _, c := range clients {
		c.sc.CloseWith(errShutdown) // if its session has not done so
		<-c.sc.Done()
	}
}

// each runs fn for 0 to n-1, a few at a time: much of it waits for the disk.
func each(n int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, 32) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// track counts a goroutine that Shutdown waits for; false: too late, the server is stopping.
func (s *server) track() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.wg.Add(1)
	return true
}

// stopping tells whether Shutdown has begun.
func (s *server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

var errStopped = errors.New("c2s: server is stopping")
