package register

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxAddresses bounds the memory of a rate: beyond it nobody new may try until an hour has passed for some.
const maxAddresses = 8192

// rate counts attempts per address and hour.
type rate struct {
	perHour int

	mu   sync.Mutex
	seen map[netip.Prefix]*tries
}

type tries struct {
	since time.Time
	n     int
}

func newRate(perHour int) *rate { return &rate{perHour: perHour, seen: map[netip.Prefix]*tries{}} }

// allow notes an attempt and tells whether it is within the limit. Attempts beyond it do not prolong the wait.
func (r *rate) allow(a net.Addr, now time.Time) bool {
	key := source(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.seen[key]
	if t == nil || now.Sub(t.since) >= time.Hour || now.Before(t.since) {
		if t == nil && len(r.seen) >= maxAddresses && !r.sweep(now) {
			return false
		}
		r.seen[key] = &tries{now, 1}
		return true
	}
	t.n++
	return t.n <= r.perHour
}

// sweep forgets those whose hour is over, and tells whether there is room now.
func (r *rate) sweep(now time.Time) bool {
	for k, t := range r.seen {
		if now.Sub(t.since) >= time.Hour {
			delete(r.seen, k)
		}
	}
	return len(r.seen) < maxAddresses
}

// source is who an address belongs to: an IPv4 address, or the /64 that one subscriber has. An address without IP is one
// source of its own.
func source(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return netip.Prefix{}
	}
	ip = ip.Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
