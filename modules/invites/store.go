package invites

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// record is what is stored of an invitation.
type record struct {
	Inviter  string    `json:"inviter,omitempty"`  // localpart; "": the admin at the command line
	Username string    `json:"username,omitempty"` // the account may have this name alone
	Account  bool      `json:"account,omitempty"`  // an account may be made
	Contact  bool      `json:"contact,omitempty"`  // inviter and invited become contacts
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
}

func (r *record) good(now time.Time) bool { return now.Before(r.Expires) }

// The KVs. A key is the hash of a token.
const (
	kvTokens = "tokens" // hash: the format and a record as JSON
	kvNames  = "names"  // localpart that is kept for somebody: hash
)

const format = 1

// grace is how long an invitation outlives its time for who has shown it before: XEP-0445 §3 wants expiry looked at only then.
const grace = time.Hour

var (
	errFull    = stanza.Err(stanza.ResourceConstraint, "too many invitations wait to be used")
	errGone    = stanza.Err(stanza.ItemNotFound, "the invitation is invalid or has expired")
	errPending = errors.New("mod_invites: this name is kept for somebody who is invited")
)

func hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func decode(v []byte) (*record, error) {
	if len(v) == 0 || v[0] != format {
		return nil, errors.New("mod_invites: record of an unknown format")
	}
	r := &record{}
	return r, json.Unmarshal(v[1:], r)
}

func put(kv storage.TxKV, key []byte, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return kv.Put(key, append([]byte{format}, b...))
}

// create stores an invitation and returns its token, which is nowhere else from then on.
func (m *module) create(ctx context.Context, r record) (token string, err error) {
	token = rand.Text() // 130 bits
	key := hash(token)
	now := time.Now().UTC()
	r.Created = now
	m.making.Lock() // so that what was counted is true when it is added to
	defer m.making.Unlock()
	if err := m.room(ctx, now, r.Inviter); err != nil {
		return "", err
	}
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		if r.Username != "" {
			if held, err := tx.KV(kvNames).Get([]byte(r.Username)); err != nil {
				return err
			} else if held != nil {
				return errPending
			}
			if err := tx.KV(kvNames).Put([]byte(r.Username), key); err != nil {
				return err
			}
		}
		return put(tx.KV(kvTokens), key, &r)
	})
	return token, err
}

// room deletes what has expired, and tells whether one more may be made. It counts without holding up those who write: there may
// be thousands.
func (m *module) room(ctx context.Context, now time.Time, inviter string) error {
	all, own := 0, 0
	var old [][]byte
	err := m.h.Store.KV(kvTokens).Scan(ctx, nil, nil, func(k, v []byte) bool {
		r, err := decode(v)
		switch {
		case err != nil || now.After(r.Expires.Add(grace)):
			old = append(old, slices.Clone(k))
		case r.Inviter == inviter:
			own++
			fallthrough
		default:
			all++
		}
		return true
	})
	if err == nil && len(old) > 0 {
		err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
			for _, k := range old {
				v, err := tx.KV(kvTokens).Get(k)
				if err != nil {
					return err
				}
				name := ""
				if r, err := decode(v); err == nil {
					name = r.Username
				}
				if err := remove(tx, k, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	switch {
	case err != nil:
		return err
	case all >= m.cfg.MaxOpen, inviter != "" && own >= m.cfg.MaxOfUser:
		return errFull
	}
	return nil
}

// remove deletes an invitation, and with it the claim to a name.
func remove(tx storage.Tx, key []byte, name string) error {
	if name != "" {
		held, err := tx.KV(kvNames).Get([]byte(name))
		if err != nil {
			return err
		}
		if bytes.Equal(held, key) {
			if err := tx.KV(kvNames).Delete([]byte(name)); err != nil {
				return err
			}
		}
	}
	return tx.KV(kvTokens).Delete(key)
}

// find returns an invitation, or nil.
func (m *module) find(ctx context.Context, key []byte) (*record, error) {
	v, err := m.h.Store.KV(kvTokens).Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decode(v)
}

// use takes an invitation out of the store, if it is there and fits, and returns it; else nil.
func (m *module) use(ctx context.Context, key []byte, fits func(*record) bool) (*record, error) {
	var used *record
	err := m.h.Store.Update(ctx, func(tx storage.Tx) error {
		used = nil
		v, err := tx.KV(kvTokens).Get(key)
		if v == nil || err != nil {
			return err
		}
		r, err := decode(v)
		if err != nil || !fits(r) {
			return err
		}
		used = r
		return remove(tx, key, r.Username)
	})
	return used, err
}

// giveBack puts an invitation back that was used for something that failed.
func (m *module) giveBack(ctx context.Context, key []byte, r *record) {
	err := m.h.Store.Update(context.WithoutCancel(ctx), func(tx storage.Tx) error {
		if r.Username != "" {
			if err := tx.KV(kvNames).Put([]byte(r.Username), key); err != nil {
				return err
			}
		}
		return put(tx.KV(kvTokens), key, r)
	})
	if err != nil {
		m.h.Log.Error("invitation not given back", "err", err)
	}
}

// forget removes the invitations of an account.
func (m *module) forget(ctx context.Context, j stanza.JID) {
	err := m.h.Store.Update(ctx, func(tx storage.Tx) error {
		type entry struct {
			key  []byte
			name string
		}
		var own []entry
		err := tx.KV(kvTokens).Scan(nil, nil, func(k, v []byte) bool {
			if r, err := decode(v); err == nil && r.Inviter == j.Local() {
				own = append(own, entry{slices.Clone(k), r.Username})
			}
			return true
		})
		for _, e := range own {
			if err == nil {
				err = remove(tx, e.key, e.name)
			}
		}
		return err
	})
	if err != nil {
		m.h.Log.Error("invitations of a deleted account not removed", "account", j.String(), "err", err)
	}
}

// Reserved implements register.Invitations (XEP-0445 §4).
func (m *module) Reserved(ctx context.Context, local string) (bool, error) {
	key, err := m.h.Store.KV(kvNames).Get(ctx, []byte(local))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r, err := m.find(ctx, key)
	return r != nil && r.good(time.Now()), err
}

// uri writes the address that an invitation is for, as a link (RFC 5122, XEP-0379 §3.2, XEP-0445 §1).
func (m *module) uri(local, query string) string {
	if local != "" {
		local = url.PathEscape(local) + "@"
	}
	return "xmpp:" + local + m.h.Name + "?" + query
}
