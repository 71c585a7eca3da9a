package s2s

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/config"
)

// The times of one Dial, within its whole time.
const (
	attemptDelay = 250 * time.Millisecond // RFC 8305 §5: until the next address is tried beside those that do not answer
	targetTime   = 10 * time.Second       // for all addresses of one server
)

// DialerOptions say how peers are found.
type DialerOptions struct {
	S2S config.S2S // hosts, dns_server and connect_timeout
	// Own tells which addresses are this server's own: it never connects to itself. See OwnAddresses.
	Own func(netip.AddrPort) bool
	// Connect opens a connection; nil: by TCP. For tests.
	Connect func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Rand orders servers of the same priority; nil: by chance. For tests.
	Rand *rand.Rand
}

// Dialer finds and connects to the servers of domains. It is made of one configuration; a reload makes another.
type Dialer struct {
	static   map[string][]Target
	resolver *Resolver
	timeout  time.Duration
	own      func(netip.AddrPort) bool
	connect  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	randMu   sync.Mutex
	rand     *rand.Rand
}

// NewDialer returns a dialer.
func NewDialer(o DialerOptions) *Dialer {
	d := &Dialer{
		static: staticTargets(o.S2S.Hosts), resolver: NewResolver(o.S2S.DNSServer), timeout: time.Duration(o.S2S.ConnectTimeout),
		own: o.Own, connect: o.Connect, rand: o.Rand,
	}
	if d.timeout <= 0 {
		d.timeout = time.Duration(config.Default().S2S.ConnectTimeout)
	}
	if d.own == nil {
		d.own = func(netip.AddrPort) bool { return false }
	}
	if d.connect == nil {
		d.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		}
	}
	return d
}

// Dialed is a connection to a server of a domain: plain TCP, with Target.Direct waiting for a TLS handshake.
type Dialed struct {
	Conn   net.Conn
	Target Target
}

// DialError says what was tried for a domain.
type DialError struct {
	Domain string
	Kind   error // ErrNoServer, ErrTimeout, …
	Tried  []Attempt
}

// Attempt is a connection that failed, or an address that is not connected to.
type Attempt struct {
	Target Target
	Addr   netip.AddrPort // zero where the name has none
	Err    error
}

func (e *DialError) Error() string {
	words := strings.TrimPrefix(e.Kind.Error(), "s2s: ")
	if len(e.Tried) == 0 {
		return e.Domain + ": " + words
	}
	tried := make([]string, 0, len(e.Tried))
	for i, a := range e.Tried {
		if i == maxTold {
			tried = append(tried, fmt.Sprintf("and %d more", len(e.Tried)-i))
			break
		}
		tried = append(tried, a.String())
	}
	return e.Domain + ": " + words + ": " + strings.Join(tried, "; ")
}

// maxTold is how many attempts an error tells.
const maxTold = 8

func (e *DialError) Unwrap() error { return e.Kind }

func (a Attempt) String() string {
	s := a.Target.String()
	if a.Addr.IsValid() && a.Addr.Addr().String() != a.Target.Host {
		s += " (" + a.Addr.Addr().String() + ")"
	}
	return s + ": " + reason(a.Err)
}

// reason says in a few words why a connection failed.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no way there"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	text := err.Error()
	for _, kind := range []error{ErrNoServer, ErrTimeout, ErrDNS} {
		text = strings.TrimPrefix(text, kind.Error()+": ") // what there is to say is behind it
	}
	return text
}

// Why an address is not connected to.
var (
	errOwn       = errors.New("this is our own address")
	errNoUnicast = errors.New("this is not the address of a server")
	errNoAddress = errors.New("the name has no address")
)

// Dial connects to the first server of a domain that answers. Those that skip names, which may be nil, are passed over:
// servers that were connected to, and did not serve. The error is a *DialError.
func (d *Dialer) Dial(ctx context.Context, domain string, skip func(Target) bool) (*Dialed, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	targets, err := d.Targets(ctx, domain)
	if err != nil {
		return nil, &DialError{Domain: domain, Kind: err}
	}
	if skip != nil {
		targets = slices.DeleteFunc(targets, skip)
	}
	if len(targets) == 0 {
		return nil, &DialError{Domain: domain, Kind: ErrSkipped}
	}
	e := &DialError{Domain: domain}
	for _, t := range targets {
		conn, tried := d.dialTarget(ctx, t)
		if conn != nil {
			return &Dialed{conn, t}, nil
		}
		e.Tried = append(e.Tried, tried...)
		if ctx.Err() != nil {
			break
		}
	}
	e.Kind = kindOf(e.Tried)
	return nil, e
}

