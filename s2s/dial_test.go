package s2s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/test/xtest"
)

// network is what a dialer of a test connects to: addresses that answer after a time, or fail.
type network struct {
	t       *testing.T
	start   time.Time
	mu      sync.Mutex
	answers map[string]reply // by address and port; none: silence
	dialed  []string         // with the time since the start
	open    int
}

type reply struct {
	after time.Duration
	err   error
}

func (n *network) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, fmt.Sprintf("%s %v", to, time.Since(n.start)))
	r, there := n.answers[to.String()]
	n.mu.Unlock()
	if !there {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	select {
	case <-time.After(r.after):
	case <-ctx.Done():
		if r.err != errLate {
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		r.err = nil // it was connected when it was given up
	}
	if r.err != nil {
		return nil, r.err
	}
	n.mu.Lock()
	n.open++
	n.mu.Unlock()
	a, b := net.Pipe()
	b.Close()
	return &counted{Conn: a, n: n, to: to.String()}, nil
}

var errLate = errors.New("late")

type counted struct {
	net.Conn
	n  *network
	to string
}

func (c *counted) Close() error {
	c.n.mu.Lock()
	c.n.open--
	c.n.mu.Unlock()
	return c.Conn.Close()
}

// remember has a resolver know a name without any DNS.
func remember[V any](c *cache[V], name string, v V, err error) {
	c.room()
	a := &answer[V]{done: make(chan struct{}), value: v, err: err, until: time.Now().Add(time.Hour)}
	close(a.done)
	c.known[name] = a
}

func TestDial(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	const peer = "[s2s.hosts]\n'peer.test' = "
	for _, test := range []struct {
		name    string
		hosts   string              // of s2s.hosts
		names   map[string][]string // what the DNS knows
		answers map[string]reply
		skip    string // a target
		want    string // the target
		to      string // the address
		dialed  []string
		after   time.Duration
		err     error
		text    string
	}{
		{name: "one address", hosts: peer + "'10.0.0.1:5269'", answers: map[string]reply{"10.0.0.1:5269": {after: time.Second}},
			want: "10.0.0.1:5269", to: "10.0.0.1:5269", dialed: []string{"10.0.0.1:5269 0s"}, after: time.Second},
		{name: "direct TLS", hosts: peer + "'tls://10.0.0.1:5270'", answers: map[string]reply{"10.0.0.1:5270": {}},
			want: "tls://10.0.0.1:5270", to: "10.0.0.1:5270", dialed: []string{"10.0.0.1:5270 0s"}},
		{name: "IPv6 first, IPv4 a little later", hosts: peer + "'a.test:1'", names: map[string][]string{"a.test.": {"10.0.0.1", "fd00::1"}},
			answers: map[string]reply{"10.0.0.1:1": {after: time.Second}},
			want:    "a.test:1", to: "10.0.0.1:1", dialed: []string{"[fd00::1]:1 0s", "10.0.0.1:1 250ms"}, after: 1250 * time.Millisecond},
		{name: "the second fails, the first is late but answers", hosts: peer + "'a.test:1'", names: map[string][]string{"a.test.": {"10.0.0.1", "fd00::1"}},
			answers: map[string]reply{"[fd00::1]:1": {after: time.Second}, "10.0.0.1:1": {err: refused}},
			want:    "a.test:1", to: "[fd00::1]:1", dialed: []string{"[fd00::1]:1 0s", "10.0.0.1:1 250ms"}, after: time.Second},
		{name: "at once when one fails", hosts: peer + "'a.test:1'", names: map[string][]string{"a.test.": {"10.0.0.1", "10.0.0.2", "10.0.0.3"}},
			answers: map[string]reply{"10.0.0.1:1": {err: refused}, "10.0.0.2:1": {after: time.Millisecond, err: refused}, "10.0.0.3:1": {}},
			want:    "a.test:1", to: "10.0.0.3:1", dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 0s", "10.0.0.3:1 1ms"}, after: time.Millisecond},
		{name: "the slower one is closed", hosts: peer + "'a.test:1'", names: map[string][]string{"a.test.": {"10.0.0.1", "10.0.0.2"}},
			answers: map[string]reply{"10.0.0.1:1": {after: time.Hour, err: errLate}, "10.0.0.2:1": {after: time.Second}},
			want:    "a.test:1", to: "10.0.0.2:1", dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 250ms"}, after: 1250 * time.Millisecond},
		{name: "the next server", hosts: peer + "['10.0.0.1:1', 'nothere.test:1', 'tls://10.0.0.2:1']",
			answers: map[string]reply{"10.0.0.1:1": {err: refused}, "10.0.0.2:1": {}},
			want:    "tls://10.0.0.2:1", to: "10.0.0.2:1", dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 0s"}},
		{name: "the next server after silence", hosts: peer + "['10.0.0.1:1', '10.0.0.2:1']", answers: map[string]reply{"10.0.0.2:1": {}},
			want: "10.0.0.2:1", to: "10.0.0.2:1", dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 10s"}, after: targetTime},
		{name: "a server that did not serve", hosts: peer + "['10.0.0.1:1', '10.0.0.2:1']", skip: "10.0.0.1:1", answers: map[string]reply{"10.0.0.1:1": {}, "10.0.0.2:1": {}},
			want: "10.0.0.2:1", to: "10.0.0.2:1", dialed: []string{"10.0.0.2:1 0s"}},

		{name: "all skipped", hosts: peer + "'10.0.0.1:1'", skip: "10.0.0.1:1", err: ErrSkipped, text: "peer.test: no further server"},
		{name: "all refuse", hosts: peer + "['10.0.0.1:1', 'tls://a.test:2']", names: map[string][]string{"a.test.": {"10.0.0.2"}},
			answers: map[string]reply{"10.0.0.1:1": {err: refused}, "10.0.0.2:2": {err: refused}},
			dialed:  []string{"10.0.0.1:1 0s", "10.0.0.2:2 0s"}, err: ErrRefused,
			text: "peer.test: no connection: 10.0.0.1:1: connection refused; tls://a.test:2 (10.0.0.2): connection refused"},
		{name: "one is silent", hosts: peer + "['10.0.0.1:1', '10.0.0.2:1']", answers: map[string]reply{"10.0.0.2:1": {err: refused}},
			dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 10s"}, after: targetTime, err: ErrTimeout,
			text: "peer.test: no answer in time: 10.0.0.1:1: no answer; 10.0.0.2:1: connection refused"},
		{name: "all are silent", hosts: peer + "['10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1', '10.0.0.4:1', '10.0.0.5:1']",
			dialed: []string{"10.0.0.1:1 0s", "10.0.0.2:1 10s", "10.0.0.3:1 20s"}, after: 25 * time.Second, err: ErrTimeout},
		{name: "no way", hosts: peer + "'10.0.0.1:1'", answers: map[string]reply{"10.0.0.1:1": {err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}}},
			dialed: []string{"10.0.0.1:1 0s"}, err: ErrRefused, text: "peer.test: no connection: 10.0.0.1:1: no way there"},
		{name: "a name without address", hosts: peer + "'nothere.test:1'", err: ErrNoServer, text: "peer.test: no server: nothere.test:1: the DNS has no nothere.test"},
		{name: "S19 our own address", hosts: peer + "'a.test:5269'", names: map[string][]string{"a.test.": {"127.0.0.1", "127.0.0.9", "::1"}},
			err: ErrNoServer, text: "peer.test: no server: a.test:5269 (::1): this is our own address; a.test:5269 (127.0.0.1): this is our own address; a.test:5269 (127.0.0.9): this is our own address"},
		{name: "our own machine, another port", hosts: peer + "'a.test:5270'", names: map[string][]string{"a.test.": {"127.0.0.1"}}, answers: map[string]reply{"127.0.0.1:5270": {}},
			want: "a.test:5270", to: "127.0.0.1:5270", dialed: []string{"127.0.0.1:5270 0s"}},
		{name: "our own beside another", hosts: peer + "'a.test:5269'", names: map[string][]string{"a.test.": {"127.0.0.1", "10.0.0.1"}}, answers: map[string]reply{"10.0.0.1:5269": {err: refused}},
			dialed: []string{"10.0.0.1:5269 0s"}, err: ErrRefused},
		{name: "no server's address", hosts: peer + "'a.test:1'", names: map[string][]string{"a.test.": {"0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"}}, err: ErrNoServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{t: t, start: time.Now(), answers: test.answers}
				cfg := parse(t, "s2s.connect_timeout = '25s'\n"+test.hosts)
				d := NewDialer(DialerOptions{
					S2S: cfg.S2S, Own: OwnAddresses(&net.TCPAddr{IP: net.IPv6unspecified, Port: 5269}), Connect: n.connect,
				})
				remember(&d.resolver.addrs, "nothere.test.", nil, lookupError("nothere.test.", nil))
				for name, list := range test.names {
					var addrs []netip.Addr
					for _, a := range list {
						addrs = append(addrs, netip.MustParseAddr(a))
					}
					remember(&d.resolver.addrs, name, addrs, nil)
				}
				var skip func(Target) bool
				if test.skip != "" {
					skip = func(t Target) bool { return t.String() == test.skip }
				}
				got, err := d.Dial(t.Context(), "peer.test", skip)
				if took := time.Since(n.start); took != test.after {
					t.Errorf("after %v, want %v", took, test.after)
				}
				if !slices.Equal(n.dialed, test.dialed) {
					t.Errorf("connected to %q", n.dialed)
				}
				synctest.Wait()
				if test.err == nil {
					if err != nil {
						t.Fatal(err)
					}
					if c := got.Conn.(*counted); c.to != test.to || got.Target.String() != test.want {
						t.Errorf("%s by %s", c.to, got.Target)
					}
					if n.open != 1 {
						t.Errorf("%d connections are open", n.open)
					}
					got.Conn.Close()
					return
				}
				var e *DialError
				if !errors.As(err, &e) || !errors.Is(err, test.err) || test.text != "" && err.Error() != test.text {
					t.Errorf("%v", err)
				}
				if n.open != 0 {
					t.Errorf("%d connections are open", n.open)
				}
			})
		})
	}
}

// TestDialGivenUp: the caller's own end ends it.
func TestDialGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, start: time.Now()}
		d := NewDialer(DialerOptions{S2S: parse(t, "[s2s.hosts]\n'peer.test' = ['10.0.0.1:1', '10.0.0.2:1']").S2S, Connect: n.connect})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := d.Dial(ctx, "peer.test", nil); err == nil || time.Since(n.start) != time.Second || len(n.dialed) != 1 {
			t.Errorf("%v after %v", err, time.Since(n.start))
		}
	})
}

