package s2s

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/test/xtest"
)

// dialerOf returns a dialer that asks a DNS server of the test.
func dialerOf(dns *xtest.DNS, seed uint64) *Dialer {
	return NewDialer(DialerOptions{
		S2S:  config.S2S{DNSServer: dns.Addr, ConnectTimeout: config.Duration(20 * time.Second)},
		Rand: rand.New(rand.NewPCG(seed, 0)),
	})
}

// TestTargets gives a domain records of each kind.
func TestTargets(t *testing.T) {
	dns := xtest.NewDNS(t)
	type records struct {
		kind             string // xmpps or xmpp
		priority, weight uint16
		port             uint16
		target           string
	}
	for _, test := range []struct {
		name   string
		domain string // peer.test where empty
		give   []records
		want   string
		err    error
	}{
		{name: "no records", want: "peer.test:5269"},
		{name: "one", give: []records{{"xmpp", 0, 0, 5269, "xmpp.peer.test."}}, want: "xmpp.peer.test:5269"},
		{name: "direct TLS alone", give: []records{{"xmpps", 0, 0, 5270, "xmpp.peer.test."}}, want: "tls://xmpp.peer.test:5270"},
		{name: "by priority, both kinds mixed", give: []records{
			{"xmpp", 20, 0, 1, "c.test."}, {"xmpps", 10, 0, 2, "b.test."}, {"xmpp", 5, 0, 3, "a.test."}, {"xmpps", 30, 0, 4, "d.test."},
		}, want: "a.test:3 tls://b.test:2 c.test:1 tls://d.test:4"},
		{name: "direct TLS first where all is equal", give: []records{
			{"xmpp", 5, 1, 5269, "a.test."}, {"xmpps", 5, 1, 5270, "a.test."},
		}, want: "tls://a.test:5270 a.test:5269"},
		{name: "direct TLS first in each weight", give: []records{
			{"xmpp", 5, 0, 5269, "a.test."}, {"xmpps", 5, 0, 5270, "a.test."}, {"xmpp", 6, 65535, 5269, "b.test."}, {"xmpps", 6, 65535, 5270, "b.test."},
		}, want: "tls://a.test:5270 a.test:5269 tls://b.test:5270 b.test:5269"},
		{name: "no direct TLS", give: []records{{"xmpps", 0, 0, 0, "."}, {"xmpp", 0, 0, 5269, "a.test."}}, want: "a.test:5269"},
		{name: "no STARTTLS", give: []records{{"xmpp", 0, 0, 0, "."}, {"xmpps", 0, 0, 5270, "a.test."}}, want: "tls://a.test:5270"},
		{name: "no direct TLS and nothing else", give: []records{{"xmpps", 0, 0, 0, "."}}, err: ErrNoService},
		{name: "no service", give: []records{{"xmpp", 0, 0, 0, "."}}, err: ErrNoService},
		{name: "neither", give: []records{{"xmpp", 0, 0, 0, "."}, {"xmpps", 0, 0, 0, "."}}, err: ErrNoService},
		{name: "no service, with a port", give: []records{{"xmpp", 0, 0, 5269, "."}}, err: ErrNoService},
		{name: "port 0", give: []records{{"xmpp", 0, 0, 0, "a.test."}}, err: ErrNoService},
		{name: "a record twice", give: []records{{"xmpp", 0, 0, 5269, "a.test."}, {"xmpp", 0, 0, 5269, "A.test."}}, want: "a.test:5269"},
		{name: "both kinds on one port, and twice", give: []records{
			{"xmpp", 0, 0, 443, "a.test."}, {"xmpps", 0, 0, 443, "a.test."}, {"xmpp", 0, 0, 443, "a.test"}, {"xmpps", 0, 0, 443, "A.test"},
		}, want: "tls://a.test:443 a.test:443"},
		{name: "A-labels", domain: "bücher.test", give: []records{{"xmpp", 0, 0, 5269, "a.test."}}, want: "a.test:5269"},
		{name: "a name of one label", domain: "peer", want: "peer:5269"},
		{name: "an IPv4 address", domain: "10.0.0.1", want: "10.0.0.1:5269"},
		{name: "an IPv6 address", domain: "[fd00::1]", want: "[fd00::1]:5269"},
		{name: "too long for the DNS", domain: strings.Repeat("a.", 200) + "test", err: ErrNoServer},
	} {
		t.Run(test.name, func(t *testing.T) {
			dns.Clear()
			if test.domain == "" {
				test.domain = "peer.test"
			}
			for _, r := range test.give {
				ascii, err := asciiDomain(test.domain)
				if err != nil {
					t.Fatal(err)
				}
				dns.SRV("_"+r.kind+"-server._tcp."+ascii, r.priority, r.weight, r.port, r.target)
			}
			list, err := dialerOf(dns, 1).Targets(t.Context(), test.domain)
			if got := join(list); got != test.want || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("%q, %v", got, err)
			}
			if test.err != nil && !errors.Is(err, ErrNoServer) {
				t.Error("a domain without a service has no server")
			}
			for _, q := range dns.Asked() {
				if strings.HasPrefix(test.name, "an IPv") || strings.HasPrefix(test.name, "too long") || !strings.HasPrefix(q, "SRV _xmpp") {
					t.Errorf("asked for %s", q)
				}
			}
		})
	}
}

