package c2s

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate counts connections: per address, and those that have not logged in.
type gate struct {
	mu      sync.Mutex
	clients map[*client]struct{}
	waiting list.List // *client, oldest first
	addrs   map[netip.Addr]*visitor
	swept   time.Time
}

// visitor is what is remembered of an address, as long as it has connections and a minute longer.
type visitor struct {
	open   int
	tokens float64 // connections it may still open at once
	at     time.Time
}

// maxVisitors bounds the memory of addresses. Beyond it those without a connection are forgotten early.
const maxVisitors = 1 << 16

func (g *gate) init() {
	g.clients = map[*client]struct{}{}
	g.addrs = map[netip.Addr]*visitor{}
	g.waiting.Init()
}

// visitorOf is whom a connection counts for: an IPv4 address, or an IPv6 /64, which is what one customer gets.
func visitorOf(a net.Addr) netip.Addr {
	ta, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip, ok := netip.AddrFromSlice(ta.IP)
	if !ok {
		return netip.Addr{}
	}
	ip = ip.Unmap()
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.Addr()
	}
	return ip
}

// admit counts a new connection of an address, unless the address has enough. Call leave in any case of true.
func (g *gate) admit(a netip.Addr, p *policy, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	v := g.addrs[a]
	if v == nil {
		v = &visitor{tokens: float64(p.ConnsPerMinute), at: now}
		g.addrs[a] = v
	}
	if p.ConnsPerAddress > 0 && v.open >= p.ConnsPerAddress {
		return false
	}
	if limit := float64(p.ConnsPerMinute); limit > 0 {
		v.tokens = min(limit, v.tokens+limit*now.Sub(v.at).Minutes())
		v.at = now
		if v.tokens < 1 {
			return false
		}
		v.tokens--
	}
	v.open++
	return true
}

// sweep forgets addresses that have no connection and a full allowance again; where there are too many, also some that
// have not, half of all at once, so that a flood of addresses does not make it run each time.
func (g *gate) sweep(now time.Time) {
	full := len(g.addrs) >= maxVisitors
	if now.Sub(g.swept) < time.Minute && !full {
		return
	}
	g.swept = now
	for a, v := range g.addrs {
		if v.open == 0 && (now.Sub(v.at) > time.Minute || full && len(g.addrs) > maxVisitors/2) {
			delete(g.addrs, a)
		}
	}
}

// release undoes admit.
func (g *gate) release(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.addrs[a]; v != nil {
		v.open--
	}
}

// enter notes a client that has not logged in, and returns the one that has to go for it: the oldest.
func (g *gate) enter(c *client, limit int) (shed *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clients[c] = struct{}{}
	if limit > 0 && g.waiting.Len() >= limit {
		e := g.waiting.Front()
		shed = e.Value.(*client)
		g.waiting.Remove(e)
		shed.place = nil
	}
	c.place = g.waiting.PushBack(c)
	return shed
}

// loggedIn takes a client off the list of those that wait.
func (g *gate) loggedIn(c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place != nil {
		g.waiting.Remove(c.place)
		c.place = nil
	}
}

// leave forgets a client whose connection is gone.
func (g *gate) leave(c *client) {
	g.loggedIn(c)
	g.release(c.visitor)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.clients, c)
}

func (g *gate) all() []*client {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*client, 0, len(g.clients))
	for c := range g.clients {
		out = append(out, c)
	}
	return out
}

func (g *gate) count() (all, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.clients), g.waiting.Len()
}
