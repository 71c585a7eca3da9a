package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// The KVs of a host's bucket. Keys are localparts. Logins are apart from the records so that a login never rewrites secrets.
const (
	recordsKV = "users"
	loginsKV  = "logins" // big endian nanoseconds since 1970
)

// users implements Users.
type users struct {
	accounts *Accounts
	host     string
	bucket   storage.Bucket
}

var _ Users = (*users)(nil)

func (u *users) records() storage.KV { return u.bucket.KV(recordsKV) }

func (u *users) Exists(ctx context.Context, local string) (bool, error) {
	_, err := u.records().Get(ctx, []byte(local))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (u *users) Get(ctx context.Context, local string) (a Account, err error) {
	noted, _ := u.noted(local)
	err = u.bucket.View(ctx, func(tx storage.Tx) error {
		r, err := readRecord(tx, local)
		if err != nil {
			return err
		}
		at, err := readLogin(tx, local)
		a = r.account(local, lastLogin(r, at, noted))
		return err
	})
	return a, err
}

func (u *users) Create(ctx context.Context, local, password string) error {
	j, err := stanza.NewJID(local, u.host, "")
	if err != nil || j.Local() == "" {
		return fmt.Errorf("%w: %q cannot be the name of an account", ErrPolicy, local)
	}
	local = j.Local()
	if exists, err := u.Exists(ctx, local); err != nil {
		return err
	} else if exists {
		return ErrExists
	}
	cs, err := u.credentials(ctx, local, password)
	if err != nil {
		return err
	}
	err = u.bucket.Update(ctx, func(tx storage.Tx) error {
		switch _, err := readRecord(tx, local); {
		case err == nil:
			return ErrExists
		case !errors.Is(err, ErrNoUser):
			return err
		}
		now := time.Now().UTC()
		return writeRecord(tx, local, &record{Created: now, Changed: now, Keys: cs})
	})
	if err != nil {
		return err
	}
	u.accounts.notify(ctx, "created", j)
	return nil
}

func (u *users) SetPassword(ctx context.Context, local, password string) error {
	if exists, err := u.Exists(ctx, local); err != nil {
		return err
	} else if !exists {
		return ErrNoUser
	}
	cs, err := u.credentials(ctx, local, password)
	if err != nil {
		return err
	}
	return u.change(ctx, local, "password", func(r *record) bool {
		// What was issued before the change must look older than it, also when the clock was set back.
		now := time.Now().UTC()
		if !now.After(r.Changed) {
			now = r.Changed.Add(1)
		}
		r.Changed, r.Keys = now, cs
		return true
	})
}

func (u *users) SetDisabled(ctx context.Context, local string, disabled bool) error {
	what := "enabled"
	if disabled {
		what = "disabled"
	}
	return u.change(ctx, local, what, func(r *record) bool {
		if r.Disabled == disabled {
			return false
		}
		r.Disabled = disabled
		return true
	})
}

// change rewrites an account's record and tells of it, unless fn returns false: then nothing changes.
func (u *users) change(ctx context.Context, local, what string, fn func(*record) bool) error {
	changed := false
	err := u.bucket.Update(ctx, func(tx storage.Tx) error {
		r, err := readRecord(tx, local)
		if err != nil {
			return err
		}
		if changed = fn(r); !changed {
			return nil
		}
		return writeRecord(tx, local, r)
	})
	if err != nil || !changed {
		return err
	}
	u.changed(ctx, local, what)
	return nil
}

func (u *users) Delete(ctx context.Context, local string) error {
	u.accounts.logins.Forget(account{u.host, local})
	err := u.bucket.Update(ctx, func(tx storage.Tx) error {
		if old, err := tx.KV(recordsKV).Get([]byte(local)); err != nil {
			return err
		} else if old == nil {
			return ErrNoUser
		}
		if err := tx.KV(loginsKV).Delete([]byte(local)); err != nil {
			return err
		}
		return tx.KV(recordsKV).Delete([]byte(local))
	})
	if err != nil {
		return err
	}
	u.changed(ctx, local, "deleted")
	return nil
}

// changed is called when a change of an existing account is on disk.
func (u *users) changed(ctx context.Context, local, what string) {
	u.accounts.verified.forget(u.account(local))
	if j, err := stanza.NewJID(local, u.host, ""); err == nil {
		u.accounts.notify(ctx, what, j)
	}
}

// listPage is how many accounts List reads in one transaction.
const listPage = 100

func (u *users) List(ctx context.Context, fn func(Account) bool) error {
	// In pages, and fn outside of the transaction: it may take its time and use the store.
	var from []byte
	for {
		page := make([]Account, 0, listPage)
		err := u.bucket.View(ctx, func(tx storage.Tx) error {
			var bad error
			err := tx.KV(recordsKV).Scan(nil, from, func(key, value []byte) bool {
				r, err := decodeRecord(value)
				if err != nil {
					bad = fmt.Errorf("%s@%s: %w", key, u.host, err)
					return false
				}
				local := string(key)
				noted, _ := u.noted(local)
				page = append(page, r.account(local, lastLogin(r, time.Time{}, noted)))
				return len(page) < listPage
			})
			if err = errors.Join(err, bad); err != nil {
				return err
			}
			for i := range page {
				stored, err := readLogin(tx, page[i].Local)
				if err != nil {
					return err
				}
				if stored.After(page[i].LastLogin) {
					page[i].LastLogin = stored
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, a := range page {
			if !fn(a) {
				return nil
			}
		}
		if len(page) < listPage {
			return nil
		}
		from = append([]byte(page[len(page)-1].Local), 0) // the next key there can be
	}
}

// account names an account among those of all hosts.
func (u *users) account(local string) string { return local + "@" + u.host }

// readRecord reads within a transaction; the record's bytes are good as long as that.
func readRecord(tx storage.Tx, local string) (*record, error) {
	b, err := tx.KV(recordsKV).Get([]byte(local))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrNoUser
	}
	return decodeRecord(b)
}

func writeRecord(tx storage.Tx, local string, r *record) error {
	return tx.KV(recordsKV).Put([]byte(local), r.encode())
}
