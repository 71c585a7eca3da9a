package auth

import (
	"net/netip"
	"time"
)

// ThrottleLimits are the options of [limits] that a Throttle obeys.
type ThrottleLimits struct {
	PerMinute, PerDay int
	Delay, DelayMax   time.Duration
	Off               bool
}

// Throttle remembers failed logins per address (an IPv6 /64) and per account, in bounded memory. An account is never
// locked out: failures on it slow only the addresses that caused them.
type Throttle struct{ throttle }

type throttle struct{}

// NewThrottle makes an empty one.
func NewThrottle(l ThrottleLimits) *Throttle { panic("auth") }

// SetLimits changes the limits.
func (t *Throttle) SetLimits(l ThrottleLimits) { panic("auth") }

// Wait returns how long an attempt from this address (on this account, if known) has to wait before it is looked at; refuse
// says that it is not to be looked at in any case.
func (t *Throttle) Wait(addr netip.Addr, account string) (wait time.Duration, refuse bool) {
	panic("auth")
}

// Fail notes a failure.
func (t *Throttle) Fail(addr netip.Addr, account string) { panic("auth") }

// Success forgets the address's failures on the account.
func (t *Throttle) Success(addr netip.Addr, account string) { panic("auth") }
