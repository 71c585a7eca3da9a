package s2s

import (
	"strings"

	"github.com/xmppd/xmppd/config"
)

// Policy is what [s2s] says of peers, made of one configuration; it never changes. Domains are prepared, as those of a
// stanza.JID are.
//
// What holds for a pair of domains, ours and theirs:
//
//	the most exact entry for theirs    secure_auth   certificate   TLS
//	in secure_domains                  any           must be valid must be
//	in insecure_domains                any           may be bad    must be, unless require_encryption and secure_auth are false
//	none                               true          must be valid must be
//	none                               false         may be bad    as require_encryption says
//
// The most exact entry is the name itself, then the longest "*.domain" that the name is under. Where a certificate may be
// bad, dialback (XEP-0220) proves the name.
type Policy struct {
	all    *rules
	byHost map[string]*rules // of all hosts; nil where none has a section of its own
	// owner, if set, returns the host that a domain of ours is, or is a service of; empty where it is not ours.
	owner func(domain string) string
}

// rules are the policy of one host.
type rules struct {
	requireTLS  bool
	requireCert bool
	certs       patterns // true: must be valid
	allow       bool
	peers       patterns // true: allow
}

// NewPolicy makes the policy of a configuration that was loaded.
func NewPolicy(cfg *config.Config) *Policy {
	p := &Policy{all: newRules(cfg.S2S.S2SPolicy), byHost: make(map[string]*rules)}
	own := 0
	for _, host := range cfg.General.Hosts {
		p.byHost[host] = p.all
		if h := cfg.Hosts[host]; h != nil && h.S2S != nil {
			p.byHost[host] = newRules(cfg.S2SPolicy(host))
			own++
		}
	}
	if own == 0 {
		p.byHost = nil
	}
	return p
}

func newRules(o config.S2SPolicy) *rules {
	r := &rules{
		requireTLS:  o.RequireEncryption || o.SecureAuth, // certificates are shown in TLS only
		requireCert: o.SecureAuth,
		certs:       make(patterns),
		allow:       o.DefaultPolicy != "deny",
		peers:       make(patterns),
	}
	for _, d := range o.SecureDomains {
		r.certs.put(d, true)
	}
	for _, d := range o.InsecureDomains {
		r.certs.put(d, false)
	}
	for _, h := range o.HostPolicy {
		r.peers.put(h.Host, h.Policy == "allow")
	}
	return r
}

// Allows tells whether the host local, or a service of it, talks to the domain remote at all.
func (p *Policy) Allows(local, remote string) bool {
	r := p.of(local)
	return r.peers.find(remote, r.allow)
}

// NeedTLS tells whether the two talk over TLS only.
func (p *Policy) NeedTLS(local, remote string) bool {
	return p.of(local).requireTLS || p.NeedCert(local, remote)
}

// NeedCert tells whether remote must show a certificate that Verifier.Check finds valid.
func (p *Policy) NeedCert(local, remote string) bool {
	r := p.of(local)
	return r.certs.find(remote, r.requireCert)
}

// of returns the rules of a host. A service of it, such as rooms.host, has the host's; of what is not known to be ours it is
// the name that decides.
func (p *Policy) of(local string) *rules {
	if p.byHost != nil && p.owner != nil {
		if r := p.byHost[p.owner(local)]; r != nil {
			return r
		}
	}
	for more := p.byHost != nil; more; _, local, more = strings.Cut(local, ".") {
		if r := p.byHost[local]; r != nil {
			return r
		}
	}
	return p.all
}

// patterns are domains and, for all those under a domain, ".domain", each with what holds for it.
type patterns map[string]bool

// put adds a domain or "*.domain".
func (ps patterns) put(pattern string, v bool) { ps[strings.TrimPrefix(pattern, "*")] = v }

// find returns what the most exact pattern says of a domain, or otherwise where none fits.
func (ps patterns) find(domain string, otherwise bool) bool {
	if len(ps) == 0 {
		return otherwise
	}
	if v, ok := ps[domain]; ok {
		return v
	}
	for i := 0; i < len(domain); i++ {
		if domain[i] == '.' {
			if v, ok := ps[domain[i:]]; ok {
				return v
			}
		}
	}
	return otherwise
}
