package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/s2s"
)

// checkTime bounds all look-ups together.
const checkTime = time.Minute

// dnsService is a service that a host may have records of.
type dnsService struct {
	name   string // _xmpp-client._tcp
	who    string // who looks for it
	option string // that says where it listens
	listen []string
	port   uint16 // where it usually is
}

// dnsServices lists the services in pairs: what is looked for without TLS, then with direct TLS.
func dnsServices(cfg *config.Config) [][2]dnsService {
	return [][2]dnsService{
		{
			{"_xmpp-client._tcp", "clients", "c2s.listen", cfg.C2S.Listen, 5222},
			{"_xmpps-client._tcp", "clients", "c2s.listen_tls", cfg.C2S.ListenTLS, 5223},
		},
		{
			{"_xmpp-server._tcp", "servers", "s2s.listen", cfg.S2S.Listen, 5269},
			{"_xmpps-server._tcp", "servers", "s2s.listen_tls", cfg.S2S.ListenTLS, 5270},
		},
	}
}

// dnsCheck collects what is found for one host.
type dnsCheck struct {
	resolver *s2s.Resolver
	host     string
	ascii    string // as the DNS has it
	target   string // a name that leads here, for records to add
	mild     bool   // what is missing is said as a note
	own      []netip.Addr
	out      []finding
}

// checkDNS says what others find in the DNS for each host, and for what modules serve below it.
func checkDNS(ctx context.Context, cfg *config.Config, served []modules.Served) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out := []finding{}
	resolver := s2s.NewResolver(cfg.S2S.DNSServer)
	own := ownAddresses()
	for _, host := range cfg.General.Hosts {
		if host == "localhost" || strings.HasSuffix(host, ".localhost") {
			out = append(out, finding{"dns", true, host + " is this machine for everybody (RFC 6761 §6.3): nothing to look up"})
			continue
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			out = append(out, finding{"dns", true, host + " is an address: nothing to look up"})
			continue
		}
		c := &dnsCheck{resolver: resolver, host: host, ascii: toASCII(host), own: own}
		for _, pair := range dnsServices(cfg) {
			c.pair(ctx, pair)
		}
		for _, s := range served {
			if s.Host == host {
				c.service(ctx, cfg, s.Domain)
			}
		}
		out = append(out, c.out...)
	}
	return out
}

// toASCII returns a domain as the DNS and certificates have it.
func toASCII(domain string) string {
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		return ascii
	}
	return domain
}

// ownAddresses lists the addresses of this machine.
func ownAddresses() (list []netip.Addr) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}

// missing is say for what is not there.
func (c *dnsCheck) missing(format string, args ...any) {
	if c.mild {
		format = "note: " + format
	}
	c.say(c.mild, format, args...)
}

func (c *dnsCheck) say(ok bool, format string, args ...any) {
	c.out = append(c.out, finding{"dns", ok, c.host + ": " + fmt.Sprintf(format, args...)})
}

// pair checks what clients, or servers, find: records with and without direct TLS, or the host's address.
func (c *dnsCheck) pair(ctx context.Context, pair [2]dnsService) {
	var found [2][]*net.SRV
	for i, s := range pair {
		records, err := c.resolver.SRV(ctx, s.name, c.host)
		if err != nil && !errors.Is(err, s2s.ErrNoServer) {
			c.say(false, "%s", lookupText(err))
			return
		}
		found[i] = records
	}
	plain, direct := pair[0], pair[1]
	listens := len(plain.listen)+len(direct.listen) > 0
	if !listens && len(found[0])+len(found[1]) == 0 {
		c.say(true, "there are no records for %s, and nothing listens for them", plain.who)
		return
	}
	for i, s := range pair {
		for _, r := range found[i] {
			c.record(ctx, s, r)
		}
	}
	switch {
	case len(plain.listen) == 0:
	case len(found[0])+len(found[1]) == 0:
		c.fallback(ctx, plain)
	case len(found[0]) == 0:
		c.say(true, "note: %s that do not know of direct TLS find nothing here; add %s", plain.who, c.line(plain))
	}
	if len(direct.listen) > 0 && len(found[1]) == 0 {
		c.say(true, "note: %s do not find direct TLS (%s); add %s", direct.who, direct.option, c.line(direct))
	}
}

