package modules

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// Session is a client's session with a bound resource. c2s implements it. All methods may be called from any goroutine
// and none waits for the client.
type Session interface {
	// ID names the session in logs; unique in the process, no secret.
	ID() string
	JID() stanza.JID
	// Send hands a stanza to the client: ToClient hooks, the XEP-0198 queue, the outbox. An error says that the session did not
	// take it and never will; the caller sends it elsewhere.
	Send(ctx context.Context, st *stanza.Stanza) error
	// Presence returns the last presence broadcast, or nil while the session is not available (RFC 6121 §4.2).
	Presence() *PresenceState
	// Hibernated tells that the connection is gone and the session waits to be resumed (XEP-0198 §5).
	Hibernated() bool
	// Value and SetValue hold what modules remember with a session; keys are values of unexported types.
	Value(key any) any
	SetValue(key, value any)
	Info() SessionInfo
	// Close ends the session, hibernated or not, with a stream error (nil: none).
	Close(e *stream.Error)
}

// PresenceState is what a session last told all its contacts.
type PresenceState struct {
	Priority int8
	Stanza   *stanza.Stanza // retained; from is the session's full JID
	Since    time.Time
	// Taking is since when, without a break, the session gets what is for the account (RFC 6121 §8.5.2.1.1). Zero: it does not.
	Taking time.Time
}

// NewPresenceState makes what follows was, which may be nil, when a session broadcasts presence.
func NewPresenceState(was *PresenceState, st *stanza.Stanza) *PresenceState {
	prio, _ := st.Priority()
	p := &PresenceState{Priority: prio, Stanza: st, Since: time.Now()}
	switch {
	case prio < 0:
	case was != nil && !was.Taking.IsZero():
		p.Taking = was.Taking
	default:
		p.Taking = p.Since
	}
	return p
}

// SessionInfo is what the admin sees of a session.
type SessionInfo struct {
	Remote    net.Addr
	TLS       *tls.ConnectionState // nil without TLS
	Mechanism string
	Details   any // auth.Identity.Details
	Agent     UserAgent
	Started   time.Time
	LastIn    time.Time
	SM        bool // XEP-0198 on
	Inactive  bool // XEP-0352
	Waiting   int  // bytes that the client has not taken
	Unacked   int  // stanzas that it has not acknowledged
}

// Presence is the event of Hooks.Presence: a session became available, changed its presence, or became unavailable.
type Presence struct {
	Session Session
	Stanza  *stanza.Stanza // from is stamped; type none or unavailable; retained
	Was     *PresenceState // before; nil: it was unavailable
}

// Router sends stanzas on and knows the local sessions. The router package implements it.
type Router interface {
	// Route sends a stanza to its addressee, wherever that is. Errors bounce to the sender; nothing is returned.
	Route(ctx context.Context, p *Packet)
	// Bounce answers a stanza with an error, where it may be answered (RFC 6120 §8.3.1).
	Bounce(ctx context.Context, p *Packet, e *stanza.Error)
	// Local tells whether a domain is one of our virtual hosts; Served, whether it is that or a module's subdomain.
	Local(domain string) bool
	Served(domain string) bool
	// Sessions returns the sessions of a local account, highest priority first, hibernated ones included. The slice must
	// not be changed.
	Sessions(bare stanza.JID) []Session
	// Session returns the session of a full JID, or nil.
	Session(full stanza.JID) Session
	// Each visits all sessions of a host until fn returns false.
	Each(host string, fn func(Session) bool)
}
