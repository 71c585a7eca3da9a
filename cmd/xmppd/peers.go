package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/s2s"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
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

// peerSessions lists the streams of other servers as `session list` shows them.
func (s *server) peerSessions(want string) (out []sessionInfo) {
	if s.s2s == nil {
		return nil
	}
	for _, in := range s.s2s.Streams(want) {
		p := &peerInfo{Direction: "in", BothWays: in.Both, Pairs: []peerPair{}}
		if in.Out {
			p.Direction = "out"
		}
		si := sessionInfo{ID: in.ID, JID: in.Remote, Address: in.Address.String(), TLS: "none", Started: in.Started, LastIn: in.LastIn,
			SM: in.SM, Waiting: in.Waiting, Unacked: in.Unacked, Peer: p}
		if in.TLS != nil {
			si.TLS = stream.TLSVersionName(in.TLS.Version)
		}
		for i, pair := range in.Pairs {
			p.Pairs = append(p.Pairs, peerPair(pair))
			if i == 0 {
				si.JID, si.Mechanism = pair.Remote, pair.Method
			}
		}
		out = append(out, si)
	}
	return out
}

// closePeers ends the streams of another server's domain, or the one of an id.
func (s *server) closePeers(which, text string) int {
	if s.s2s == nil {
		return 0
	}
	return s.s2s.Close(which, &stream.Error{Condition: "reset", Text: text}) // RFC 6120 §4.9.3.16
}

// describe says in words what a stream carries.
func (p *peerInfo) describe() string {
	if len(p.Pairs) == 0 {
		return p.Direction + ", not authenticated"
	}
	words := make([]string, 0, len(p.Pairs))
	for _, k := range p.Pairs {
		from, to, arrow := k.Remote, k.Local, " -> "
		if p.Direction == "out" {
			from, to = to, from
		}
		if p.BothWays {
			arrow = " <-> "
		}
		words = append(words, from+arrow+to)
	}
	return p.Direction + ": " + strings.Join(words, ", ")
}
