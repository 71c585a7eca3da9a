package auth

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/stanza"
)

// maxMessage bounds what a mechanism looks at: above what fits into a stanza before login.
const maxMessage = 16 << 10

// Exchange is one attempt to log in with one mechanism.
type Exchange struct {
	Conn *Conn
	// Turn is asked, if set, as soon as a mechanism knows who tries and before it looks at any secret. It may take its
	// time, and refuse.
	Turn func() *Failure

	mechanism  string
	negotiator *sasl.Negotiator
	ctx        context.Context // of the current step
	identity   Identity
	started    bool // the mechanism has got its first message
	asked      bool // an empty challenge has asked for that
	done       bool

	// Of SCRAM; replaced by tests that follow an example.
	nonce   func() string
	binding func(c *Conn, kind string) ([]byte, error)
}

// NewExchange starts an attempt.
func NewExchange(m Mechanism, c *Conn) *Exchange {
	x := &Exchange{Conn: c, mechanism: m.Name, ctx: context.Background(), nonce: newNonce, binding: Binding}
	opts := []sasl.Option{sasl.RemoteMechanisms(c.Mechanisms...)}
	if c.TLS != nil {
		opts = append(opts, sasl.TLSState(*c.TLS))
	}
	x.negotiator = sasl.NewServer(m.Server(x), nil, opts...)
	return x
}

// Step takes what the client sent (nil for none at all, empty for an empty message) and returns what to answer. more says
// that the exchange goes on; without it and without error the client is logged in and out is the success data (may be
// nil). err is always a *Failure.
func (x *Exchange) Step(ctx context.Context, in []byte) (out []byte, more bool, err error) {
	if x.done {
		return nil, false, &Failure{Condition: NotAuthorized, Cause: errors.New("auth: step after the end of an exchange")}
	}
	if !x.started && in == nil && !x.asked {
		// RFC 6120 §6.4.2: no initial response. In all mechanisms of XMPP the client speaks first, so ask for it.
		x.asked = true
		return []byte{}, true, nil
	}
	x.started = true
	if in == nil {
		in = []byte{}
	}
	out, more, err = x.step(ctx, in)
	if err != nil {
		x.done = true
		return nil, false, failure(err)
	}
	x.done = !more
	return out, more, nil
}

func (x *Exchange) step(ctx context.Context, in []byte) (out []byte, more bool, err error) {
	if len(in) > maxMessage {
		return nil, false, malformed("message too long")
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	x.ctx = ctx
	defer func() { x.ctx = context.Background() }() // outlives no step
	more, out, err = x.negotiator.Step(in)
	if err != nil || more {
		return out, more, err
	}
	return out, false, x.admit()
}

// admit is the last look at who is let in, whatever the mechanism: somebody, and of this host.
func (x *Exchange) admit() error {
	host, err := stanza.NewJID("", x.Conn.Host, "")
	if err != nil || x.identity.JID.Local() == "" || x.identity.JID.Domain() != host.Domain() {
		return fmt.Errorf("auth: %s let in nobody of %s", x.mechanism, x.Conn.Host)
	}
	x.identity.JID = x.identity.JID.Bare()
	if x.identity.Mechanism == "" {
		x.identity.Mechanism = x.mechanism
	}
	return nil
}

// failure makes the answer of an error. What the SASL library says about an error goes nowhere: it may quote what it
// compared.
func failure(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, sasl.ErrAuthn):
		return &Failure{Condition: NotAuthorized}
	case errors.Is(err, sasl.ErrInvalidChallenge), errors.Is(err, sasl.ErrInvalidState), errors.Is(err, sasl.ErrTooManySteps):
		return &Failure{Condition: MalformedRequest}
	}
	return &Failure{Condition: TemporaryAuthFailure, Cause: err}
}

// malformed is the failure for a message that breaks its mechanism's syntax.
func malformed(text string) *Failure { return &Failure{Condition: MalformedRequest, Text: text} }

// Identity returns who logged in, after success. After a failure its JID is who tried, if known, for throttling and logs.
func (x *Exchange) Identity() Identity { return x.identity }

// SetIdentity is called by a mechanism as soon as it knows who is trying.
func (x *Exchange) SetIdentity(id Identity) { x.identity = id }

// Identify is SetIdentity for mechanisms that go on only if it is this account's turn. A non-nil error is for the mechanism
// to return.
func (x *Exchange) Identify(id Identity) error {
	x.SetIdentity(id)
	if x.Turn != nil {
		if f := x.Turn(); f != nil {
			return f
		}
	}
	return nil
}

// Context is the context of the current step, for mechanisms.
func (x *Exchange) Context() context.Context { return x.ctx }
