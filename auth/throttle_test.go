package auth

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var defaultLimits = ThrottleLimits{PerMinute: 10, PerDay: 100, Delay: time.Second, DelayMax: 16 * time.Second}

var (
	attacker = netip.MustParseAddr("127.0.0.2")
	friend   = netip.MustParseAddr("127.0.0.3")
)

// throttled runs a test of a throttle on a clock of its own.
func throttledTest(t *testing.T, l ThrottleLimits, fn func(t *testing.T, th *Throttle)) {
	synctest.Test(t, func(t *testing.T) { fn(t, NewThrottle(l)) })
}

func wantWait(t *testing.T, th *Throttle, addr netip.Addr, account string, wait time.Duration, refuse bool) {
	t.Helper()
	if w, r := th.Wait(addr, account); w != wait || r != refuse {
		t.Errorf("%v %q: wait %v, refuse %v; want %v, %v", addr, account, w, r, wait, refuse)
	}
}

// TestThrottleFlood: A11, 40 failures in 60 s from one address; another one is not concerned, and no account is locked.
func TestThrottleFlood(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		looked, delayed, refused := 0, 0, 0
		for range 40 {
			wait, refuse := th.Wait(attacker, "alice@a.test")
			switch {
			case refuse:
				refused++
			case wait > 0:
				delayed++
			}
			if !refuse {
				looked++ // as one who does not wait his turn: the next connection is already there
				th.Fail(attacker, "alice@a.test")
			}
			wantWait(t, th, friend, "alice@a.test", 0, false)
			time.Sleep(1500 * time.Millisecond)
		}
		if looked != 10 || refused != 30 || delayed == 0 {
			t.Errorf("looked at %d, delayed %d, refused %d", looked, delayed, refused)
		}
		th.Success(friend, "alice@a.test")
		wantWait(t, th, friend, "alice@a.test", 0, false)
	})
}

func TestThrottleDelay(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		for n, seconds := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 16, 16} {
			wantWait(t, th, attacker, "", seconds*time.Second, false)
			if n > 3 {
				time.Sleep(time.Second) // counts from the failure on
				wantWait(t, th, attacker, "", (seconds-1)*time.Second, false)
				time.Sleep(seconds * time.Second)
				wantWait(t, th, attacker, "", 0, false)
			}
			th.Fail(attacker, "")
		}
		time.Sleep(throttleRecent)
		wantWait(t, th, attacker, "", 0, false)
		th.Fail(attacker, "") // the first of a new series
		wantWait(t, th, attacker, "", 0, false)
	})
}

// TestThrottlePatient: who waits his turn each time ends at the limit of the day.
func TestThrottlePatient(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		start := time.Now()
		n := 0
		for {
			wait, refuse := th.Wait(attacker, "alice@a.test")
			if refuse {
				break
			}
			time.Sleep(wait)
			th.Fail(attacker, "alice@a.test")
			n++
		}
		if n != 100 {
			t.Errorf("%d failures a day", n)
		}
		time.Sleep(throttleDay - time.Since(start) - time.Nanosecond)
		wantWait(t, th, attacker, "alice@a.test", 0, true)
		time.Sleep(time.Nanosecond)
		wantWait(t, th, attacker, "alice@a.test", 0, false)
	})
}

func TestThrottleMinute(t *testing.T) {
	throttledTest(t, ThrottleLimits{PerMinute: 3}, func(t *testing.T, th *Throttle) {
		th.Fail(attacker, "a")
		time.Sleep(30 * time.Second)
		th.Fail(attacker, "b")
		th.Fail(attacker, "")
		wantWait(t, th, attacker, "c", 0, true)
		time.Sleep(30*time.Second - 1)
		wantWait(t, th, attacker, "c", 0, true)
		time.Sleep(1 * time.Nanosecond)
		wantWait(t, th, attacker, "c", 0, false)
		th.Fail(attacker, "c")
		wantWait(t, th, attacker, "c", 0, true)
	})
}

// TestThrottleSharedAddress: behind one router a stranger's guessing does not keep out who has logged in there before.
func TestThrottleSharedAddress(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		th.Success(attacker, "owner@a.test")
		for range 10 {
			th.Fail(attacker, "alice@a.test")
		}
		wantWait(t, th, attacker, "alice@a.test", 0, true)
		wantWait(t, th, attacker, "carol@a.test", 0, true)
		wantWait(t, th, attacker, "", 0, true)
		wantWait(t, th, attacker, "owner@a.test", 0, false)

		for range 3 { // the owner's own slips count
			th.Fail(attacker, "owner@a.test")
		}
		wantWait(t, th, attacker, "owner@a.test", time.Second, false)
		for range 7 {
			th.Fail(attacker, "owner@a.test")
		}
		wantWait(t, th, attacker, "owner@a.test", 0, true)

		time.Sleep(time.Minute)
		th.Success(attacker, "owner@a.test")
		wantWait(t, th, attacker, "owner@a.test", 0, false)
		wantWait(t, th, attacker, "alice@a.test", 0, false) // 10 left, a minute old, and the longest delay is over
		th.Fail(attacker, "alice@a.test")
		wantWait(t, th, attacker, "alice@a.test", 16*time.Second, false)

		time.Sleep(throttleTrusted)
		for range 10 {
			th.Fail(attacker, "alice@a.test")
		}
		wantWait(t, th, attacker, "owner@a.test", 0, true)
	})
}

