package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stream"
)

// checkServicesTLS says what the server would show for the subdomains that modules serve. Nothing there keeps it from starting.
func checkServicesTLS(o stream.CertOptions) []finding {
	out := []finding{}
	for _, sv := range o.Services {
		c, err := stream.FindService(o, sv)
		for _, p := range c.Problems {
			out = append(out, finding{"tls", true, "note: " + p.Error()})
		}
		switch {
		case err != nil:
			out = append(out, finding{"tls", true, "note: " + err.Error()})
		case len(c.Chain) == 0:
			out = append(out, finding{"tls", true, sv.Domain + " has no certificate of its own; the server makes a self-signed one at its start, as for " + sv.Host})
		case c.Own:
			out = append(out, describeLeaf(sv.Domain, c.File, c.Chain[0]))
		case c.Chain[0].VerifyHostname(toASCII(sv.Domain)) == nil:
			out = append(out, finding{"tls", true, fmt.Sprintf("%s: %s: the certificate of %s names it as well: %s", sv.Domain, c.File, sv.Host, strings.Join(c.Chain[0].DNSNames, ", "))})
		}
	}
	return out
}

// service checks what other servers find for a module's subdomain of a host. Clients reach it through their own server, and who
// wants it for the host's own users alone needs no record: what is missing is a hint, and only what is wrong is a mistake.
func (c *dnsCheck) service(ctx context.Context, cfg *config.Config, domain string) {
	sub := &dnsCheck{resolver: c.resolver, host: domain, ascii: toASCII(domain), target: c.target, own: c.own, mild: true}
	if sub.target == "" {
		sub.target = c.ascii
	}
	for _, pair := range dnsServices(cfg) {
		if pair[0].who == "servers" {
			sub.pair(ctx, pair)
		}
	}
	c.out = append(c.out, sub.out...)
}