// kindOf sums up attempts that failed. One that had no answer counts most: there may be a server.
func kindOf(tried []Attempt) error {
	kind := ErrNoServer
	for _, a := range tried {
		switch {
		case errors.Is(a.Err, ErrTimeout), errors.Is(a.Err, os.ErrDeadlineExceeded), errors.Is(a.Err, context.DeadlineExceeded):
			return ErrTimeout
		case errors.Is(a.Err, errOwn), errors.Is(a.Err, errNoUnicast), errors.Is(a.Err, errNoAddress), errors.Is(a.Err, ErrNoServer):
		case errors.Is(a.Err, ErrDNS):
			kind = ErrDNS
		case kind == ErrNoServer:
			kind = ErrRefused
		}
	}
	return kind
}

// dialTarget connects to the first address of a server that answers (RFC 8305 §5): each is tried a little after the one
// before, or at once when that has failed.
func (d *Dialer) dialTarget(ctx context.Context, t Target) (net.Conn, []Attempt) {
	ctx, cancel := context.WithTimeout(ctx, targetTime)
	defer cancel()
	addrs, tried := d.addresses(ctx, t)
	if len(addrs) == 0 {
		return nil, tried
	}

	type outcome struct {
		conn net.Conn
		Attempt
	}
	results := make(chan outcome)
	over := make(chan struct{})
	defer close(over)
	try := func(a netip.AddrPort) {
		conn, err := d.connect(ctx, a)
		select {
		case results <- outcome{conn, Attempt{t, a, err}}:
		case <-over: // another was first
			if conn != nil {
				conn.Close()
			}
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for running := 0; running > 0 || len(addrs) > 0; {
		select {
		case <-timer.C:
			if len(addrs) > 0 {
				go try(addrs[0])
				addrs = addrs[1:]
				running++
				timer.Reset(attemptDelay)
			}
		case r := <-results:
			if r.Err == nil {
				return r.conn, nil
			}
			tried = append(tried, r.Attempt)
			running--
			timer.Reset(0)
		}
		if ctx.Err() != nil {
			addrs = nil // those under way end by themselves
		}
	}
	return nil, tried
}

// addresses returns the addresses of a server that may be connected to, in their order, and those that may not.
func (d *Dialer) addresses(ctx context.Context, t Target) (list []netip.AddrPort, not []Attempt) {
	addrs, err := d.resolver.Addrs(ctx, t.Host)
	if err != nil {
		return nil, []Attempt{{Target: t, Err: err}}
	}
	for _, a := range interleave(addrs) {
		ap := netip.AddrPortFrom(a, t.Port)
		switch {
		case a.IsUnspecified() || a.IsMulticast() || a == broadcast || t.Port == 0:
			not = append(not, Attempt{t, ap, errNoUnicast})
		case d.own(ap):
			not = append(not, Attempt{t, ap, errOwn})
		default:
			list = append(list, ap)
		}
	}
	return list, not
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// OwnAddresses returns a function for DialerOptions.Own: it tells the addresses at which listeners on addrs are reached
// from this machine.
func OwnAddresses(addrs ...net.Addr) func(netip.AddrPort) bool {
	var list []netip.AddrPort
	for _, a := range addrs {
		if tcp, ok := a.(*net.TCPAddr); ok {
			ap := tcp.AddrPort()
			list = append(list, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
		}
	}
	return func(to netip.AddrPort) bool {
		for _, a := range list {
			if a.Port() == to.Port() && (a.Addr() == to.Addr() || a.Addr().IsUnspecified() && ofThisMachine(to.Addr())) {
				return true
			}
		}
		return false
	}
}

// ofThisMachine tells whether an address is one of this machine's interfaces.
func ofThisMachine(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}