func join(list []Target) string {
	var words []string
	for _, t := range list {
		words = append(words, t.String())
	}
	return strings.Join(words, " ")
}

// TestTargetsFailing: one service that cannot be looked up does not hide the other, and where neither can, the domain's
// own address is left.
func TestTargetsFailing(t *testing.T) {
	dns := xtest.NewDNS(t)
	for _, how := range []xtest.DNSFault{xtest.ServFail, xtest.Refused} {
		dns.Clear()
		dns.SRV("_xmpps-server._tcp.peer.test", 0, 0, 5270, "a.test")
		dns.Fail("_xmpp-server._tcp.peer.test", how)
		list, err := dialerOf(dns, 1).Targets(t.Context(), "peer.test")
		if join(list) != "tls://a.test:5270" || err != nil {
			t.Errorf("fault %d: %v, %v", how, list, err)
		}
		dns.Fail("_xmpps-server._tcp.peer.test", how)
		if list, err = dialerOf(dns, 1).Targets(t.Context(), "peer.test"); join(list) != "peer.test:5269" || err != nil {
			t.Errorf("fault %d: %v, %v", how, list, err)
		}
	}
	for _, how := range []xtest.DNSFault{xtest.Silent, xtest.Garbage} {
		dns.Clear()
		dns.Fail("_xmpp-server._tcp.peer.test", how)
		dns.Fail("_xmpps-server._tcp.peer.test", how)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if list, err := dialerOf(dns, 1).Targets(ctx, "peer.test"); !errors.Is(err, ErrTimeout) {
			t.Errorf("fault %d: %v, %v", how, list, err)
		}
		cancel()
	}
	// Nobody is there at all.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if addrs, err := NewResolver("127.0.0.1:1").Addrs(ctx, "peer.test"); !errors.Is(err, ErrDNS) && !errors.Is(err, ErrTimeout) {
		t.Errorf("no server: %v, %v", addrs, err)
	}
}

// TestStaticTargets: s2s.hosts comes before any DNS, in its own order.
func TestStaticTargets(t *testing.T) {
	dns := xtest.NewDNS(t)
	cfg := parse(t, "[s2s]\ndns_server = '"+dns.Addr+`'
[s2s.hosts]
"BÜCHER.test" = ["10.0.0.2:5269", "tls://10.0.0.3:5270", "[fd00::2]:1", "xmpp.peer.test:5269"]
`)
	d := NewDialer(DialerOptions{S2S: cfg.S2S})
	for range 3 {
		list, err := d.Targets(t.Context(), "bücher.test")
		if join(list) != "10.0.0.2:5269 tls://10.0.0.3:5270 [fd00::2]:1 xmpp.peer.test:5269" || err != nil {
			t.Errorf("%v, %v", list, err)
		}
		clear(list) // it is the caller's own
	}
	if q := dns.Asked(); len(q) > 0 {
		t.Errorf("asked for %q", q)
	}
}

// TestWeights draws often: each comes first as often as its weight says (RFC 2782), and the same seed draws the same.
func TestWeights(t *testing.T) {
	list := func() []Target {
		return []Target{
			{Host: "sixty", Port: 1, Weight: 60}, {Host: "ten", Port: 1, Weight: 10}, {Host: "none", Port: 1},
			{Host: "thirty", Port: 1, Weight: 30, Direct: true}, {Host: "later", Port: 1, Priority: 1, Weight: 1000},
		}
	}
	d := NewDialer(DialerOptions{Rand: rand.New(rand.NewPCG(1, 2))})
	const draws = 20000
	first := map[string]int{}
	for range draws {
		got := d.order(list())
		first[got[0].Host]++
		if len(got) != 5 || got[4].Host != "later" {
			t.Fatalf("%v", got)
		}
		for _, want := range list() {
			if !slices.Contains(got, want) {
				t.Fatalf("%v is lost", want)
			}
		}
	}
	for host, percent := range map[string]float64{"sixty": 60, "ten": 10, "thirty": 30} {
		if got := float64(first[host]) / draws * 100; got < percent-2 || got > percent+2 {
			t.Errorf("%s comes first in %.1f of 100 draws", host, got)
		}
	}
	if n := first["none"]; n == 0 || n > draws/50 {
		t.Errorf("weight 0 comes first %d times of %d: it should be seldom, but happen", n, draws)
	}
	one, other := NewDialer(DialerOptions{Rand: rand.New(rand.NewPCG(7, 7))}), NewDialer(DialerOptions{Rand: rand.New(rand.NewPCG(7, 7))})
	for range 100 {
		shuffled := list()
		slices.Reverse(shuffled)
		if a, b := join(one.order(list())), join(other.order(shuffled)); a != b {
			t.Fatalf("%s\n%s", a, b)
		}
	}
}

