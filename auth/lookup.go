package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/storage"
)

// login is what an attempt to log in is checked against. One for an account that does not exist, or has no keys for the hash
// asked for, looks like any other and is wrong for every password.
type login struct {
	known    bool
	disabled bool
	credential
	keys
}

// lookup finds what to check an attempt against: the keys for a hash or, with hash "", those that PLAIN is checked with
// fastest. It does the same work whether there is such an account or not.
func (u *users) lookup(ctx context.Context, local, hash string) (login, error) {
	o, v := u.accounts.options.Load(), u.accounts.vault
	salt := v.fakeSalt(u.host, local, hash)

	raw, err := u.records().Get(ctx, []byte(local))
	known := err == nil
	if errors.Is(err, storage.ErrNotFound) {
		raw = bytes.Clone(o.fake) // as the store copies a real one
	} else if err != nil {
		return login{}, err
	}
	r, err := decodeRecord(raw)
	if err != nil {
		return login{}, err
	}
	c := r.find(hash, r.hashes())
	if !known {
		c = r.find(hash, o.hashes) // the fake one has keys for all hashes
	} else if c == nil {
		// Set under other options; a client that insists on this hash learns nothing from it.
		known = false
		if r, err = decodeRecord(o.fake); err != nil {
			return login{}, err
		}
		c = r.find(hash, o.hashes)
	}
	if c == nil {
		return login{}, errors.New("auth: no keys for hash " + hash)
	}
	l := login{known: known, disabled: r.Disabled, credential: *c}
	if known {
		l.keys, err = c.open(v, u.host, local)
	} else {
		l.keys, err = c.open(v, "", "")
		l.Salt = salt
	}
	return l, err
}

// find returns the credential for a hash, or with hash "" that of the cheapest among some.
func (r *record) find(hash string, among []string) *credential {
	if hash != "" {
		return r.credential(hash)
	}
	for _, h := range cheapestFirst {
		if slices.Contains(among, h) {
			return r.credential(h)
		}
	}
	return nil
}

// fakeRecord makes a record of keys that no password has, sealed for no account at all.
func (a *Accounts) fakeRecord(o *hashOptions) []byte {
	r := new(record)
	for _, name := range allHashes {
		h, _ := hashFunc(name)
		k := make([]byte, 2*h().Size())
		rand.Read(k)
		c := credential{Hash: name, Iterations: o.iterations, Salt: make([]byte, saltSize)}
		c.seal(a.vault, "", "", keys{k[:len(k)/2], k[len(k)/2:]})
		r.Keys = append(r.Keys, c)
	}
	return r.encode()
}
