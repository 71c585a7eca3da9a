package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// recordVersion is the version of the stored form, its first byte. An older one is read, a newer one refused.
//
// Version 1: created and changed (each 8 bytes, nanoseconds since 1970), flags (a byte), then for each credential its hash,
// iterations, salt and sealed keys. Integers within are uvarints, strings and bytes have their length in front; all else is
// big endian.
const recordVersion = 1

// flagDisabled is the only flag as yet; others are refused, since they might mean that nobody may log in.
const flagDisabled = 1

// record is an account as it is stored.
type record struct {
	Created  time.Time
	Changed  time.Time // the password
	Disabled bool
	Keys     []credential
}

// credential is what is stored of a password for one hash.
type credential struct {
	Hash       string
	Iterations int
	Salt       []byte
	Sealed     []byte // StoredKey and ServerKey; see vault
}

func (r *record) encode() []byte {
	b := make([]byte, 0, 512)
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Created.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Changed.UnixNano()))
	var flags byte
	if r.Disabled {
		flags |= flagDisabled
	}
	b = append(b, flags)
	for i := range r.Keys {
		c := &r.Keys[i]
		b = appendBytes(b, c.Hash)
		b = binary.AppendUvarint(b, uint64(c.Iterations))
		b = appendBytes(b, c.Salt)
		b = appendBytes(b, c.Sealed)
	}
	return b
}

var errRecord = errors.New("auth: an account's record cannot be read")

// decodeRecord reads a record. Its salts and keys share memory with b.
func decodeRecord(b []byte) (*record, error) {
	if len(b) == 0 || b[0] == 0 {
		return nil, errRecord
	}
	if b[0] > recordVersion {
		return nil, fmt.Errorf("auth: an account's record has version %d, this xmppd reads up to %d", b[0], recordVersion)
	}
	if len(b) < 18 || b[17]&^flagDisabled != 0 {
		return nil, errRecord
	}
	r := &record{
		Created:  time.Unix(0, int64(binary.BigEndian.Uint64(b[1:]))).UTC(),
		Changed:  time.Unix(0, int64(binary.BigEndian.Uint64(b[9:]))).UTC(),
		Disabled: b[17]&flagDisabled != 0,
		Keys:     make([]credential, 0, len(allHashes)),
	}
	for b = b[18:]; len(b) > 0; {
		var c credential
		var hash []byte
		var ok1, ok2, ok3 bool
		hash, b, ok1 = cutBytes(b)
		iterations, n := binary.Uvarint(b)
		if !ok1 || n <= 0 || iterations > 1<<31-1 {
			return nil, errRecord
		}
		c.Hash, c.Iterations = string(hash), int(iterations)
		c.Salt, b, ok2 = cutBytes(b[n:])
		c.Sealed, b, ok3 = cutBytes(b)
		if !ok2 || !ok3 {
			return nil, errRecord
		}
		r.Keys = append(r.Keys, c)
	}
	return r, nil
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutBytes takes what appendBytes appended off the front.
func cutBytes(b []byte) (s, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(size) : n+int(size)], b[n+int(size):], true
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
	c.Sealed = v.seal(slices.Concat(k.stored, k.server), c.place(host, local))
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
