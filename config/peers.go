package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// OneOrMore is a list that may be written as its only element.
type OneOrMore []string

// S2SPolicy returns what [s2s] says of peers for a host: its own section laid over the global one, key by key.
func (c *Config) S2SPolicy(host string) S2SPolicy {
	if h := c.Hosts[host]; h != nil && h.policy != nil {
		return *h.policy
	}
	return c.S2S.S2SPolicy
}

// takePolicy reads a host's own section of [s2s], after the global one was checked. n is the host's section.
func (c *Config) takePolicy(h *HostConfig, n *Node, errs *Errors) {
	if h.S2S == nil {
		return
	}
	before := len(errs.List)
	p := Decode(h.S2S, c.S2S.S2SPolicy, errs)
	if len(errs.List) > before {
		return
	}
	errs.at = h.S2S
	p.check(c, h.S2S, "", errs)
	errs.at = n
	h.policy = &p
}

// checkS2S checks what [s2s] says of other servers, and makes their names comparable.
func (c *Config) checkS2S(root *Node, errs *Errors) {
	s := &c.S2S
	s.S2SPolicy.check(c, root.child("s2s"), "s2s.", errs)
	s.checkPeers(c, errs)
	if s.DNSServer != "" {
		if _, err := netip.ParseAddrPort(s.DNSServer); err != nil {
			errs.Add("s2s.dns_server", `%q is not an address with a port, such as "127.0.0.1:53" or "[::1]:53"`, s.DNSServer)
		}
	}
	if t := s.ConnectTimeout; t < seconds || t > 10*minutes {
		errs.Add("s2s.connect_timeout", `must be between "1s" and "10m", is %q`, t)
	}
}

// check checks a policy whose keys errs knows with a prefix. n is its section, which may be nil.
func (p *S2SPolicy) check(c *Config, n *Node, prefix string, errs *Errors) {
	if _, written := n.lookup("require_encryption"); written && p.SecureAuth && !p.RequireEncryption {
		c.warn(n.child("require_encryption"), "has no effect: secure_auth is true, and certificates are shown in TLS only")
	}

	places := map[string]string{}
	for _, l := range []struct {
		key   string
		names *[]string
	}{{"secure_domains", &p.SecureDomains}, {"insecure_domains", &p.InsecureDomains}} {
		clean := make([]string, 0, len(*l.names))
		for i, name := range *l.names {
			key := indexed(prefix+l.key, i)
			d, ok := c.pattern(errs, key, name, "secure_auth says what holds for all")
			if !ok {
				continue
			}
			if other, there := places[d]; there {
				errs.Add(key, "%q is in %s already", name, other)
				continue
			}
			places[d] = prefix + l.key
			clean = append(clean, d)
		}
		*l.names = clean
	}

	allow := []string{"allow", "deny"}
	oneOf(errs, prefix+"default_policy", p.DefaultPolicy, allow)
	seen := map[string]int{}
	p.HostPolicy = slices.Clone(p.HostPolicy) // a host may share the global list
	for i := range p.HostPolicy {
		h := &p.HostPolicy[i]
		key := indexed(prefix+"host_policy", i)
		if h.Policy != "" {
			oneOf(errs, key+".policy", h.Policy, allow)
		}
		if h.Host == "" {
			continue // required: said already
		}
		clean, ok := c.pattern(errs, key+".host", h.Host, "default_policy says what holds for all")
		if !ok {
			continue
		}
		if first, there := seen[clean]; there {
			errs.Add(key+".host", "%q has a policy already, %s", h.Host, indexed(prefix+"host_policy", first))
		}
		seen[clean], h.Host = i, clean
	}
}

// pattern prepares a domain or "*.domain". What can never be a peer's name is a mistake: it would be meant for another.
func (c *Config) pattern(errs *Errors, key, name, all string) (string, bool) {
	if name == "*" {
		errs.Add(key, `"*" is not a domain: %s`, all)
		return "", false
	}
	bare, wild := strings.CutPrefix(name, "*.")
	d, ok := domain(bare)
	if !ok {
		errs.Add(key, `%q is neither a domain nor "*.domain"`, name)
		return "", false
	}
	_, notIP := netip.ParseAddr(strings.Trim(d, "[]"))
	switch {
	case wild && notIP == nil:
		errs.Add(key, "%q fits nothing: there are no domains under an address", name)
		return "", false
	case wild:
		return "*." + d, true
	case slices.Contains(c.General.Hosts, d):
		errs.Add(key, "%q is a host of this server, which is never its own peer", name)
		return "", false
	}
	return d, true
}

// maxPeerAddresses is how many addresses a peer may have in s2s.hosts, as many as are taken from DNS.
const maxPeerAddresses = 16

// checkPeers checks s2s.hosts and prepares its names.
func (s *S2S) checkPeers(c *Config, errs *Errors) {
	hosts := make(map[string]OneOrMore, len(s.Hosts))
	written := make(map[string]string, len(s.Hosts))
	section, _ := errs.at.lookup("s2s.hosts")
	for _, name := range slices.Sorted(maps.Keys(s.Hosts)) {
		n := section.child(name)
		if n == nil {
			n = section
		}
		d, ok := domain(name)
		switch {
		case !ok:
			errs.addAt(n, "%q is not a domain name", name)
			continue
		case slices.Contains(c.General.Hosts, d):
			errs.addAt(n, "%q is a host of this server, which is never its own peer", name)
			continue
		case written[d] != "":
			errs.addAt(n, "%q is the same domain as %q", name, written[d])
			continue
		}
		written[d] = name
		addresses := s.Hosts[name]
		if len(addresses) == 0 || len(addresses) > maxPeerAddresses {
			errs.addAt(n, "must have between 1 and %d addresses, has %d", maxPeerAddresses, len(addresses))
		}
		for _, a := range addresses {
			if _, err := ParsePeerAddress(a); err != nil {
				errs.addAt(n, "%s", err)
			}
		}
		hosts[d] = addresses
	}
	s.Hosts = hosts
}

// PeerAddress is an entry of s2s.hosts.
type PeerAddress struct {
	Host string // an IP address, or a name to look up
	Port uint16
	TLS  bool // direct TLS (XEP-0368)
}

// ParsePeerAddress reads address:port or tls://address:port.
func ParsePeerAddress(s string) (a PeerAddress, err error) {
	rest, direct := strings.CutPrefix(s, "tls://")
	bad := fmt.Errorf(`%q is not an address with a port, such as "10.0.0.2:5269", "[fd00::2]:5269", "xmpp.example.com:5269" or "tls://10.0.0.2:5270"`, s)
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return a, bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return a, fmt.Errorf("%q has no port between 1 and 65535", s)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() {
			return a, fmt.Errorf("%q is not the address of a server", s)
		}
	} else if _, ok := domain(host); !ok {
		return a, bad
	}
	return PeerAddress{Host: host, Port: uint16(n), TLS: direct}, nil
}
