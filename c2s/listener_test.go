package c2s

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/config"
)

func TestVisitors(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::7":      "2001:db8:1:2::",
	} {
		if got := visitorOf(&net.TCPAddr{IP: net.ParseIP(addr)}); got.String() != want {
			t.Errorf("%s counts for %s, want %s", addr, got, want)
		}
	}
}

func TestGate(t *testing.T) { // R09
	var g gate
	g.init()
	p := &policy{Limits: config.Limits{ConnsPerAddress: 3, ConnsPerMinute: 6}}
	now := time.Now()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	take := func(who netip.Addr, n, want int) {
		t.Helper()
		got := 0
		for range n {
			if g.admit(who, p, now) {
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
		g.release(a)
	}
	take(a, 3, 3)
	for range 3 {
		g.release(a)
	}
	take(a, 1, 0) // six in a minute
	now = now.Add(10 * time.Second)
	take(a, 2, 1)
	g.release(a)
	g.release(b)
	now = now.Add(2 * time.Minute)
	take(netip.MustParseAddr("192.0.2.3"), 1, 1)
	if len(g.addrs) != 1 {
		t.Errorf("%d addresses are remembered", len(g.addrs))
	}
	p.ConnsPerAddress, p.ConnsPerMinute = 0, 0
	take(a, 1000, 1000)
}

func TestAddressesAreBounded(t *testing.T) {
	var g gate
	g.init()
	p := &policy{Limits: config.Limits{ConnsPerMinute: 6}}
	now := time.Now()
	for i := range maxVisitors + 1000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		g.admit(a, p, now)
		g.release(a)
	}
	if len(g.addrs) > maxVisitors {
		t.Errorf("%d addresses are remembered", len(g.addrs))
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	r := newRig(t, "[limits]\nconnections_per_address = 2\n")
	first := r.dial()
	first.header("to='a.test'")
	r.dial().header("to='a.test'")
	p := r.dial()
	p.c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(p.c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q %v", b, err)
	}
	first.send("</stream:stream>")
	first.closed()
	for end := time.Now().Add(5 * time.Second); r.srv.Stats().Connections > 1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.dial().header("to='a.test'")
	if log := r.log.String(); strings.Count(log, "connections refused") != 1 {
		t.Errorf("log: %s", log)
	}
}

// Those who have not logged in make room for newcomers, those who have do not.
func TestShedding(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nconnections_preauth = 2\n")
	in := r.client("alice", "x")
	oldest := r.dial()
	oldest.header("to='a.test'")
	middle := r.dial()
	middle.header("to='a.test'")
	r.dial().header("to='a.test'")
	if got := oldest.next(); got != "" {
		t.Errorf("the oldest got %s", got)
	}
	in.quiet()
	middle.send("</stream:stream>")
	middle.closed()
}

// fullListener has no file descriptors left for a while.
type fullListener struct {
	net.Listener
	mu    sync.Mutex
	times []time.Time
	until time.Time
}

func (l *fullListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.times = append(l.times, time.Now())
	full := time.Now().Before(l.until)
	l.mu.Unlock()
	if full {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func (l *fullListener) Addr() net.Addr { return &net.TCPAddr{} }
func (l *fullListener) Close() error   { return nil }

func TestNoDescriptors(t *testing.T) { // R16
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		l := &fullListener{until: time.Now().Add(time.Minute)}
		if err := r.srv.Serve(l, false); err != nil {
			t.Error(err)
		}
		if n := len(l.times); n < 50 || n > 80 {
			t.Errorf("tried %d times in a minute", n)
		}
		if n := strings.Count(r.log.String(), "cannot accept"); n > 2 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

func TestServeAfterShutdown(t *testing.T) {
	r := newRig(t, "")
	r.listen()
	r.srv.Shutdown(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Serve(l, false); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}
