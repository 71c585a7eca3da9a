// Package s2s serves other servers and is their client: a file per step of a stream's life. It is c2s's sibling.
//
// # Implementation notes
//
//   - A link is one connection with another server, whoever opened it. One goroutine reads it. A route is what this server
//     has to say to one other domain in the name of one of its own: a queue, and the link that it goes out on.
//   - Who may say what is known per link and pair of domains (RFC 6120 §8.1.2.2, XEP-0220 §1.1): a grant.
//   - Lock order: route.mu, then engine.mu or link.mu, then stream.Conn's own. None is held while hooks or the router run.
//   - No timer and no goroutine belongs to an idle link: time is kept by one read deadline (idle.go). A route that has failed
//     has one timer, which ends its memory of that.
package s2s

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stream"
)

// Router is what s2s needs of the router beyond what modules see of it. *router.Router implements it.
type Router interface {
	modules.Router
	// Owner returns the modules' table of the virtual host that a domain is, or is a service of; nil where it is not ours.
	Owner(domain string) *modules.Table
}

// Finder finds and connects to a domain's server; *Dialer implements it. skip names targets that were tried already.
type Finder interface {
	Dial(ctx context.Context, domain string, skip func(Target) bool) (*Dialed, error)
}

// Options are what a Server works with.
type Options struct {
	Config   *config.Config
	Router   Router
	Secret   func(label string) []byte // a 32-byte key of the server's keyring, derived for a use
	Dialer   Finder
	Verifier *Verifier
	// TLS returns the configuration for a handshake with who has connected to us, as for c2s (ALPN xmpp-server).
	TLS func(host string, direct bool) *tls.Config
	// ClientTLS returns it for one with who we have connected to: local is the domain of ours that speaks.
	ClientTLS func(local, remote string, direct bool) *tls.Config
	Log       *slog.Logger
}

// Server talks to other servers. It implements router.Peers.
type Server struct{ engine }

type engine struct {
	o        Options
	log      *slog.Logger
	settings atomic.Pointer[settings]
	secret   secret.Key // of dialback keys

	ctx    context.Context // of all handlers; ends when Shutdown has done what it can
	cancel context.CancelFunc
	life   context.Context // ends when Shutdown begins
	stop   context.CancelFunc

	gate      accept.Gate[*link] // links that others opened
	turns     accept.Turns       // for handshakes that others began
	verifying verifications      // dialback keys that are being verified
	opening   *openTurns         // for streams that we open
	failures  failureLog         // failures to open one
	seq       atomic.Uint64      // of link ids
	panics    atomic.Uint64
	routes    routes

	mu        sync.Mutex
	stopped   bool
	draining  bool // no new stream is opened
	listeners map[net.Listener]struct{}
	links     map[*link]struct{}
	back      map[pair]*link // links that others opened and that take our stanzas, too (XEP-0288)
	streams   map[string]int // by remote domain: links that others opened and proved to be it
	wg        sync.WaitGroup // reading goroutines, openings and verifications
}

// pair is a domain of ours and one of another server's (XEP-0220 §1.1).
type pair struct{ local, remote string }

// New makes a server; Serve gives it listeners.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{engine{
		o: o, log: o.Log, turns: accept.NewTurns(), opening: newOpenTurns(maxOpening, mostOpening),
		secret: secret.NewKey(o.Secret("dialback")), listeners: map[net.Listener]struct{}{}, links: map[*link]struct{}{},
		back: map[pair]*link{}, streams: map[string]int{},
	}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.life, s.stop = context.WithCancel(s.ctx)
	s.settings.Store(newSettings(o.Config, o.Router, o.Dialer, o.Verifier))
	s.routes.m = map[pair]*route{}
	return s
}

// Reload puts a new configuration in force, with what is made of it; the router has it by then. Streams keep the limits they
// began with, but none goes on between domains that may not talk to each other any more, or not in the way they do.
func (s *Server) Reload(cfg *config.Config, d Finder, v *Verifier) {
	set := newSettings(cfg, s.o.Router, d, v)
	s.settings.Store(set)
	for _, l := range s.all() {
		l.reconsider(set.policy)
	}
	for _, r := range s.routes.all() {
		if !s.talks(set.policy, r.pair) {
			r.refuse(errRestricted)
		}
	}
}

// Stats are numbers for the admin.
type Stats struct {
	In, Out int // streams that others opened, and that we did
	Routes  int // pairs of domains that we send to, wait for, or have failed with just now
	Panics  uint64
}

// Stats returns what the server is doing now.
func (s *Server) Stats() Stats {
	st := Stats{Routes: s.routes.len(), Panics: s.panics.Load()}
	for _, l := range s.all() {
		if l.out {
			st.Out++
		} else {
			st.In++
		}
	}
	return st
}

func (s *engine) all() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*link, 0, len(s.links))
	for l := range s.links {
		out = append(out, l)
	}
	return out
}

var errShutdown = &stream.Error{Condition: "system-shutdown"} // RFC 6120 §4.9.3.20

// Drain goes before the clients are sent home: no stream is opened any more, and what waits for one goes back to its
// senders while they are there to be told. Streams that stand go on, so that the world learns who has left.
func (s *Server) Drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for _, r := range s.routes.all() {
		r.refuse(errLeaving)
	}
}

// Shutdown stops accepting, waits a moment for what other servers have not acknowledged, ends all streams with
// system-shutdown (RFC 6120 §4.9.3.20), and returns when all is done or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.mu.Lock()
	first := !s.stopped
	if first {
		s.stopped = true
		s.stop()
		for l := range s.listeners {
			l.Close()
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if first {
			var wg sync.WaitGroup
			for _, l := range s.all() { // one may bring what another one waits for
				wg.Go(func() { l.await(ctx) })
			}
			wg.Wait()
			for _, l := range s.all() {
				wg.Go(func() { l.depart(ctx) })
			}
			wg.Wait()
		}
		s.wg.Wait()
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.cancel()
		for _, l := range s.all() {
			l.sc.Abort()
		}
		return ctx.Err()
	}
}

// track counts a goroutine that Shutdown waits for; false: too late, the server is stopping.
func (s *engine) track() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.wg.Add(1)
	return true
}

// within bounds a step that others may stall. It ends when Shutdown begins, too.
func (s *engine) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.life, d)
}