// TestDialForReal goes through the DNS and TCP of this machine.
func TestDialForReal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	dns := xtest.NewDNS(t)
	dns.Address("a.peer.test", "127.0.0.1")
	dns.SRV("_xmpps-server._tcp.xn--bcher-kva.test", 0, 0, port, "a.peer.test")
	dns.SRV("_xmpp-server._tcp.none.test", 0, 0, 0, ".")
	dns.SRV("_xmpp-server._tcp.odd.test", 0, 0, 0, "a.peer.test")
	dns.SRV("_xmpp-server._tcp.dangling.test", 0, 0, port, "nothere.test")
	dns.Fail("silent.test", xtest.Silent)
	options := DialerOptions{S2S: config.S2S{DNSServer: dns.Addr, ConnectTimeout: config.Duration(20 * time.Second)}}
	d := NewDialer(options)
	got, err := d.Dial(t.Context(), "bücher.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Conn.Close(); got.Target != (Target{Host: "a.peer.test", Port: port, Direct: true}) {
		t.Errorf("%+v", got.Target)
	}
	for domain, want := range map[string]struct {
		kind error
		text string
	}{
		"none.test":     {ErrNoService, "none.test: no server: the domain says that it has none"},
		"odd.test":      {ErrNoService, "odd.test: no server: the domain says that it has none"},
		"nothere.test":  {ErrNoServer, "nothere.test: no server: nothere.test:5269: the DNS has no nothere.test"},
		"dangling.test": {ErrNoServer, fmt.Sprintf("dangling.test: no server: nothere.test:%d: the DNS has no nothere.test", port)},
	} {
		if _, err := d.Dial(t.Context(), domain, nil); !errors.Is(err, want.kind) || err.Error() != want.text {
			t.Errorf("%s: %v", domain, err)
		}
	}
	options.S2S.ConnectTimeout = config.Duration(100 * time.Millisecond)
	if _, err := NewDialer(options).Dial(t.Context(), "silent.test", nil); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "the DNS did not answer") {
		t.Errorf("silence: %v", err)
	}
	options.Own = OwnAddresses(l.Addr())
	if _, err := NewDialer(options).Dial(t.Context(), "bücher.test", nil); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "our own address") {
		t.Errorf("S19: %v", err)
	}
}

func TestOwnAddresses(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	own := OwnAddresses(tcp("10.0.0.1:5269"), tcp("[::]:5270"), tcp("0.0.0.0:5271"), &net.UnixAddr{Name: "x"})
	for to, want := range map[string]bool{
		"10.0.0.1:5269": true, "10.0.0.1:5222": false, "10.0.0.2:5269": false, "127.0.0.1:5269": false,
		"127.0.0.1:5270": true, "[::1]:5270": true, "127.1.2.3:5271": true, "192.0.2.1:5270": false, "[2001:db8::1]:5271": false,
	} {
		if got := own(netip.MustParseAddrPort(to)); got != want {
			t.Errorf("%s: %v", to, got)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if !own(netip.AddrPortFrom(p.Addr(), 5270)) {
			t.Errorf("%s is this machine's", p.Addr())
		}
	}
}
