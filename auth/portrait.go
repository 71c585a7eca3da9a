package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Portrait is an account as it is taken to another server (XEP-0227).
type Portrait struct {
	Account
	Credentials []SCRAMCredential // none where they are not asked for, or not known
}

// SCRAMCredential is what a password is checked with (XEP-0227 §3.2). Who has it needs only to listen to one login to log in
// himself, and can pose as the server.
type SCRAMCredential struct {
	Hash       string // SHA-1, SHA-256, SHA-512
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// Mover is implemented by Users whose accounts can be taken elsewhere.
type Mover interface {
	// Portrait returns an account, with its credentials if secrets are wanted.
	Portrait(ctx context.Context, local string, secrets bool) (Portrait, error)
	// CreateFrom makes an account as it was elsewhere. Without credentials it gets the password; without that, one that
	// nobody knows.
	CreateFrom(ctx context.Context, p Portrait, password string) error
}

var _ Mover = (*users)(nil)

// The bounds of credentials that are taken in.
const (
	minImported = 4096 // RFC 5802 §5.1
	maxImported = 10_000_000
	maxSalt     = 1024
)

func (u *users) Portrait(ctx context.Context, local string, secrets bool) (p Portrait, err error) {
	noted, _ := u.noted(local)
	err = u.bucket.View(ctx, func(tx storage.Tx) error {
		r, err := readRecord(tx, local)
		if err != nil {
			return err
		}
		at, err := readLogin(tx, local)
		if err != nil {
			return err
		}
		p.Account = r.account(local, lastLogin(r, at, noted))
		if !secrets {
			return nil
		}
		for i := range r.Keys {
			c := &r.Keys[i]
			k, err := c.open(u.accounts.vault, u.host, local)
			if err != nil {
				return err
			}
			p.Credentials = append(p.Credentials, SCRAMCredential{c.Hash, c.Iterations, append([]byte(nil), c.Salt...), k.stored, k.server})
		}
		return nil
	})
	return p, err
}

func (u *users) CreateFrom(ctx context.Context, p Portrait, password string) error {
	j, err := stanza.NewJID(p.Local, u.host, "")
	if err != nil || j.Local() == "" {
		return fmt.Errorf("%w: %q cannot be the name of an account", ErrPolicy, p.Local)
	}
	local := j.Local()
	var cs []credential
	for _, c := range p.Credentials {
		h, ok := hashFunc(c.Hash)
		switch {
		case !ok:
			continue // a hash that this server does not know
		case c.Iterations < minImported, c.Iterations > maxImported, len(c.Salt) == 0, len(c.Salt) > maxSalt,
			len(c.StoredKey) != h().Size(), len(c.ServerKey) != h().Size():
			return fmt.Errorf("%w: credentials for SCRAM-%s are out of bounds", ErrPolicy, c.Hash)
		}
		n := credential{Hash: c.Hash, Iterations: c.Iterations, Salt: c.Salt}
		n.seal(u.accounts.vault, u.host, local, keys{stored: c.StoredKey, server: c.ServerKey})
		cs = append(cs, n)
	}
	if len(cs) == 0 {
		if password == "" {
			password = rand.Text()
		}
		if cs, err = u.credentials(ctx, local, password); err != nil {
			return err
		}
	}
	now := time.Now().UTC()
	r := &record{Created: now, Changed: now, Disabled: p.Disabled, Keys: cs}
	if !p.Created.IsZero() && p.Created.Before(now) {
		r.Created = p.Created.UTC()
	}
	err = u.bucket.Update(ctx, func(tx storage.Tx) error {
		switch _, err := readRecord(tx, local); {
		case err == nil:
			return ErrExists
		case !errors.Is(err, ErrNoUser):
			return err
		}
		if err := writeRecord(tx, local, r); err != nil || p.LastLogin.IsZero() || !p.LastLogin.Before(now) {
			return err
		}
		return putLogin(tx, local, p.LastLogin)
	})
	if err != nil {
		return err
	}
	u.accounts.notify(ctx, "created", j)
	return nil
}
