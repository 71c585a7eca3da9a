package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/s2s"
	"github.com/xmppd/xmppd/stanza"
)

// peers is what the router has for other servers. It is empty while modules start, and where commands use a server that does
// not run.
type peers struct{ to atomic.Pointer[s2s.Server] }

// Send implements router.Peers.
func (p *peers) Send(ctx context.Context, pkt *modules.Packet) error {
	to := p.to.Load()
	if to == nil {
		return stanza.Err(stanza.RemoteServerNotFound, "")
	}
	return to.Send(ctx, pkt)
}

// openPeers makes s2s. The listeners are open by then: their addresses are never connected to.
func (s *server) openPeers(cfg *config.Config) error {
	verifier, err := newVerifier(cfg)
	if err != nil {
		return err
	}
	s.s2s = s2s.New(s2s.Options{
		Config: cfg, Router: s.router, Secret: s.keys.Secret, Dialer: s.newDialer(cfg), Verifier: verifier,
		TLS: s.tlsConfig("xmpp-server"), ClientTLS: s.clientTLS, Log: s.log,
	})
	s.peers.to.Store(s.s2s)
	return nil
}

// newVerifier reads who may vouch for other servers.
func newVerifier(cfg *config.Config) (*s2s.Verifier, error) {
	v, err := s2s.NewVerifier(s2s.VerifierOptions{RootsFile: cfg.Resolve(cfg.TLS.TrustedCAFile)})
	if err != nil {
		return nil, fmt.Errorf("tls.trusted_ca_file: %w", err)
	}
	return v, nil
}

func (s *server) newDialer(cfg *config.Config) *s2s.Dialer {
	return s2s.NewDialer(s2s.DialerOptions{S2S: cfg.S2S, Own: s2s.OwnAddresses(s.listeners.own()...)})
}

// clientTLS returns the configuration of a handshake with a server that we have connected to.
func (s *server) clientTLS(local, remote string, direct bool) *tls.Config {
	cfg := s.config()
	return s2s.ClientTLS(s2s.ClientTLSOptions{
		Profile: cfg.TLS.Profile, Curves: cfg.TLS.Curves, Certificates: s.certs, Local: local, Domain: remote, Direct: direct,
	})
}
