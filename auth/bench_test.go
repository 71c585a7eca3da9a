package auth

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkScram is a whole SCRAM-SHA-256 login: the server's side, and the test client's with one iteration of PBKDF2 to do.
func BenchmarkScram(b *testing.B) {
	a := NewAccounts(newStore(b), Options{Iterations: 1, Secret: testSecret})
	must(b, a.Host(testHost).Create(context.Background(), "alice", testPassword))
	conn, _ := newTLS(b, tls.VersionTLS13)
	announce(a, conn)
	m := mechanism(b, a, testHost, "SCRAM-SHA-256")
	b.ReportAllocs()
	for b.Loop() {
		x := NewExchange(m, conn)
		c := &testClient{hash: "SHA-256", user: "alice", password: testPassword}
		if _, err := c.run(b, x); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlain is a PLAIN login with the default iterations, the first of a user and one within minutes of another.
func BenchmarkPlain(b *testing.B) {
	a := NewAccounts(newStore(b), Options{Hashes: []string{"SHA-256"}, Secret: testSecret})
	must(b, a.Host(testHost).Create(context.Background(), "alice", testPassword))
	m := mechanism(b, a, testHost, "PLAIN")
	in := []byte("\x00alice\x00" + testPassword)
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "again"}[again], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !again {
					a.verified.forget("alice@" + testHost)
				}
				if _, _, err := NewExchange(m, &Conn{Host: testHost}).Step(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkThrottle(b *testing.B) {
	th := NewThrottle(defaultLimits)
	for i := range throttleAddresses {
		for range 100 {
			th.Fail(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), fmt.Sprint(i))
		}
	}
	addr := netip.MustParseAddr("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		th.Wait(addr, "alice@a.test")
	}
}