// TestThrottleSuccess: a success on an own account wipes out nothing of what was tried on others.
func TestThrottleSuccess(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		for range 9 {
			th.Fail(attacker, "alice@a.test")
			th.Success(attacker, "mallory@a.test")
		}
		th.Fail(attacker, "mallory@a.test")
		wantWait(t, th, attacker, "alice@a.test", 0, true)
		th.Success(attacker, "mallory@a.test")
		if _, refuse := th.Wait(attacker, "alice@a.test"); refuse {
			t.Error("the failure on the own account still counts")
		}
		th.Success(attacker, "alice@a.test")
		wantWait(t, th, attacker, "carol@a.test", 0, false)
	})
}

func TestThrottleAddresses(t *testing.T) {
	for name, tc := range map[string]struct {
		fails, asks string
		same        bool
	}{
		"IPv4":         {"192.0.2.1", "192.0.2.1", true},
		"IPv4 other":   {"192.0.2.1", "192.0.2.2", false},
		"mapped":       {"192.0.2.1", "::ffff:192.0.2.1", true},
		"mapped other": {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"IPv6 /64":     {"2001:db8::1", "2001:db8::ffff:1", true},
		"IPv6 other":   {"2001:db8::1", "2001:db8:0:1::1", false},
		"zone":         {"fe80::1%eth0", "fe80::2%eth1", true},
		"none":         {"", "", true},
	} {
		th := NewThrottle(ThrottleLimits{PerMinute: 1})
		parse := func(s string) netip.Addr { a, _ := netip.ParseAddr(s); return a }
		th.Fail(parse(tc.fails), "")
		if _, refuse := th.Wait(parse(tc.asks), ""); refuse != tc.same {
			t.Errorf("%s: %v", name, refuse)
		}
	}
}

func TestThrottleLimits(t *testing.T) {
	throttledTest(t, ThrottleLimits{PerMinute: 2, Off: true}, func(t *testing.T, th *Throttle) {
		for range 5 {
			th.Fail(attacker, "")
		}
		wantWait(t, th, attacker, "", 0, false)
		if len(th.addresses) != 0 {
			t.Error("remembers though it is off")
		}
		th.SetLimits(ThrottleLimits{PerMinute: 2})
		th.Fail(attacker, "")
		wantWait(t, th, attacker, "", 0, false)
		th.Fail(attacker, "")
		wantWait(t, th, attacker, "", 0, true)
		th.SetLimits(ThrottleLimits{PerMinute: 3})
		wantWait(t, th, attacker, "", 0, false)
		th.SetLimits(ThrottleLimits{Off: true})
		wantWait(t, th, attacker, "", 0, false)
		th.SetLimits(ThrottleLimits{}) // no limits is not the same as limits of zero
		for range 200 {
			th.Fail(attacker, "")
		}
		wantWait(t, th, attacker, "", 0, false)
		th.SetLimits(ThrottleLimits{Delay: 5 * time.Second}) // a longest delay below the first
		wantWait(t, th, attacker, "", 5*time.Second, false)
		th.SetLimits(ThrottleLimits{PerDay: 1 << 30}) // more than is kept
		for range 2 * throttleKeptMax {
			th.Fail(attacker, "")
		}
		wantWait(t, th, attacker, "", 0, true)
	})
}

// TestThrottleMemory: addresses, their failures and their accounts are bounded.
func TestThrottleMemory(t *testing.T) {
	throttledTest(t, defaultLimits, func(t *testing.T, th *Throttle) {
		address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
		for i := range throttleAddresses {
			th.Fail(address(i), "")
		}
		for range 1000 {
			th.Fail(address(0), "") // the oldest, but busy again
		}
		for i := range 1000 {
			th.Success(address(0), fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		th.Fail(address(throttleAddresses), "")
		if len(th.addresses) != throttleAddresses || th.order.Len() != throttleAddresses {
			t.Errorf("%d addresses, %d in order", len(th.addresses), th.order.Len())
		}
		if th.addresses[prefixOf(address(0))] == nil || th.addresses[prefixOf(address(1))] != nil {
			t.Error("the wrong address was dropped")
		}
		a := th.get(prefixOf(address(0)))
		if len(a.failures) != throttleKept || len(a.trusted) != throttleAccounts {
			t.Errorf("%d failures, %d accounts", len(a.failures), len(a.trusted))
		}
		if _, ok := a.trusted[th.account("999")]; !ok {
			t.Error("the newest account was dropped")
		}
		time.Sleep(throttleDay)
		th.Fail(address(0), "")
		if len(a.failures) != 1 {
			t.Errorf("%d failures after a day", len(a.failures))
		}
	})
}

func TestThrottleAtOnce(t *testing.T) {
	th := NewThrottle(defaultLimits)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				addr := netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j % 3)})
				th.Wait(addr, "a")
				th.Fail(addr, fmt.Sprint(j))
				th.Success(addr, "a")
			}
		})
	}
	wg.Wait()
	if len(th.addresses) != 24 {
		t.Errorf("%d addresses", len(th.addresses))
	}
}
