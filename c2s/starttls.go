package c2s

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// tlsConfig is what a handshake of this client would use, or nil where its host has no TLS.
func (c *client) tlsConfig() *tls.Config {
	if c.srv.o.TLS == nil {
		return nil
	}
	return c.srv.o.TLS(c.n.conn.Host, c.n.direct)
}

// startTLS answers <starttls/> (RFC 6120 §5.4.2).
func (c *client) startTLS() error {
	cfg := c.tlsConfig()
	if cfg == nil || c.state != 0 {
		if err := c.say("<failure xmlns='" + stanza.NSTLS + "'/>"); err != nil {
			return err
		}
		return errClose // RFC 6120 §5.4.2.2
	}
	if err := c.say("<proceed xmlns='" + stanza.NSTLS + "'/>"); err != nil {
		return err
	}
	c.batch.Flush()
	c.n.attempt = nil
	return c.handshake(cfg)
}

// directTLS begins a connection to a port of direct TLS (XEP-0368).
func (c *client) directTLS() error {
	cfg := c.tlsConfig()
	if cfg == nil {
		return errAborted
	}
	c.n.direct = false
	return c.handshake(cfg)
}

// handshake brings TLS up. After it all is new: the stream header and what the client said before it.
func (c *client) handshake(cfg *tls.Config) error {
	release, ok := c.srv.turns.Take(c.n.deadline, c.srv.stop)
	if !ok {
		return errAborted
	}
	defer release()
	ctx, cancel := context.WithDeadline(c.srv.ctx, c.n.deadline)
	defer cancel()
	if err := c.sc.StartTLS(ctx, cfg); err != nil {
		c.log().Debug("TLS handshake failed", "err", err)
		return errAborted
	}
	c.state |= stream.Secure
	c.n.header = true // RFC 6120 §5.4.3.3
	c.until(time.Duration(c.policy.LoginTimeout))
	return nil
}

// errAborted ends a connection on which nothing can be said: there is no TLS.
var errAborted = errors.New("c2s: no TLS")
