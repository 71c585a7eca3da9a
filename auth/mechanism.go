package auth

import (
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
	// Invitation is what the client has shown before its login, for the module that takes invitations (XEP-0445).
	Invitation any
}

// Mechanism is a way to log in that a host offers.
type Mechanism struct {
	Name string
	// Weight orders the offer: higher first.
	Weight int
	// Offer tells whether a connection may use it now; nil: whenever TLS is on. That of PLAIN demands TLS too; a server
	// that allows PLAIN without does not ask it there. SCRAM leaves that question to the server.
	Offer func(c *Conn) bool
	// Server makes the server side of one exchange.
	Server func(x *Exchange) sasl.Mechanism
	// Unlisted is true for mechanisms that are never listed as such, as XEP-0484 demands of HT-*.
	Unlisted bool
}

// Identity is the result of an exchange.
type Identity struct {
	JID       stanza.JID // bare
	Mechanism string
	Resource  string // pinned by a certificate; empty: free
	Details   any    // the mechanism's own, such as the certificate or token used
	Made      bool   // the account was made by this very login, so its password is as new as the login
}

// The conditions of RFC 6120 §6.5.
const (
	Aborted              = "aborted"
	AccountDisabled      = "account-disabled"
	CredentialsExpired   = "credentials-expired"
	EncryptionRequired   = "encryption-required"
	IncorrectEncoding    = "incorrect-encoding"
	InvalidAuthzid       = "invalid-authzid"
	InvalidMechanism     = "invalid-mechanism"
	MalformedRequest     = "malformed-request"
	MechanismTooWeak     = "mechanism-too-weak"
	NotAuthorized        = "not-authorized"
	TemporaryAuthFailure = "temporary-auth-failure"
)

// Failure is a SASL failure (RFC 6120 §6.5): a Go error that already is the answer on the wire.
type Failure struct {
	Condition string
	Text      string // for people; never tells why a credential was refused
	Cause     error  // for the log
	// Untried says that nothing secret was looked at: it is no guess, and nobody learns anything by another one.
	Untried bool
}

func (f *Failure) Error() string { return "sasl: " + f.Condition }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }
