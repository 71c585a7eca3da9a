package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Options configure the accounts of a server.
type Options struct {
	Hashes     []string // of Config.Auth.SCRAMHashes; none: SHA-1, SHA-256, SHA-512
	Iterations int      // 0: 10,000
	// Secret gives 32 bytes derived from the keyring for a use. Without it accounts last as long as the process, which
	// suits a store in memory only.
	Secret func(label string) []byte
	Log    *slog.Logger // nil: nothing is logged
}

// defaultIterations is what XEP-0438 §6 asks for at least.
const defaultIterations = 10_000

// Accounts are the accounts of all hosts.
type Accounts struct {
	store    storage.Store
	vault    *vault
	derive   deriver
	verified verified
	logins   *storage.Later[account, time.Time]
	log      *slog.Logger
	options  atomic.Pointer[hashOptions]
	changed  atomic.Pointer[func(context.Context, string, stanza.JID)]
}

// hashOptions are the Options that a reload can change, completed.
type hashOptions struct {
	hashes     []string // known ones only, each once
	iterations int
	// fake stands in for the record of an account that does not exist, so that looking at one takes the same steps.
	fake []byte
}

// NewAccounts opens the accounts in a store. A host's accounts lie in the bucket "auth", host.
func NewAccounts(st storage.Store, o Options) *Accounts {
	if o.Secret == nil {
		o.Secret = (&Keyring{secret: random(KeyringSize)}).Secret
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Accounts{store: st, vault: newVault(o.Secret), derive: newDeriver(runtime.GOMAXPROCS(0)), log: o.Log}
	a.logins = storage.NewLater(loginDelay, a.writeLogins)
	a.verified.key = random(sha256.Size)
	a.SetOptions(o)
	return a
}

// Close writes what was noted of logins. The store must still be open.
func (a *Accounts) Close() { a.logins.Close() }

// random returns a key of this process.
func random(size int) secret.Key {
	b := make([]byte, size)
	rand.Read(b) // never fails
	return secret.NewKey(b)
}

// SetOptions changes the hashes and iterations of passwords set from now on, and the SCRAM mechanisms offered. The secret
// stays what it was.
func (a *Accounts) SetOptions(o Options) {
	n := &hashOptions{iterations: o.Iterations}
	if n.iterations <= 0 {
		n.iterations = defaultIterations
	}
	for _, h := range o.Hashes {
		if _, ok := hashFunc(h); ok && !slices.Contains(n.hashes, h) {
			n.hashes = append(n.hashes, h)
		}
	}
	if len(n.hashes) == 0 {
		n.hashes = allHashes
	}
	n.fake = a.fakeRecord(n)
	a.options.Store(n)
}

// Host returns the accounts of one host.
func (a *Accounts) Host(host string) Users { return a.host(host) }

func (a *Accounts) host(host string) *users {
	return &users{accounts: a, host: host, bucket: a.store.Bucket("auth", host)}
}

// OnChange sets who is told of changes, after they are on disk: one of "created", "deleted", "password", "disabled",
// "enabled".
func (a *Accounts) OnChange(fn func(ctx context.Context, what string, j stanza.JID)) {
	a.changed.Store(&fn)
}

func (a *Accounts) notify(ctx context.Context, what string, j stanza.JID) {
	if fn := a.changed.Load(); fn != nil && *fn != nil {
		(*fn)(ctx, what, j)
	}
}

// Verify tells whether the keyring is the one with which the passwords of the hosts were sealed. The first call on a store
// leaves a mark that later ones look at. With another keyring it counts the accounts that cannot log in; once there are none
// left, because all have new passwords, this keyring is the right one from then on.
func (a *Accounts) Verify(ctx context.Context, hosts ...string) error {
	kv, key := a.store.Bucket("auth", ".keyring").KV("keyring"), []byte("mark")
	switch sealed, err := kv.Get(ctx, key); {
	case errors.Is(err, storage.ErrNotFound):
		return kv.Put(ctx, key, a.vault.seal(nil, key))
	case err != nil:
		return err
	default:
		if _, err := a.vault.open(sealed, key); err == nil {
			return nil
		}
	}
	lost := 0
	for _, host := range hosts {
		n, err := a.host(host).sealedOtherwise(ctx)
		if err != nil {
			return err
		}
		lost += n
	}
	if lost > 0 {
		return fmt.Errorf("auth: the keyring file is not the one that this database was used with, so nobody can log in to "+
			"accounts with an old password (%d): put the old file back from a backup or, if it is lost, set new passwords", lost)
	}
	return kv.Put(ctx, key, a.vault.seal(nil, key))
}

// sealedOtherwise counts the accounts whose keys do not open.
func (u *users) sealedOtherwise(ctx context.Context) (n int, err error) {
	err = u.records().Scan(ctx, nil, nil, func(local, value []byte) bool {
		r, err := decodeRecord(value)
		if err != nil {
			n++
			return true
		}
		for i := range r.Keys {
			if _, err := r.Keys[i].open(u.accounts.vault, u.host, string(local)); err != nil {
				n++
				break
			}
		}
		return true
	})
	return n, err
}