// TestManyRecords: more than a server can need is not taken.
func TestManyRecords(t *testing.T) {
	dns := xtest.NewDNS(t)
	for i := range 60 {
		dns.SRV("_xmpp-server._tcp.peer.test", uint16(60-i), 0, 5269, fmt.Sprintf("server-with-a-long-name-%d.peer.test", i))
		dns.Address("server.peer.test", fmt.Sprintf("10.0.0.%d", i+1), fmt.Sprintf("fd00::%d", i+1))
	}
	d := dialerOf(dns, 1)
	list, err := d.Targets(t.Context(), "peer.test")
	if err != nil || len(list) != maxRecords || list[0].Priority != 1 {
		t.Errorf("%d, %v, %v", len(list), list, err)
	}
	if records, err := d.resolver.SRV(t.Context(), serviceStartTLS, "peer.test"); err != nil || len(records) != maxRecords {
		t.Errorf("%d records, %v", len(records), err)
	}
	addrs, err := d.resolver.Addrs(t.Context(), "server.peer.test")
	if err != nil || len(addrs) != maxAddresses {
		t.Errorf("%d, %v", len(addrs), err)
	}
}

// TestAddrs looks up names of each kind.
func TestAddrs(t *testing.T) {
	dns := xtest.NewDNS(t)
	dns.Address("both.test", "10.0.0.1", "fd00::1", "10.0.0.2")
	dns.Address("six.test", "fd00::1")
	dns.CNAME("alias.test", "middle.test")
	dns.CNAME("middle.test", "six.test")
	dns.CNAME("loop.test", "pool.test")
	dns.CNAME("pool.test", "loop.test")
	dns.Address("xn--bcher-kva.test", "10.0.0.9")
	dns.SRV("noaddress.test", 0, 0, 1, "both.test")
	dns.Fail("broken.test", xtest.ServFail)
	dns.Fail("silent.test", xtest.Silent)
	r := NewResolver(dns.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for host, want := range map[string]string{
		"both.test": "[10.0.0.1 10.0.0.2 fd00::1]", "six.test": "[fd00::1]", "alias.test": "[fd00::1]", "bücher.test": "[10.0.0.9]",
		"10.0.0.7": "[10.0.0.7]", "fd00::7": "[fd00::7]", "::ffff:10.0.0.7": "[10.0.0.7]",
	} {
		got, err := r.Addrs(ctx, host)
		slices.SortFunc(got, netip.Addr.Compare)
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	for host, want := range map[string]error{
		"nothere.test": ErrNoServer, "noaddress.test": ErrNoServer, "loop.test": ErrNoServer, "broken.test": ErrDNS,
		"": ErrNoServer, strings.Repeat("a", 300): ErrNoServer, strings.Repeat("ü.", 200) + "test": ErrNoServer, "a b": ErrNoServer,
	} {
		if got, err := r.Addrs(ctx, host); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, %v", host, got, err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Addrs(short, "silent.test"); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "silent.test") {
		t.Errorf("silence: %v", err)
	}
}

// TestAskedOnce: who asks at the same time, and shortly after, shares a look-up, whatever it found.
func TestAskedOnce(t *testing.T) {
	dns := xtest.NewDNS(t)
	dns.SRV("_xmpp-server._tcp.peer.test", 0, 0, 5269, "a.test")
	d := dialerOf(dns, 1)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			for _, domain := range []string{"peer.test", "nothere.test"} {
				if _, err := d.Targets(t.Context(), domain); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	got := dns.Asked()
	slices.Sort(got)
	want := []string{
		"SRV _xmpp-server._tcp.nothere.test.", "SRV _xmpp-server._tcp.peer.test.",
		"SRV _xmpps-server._tcp.nothere.test.", "SRV _xmpps-server._tcp.peer.test.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked for %q", got)
	}
}

func TestCache(t *testing.T) {
	t.Run("answers and failures are forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := cache[int]{slots: make(chan struct{}, 1)}
			asked := 0
			ask := func(fail error) (int, error) {
				return c.get(t.Context(), "a", func(context.Context) (int, error) { asked++; return asked, fail })
			}
			steps := []struct {
				after time.Duration
				fail  error
				want  int
			}{{0, nil, 1}, {keepAnswer, nil, 1}, {time.Second, ErrNoServer, 2}, {keepFailure, nil, 2}, {time.Second, nil, 3}}
			for i, s := range steps {
				time.Sleep(s.after)
				ask(s.fail)
				if asked != s.want {
					t.Errorf("step %d: asked %d times, want %d", i, asked, s.want)
				}
			}
		})
	})
	t.Run("few at the same time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := cache[int]{slots: make(chan struct{}, 3)}
			var mu sync.Mutex
			running, most := 0, 0
			var wait sync.WaitGroup
			for i := range 12 {
				wait.Go(func() {
					_, err := c.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) {
						mu.Lock()
						running++
						most = max(most, running)
						mu.Unlock()
						time.Sleep(time.Second)
						mu.Lock()
						running--
						mu.Unlock()
						return i, nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			start := time.Now()
			wait.Wait()
			if most != 3 || time.Since(start) != 4*time.Second {
				t.Errorf("%d at the same time, %v", most, time.Since(start))
			}
		})
	})
	t.Run("who waits too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := cache[int]{slots: make(chan struct{}, 1)}
			never := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ErrTimeout }
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if _, err := c.get(ctx, "a", never); !errors.Is(err, ErrTimeout) || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			// It holds the only slot until its own time is over: who comes later waits no longer than a look-up may take.
			if _, err := c.get(t.Context(), "b", never); !errors.Is(err, ErrTimeout) || time.Since(start) > time.Second+lookupTime {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			time.Sleep(lookupTime)
			if v, err := c.get(t.Context(), "c", func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
				t.Errorf("%v, %v", v, err)
			}
		})
	})
	t.Run("it does not grow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := cache[int]{slots: make(chan struct{}, 1)}
			for i := range 3 * maxCached {
				if _, err := c.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { return 0, nil }); err != nil {
					t.Fatal(err)
				}
				if len(c.known) > maxCached {
					t.Fatalf("%d are kept", len(c.known))
				}
			}
			time.Sleep(2 * keepAnswer)
			c.get(t.Context(), "one more", func(context.Context) (int, error) { return 0, nil })
			if len(c.known) != 1 {
				t.Errorf("%d are kept though all are old", len(c.known))
			}
			// All under way: none is dropped, and no more are begun.
			c = cache[int]{slots: make(chan struct{}, 1)}
			release := make(chan struct{})
			var wait sync.WaitGroup
			for i := range maxCached {
				wait.Go(func() {
					c.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { <-release; return 0, nil })
				})
			}
			synctest.Wait()
			if _, err := c.get(t.Context(), "one more", func(context.Context) (int, error) { return 0, nil }); !errors.Is(err, ErrTimeout) {
				t.Errorf("one more: %v", err)
			}
			close(release)
			wait.Wait()
		})
	})
}

