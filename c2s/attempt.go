package c2s

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stream"
)

// attempt is one try to log in. What is the same for every profile of SASL stands here: which mechanism, how long to
// wait, who is let in, what is written down. sasl.go is the profile of RFC 6120, sasl2.go that of XEP-0388.
type attempt struct {
	x      *auth.Exchange
	name   string
	waited bool   // for its turn
	two    *sasl2 // nil in the profile of RFC 6120
}

// begin starts an attempt. unlisted: the profile knows how to use mechanisms that are not listed as such (XEP-0484).
func (c *client) begin(name string, unlisted bool) (*attempt, *auth.Failure) {
	t, err := c.table()
	if err != nil {
		return nil, &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: err}
	}
	conn := &c.n.conn
	for _, m := range t.Mechanisms {
		if m.Name != name || m.Unlisted && !unlisted {
			continue
		}
		switch {
		case m.Unlisted && c.offers(m), slices.Contains(conn.Mechanisms, name):
			a := &attempt{x: auth.NewExchange(m, conn), name: name}
			a.x.Turn = func() *auth.Failure { return c.patience(a, true) }
			return a, nil
		case c.state&stream.Secure == 0: // RFC 6120 §6.5.4: TLS would help
			return nil, &auth.Failure{Condition: auth.EncryptionRequired}
		}
		break
	}
	if c.state&stream.Secure == 0 && c.policy.requireTLS {
		return nil, &auth.Failure{Condition: auth.EncryptionRequired}
	}
	return nil, &auth.Failure{Condition: auth.InvalidMechanism} // RFC 6120 §6.5.7
}

// step takes a message of the client's. Without failure and without more the client is logged in.
func (c *client) step(a *attempt, in []byte) (out []byte, more bool, f *auth.Failure) {
	c.n.looked = time.Now()
	var ctx context.Context = &c.batch
	if a.two != nil {
		ctx = modules.WithLogin(ctx, &a.two.Login)
	}
	out, more, err := a.x.Step(ctx, in)
	if f := c.patience(a, more && err == nil); f != nil {
		return nil, false, f
	}
	if err == nil && !more {
		err = c.admit(a.x.Identity())
	}
	if err == nil {
		return out, more, nil
	}
	if !errors.As(err, &f) {
		f = &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: err}
	}
	return nil, false, f
}

// patience makes who has guessed too often wait for the answer, or refuses to give one. It is asked as soon as it is known
// on which account, because others behind the same address may have business on theirs: by the mechanism before it looks
// at a secret, else after its step. Only this connection's goroutine waits.
func (c *client) patience(a *attempt, goesOn bool) *auth.Failure {
	account := c.account(a)
	if c.srv.o.Throttle == nil || a.waited || account == "" && goesOn {
		return nil
	}
	a.waited = true
	wait, refuse := c.srv.o.Throttle.Wait(c.visitor, account)
	if refuse {
		return &auth.Failure{Condition: auth.TemporaryAuthFailure, Text: "too many failed logins, try again later"}
	}
	c.batch.Flush()
	if !accept.Pause(wait, c.srv.stop) {
		return &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: errStopped}
	}
	return nil
}

// account is who tries, as the throttle and the log name him; empty while unknown.
func (c *client) account(a *attempt) string {
	if a == nil {
		return ""
	}
	if j := a.x.Identity().JID; !j.IsZero() {
		return j.Bare().String()
	}
	return ""
}

// admit looks at an account whose credentials were right. Mechanisms that know passwords have looked already; those that
// know tokens or certificates need not.
func (c *client) admit(id auth.Identity) error {
	if id.JID.Domain() != c.n.conn.Host || id.JID.Local() == "" {
		return &auth.Failure{Condition: auth.NotAuthorized, Cause: errors.New("c2s: identity of another host")}
	}
	u := c.srv.o.Users(id.JID.Domain())
	if u == nil {
		return &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: errors.New("c2s: host is gone")}
	}
	acc, err := u.Get(&c.batch, id.JID.Local())
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return &auth.Failure{Condition: auth.NotAuthorized, Cause: err}
	case err != nil:
		return &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: err}
	case acc.Disabled:
		return &auth.Failure{Condition: auth.AccountDisabled} // RFC 6120 §6.5.2
	case acc.PasswordChanged.After(c.n.looked) && !id.Made:
		return &auth.Failure{Condition: auth.NotAuthorized, Cause: errors.New("c2s: the password has just changed")}
	}
	c.n.password = acc.PasswordChanged
	return nil
}

// still tells whether a client would still be let in, a moment after it was. Modules end the sessions of an account whose
// password changes; this finds those that were on their way to a session then. It is asked when the session can be found.
func (c *client) still(password time.Time) bool {
	u := c.srv.o.Users(c.ident.JID.Domain())
	if u == nil {
		return false
	}
	acc, err := u.Get(&c.batch, c.ident.JID.Local())
	return err == nil && !acc.Disabled && acc.PasswordChanged.Equal(password)
}

// succeeded is called when the client's success has been queued.
func (c *client) succeeded(a *attempt) {
	c.letIn(a)
	c.noted()
}

// letIn is called when nothing can refuse the client any more.
func (c *client) letIn(a *attempt) {
	c.ident = a.x.Identity()
	c.state |= stream.Authenticated
	c.n.attempt = nil
	c.sc.SetLimits(c.policy.bound, int(c.policy.RateC2S), int(c.policy.BurstC2S))
	c.srv.gate.LoggedIn(c)
	if c.srv.o.Throttle != nil {
		c.srv.o.Throttle.Success(c.visitor, c.ident.JID.String())
	}
	args := []any{"account", c.ident.JID.String(), "mechanism", c.ident.Mechanism, "remote", c.remote(), "tls", c.tlsVersion()}
	if refs := modules.CredentialsOf(c.ident.Details); len(refs) > 0 {
		args = append(args, "credential", refs[0])
	}
	c.log().Info("login", args...)
}

// noted writes down when the account was used.
func (c *client) noted() {
	c.srv.o.Users(c.ident.JID.Domain()).Touch(c.ident.JID.Local(), time.Now())
}

// maxUntried is how many logins of one connection may fail before anything secret is looked at: more than there are mechanisms.
const maxUntried = 16

// failed writes a failed attempt down. A non-nil error ends the stream: enough is enough (RFC 6120 §6.4.5).
func (c *client) failed(a *attempt, mechanism string, f *auth.Failure) error {
	c.n.attempt = nil
	// COMPAT: there are clients that try one mechanism after the other where they know no channel binding of TLS 1.3.
	if f.Untried {
		c.n.untried++
	} else {
		c.n.tries++
	}
	account := c.account(a)
	if f.Condition == auth.NotAuthorized && !f.Untried && c.srv.o.Throttle != nil {
		c.srv.o.Throttle.Fail(c.visitor, account)
	}
	args := []any{"condition", f.Condition, "account", account, "mechanism", mechanism, "remote", c.remote(), "tls", c.tlsVersion()}
	if f.Cause != nil {
		args = append(args, "err", f.Cause)
	}
	c.log().Info("login failed", args...)
	if limit := c.policy.AuthTries; limit > 0 && (c.n.tries >= limit || c.n.untried >= maxUntried) {
		return &stream.Error{Condition: "policy-violation", Text: "too many failed logins"}
	}
	return nil
}

func (c *client) remote() string {
	if a := c.sc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

func (c *client) tlsVersion() string {
	if cs := c.sc.TLS(); cs != nil {
		return tls.VersionName(cs.Version)
	}
	return "none"
}
