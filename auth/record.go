package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// recordVersion is the version of the stored form. An older one is read, a newer one refused.
const recordVersion = 1

// record is an account as it is stored.
type record struct {
	Version  int          `json:"v"`
	Created  time.Time    `json:"created"`
	Changed  time.Time    `json:"changed"` // the password
	Disabled bool         `json:"disabled,omitempty"`
	Keys     []credential `json:"keys"`
}

// credential is what is stored of a password for one hash.
type credential struct {
	Hash       string `json:"hash"`
	Iterations int    `json:"i"`
	Salt       []byte `json:"salt"`
	Sealed     []byte `json:"sealed"` // StoredKey and ServerKey; see vault
}

func (r *record) encode() ([]byte, error) {
	r.Version = recordVersion
	return json.Marshal(r)
}

func decodeRecord(b []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, errors.New("auth: an account's record cannot be read") // the decoder's error quotes the record
	}
	if r.Version < 1 || r.Version > recordVersion {
		return nil, fmt.Errorf("auth: an account's record has version %d, this xmppd reads up to %d", r.Version, recordVersion)
	}
	return r, nil
}

// credential returns what is stored for a hash, or nil.
func (r *record) credential(hash string) *credential {
	for i := range r.Keys {
		if r.Keys[i].Hash == hash {
			return &r.Keys[i]
		}
	}
	return nil
}

// hashes returns the hashes that there are keys for.
func (r *record) hashes() []string {
	hs := make([]string, len(r.Keys))
	for i := range r.Keys {
		hs[i] = r.Keys[i].Hash
	}
	return hs
}

// account returns the record without its secrets.
func (r *record) account(local string, login time.Time) Account {
	return Account{Local: local, Created: r.Created, PasswordChanged: r.Changed, LastLogin: login, Disabled: r.Disabled,
		Hashes: r.hashes()}
}

// place is what the keys of a credential are sealed for.
func (c *credential) place(host, local string) []byte {
	return fields("scram", host, local, c.Hash, strconv.Itoa(c.Iterations), string(c.Salt))
}

func (c *credential) seal(v *vault, host, local string, k keys) {
	c.Sealed = v.seal(append(append([]byte(nil), k.stored...), k.server...), c.place(host, local))
}

func (c *credential) open(v *vault, host, local string) (keys, error) {
	b, err := v.open(c.Sealed, c.place(host, local))
	if err != nil {
		return keys{}, fmt.Errorf("auth: the %s keys of %s@%s: %w", c.Hash, local, host, err)
	}
	h, ok := hashFunc(c.Hash)
	if !ok || len(b) != 2*h().Size() {
		return keys{}, fmt.Errorf("auth: the %s keys of %s@%s: %w", c.Hash, local, host, errSealed)
	}
	return keys{stored: b[:len(b)/2], server: b[len(b)/2:]}, nil
}
