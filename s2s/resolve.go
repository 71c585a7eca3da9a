package s2s

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/config"
)

// Why no server was reached. What Dial returns wraps one of them.
var (
	// ErrNoServer: there is no such domain, or it has no server (remote-server-not-found).
	ErrNoServer = errors.New("s2s: no server")
	// ErrNoService: the domain is there and says that it has no XMPP server. It is an ErrNoServer.
	ErrNoService = fmt.Errorf("%w: the domain says that it has none", ErrNoServer)
	// ErrTimeout: DNS or servers did not answer in time (remote-server-timeout).
	ErrTimeout = errors.New("s2s: no answer in time")
	// ErrRefused: servers refused the connection, or cannot be reached (remote-server-timeout).
	ErrRefused = errors.New("s2s: no connection")
	// ErrDNS: the DNS failed (remote-server-timeout: it may work again soon).
	ErrDNS = errors.New("s2s: DNS failed")
	// ErrSkipped: every server of the domain was skipped.
	ErrSkipped = errors.New("s2s: no further server")
)

// The services of RFC 6120 §3.2.1 and XEP-0368 §2, and the port of who publishes no records (RFC 6120 §3.2.2).
const (
	serviceTLS      = "_xmpps-server._tcp"
	serviceStartTLS = "_xmpp-server._tcp"
	defaultPort     = 5269
)

// Target is one server of a domain.
type Target struct {
	Host     string // a name or an IP address
	Port     uint16
	Direct   bool // TLS at once (XEP-0368)
	Priority uint16
	Weight   uint16
}

func (t Target) String() string {
	s := net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))
	if t.Direct {
		return "tls://" + s
	}
	return s
}

// Targets returns the servers of a domain in the order in which they are to be tried, which is drawn anew each time
// (RFC 2782). domain is prepared.
func (d *Dialer) Targets(ctx context.Context, domain string) ([]Target, error) {
	if list := d.static[domain]; list != nil {
		return slices.Clone(list), nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		return []Target{{Host: ip.String(), Port: defaultPort}}, nil
	}
	if _, err := asciiDomain(domain); err != nil {
		return nil, err
	}
	direct, plain := d.services(ctx, domain)
	published := len(direct.records)+len(plain.records) > 0
	targets := append(direct.targets(true), plain.targets(false)...)
	switch {
	case len(targets) > 0:
		return d.order(targets), nil
	case published:
		// RFC 6120 §3.2.1, XEP-0368 §2: who publishes records, if only to say no, has no server elsewhere.
		return nil, ErrNoService
	case plain.err != nil && !errors.Is(plain.err, ErrNoServer) && ctx.Err() != nil:
		return nil, plain.err
	}
	return []Target{{Host: domain, Port: defaultPort}}, nil // RFC 6120 §3.2.2; also where the look-up of records failed
}

// service is what the DNS has of a service.
type service struct {
	records []*net.SRV
	err     error
}

// services asks for both at the same time.
func (d *Dialer) services(ctx context.Context, domain string) (direct, plain service) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		direct.records, direct.err = d.resolver.SRV(ctx, serviceTLS, domain)
	}()
	plain.records, plain.err = d.resolver.SRV(ctx, serviceStartTLS, domain)
	<-done
	return direct, plain
}

// targets returns the records that lead to a server.
func (s *service) targets(direct bool) (list []Target) {
	for _, r := range s.records {
		if host := strings.TrimSuffix(r.Target, "."); host != "" && r.Port != 0 {
			list = append(list, Target{strings.ToLower(host), r.Port, direct, r.Priority, r.Weight})
		}
	}
	return list
}

// order sorts by priority, and within one draws by weight (RFC 2782). Of two servers with the same priority and weight,
// direct TLS comes first: it takes fewer round trips.
func (d *Dialer) order(list []Target) []Target {
	slices.SortFunc(list, func(a, b Target) int { // all of it, so that the draw depends on nothing else
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.String(), b.String()))
	})
	list = slices.Compact(list)
	for rest := list; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Priority == rest[0].Priority {
			n++
		}
		d.draw(rest[:n])
		directFirst(rest[:n])
		rest = rest[n:]
	}
	return list[:min(len(list), maxRecords)]
}

// draw brings servers of one priority, sorted by weight, into an order: each comes first with the chance that its weight is
// of the sum (RFC 2782, "Weight").
func (d *Dialer) draw(list []Target) {
	sum := 0
	for _, t := range list {
		sum += int(t.Weight)
	}
	for ; len(list) > 1; list = list[1:] {
		at, running, pick := 0, int(list[0].Weight), d.random(sum+1)
		for running < pick {
			at++
			running += int(list[at].Weight)
		}
		chosen := list[at]
		copy(list[1:at+1], list[:at]) // the others stay sorted
		list[0] = chosen
		sum -= int(chosen.Weight)
	}
}

// directFirst lets those with direct TLS go before others of the same weight.
func directFirst(list []Target) {
	for i := range list {
		for j := i + 1; !list[i].Direct && j < len(list); j++ {
			if list[j].Direct && list[j].Weight == list[i].Weight {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
}

// random returns a number below n.
func (d *Dialer) random(n int) int {
	if d.rand == nil {
		return rand.IntN(n)
	}
	d.randMu.Lock()
	defer d.randMu.Unlock()
	return d.rand.IntN(n)
}

// staticTargets reads s2s.hosts, which config has checked.
func staticTargets(hosts map[string]config.OneOrMore) map[string][]Target {
	m := make(map[string][]Target, len(hosts))
	for domain, addresses := range hosts {
		for i, s := range addresses {
			if a, err := config.ParsePeerAddress(s); err == nil {
				m[domain] = append(m[domain], Target{Host: a.Host, Port: a.Port, Direct: a.TLS, Priority: uint16(i)})
			}
		}
	}
	return m
}
