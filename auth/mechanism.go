package auth

import (
	"context"
	"crypto/tls"
	"net"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/stanza"
)

// Conn is what a mechanism may know of the connection it runs on. The session that offers mechanisms fills it and keeps
// it for the life of the stream.
type Conn struct {
	Host   string               // the stream's to
	From   stanza.JID           // the stream's from, as claimed; may be zero
	TLS    *tls.ConnectionState // nil without TLS
	Leaf   []byte               // our own certificate as shown, DER
	Remote net.Addr
	// Mechanisms and Bindings are the lists announced on this stream, exactly as sent (XEP-0440, XEP-0474).
	Mechanisms []string
	Bindings   []string
}

// Mechanism is a way to log in that a host offers.
type Mechanism struct {
	Name string
	// Weight orders the offer: higher first.
	Weight int
	// Offer tells whether a connection may use it now; nil: whenever TLS is on.
	Offer func(c *Conn) bool
	// Server makes the server side of one exchange.
	Server func(x *Exchange) sasl.Mechanism
	// Inline is false for mechanisms that are never listed as such, as XEP-0484 demands of HT-*.
	Unlisted bool
}

// Identity is the result of an exchange.
type Identity struct {
	JID       stanza.JID // bare
	Mechanism string
	Resource  string // pinned by a certificate; empty: free
	Details   any    // the mechanism's own, such as the certificate or token used
}

// Failure is a SASL failure (RFC 6120 §6.5): a Go error that already is the answer on the wire.
type Failure struct {
	Condition string
	Text      string // for people; never tells why a credential was refused
	Cause     error  // for the log
}

func (f *Failure) Error() string { return "sasl: " + f.Condition }

// Exchange is one attempt to log in with one mechanism.
type Exchange struct {
	Conn *Conn
	exchange
}

type exchange struct{}

// NewExchange starts an attempt.
func NewExchange(m Mechanism, c *Conn) *Exchange { panic("auth") }

// Step takes what the client sent (nil for none at all, empty for an empty message) and returns what to answer. more says
// that the exchange goes on; without it and without error the client is logged in and out is the success data (may be
// nil). err is always a *Failure.
func (x *Exchange) Step(ctx context.Context, in []byte) (out []byte, more bool, err error) {
	panic("auth")
}

// Identity returns who logged in, after success. After a failure its JID is who tried, if known, for throttling and logs.
func (x *Exchange) Identity() Identity { panic("auth") }

// SetIdentity is called by a mechanism as soon as it knows who is trying.
func (x *Exchange) SetIdentity(id Identity) { panic("auth") }

// Context is the context of the current step, for mechanisms.
func (x *Exchange) Context() context.Context { panic("auth") }
