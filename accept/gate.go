package accept

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Gate counts connections: per address, and those that have not logged in. C is what the owner knows a connection by.
// Its zero value is ready.
type Gate[C comparable] struct {
	mu      sync.Mutex
	guests  map[C]*guest
	waiting list.List // C, oldest first
	addrs   map[netip.Addr]*visitor
	swept   time.Time
}

// guest is a connection.
type guest struct {
	from  netip.Addr
	place *list.Element // among those that wait; nil: it does not
}

// visitor is what is remembered of an address, as long as it has connections and a minute longer.
type visitor struct {
	open   int
	tokens float64 // connections it may still open at once
	at     time.Time
}

// Limits are what a gate keeps; 0 means no limit.
type Limits struct {
	PerAddress int // open connections of one address
	PerMinute  int // new connections of one address
}

// maxVisitors bounds the memory of addresses. Beyond it those without a connection are forgotten early.
const maxVisitors = 1 << 16

// Visitor is whom a connection counts for: an IPv4 address, or an IPv6 /64, which is what one customer gets.
func Visitor(a net.Addr) netip.Addr {
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

// Admit counts a new connection of an address, unless the address has enough. What is admitted enters, or is released.
func (g *Gate[C]) Admit(a netip.Addr, l Limits, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	v := g.addrs[a]
	if v == nil {
		if g.addrs == nil {
			g.addrs = map[netip.Addr]*visitor{}
		}
		v = &visitor{tokens: float64(l.PerMinute), at: now}
		g.addrs[a] = v
	}
	if l.PerAddress > 0 && v.open >= l.PerAddress {
		return false
	}
	if limit := float64(l.PerMinute); limit > 0 {
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
func (g *Gate[C]) sweep(now time.Time) {
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

// Release undoes Admit.
func (g *Gate[C]) Release(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(a)
}

func (g *Gate[C]) release(a netip.Addr) {
	if v := g.addrs[a]; v != nil {
		v.open--
	}
}

// Enter notes an admitted connection that has not logged in. Where limit of them wait already, the oldest has to go for it
// and is returned.
func (g *Gate[C]) Enter(c C, from netip.Addr, limit int) (shed C, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.guests == nil {
		g.guests = map[C]*guest{}
	}
	if limit > 0 && g.waiting.Len() >= limit {
		shed, ok = g.waiting.Remove(g.waiting.Front()).(C)
		g.guests[shed].place = nil
	}
	g.guests[c] = &guest{from, g.waiting.PushBack(c)}
	return shed, ok
}

// LoggedIn takes a connection off the list of those that wait.
func (g *Gate[C]) LoggedIn(c C) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loggedIn(g.guests[c])
}

func (g *Gate[C]) loggedIn(gu *guest) {
	if gu != nil && gu.place != nil {
		g.waiting.Remove(gu.place)
		gu.place = nil
	}
}

// Leave forgets a connection that is gone.
func (g *Gate[C]) Leave(c C) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gu := g.guests[c]; gu != nil {
		g.loggedIn(gu)
		g.release(gu.from)
		delete(g.guests, c)
	}
}

// All returns the connections.
func (g *Gate[C]) All() []C {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]C, 0, len(g.guests))
	for c := range g.guests {
		out = append(out, c)
	}
	return out
}

// Count returns how many connections there are, and how many of them have not logged in.
func (g *Gate[C]) Count() (all, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.guests), g.waiting.Len()
}