// record checks where one record leads.
func (c *dnsCheck) record(ctx context.Context, s dnsService, r *net.SRV) {
	target := strings.TrimSuffix(r.Target, ".")
	switch {
	case target == "" && len(s.listen) == 0:
		c.say(true, "%s says that there is no such service, and there is none", s.name)
		return
	case target == "":
		c.say(false, "%s says that there is no such service, but %s has addresses; replace it by %s", s.name, s.option, c.line(s))
		return
	case r.Port == 0:
		c.say(false, "%s has port 0, to which nobody connects; replace it by %s", s.name, c.line(s))
		return
	}
	addrs, err := c.resolver.Addrs(ctx, target)
	if errors.Is(err, s2s.ErrNoServer) {
		c.say(false, "%s leads to %s, which has no address; add %s. 3600 IN A ADDRESS", s.name, target, target)
		return
	}
	if err != nil {
		c.say(false, "%s leads to %s: %s", s.name, target, lookupText(err))
		return
	}
	if c.address(s, s.name, target, r.Port, addrs) {
		c.target = target
	}
}

// fallback checks the host's own address, which counts where there are no records (RFC 6120 §3.2.2).
func (c *dnsCheck) fallback(ctx context.Context, s dnsService) {
	addrs, err := c.resolver.Addrs(ctx, c.host)
	switch {
	case errors.Is(err, s2s.ErrNoServer):
		also := ", and " + c.ascii + ". 3600 IN A ADDRESS"
		if c.mild { // the record leads to the host
			also = ""
		}
		c.missing("%s find nothing: there is no record %s and no address; add %s%s", s.who, s.name, c.line(s), also)
	case err != nil:
		c.say(false, "%s", lookupText(err))
	case !slices.ContainsFunc(s.listen, func(a string) bool { return portOf(a) == s.port || portOf(a) == 0 }):
		c.missing("%s find no record and try port %d, on which %s does not listen; add %s", s.who, s.port, s.option, c.line(s))
	default:
		if c.address(s, "no record: the host itself", c.host, s.port, addrs) {
			if c.mild { // it leads here, and the host may not
				c.target = c.ascii
			}
			c.say(true, "note: it works without records; to be able to move, add %s", c.line(s))
		}
	}
}

// address checks whether addresses lead to this machine, and to a port on which it listens. It tells whether all is well as
// far as can be seen from here.
func (c *dnsCheck) address(s dnsService, from, target string, port uint16, addrs []netip.Addr) bool {
	fine := true
	for _, a := range addrs {
		to := fmt.Sprintf("%s find %s (%s): %s", s.who, net.JoinHostPort(target, strconv.Itoa(int(port))), a, from)
		listening, only := listensOn(s.listen, a, port)
		switch {
		case !a.IsLoopback() && !slices.Contains(c.own, a):
			c.say(true, "note: %s; it is no address of this machine, which is right behind a router or proxy that forwards port %d", to, port)
		case !listening:
			fine = false
			c.say(false, "%s; it is this machine, but %s has no such address and port: listen there, or set the record to %s", to, s.option, c.line(s))
		case a.IsLoopback() && !only:
			fine = false
			c.say(false, "%s; it is a loopback address, where nobody else gets here (is it from /etc/hosts?)", to)
		default:
			c.say(true, "%s; it is this machine", to)
		}
	}
	return fine
}

// line is the record to add for a service.
func (c *dnsCheck) line(s dnsService) string {
	port, target := s.port, c.target
	for _, a := range s.listen {
		if p := portOf(a); p != 0 {
			port = p
			break
		}
	}
	if target == "" {
		target = c.ascii
	}
	if len(s.listen) == 0 {
		return fmt.Sprintf("%s.%s. 3600 IN SRV 0 0 0 .", s.name, c.ascii)
	}
	return fmt.Sprintf("%s.%s. 3600 IN SRV 0 5 %d %s.", s.name, c.ascii, port, target)
}

// portOf returns the port of a listener's address; 0 where the system picks one.
func portOf(addr string) uint16 {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

// listensOn tells whether one of a listener's addresses takes connections to an address of this machine; only says that it
// is meant for this address alone. A port that the system picks may be any.
func listensOn(listen []string, to netip.Addr, port uint16) (listening, only bool) {
	for _, s := range listen {
		host, _, _ := net.SplitHostPort(s)
		if p := portOf(s); p != port && p != 0 {
			continue
		}
		a, err := netip.ParseAddr(host)
		switch {
		case host == "", err == nil && a.IsUnspecified() && (a.Is6() || to.Is4()):
			listening = true
		case err != nil: // a name, which is an address of this machine or does not start
			listening = true
		case a.Unmap().WithZone("") == to:
			listening, only = true, true
		}
	}
	return listening, only
}

// lookupText says why a look-up failed, for an admin.
func lookupText(err error) string {
	text := strings.TrimPrefix(err.Error(), "s2s: ")
	if errors.Is(err, s2s.ErrTimeout) || errors.Is(err, s2s.ErrDNS) {
		text += "; is the DNS server reachable, and right (s2s.dns_server, /etc/resolv.conf)?"
	}
	return text
}
