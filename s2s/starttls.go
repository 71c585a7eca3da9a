package s2s

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// tlsConfig is what a handshake that the other server begins would use, or nil where there is no TLS.
func (l *link) tlsConfig() *tls.Config {
	if l.srv.o.TLS == nil {
		return nil
	}
	return l.srv.o.TLS(l.local, l.direct)
}

// startTLS answers <starttls/> (RFC 6120 §5.4.2).
func (l *link) startTLS() error {
	if l.tlsConfig() == nil || l.state != 0 || l.begun() {
		if err := l.say("<failure xmlns='" + stanza.NSTLS + "'/>"); err != nil {
			return err
		}
		return errClose // RFC 6120 §5.4.2.2
	}
	if err := l.say("<proceed xmlns='" + stanza.NSTLS + "'/>"); err != nil {
		return err
	}
	l.batch.Flush()
	return l.handshake()
}

// begun tells whether anything was proved on the link, or is being proved: that belongs to the stream as it is.
func (l *link) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0 || len(*l.grants.Load()) > 0
}

// handshake brings TLS up as the server. After it all is new: the stream header and what the other server said before it.
func (l *link) handshake() error {
	cfg := l.tlsConfig()
	if cfg == nil {
		return errAborted
	}
	deadline := l.started.Add(time.Duration(l.set.HandshakeTimeout))
	release, ok := l.srv.turns.Take(deadline, l.srv.life.Done())
	if !ok {
		return errAborted
	}
	defer release()
	ctx, cancel := context.WithDeadline(l.srv.ctx, deadline)
	defer cancel()
	if err := l.sc.StartTLS(ctx, cfg); err != nil {
		l.log().Debug("TLS handshake failed", "err", err)
		return errAborted
	}
	l.state |= stream.Secure
	l.header = true // RFC 6120 §5.4.3.3
	l.bidi.Store(false)
	l.until(time.Duration(l.set.LoginTimeout))
	return nil
}

// secure brings TLS up as the client: by STARTTLS (RFC 6120 §5.4.2), or at once (XEP-0368).
func (l *link) secure(ctx context.Context) error {
	if !l.direct {
		if err := l.say("<starttls xmlns='" + stanza.NSTLS + "'/>"); err != nil {
			return err
		}
		l.batch.Flush()
		st, err := l.next()
		if err != nil {
			return err
		}
		if st.NS != stanza.NSTLS || st.Name != "proceed" {
			return fail("it refuses TLS", errTimedOut)
		}
	}
	// The certificate is judged afterwards, by who knows the policy.
	if err := l.sc.StartTLSClient(ctx, l.srv.o.ClientTLS(l.local, l.remote, l.direct)); err != nil {
		return fail("TLS handshake: "+err.Error(), errTimedOut)
	}
	l.state |= stream.Secure
	deadline, _ := ctx.Deadline()
	l.sc.SetReadDeadline(deadline) // the handshake has lifted it
	return nil
}
