package auth

import (
	"hash"
	"sync/atomic"
)

// CountDerivations counts from now on how often PBKDF2 runs, in iterations.
func CountDerivations(a *Accounts) *atomic.Int64 {
	n := new(atomic.Int64)
	run := a.derive.run
	a.derive.run = func(h func() hash.Hash, password string, salt []byte, iterations, size int) ([]byte, error) {
		n.Add(int64(iterations))
		return run(h, password, salt, iterations, size)
	}
	return n
}

// ForgetVerified makes the next PLAIN login of alice@a.test derive keys again.
func ForgetVerified(a *Accounts) { a.verified.forget("alice@a.test") }
