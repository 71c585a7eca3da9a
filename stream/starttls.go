package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
)

// StartTLS runs the server's handshake, for direct TLS on a connection that is new. It refuses with ErrInjected, without
// reading further, when bytes of the peer other than white space are buffered that were sent in the clear behind
// <starttls/> (RFC 6120 §5.4.3.3: STARTTLS injection). The caller has flushed <proceed/>, bounds the handshake by ctx, and
// aborts the connection after any error. After success a new stream begins, as Restart says.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error {
	return c.startTLS(ctx, func(w *wire) *tls.Conn { return tls.Server(w, noting(cfg)) })
}

// StartTLSClient is StartTLS for who has opened the connection: it has read <proceed/>, and the bytes that must not be there
// are those behind it.
func (c *Conn) StartTLSClient(ctx context.Context, cfg *tls.Config) error {
	return c.startTLS(ctx, func(w *wire) *tls.Conn { return tls.Client(w, cfg) })
}

func (c *Conn) startTLS(ctx context.Context, on func(*wire) *tls.Conn) error {
	c.readMu.Lock()
	// COMPAT: go-xmpp 0.3.6 ends <starttls/> with a newline. White space says nothing, so it is dropped; all else is an attack.
	injected := c.rd != nil && len(bytes.TrimLeft(c.rd.b[c.rd.off:], " \t\r\n")) > 0
	if !injected {
		c.release()
	}
	c.readMu.Unlock()
	if injected {
		return ErrInjected
	}
	if err := c.hold(ctx); err != nil {
		return err
	}
	c.wire.framed = true // nobody else reads now
	tc := on(c.wire)
	// The handshake's deep stack belongs to a goroutine that ends with it: this one may live for days.
	done := make(chan error, 1)
	go func() { done <- tc.HandshakeContext(ctx) }()
	err := <-done
	if err != nil {
		c.mu.Lock()
		c.held = false
		c.mu.Unlock()
		return fmt.Errorf("stream: TLS handshake: %w", err)
	}
	c.readMu.Lock()
	c.r = tc
	c.readMu.Unlock()
	c.mu.Lock()
	c.tls, c.held = tc, false
	c.mu.Unlock()
	c.Restart()
	return nil
}

// hold waits until all output in the clear has left, and stops further output for the time of the handshake. Deadlines
// of reads are lifted: the handshake has its own.
func (c *Conn) hold(ctx context.Context) error {
	for {
		if err := c.WaitBelow(ctx, 0); err != nil {
			return err
		}
		c.mu.Lock()
		if c.closed || c.closing.Load() {
			c.mu.Unlock()
			return ErrClosed
		}
		if c.tls != nil || c.held {
			c.mu.Unlock()
			return errors.New("stream: TLS twice")
		}
		if c.out.size == 0 && !c.writing {
			c.held = true
			c.setDeadline(0)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
	}
}

// noted marks a configuration that tells the connection which certificate it chose. It sits in a field that servers do
// not use, so that one configuration can serve all connections instead of a copy for each.
type noted struct{ tls.ClientSessionCache }

// noting returns cfg, or a copy of it, with a GetCertificate that notes the certificate on the connection: crypto/tls
// does not tell the server side what it showed.
func noting(cfg *tls.Config) *tls.Config {
	if _, ok := cfg.ClientSessionCache.(noted); ok {
		return cfg
	}
	in := cfg.Clone()
	out := cfg.Clone()
	out.ClientSessionCache = noted{}
	out.Certificates = nil
	out.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := choose(in, hello)
		if err != nil {
			return nil, err
		}
		if w, ok := hello.Conn.(*wire); ok && len(cert.Certificate) > 0 {
			w.noteCertificate(&cert.Certificate[0])
		}
		return cert, nil
	}
	if get := in.GetConfigForClient; get != nil {
		out.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := get(hello)
			if c == nil || err != nil {
				return c, err
			}
			return noting(c), nil
		}
	}
	return out
}

// choose picks a certificate as crypto/tls does.
func choose(cfg *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cfg.GetCertificate != nil && (len(cfg.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := cfg.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(cfg.Certificates) == 0 {
		return nil, errors.New("stream: no certificate")
	}
	for i := range cfg.Certificates {
		if hello.SupportsCertificate(&cfg.Certificates[i]) == nil {
			return &cfg.Certificates[i], nil
		}
	}
	return &cfg.Certificates[0], nil
}
