package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/xmppd/xmppd/secret"
)

func (u *users) Check(ctx context.Context, local, password string) error {
	password, err := preparePassword(password)
	if err != nil {
		return ErrPassword // and no work: this depends on what was sent alone
	}
	l, err := u.lookup(ctx, local, "")
	if err != nil {
		return err
	}
	cache, account := &u.accounts.verified, u.account(local)
	mac := cache.mac(account, &l.credential, password)
	verified := cache.has(account, mac) // asked for whom ever: it takes its time
	if !l.known || !verified {
		k, err := u.accounts.derive.keys(ctx, l.Hash, password, l.Salt, l.Iterations)
		if err != nil {
			return err
		}
		if match := hmac.Equal(k.stored, l.stored); !match || !l.known {
			return ErrPassword
		}
		// Waiting for a slot takes time; what changed meanwhile counts.
		now, err := u.lookup(ctx, local, "")
		if err != nil {
			return err
		}
		if !now.known || !hmac.Equal(now.stored, l.stored) {
			return ErrPassword
		}
		l.disabled = now.disabled
		cache.add(account, mac)
	}
	if l.disabled {
		return ErrDisabled
	}
	return nil
}

// The size and lifetime of verified.
const (
	verifiedMax = 10_000
	verifiedTTL = 5 * time.Minute
)

// verified remembers for minutes that a password was right, for the storm of clients that comes back after a restart of the
// network. It holds MACs under a key of this process, over the stored record too: a new password, or a new account of the
// same name, has another record, so that nothing needs to be forgotten explicitly.
type verified struct {
	key  secret.Key
	mu   sync.Mutex
	last map[string]verifiedEntry // by account
}

type verifiedEntry struct {
	mac   [sha256.Size]byte
	until time.Time
}

func (v *verified) mac(account string, c *credential, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.key.Bytes())
	mac.Write(fields(account, string(c.Salt), string(c.Sealed), password))
	mac.Sum(sum[:0])
	return sum
}

func (v *verified) has(account string, mac [sha256.Size]byte) bool {
	v.mu.Lock()
	e := v.last[account]
	v.mu.Unlock()
	return hmac.Equal(e.mac[:], mac[:]) && time.Now().Before(e.until)
}

func (v *verified) add(account string, mac [sha256.Size]byte) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = make(map[string]verifiedEntry)
	}
	if _, ok := v.last[account]; !ok && len(v.last) >= verifiedMax {
		v.shrink(now)
	}
	v.last[account] = verifiedEntry{mac, now.Add(verifiedTTL)}
}

// shrink drops what is over, else a tenth of all, whichever the map gives first.
func (v *verified) shrink(now time.Time) {
	for account, e := range v.last {
		if !now.Before(e.until) {
			delete(v.last, account)
		}
	}
	for account := range v.last {
		if len(v.last) <= verifiedMax*9/10 {
			return
		}
		delete(v.last, account)
	}
}

// forget drops what is known of an account. Correctness does not need it, tidiness does.
func (v *verified) forget(account string) {
	v.mu.Lock()
	delete(v.last, account)
	v.mu.Unlock()
}
