package fast

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/storage"
)

// kvClients holds a record for each client that has tokens: localpart 0 client.
const kvClients = "clients"

// maxClients is how many clients of an account have tokens. One more takes the place of that which was away longest.
const maxClients = 32

// client is what is stored of one.
type client struct {
	Software string `json:"software,omitempty"`
	Device   string `json:"device,omitempty"`
	Line     uint64 `json:"line,omitempty"` // any number, the same as long as one token leads to the next
	New      *slot  `json:"new,omitempty"`  // given, not used yet
	Current  *slot  `json:"cur,omitempty"`  // used

	id string
}

// slot is what is stored of a token: enough to make it again for who has the keyring.
type slot struct {
	Nonce    []byte    `json:"nonce"`
	Mech     string    `json:"mech"`
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
	Used     time.Time `json:"used,omitzero"`
	Count    uint64    `json:"count,omitempty"`
	Parents  []string  `json:"parents,omitempty"`  // refs of the credentials of the login that it was given at
	Resource string    `json:"resource,omitempty"` // the only one that they let the client have (XEP-0257 §3)
	Password time.Time `json:"password"`           // date of the account's password then
}

// unused stands for a slot in which there is nothing. It is of no mechanism, so nobody logs in with it.
var unused = &slot{Nonce: make([]byte, nonceSize)}

func (c *client) slots() []*slot {
	return slices.DeleteFunc([]*slot{c.New, c.Current}, func(s *slot) bool { return s == nil })
}

// filter keeps the slots that fn says.
func (c *client) filter(fn func(*slot) bool) {
	for _, p := range []**slot{&c.New, &c.Current} {
		if *p != nil && !fn(*p) {
			*p = nil
		}
	}
}

// seen is when the client was heard last.
func (c *client) seen() (t time.Time) {
	for _, s := range c.slots() {
		for _, at := range []time.Time{s.Issued, s.Used} {
			if at.After(t) {
				t = at
			}
		}
	}
	return t
}

func ownerKey(local string) []byte { return append([]byte(local), 0) } // a localpart has no NUL (RFC 7622 §3.3)

func clientKey(local, id string) []byte { return append(ownerKey(local), id...) }

func parse(id string, b []byte) (*client, error) {
	c := &client{id: id}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("token: %w", storage.ErrCorrupt)
	}
	for _, s := range c.slots() {
		if len(s.Nonce) != nonceSize { // a token of less would not be random
			return nil, fmt.Errorf("token: %w", storage.ErrCorrupt)
		}
	}
	return c, nil
}

// read returns a client's record, or nil.
func read(tx storage.Tx, local, id string) (*client, error) {
	b, err := tx.KV(kvClients).Get(clientKey(local, id))
	if err != nil || b == nil {
		return nil, err
	}
	return parse(id, b)
}

// write stores a client's record; one without tokens goes.
func write(tx storage.Tx, local string, c *client) error {
	key := clientKey(local, c.id)
	if c.New == nil && c.Current == nil {
		return tx.KV(kvClients).Delete(key)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return tx.KV(kvClients).Put(key, b)
}

// all returns the records of an account. A damaged one is passed over and told in the error.
func all(tx storage.Tx, local string) (list []*client, err error) {
	prefix := ownerKey(local)
	var bad error
	err = tx.KV(kvClients).Scan(prefix, nil, func(key, value []byte) bool {
		c, err := parse(string(bytes.TrimPrefix(key, prefix)), value)
		if err != nil {
			bad = err
		} else {
			list = append(list, c)
		}
		return true
	})
	return list, errors.Join(err, bad)
}

// use looks for the token that a client knows and notes that it was used, in one transaction. It returns the token and its
// slot, or nil where there is none. password is the date of the account's password now.
func (m *module) use(ctx context.Context, r request, password, now time.Time) (token string, used *slot, line uint64, err error) {
	var answer error
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		token, used, answer = "", nil, nil
		c, err := read(tx, r.local, r.client)
		if err != nil {
			return err
		}
		if c == nil {
			c = &client{}
		}
		var s *slot
		for _, s = range []*slot{c.New, c.Current} { // XEP-0484 §5.1: what was given last comes first
			if s == nil {
				s = unused // the same work, so that it does not show what there is
			}
			// XEP-0484 §3.4: a token is for one mechanism.
			if token = m.mint.token(r.local, r.client, r.mech, s.Nonce); r.knows(token) && s.Mech == r.mech {
				used = s
				break
			}
		}
		switch {
		case used == nil:
			token = ""
			return nil
		case now.After(s.Expires), !s.Password.Equal(password):
			// Gone for good: no clock that is set back brings it back.
			answer, used = errExpired, nil
			c.filter(func(o *slot) bool { return o != s })
			return write(tx, r.local, c)
		case r.count <= s.Count && (r.count != 0 || s.Count != 0): // XEP-0484 §3.4; who counts once does so always
			answer, used = errWrong, nil
			return nil
		}
		s.Count, s.Used, line = r.count, now, c.Line
		c.New, c.Current = c.pending(s), s // XEP-0484 §3.5, §5.1
		if r.invalidate {                  // XEP-0484 §3.6: the client leaves, with all it has
			c.New, c.Current = nil, nil
		}
		return write(tx, r.local, c)
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return "", nil, 0, err
	}
	return token, used, line, nil
}

