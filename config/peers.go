package config

import (
	"cmp"
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

// checkS2S checks what [s2s] and the hosts' own sections of it say of other servers, and makes their names comparable.
func (c *Config) checkS2S(root *Node, sections []HostConfig, errs *Errors) {
	errs.at = root
	s := &c.S2S
	s.S2SPolicy.check(c, root.child("s2s"), "s2s.", errs)
	s.checkPeers(c, errs)
	if s.DNSServer != "" {
		if a, err := netip.ParseAddrPort(s.DNSServer); err != nil || a.Port() == 0 {
			errs.Add("s2s.dns_server", `%q is not an address with a port, such as "127.0.0.1:53" or "[::1]:53"`, s.DNSServer)
		}
	}
	if t := s.ConnectTimeout; t < seconds || t > 10*minutes {
		errs.Add("s2s.connect_timeout", `must be between "1s" and "10m", is %q`, t)
	}
	for i := range sections {
		h := &sections[i]
		if h.S2S == nil {
			continue
		}
		p := Decode(h.S2S, s.S2SPolicy, errs)
		errs.at = h.S2S
		p.check(c, h.S2S, "", errs)
		h.policy = &p
	}
	errs.at = nil
}

// check checks a policy whose keys errs knows with a prefix. n is its section, which may be nil.
func (p *S2SPolicy) check(c *Config, n *Node, prefix string, errs *Errors) {
	if at := n.child("require_encryption"); at != nil && p.SecureAuth && !p.RequireEncryption {
		c.warn(at, "false has no effect: secure_auth is true, and certificates are shown in TLS only")
	}

	// A list that a host has of the global section is checked already: what clashes with it is the host's own.
	inherited := func(key string) bool { return prefix == "" && n.child(key) == nil }
	lists := []struct {
		key   string
		names *[]string
	}{{"secure_domains", &p.SecureDomains}, {"insecure_domains", &p.InsecureDomains}}
	places := map[string]string{}
	for _, l := range lists {
		if inherited(l.key) {
			for _, d := range *l.names {
				places[d] = "s2s." + l.key
			}
		}
	}
	for _, l := range lists {
		if inherited(l.key) {
			continue
		}
		prepared := make([]string, 0, len(*l.names))
		for i, name := range *l.names {
			key := indexed(prefix+l.key, i)
			d, ok := c.pattern(errs, key, name, prefix+"secure_auth")
			if !ok {
				continue
			}
			if other, there := places[d]; there {
				errs.Add(key, "%q is in %s already", name, other)
				continue
			}
			places[d] = prefix + l.key
			prepared = append(prepared, d)
		}
		*l.names = prepared
	}

	allow := []string{"allow", "deny"}
	oneOf(errs, prefix+"default_policy", p.DefaultPolicy, allow)
	if inherited("host_policy") {
		return
	}
	seen := map[string]int{}
	for i := range p.HostPolicy {
		h := &p.HostPolicy[i]
		key := indexed(prefix+"host_policy", i)
		if h.Policy != "" {
			oneOf(errs, key+".policy", h.Policy, allow)
		}
		if h.Host == "" {
			continue // required: said already
		}
		d, ok := c.pattern(errs, key+".host", h.Host, prefix+"default_policy")
		if !ok {
			continue
		}
		if first, there := seen[d]; there {
			errs.Add(key+".host", "%q has a policy already, %s", h.Host, indexed(prefix+"host_policy", first))
		}
		seen[d], h.Host = i, d
	}
}

// pattern prepares a domain or "*.domain". What can never be a peer's name is a mistake: another is meant. general names the
// option that holds for all.
func (c *Config) pattern(errs *Errors, key, name, general string) (string, bool) {
	if name == "*" {
		errs.Add(key, `"*" is not a domain: %s says what holds for all`, general)
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
	for _, name := range slices.SortedFunc(maps.Keys(s.Hosts), func(a, b string) int {
		return cmp.Compare(section.child(a).Line, section.child(b).Line)
	}) {
		n := section.child(name)
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
		if list, ok := n.Value.([]*Node); ok && (len(list) == 0 || len(list) > maxPeerAddresses) {
			errs.addAt(n, "must have between 1 and %d addresses, has %d", maxPeerAddresses, len(list))
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
