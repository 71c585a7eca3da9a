package s2s

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// grant says that the other end of a link is the remote domain of a pair: it may send stanzas from that to ours, and where
// the link takes stanzas of ours, those of that pair. Nothing else may pass (RFC 6120 §8.1.2.2, XEP-0220 §1.1).
//
// What was proved when the grant was made holds as long as the link: a certificate that expires meanwhile ends nothing, as
// with clients. Links without stanzas end by themselves (limits.idle_timeout_s2s).
type grant struct {
	pair
	how   string // EXTERNAL, certificate, dialback
	cert  bool   // its certificate is valid for it
	since time.Time
	// allowed is the policy that has allowed the pair. A stanza costs a comparison until there is a new one.
	allowed atomic.Pointer[Policy]
}

// granted returns the grant of a pair, or nil.
func (l *link) granted(local, remote string) *grant {
	for _, g := range *l.grants.Load() {
		if g.remote == remote && g.local == local {
			return g
		}
	}
	return nil
}

// knows tells whether the link is proved to be a domain's, whomever it speaks to.
func (l *link) knows(remote string) bool {
	return slices.ContainsFunc(*l.grants.Load(), func(g *grant) bool { return g.remote == remote })
}

// maxGrants bounds the pairs of one link.
const maxGrants = 1000

// allow makes a grant. It may be called from any goroutine, and comes before the other server is told.
func (l *link) allow(k pair, how string) *stream.Error {
	set := l.srv.settings.Load()
	g := &grant{pair: k, how: how, cert: l.certificate(k.remote) == nil, since: time.Now()}
	if !l.srv.talks(set.policy, k) {
		return errDenied
	}
	g.allowed.Store(set.policy)
	s := l.srv
	s.mu.Lock()
	old := *l.grants.Load()
	_, here := s.links[l]
	switch {
	case !here:
		s.mu.Unlock()
		return errTimeout // it is gone, so it does not matter
	case len(old) >= maxGrants:
		s.mu.Unlock()
		return &stream.Error{Condition: "resource-constraint", Text: "too many domains on one stream"}
	case !l.out && !l.knows(k.remote):
		if limit := set.S2SStreams; limit > 0 && s.streams[k.remote] >= limit {
			s.mu.Unlock()
			return &stream.Error{Condition: "resource-constraint", Text: "your domain has enough streams to this server"}
		}
		s.streams[k.remote]++
	}
	next := append(slices.Clone(old), g)
	l.grants.Store(&next)
	s.mu.Unlock()
	if len(old) == 0 {
		s.gate.LoggedIn(l)
		l.sc.SetLimits(l.set.authd, int(l.set.RateS2S), int(l.set.BurstS2S))
		l.sc.SetReadDeadline(time.Now().Add(time.Duration(l.set.IdleTimeoutS2S)))
	}
	direction := "in"
	if l.out {
		direction = "out"
	}
	s.log.Info("server authenticated", "id", l.ID(), "direction", direction, "host", k.local, "peer", k.remote, "method", how,
		"tls", l.tlsVersion(), "remote", l.sc.RemoteAddr().String())
	return nil
}

// share has a link that another server opened carry stanzas of ours, too, where it has asked for them (XEP-0288). It comes
// after the other server was told that a pair is granted.
func (l *link) share(k pair) {
	if !l.bidi.Load() || l.out {
		return
	}
	s := l.srv
	s.mu.Lock()
	_, here := s.links[l]
	if here && s.back[k] == nil {
		s.back[k] = l
	}
	s.mu.Unlock()
	if r := s.routes.get(k); here && r != nil {
		r.offer(l)
	}
}

// The ways to prove who one is.
const (
	byExternal    = "EXTERNAL"    // SASL EXTERNAL (XEP-0178)
	byCertificate = "certificate" // asked by dialback, proved by certificate (XEP-0344)
	byDialback    = "dialback"    // XEP-0220
)

var (
	errDenied  = &stream.Error{Condition: "policy-violation", Text: "Communication with this domain is restricted"}
	errUnknown = &stream.Error{Condition: "host-unknown"} // RFC 6120 §4.9.3.6
)

// reconsider ends a link that a new policy forbids.
func (l *link) reconsider(p *Policy) {
	for _, g := range *l.grants.Load() {
		switch {
		case l.srv.o.Router.Owner(g.local) == nil:
			l.sc.CloseWith(&stream.Error{Condition: "host-gone"}) // RFC 6120 §4.9.3.5
		case !l.srv.talks(p, g.pair):
			l.sc.CloseWith(errDenied)
		case p.NeedTLS(g.local, g.remote) && l.sc.TLS() == nil, p.NeedCert(g.local, g.remote) && !g.cert:
			l.sc.CloseWith(&stream.Error{Condition: "reset"}) // RFC 6120 §4.9.3.16: it may come again, and prove more
		default:
			continue
		}
		l.log().Info("stream ended: the new configuration does not allow it", "domain", g.remote)
		return
	}
}

// certificate returns what is wrong with the other end's certificate as that of a domain; nil: nothing.
func (l *link) certificate(domain string) error {
	return l.srv.settings.Load().verifier.Check(l.sc.TLS(), domain)
}

// hosted tells whether a domain is ours: a host, or a service of one.
func (s *engine) hosted(domain string) bool { return s.o.Router.Served(domain) }

// talks tells whether stanzas of a pair may pass at all: one end is ours, the other one is not, and the policy allows it. A
// reload may change each.
func (s *engine) talks(p *Policy, k pair) bool {
	return s.hosted(k.local) && !s.hosted(k.remote) && p.Allows(k.local, k.remote)
}

// domainOf reads an address that has to be a domain's.
func domainOf(st *stanza.Stanza, attr string) (string, bool) {
	v, _ := st.Attr(attr)
	j, err := stanza.ParseJID(v)
	if err != nil || j != j.Host() {
		return "", false
	}
	return j.Domain(), true
}