// pending is what is left in the slot of new tokens when a token was used.
func (c *client) pending(used *slot) *slot {
	if c.New == used {
		return nil // what was current goes
	}
	return c.New
}

// errTaken says that the token of a login was taken back since.
var errTaken = errors.New("mod_sasl2_fast: the token was taken back")

// give makes a token for a client that has just logged in. Without one, but with no error, the login has become worth
// nothing meanwhile.
func (m *module) give(ctx context.Context, l *modules.Login, mech string, now time.Time) (token string, expires time.Time, err error) {
	j := l.Identity.JID
	local, id := j.Local(), l.Agent.Client
	// A token begets tokens that hang on the same credentials as itself.
	parents := slices.DeleteFunc(slices.Clone(modules.CredentialsOf(l.Identity.Details)), func(ref string) bool {
		return strings.HasPrefix(ref, Kind+":")
	})
	s := &slot{Nonce: newNonce(), Mech: mech, Issued: now, Expires: now.Add(time.Duration(m.cfg.TTL)), Parents: parents,
		Resource: l.Identity.Resource, Password: l.PasswordChanged}
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		list, err := all(tx, local)
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		mine := &client{id: id, Line: rand.Uint64()}
		known := false
		for _, c := range list {
			c.filter(func(s *slot) bool { return !s.forgotten(now) })
			if c.id == id {
				mine, known = c, true
			} else if len(c.slots()) == 0 {
				if err := write(tx, local, c); err != nil {
					return err
				}
			}
		}
		if used, ok := l.Identity.Details.(*Login); ok && !used.invalidated && (!known || mine.Line != used.line) {
			return errTaken
		}
		others := slices.DeleteFunc(list, func(c *client) bool { return c == mine || len(c.slots()) == 0 })
		slices.SortFunc(others, func(a, b *client) int { return a.seen().Compare(b.seen()) })
		for ; len(others) >= maxClients; others = others[1:] {
			if err := tx.KV(kvClients).Delete(clientKey(local, others[0].id)); err != nil {
				return err
			}
		}
		mine.New, mine.Software, mine.Device = s, l.Agent.Software, l.Agent.Device // XEP-0484 §3.5
		return write(tx, local, mine)
	})
	switch {
	case errors.Is(err, errTaken):
		return "", time.Time{}, nil
	case err != nil:
		return "", time.Time{}, err
	}
	// What it hangs on may have been revoked before it was stored.
	alive, err := m.alive(ctx, j, parents, now)
	if err != nil || !alive {
		_, derr := m.drop(ctx, local, func(c *client) bool { return c.id == id })
		return "", time.Time{}, errors.Join(err, derr)
	}
	return m.mint.token(local, id, mech, s.Nonce), s.Expires, nil
}

// drop removes the clients of an account that fn says, and returns how many there were.
func (m *module) drop(ctx context.Context, local string, fn func(*client) bool) (n int, err error) {
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		n = 0
		list, damaged := all(tx, local)
		if damaged != nil && !errors.Is(damaged, storage.ErrCorrupt) {
			return damaged
		}
		for _, c := range list {
			if fn(c) {
				if err := tx.KV(kvClients).Delete(clientKey(local, c.id)); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n, err
}

// change rewrites the clients of an account that fn returns true for.
func (m *module) change(ctx context.Context, local string, fn func(*client) bool) error {
	return m.h.Store.Update(ctx, func(tx storage.Tx) error {
		list, err := all(tx, local)
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		for _, c := range list {
			if fn(c) {
				if err := write(tx, local, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// keep lets a client's tokens outlive the password that they were made under.
func (m *module) keep(ctx context.Context, local, id string) error {
	acc, err := m.h.Users.Get(ctx, local)
	if err != nil {
		return err
	}
	return m.change(ctx, local, func(c *client) bool {
		if c.id != id {
			return false
		}
		for _, s := range c.slots() {
			s.Password = acc.PasswordChanged
		}
		return true
	})
}