func TestInterleave(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "[]",
		"10.0.0.1":                        "[10.0.0.1]",
		"10.0.0.1 10.0.0.2 fd00::1":       "[fd00::1 10.0.0.1 10.0.0.2]",
		"fd00::1 fd00::2 fd00::3 1.1.1.1": "[fd00::1 1.1.1.1 fd00::2 fd00::3]",
		"1.1.1.1 1.1.1.1 fd00::1 fd00::1": "[fd00::1 1.1.1.1]",
	} {
		var in []netip.Addr
		for _, s := range strings.Fields(text) {
			in = append(in, netip.MustParseAddr(s))
		}
		if got := fmt.Sprint(interleave(in)); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// TestLookupError sorts what package net says.
func TestLookupError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error
	}{
		{nil, ErrNoServer},
		{&net.DNSError{IsNotFound: true}, ErrNoServer},
		{&net.DNSError{IsTimeout: true}, ErrTimeout},
		{context.DeadlineExceeded, ErrTimeout},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, ErrDNS},
		{errors.New("other"), ErrDNS},
	} {
		got := lookupError("a.test.", test.err)
		for _, kind := range []error{ErrNoServer, ErrTimeout, ErrDNS} {
			if errors.Is(got, kind) != (kind == test.want) {
				t.Errorf("%v is %v", test.err, got)
			}
		}
	}
}
