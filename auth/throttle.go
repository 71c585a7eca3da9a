package auth

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// ThrottleLimits are the options of [limits] that a Throttle obeys.
type ThrottleLimits struct {
	PerMinute, PerDay int // 0: no such limit
	Delay, DelayMax   time.Duration
	Off               bool
}

// The memory of a Throttle: some 20 MB when the addresses of a whole botnet use all of it.
const (
	throttleAddresses = 10_000 // the one that was silent longest goes first
	throttleKept      = 128    // failures of one address: as many as the larger limit, at least this many
	throttleKeptMax   = 1_024  // and at most; higher limits are taken for this one
	throttleAccounts  = 32     // that logged in from one address
)

// The times of a Throttle.
const (
	throttleDay     = 24 * time.Hour
	throttleRecent  = 10 * time.Minute // failures that count for the delay
	throttleFree    = 2                // failures without a delay: fingers slip
	throttleTrusted = 30 * 24 * time.Hour
)

// Throttle remembers failed logins per address (an IPv6 /64) and per account, in bounded memory. An account is never
// locked out: failures on it slow only the addresses that caused them.
//
// # Rules
//
//   - After the third failure of an address within ten minutes an attempt has to come Delay after the last one; each
//     further failure doubles that up to DelayMax.
//   - After PerMinute failures within a minute, or PerDay within a day, no attempt of the address is looked at until enough
//     of them are older than that.
//   - Many people can share an address. On an account that has logged in from the address within a month, only the failures
//     on this account count, for both rules: a stranger behind the same router does not keep its owner out.
//   - A success forgets the address's failures on the account, and no others: who has an account cannot wipe out with it
//     what he tried on those of others.
type Throttle struct {
	seed  maphash.Seed
	start time.Time // times are kept as those since then

	mu        sync.Mutex
	limits    ThrottleLimits
	addresses map[netip.Prefix]*list.Element // of *throttled
	order     list.List                      // the most recently used in front
}

// throttled is what is known of an address.
type throttled struct {
	address  netip.Prefix
	failures []throttledFailure       // oldest first
	trusted  map[uint64]time.Duration // accounts by hash, and when they logged in from here
}

type throttledFailure struct {
	at      time.Duration
	account uint64
}

// NewThrottle makes an empty one.
func NewThrottle(l ThrottleLimits) *Throttle {
	return &Throttle{seed: maphash.MakeSeed(), start: time.Now(), limits: l, addresses: make(map[netip.Prefix]*list.Element)}
}

// SetLimits changes the limits.
func (t *Throttle) SetLimits(l ThrottleLimits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits = l
}

// Wait returns how long an attempt from this address (on this account, if known) has to wait before it is looked at; refuse
// says that it is not to be looked at in any case.
//
// A refused attempt is no failure to note. Wait changes nothing, so it can be asked once per connection and again when the
// account is known.
func (t *Throttle) Wait(addr netip.Addr, account string) (wait time.Duration, refuse bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Since(t.start)
	e := t.addresses[prefixOf(addr)]
	if e == nil || t.limits.Off {
		return 0, false
	}
	a, id := e.Value.(*throttled), t.account(account)
	since, trusted := a.trusted[id]
	trusted = trusted && account != "" && now-since < throttleTrusted

	var minute, day, recent int
	var last time.Duration
	for _, f := range a.failures {
		if trusted && f.account != id {
			continue
		}
		switch age := now - f.at; {
		case age < time.Minute:
			minute++
			fallthrough
		case age < throttleRecent:
			recent++
			fallthrough
		case age < throttleDay:
			day++
		}
		last = f.at
	}
	if reached(minute, t.limits.PerMinute) || reached(day, t.limits.PerDay) {
		return 0, true
	}
	return max(0, t.limits.delay(recent)-(now-last)), false
}

func reached(n, limit int) bool { return limit > 0 && n >= min(limit, throttleKeptMax) }

// delay is the time between attempts after so many failures.
func (l *ThrottleLimits) delay(failures int) time.Duration {
	d := l.Delay
	if failures <= throttleFree || d <= 0 {
		return 0
	}
	for range failures - throttleFree - 1 {
		if d >= l.DelayMax {
			break
		}
		d *= 2
	}
	return min(d, max(l.Delay, l.DelayMax))
}

// Fail notes a failure.
func (t *Throttle) Fail(addr netip.Addr, account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limits.Off {
		return
	}
	now := time.Since(t.start)
	a := t.get(prefixOf(addr))
	a.trim(now, t.kept()-1)
	a.failures = append(a.failures, throttledFailure{now, t.account(account)})
}

// Success forgets the address's failures on the account.
func (t *Throttle) Success(addr netip.Addr, account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limits.Off {
		return
	}
	now, id := time.Since(t.start), t.account(account)
	a := t.get(prefixOf(addr))
	kept := a.failures[:0]
	for _, f := range a.failures {
		if f.account != id {
			kept = append(kept, f)
		}
	}
	a.failures = kept
	a.trust(now, id)
}

// kept is how many failures of an address are worth remembering.
func (t *Throttle) kept() int {
	return min(max(throttleKept, t.limits.PerMinute, t.limits.PerDay), throttleKeptMax)
}

// get finds or makes the entry of an address and moves it to the front.
func (t *Throttle) get(address netip.Prefix) *throttled {
	if e := t.addresses[address]; e != nil {
		t.order.MoveToFront(e)
		return e.Value.(*throttled)
	}
	if len(t.addresses) >= throttleAddresses {
		oldest := t.order.Back()
		t.order.Remove(oldest)
		delete(t.addresses, oldest.Value.(*throttled).address)
	}
	a := &throttled{address: address}
	t.addresses[address] = t.order.PushFront(a)
	return a
}

// trim drops failures older than a day, and the oldest beyond n.
func (a *throttled) trim(now time.Duration, n int) {
	drop := max(0, len(a.failures)-n)
	for drop < len(a.failures) && now-a.failures[drop].at >= throttleDay {
		drop++
	}
	a.failures = append(a.failures[:0], a.failures[drop:]...)
}

// trust notes that an account logged in; the one that did so longest ago makes room.
func (a *throttled) trust(now time.Duration, id uint64) {
	if a.trusted == nil {
		a.trusted = make(map[uint64]time.Duration, 1)
	}
	if _, ok := a.trusted[id]; !ok && len(a.trusted) >= throttleAccounts {
		var oldest uint64
		at := now
		for id, t := range a.trusted {
			if t <= at {
				oldest, at = id, t
			}
		}
		delete(a.trusted, oldest)
	}
	a.trusted[id] = now
}

func (t *Throttle) account(name string) uint64 { return maphash.String(t.seed, name) }

// prefixOf is what counts as one address: who has an IPv6 address has a /64 of them.
func prefixOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the zero Prefix for no address: all of these count as one
	return p
}
