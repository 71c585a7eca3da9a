// Package c2s serves clients: a file per step of a client's life, from listener to outbox.
package c2s

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
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
	TLS func(host string, direct bool) *tls.Config
	Log *slog.Logger
}

// Server accepts clients.
type Server struct{ server }

type server struct{}

// New makes a server; Serve gives it listeners.
func New(o Options) *Server { panic("c2s") }

// Serve accepts connections until the listener is closed or Shutdown is called. direct: TLS at once (XEP-0368).
func (s *Server) Serve(l net.Listener, direct bool) error { panic("c2s") }

// Reload puts limits and login policy of a new configuration in force, for new connections at once and for standing ones
// where it can be.
func (s *Server) Reload(cfg *config.Config) { panic("c2s") }

// Shutdown stops accepting, ends all streams with system-shutdown (RFC 6120 §4.9.3.20), hands unacknowledged messages on,
// and returns when all is done or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { panic("c2s") }
