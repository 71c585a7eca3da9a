package accept

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestVisitors(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::7":      "2001:db8:1:2::",
	} {
		if got := Visitor(&net.TCPAddr{IP: net.ParseIP(addr)}); got.String() != want {
			t.Errorf("%s counts for %s, want %s", addr, got, want)
		}
	}
}

func TestGate(t *testing.T) { // R09
	var g Gate[int]
	p := Limits{PerAddress: 3, PerMinute: 6}
	now := time.Now()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	take := func(who netip.Addr, n, want int) {
		t.Helper()
		got := 0
		for range n {
			if g.Admit(who, p, now) {
				got++
			}
		}
		if got != want {
			t.Errorf("%s got %d of %d, want %d", who, got, n, want)
		}
	}
	take(a, 5, 3) // open
	take(b, 1, 1)
	for range 3 {
		g.Release(a)
	}
	take(a, 3, 3)
	for range 3 {
		g.Release(a)
	}
	take(a, 1, 0) // six in a minute
	now = now.Add(10 * time.Second)
	take(a, 2, 1)
	g.Release(a)
	g.Release(b)
	now = now.Add(2 * time.Minute)
	take(netip.MustParseAddr("192.0.2.3"), 1, 1)
	if len(g.addrs) != 1 {
		t.Errorf("%d addresses are remembered", len(g.addrs))
	}
	p.PerAddress, p.PerMinute = 0, 0
	take(a, 1000, 1000)
}

func TestAddressesAreBounded(t *testing.T) {
	var g Gate[int]
	p := Limits{PerMinute: 6}
	now := time.Now()
	for i := range maxVisitors + 1000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		g.Admit(a, p, now)
		g.Release(a)
	}
	if len(g.addrs) > maxVisitors {
		t.Errorf("%d addresses are remembered", len(g.addrs))
	}
}
