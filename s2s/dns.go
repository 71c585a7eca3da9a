package s2s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"
)

// The bounds on what strangers make us look up, and on what their DNS may answer.
const (
	maxRecords    = 16   // SRV records of one service
	maxAddresses  = 16   // addresses of one name
	maxLookups    = 1024 // at the same time; turns.go and dialback.go say who may cause how many
	maxCached     = 1024
	lookupTime    = 10 * time.Second
	keepAnswer    = time.Minute      // a record's own time to live is not known here, and hardly ever shorter
	keepFailure   = 10 * time.Second // a server that does not answer is not asked for every stanza
	maxDomainName = 253              // RFC 1035 §2.3.4
)

// Resolver asks the DNS where servers are. It remembers answers for a short time, and looks up once what many ask at once.
//
// The look-ups are package net's: it has retries, TCP for long answers, random ports, the system's servers as they change,
// and /etc/hosts. It does not tell times to live, which matter little for streams that last for hours.
type Resolver struct {
	net   *net.Resolver
	srv   cache[[]*net.SRV]
	addrs cache[[]netip.Addr]
}

// NewResolver returns a resolver that asks a DNS server, given as address:port, or the system's where that is empty.
func NewResolver(server string) *Resolver {
	r := &Resolver{net: &net.Resolver{PreferGo: true}}
	if server != "" {
		r.net.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}
	}
	slots := make(chan struct{}, maxLookups)
	r.srv.slots, r.addrs.slots = slots, slots
	return r
}

// SRV returns the records of a service of a domain, such as _xmpp-server._tcp. A target of "." says that there is no such
// service (RFC 2782). No record at all is ErrNoServer.
func (r *Resolver) SRV(ctx context.Context, service, domain string) ([]*net.SRV, error) {
	ascii, err := asciiDomain(domain)
	if err != nil {
		return nil, err
	}
	name := service + "." + ascii + "." // absolute: the system's search list is not for peers
	return r.srv.get(ctx, name, func(ctx context.Context) ([]*net.SRV, error) {
		_, records, err := r.net.LookupSRV(ctx, "", "", name)
		if len(records) == 0 {
			return nil, lookupError(name, err)
		}
		return records[:min(len(records), maxRecords)], nil // sorted by priority
	})
}

// Addrs returns the addresses of a name, or the address that it is.
func (r *Resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ascii, err := asciiDomain(host)
	if err != nil {
		return nil, err
	}
	name := ascii + "."
	return r.addrs.get(ctx, name, func(ctx context.Context) ([]netip.Addr, error) {
		addrs, err := r.net.LookupNetIP(ctx, "ip", name)
		if len(addrs) == 0 {
			return nil, lookupError(name, err)
		}
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
		return addrs[:min(len(addrs), maxAddresses)], nil
	})
}

// asciiDomain returns a domain as the DNS has it: A-labels.
func asciiDomain(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		ascii, err = idna.Punycode.ToASCII(domain) // names that exist need not be names that may be registered
	}
	if err != nil || ascii == "" || len(ascii) > maxDomainName {
		return "", fmt.Errorf("%w: %q cannot be in the DNS", ErrNoServer, clean(domain))
	}
	return ascii, nil
}

// lookupError sorts an error of package net: there is no such name, nobody answered, or there is no answer to be had.
func lookupError(name string, err error) error {
	name = strings.TrimSuffix(name, ".")
	var e *net.DNSError
	switch {
	case err == nil, errors.As(err, &e) && e.IsNotFound:
		return fmt.Errorf("%w: the DNS has no %s", ErrNoServer, name)
	case errors.As(err, &e) && e.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: the DNS did not answer for %s", ErrTimeout, name)
	case e != nil:
		return fmt.Errorf("%w: the DNS has no answer for %s: %s", ErrDNS, name, e.Err)
	}
	return fmt.Errorf("%w: the DNS has no answer for %s: %w", ErrDNS, name, err)
}

// cache remembers answers and failures for a short time.
type cache[V any] struct {
	slots chan struct{} // holds one for each look-up under way; shared
	mu    sync.Mutex
	known map[string]*answer[V]
}

// answer is a look-up, under way until done is closed.
type answer[V any] struct {
	done  chan struct{}
	value V
	err   error
	until time.Time
}

// get returns what is known of a name, or waits for a look-up, its own or another's. The look-up goes on without the one
// who asked first: others may wait for it.
func (c *cache[V]) get(ctx context.Context, name string, look func(context.Context) (V, error)) (v V, err error) {
	c.mu.Lock()
	a := c.known[name]
	if a != nil && a.stale(time.Now()) {
		a = nil
	}
	if a == nil {
		if !c.room() {
			c.mu.Unlock()
			return v, fmt.Errorf("%w: too many look-ups are under way", ErrTimeout)
		}
		a = &answer[V]{done: make(chan struct{})}
		c.known[name] = a
		go c.run(a, look)
	}
	c.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return v, fmt.Errorf("%w: the DNS did not answer in time for %s", ErrTimeout, strings.TrimSuffix(name, "."))
	}
}

// run looks up when there is a free slot.
func (c *cache[V]) run(a *answer[V], look func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		a.value, a.err = look(ctx)
		<-c.slots
	case <-ctx.Done():
		a.err = fmt.Errorf("%w: too many look-ups are under way", ErrTimeout)
	}
	keep := keepAnswer
	if a.err != nil {
		keep = keepFailure
	}
	a.until = time.Now().Add(keep)
	close(a.done)
}

// stale tells whether an answer is too old to be given.
func (a *answer[V]) stale(now time.Time) bool {
	select {
	case <-a.done:
		return now.After(a.until)
	default:
		return false
	}
}

// room makes room for one more answer: where there is none, stale ones go, then any. The caller holds mu.
func (c *cache[V]) room() bool {
	if c.known == nil {
		c.known = make(map[string]*answer[V])
	}
	if len(c.known) < maxCached {
		return true
	}
	now := time.Now()
	spare := ""
	for name, a := range c.known {
		select {
		case <-a.done:
			if spare = name; now.After(a.until) {
				delete(c.known, name)
			}
		default:
		}
	}
	if len(c.known) >= maxCached {
		delete(c.known, spare)
	}
	return len(c.known) < maxCached
}

// interleave orders addresses for Happy Eyeballs: IPv6 and IPv4 in turn, each in the order of the answer (RFC 8305 §4).
func interleave(addrs []netip.Addr) []netip.Addr {
	var six, four []netip.Addr
	for _, a := range addrs {
		switch {
		case slices.Contains(six, a) || slices.Contains(four, a):
		case a.Is6():
			six = append(six, a)
		default:
			four = append(four, a)
		}
	}
	out := make([]netip.Addr, 0, len(six)+len(four))
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			out = append(out, six[i])
		}
		if i < len(four) {
			out = append(out, four[i])
		}
	}
	return out
}
