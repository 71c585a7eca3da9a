package auth

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// loginDelay is how long the date of a login may wait to be written.
const loginDelay = 5 * time.Second

// account names an account of some host.
type account struct{ host, local string }

func (u *users) Touch(local string, at time.Time) {
	if noted, ok := u.noted(local); ok && !at.After(noted) {
		return
	}
	u.accounts.logins.Put(account{u.host, local}, at)
}

// noted returns the date of a login that is not written yet. To ask the store first would miss what is written in between.
func (u *users) noted(local string) (at time.Time, ok bool) {
	return u.accounts.logins.Get(account{u.host, local})
}

// writeLogins writes dates of logins, a transaction for each host.
func (a *Accounts) writeLogins(all map[account]time.Time) {
	hosts := map[string]map[string]time.Time{}
	for who, at := range all {
		if hosts[who.host] == nil {
			hosts[who.host] = map[string]time.Time{}
		}
		hosts[who.host][who.local] = at
	}
	for host, dates := range hosts {
		err := a.host(host).bucket.Update(context.Background(), func(tx storage.Tx) error {
			for local, at := range dates {
				if err := writeLogin(tx, local, at); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			a.log.Warn("dates of logins not noted", "host", host, "accounts", len(dates), "err", err)
		}
	}
}

// writeLogin writes a date, unless there is a later one or no such account, or only a newer one of its name.
func writeLogin(tx storage.Tx, local string, at time.Time) error {
	r, err := readRecord(tx, local)
	if err == ErrNoUser {
		return nil
	}
	if err != nil {
		return err
	}
	last, err := readLogin(tx, local)
	if err != nil || lastLogin(r, last, at) != at {
		return err
	}
	return putLogin(tx, local, at)
}

func putLogin(tx storage.Tx, local string, at time.Time) error {
	return tx.KV(loginsKV).Put([]byte(local), binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano())))
}

// lastLogin is the later of the date on disk and one that is noted, unless that is of an account that was deleted.
func lastLogin(r *record, stored, noted time.Time) time.Time {
	if noted.After(stored) && !noted.Before(r.Created) {
		return noted
	}
	return stored
}

func readLogin(tx storage.Tx, local string) (time.Time, error) {
	b, err := tx.KV(loginsKV).Get([]byte(local))
	if err != nil || len(b) != 8 {
		return time.Time{}, err
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC(), nil
}
