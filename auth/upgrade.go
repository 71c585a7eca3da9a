package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// Upgrader is implemented by Users that can learn the keys of a further hash from a client that knows the password
// (XEP-0480), for accounts whose password was set when the server wanted other hashes.
type Upgrader interface {
	// Wanted returns the hashes that the password of every account should have keys for.
	Wanted() []string
	// Upgrade begins to learn the keys for a hash. It returns nil where the account has them, or nobody wants them.
	Upgrade(ctx context.Context, local, hash string) (*Upgrade, error)
	// Upgraded stores the keys that follow from SaltedPassword (RFC 5802 §3). changed is of what age the password was that
	// the client has proved to know: if it is another by now, nothing changes and the error is ErrPassword.
	Upgraded(ctx context.Context, local string, u *Upgrade, salted []byte, changed time.Time) error
}

// Upgrade is what a client has to derive keys with.
type Upgrade struct {
	Hash       string
	Salt       []byte
	Iterations int
}

var _ Upgrader = (*users)(nil)

func (u *users) Wanted() []string { return u.accounts.options.Load().hashes }

func (u *users) Upgrade(ctx context.Context, local, hash string) (*Upgrade, error) {
	if !u.accounts.offers(hash) {
		return nil, nil
	}
	a, err := u.Get(ctx, local)
	if err != nil || slices.Contains(a.Hashes, hash) {
		return nil, err
	}
	up := &Upgrade{Hash: hash, Salt: make([]byte, saltSize), Iterations: u.accounts.options.Load().iterations}
	rand.Read(up.Salt)
	return up, nil
}

func (u *users) Upgraded(ctx context.Context, local string, up *Upgrade, salted []byte, changed time.Time) error {
	h, ok := hashFunc(up.Hash)
	if !ok || len(salted) != h().Size() {
		return fmt.Errorf("%w: SaltedPassword of %s has another length", ErrPolicy, up.Hash)
	}
	c := credential{Hash: up.Hash, Iterations: up.Iterations, Salt: up.Salt}
	c.seal(u.accounts.vault, u.host, local, derived(h, salted))
	return u.bucket.Update(ctx, func(tx storage.Tx) error {
		r, err := readRecord(tx, local)
		switch {
		case err != nil:
			return err
		case !r.Changed.Equal(changed):
			return ErrPassword
		case r.credential(up.Hash) != nil:
			return nil // another client was faster
		}
		r.Keys = append(r.Keys, c)
		return writeRecord(tx, local, r)
	})
}
