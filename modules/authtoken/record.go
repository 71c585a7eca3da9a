package authtoken

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/storage"
)

// Kind is that of the credential that an account's generation of tokens is (modules.Credential).
const Kind = "token"

// kvAccounts holds a record for each localpart that ever had a token. It outlives the account: an old token must not fit the
// next account of that name.
const kvAccounts = "accounts"

// record is what is kept of an account.
type record struct {
	Generation uint64    // what refresh tokens name; never the same again
	Password   time.Time // the account's auth.Account.PasswordChanged; zero: there was none when the generation began
	Ceiling    uint64    // no access token that was given out is valid for longer
	Mark       uint64    // access tokens that are not valid for longer than this are void
	Since      time.Time // when something was first given out or used in this generation; zero: nothing as yet
	Used       time.Time // the last login
	Parents    []string  // Refs of the credentials whose sessions were given tokens
}

// maxParents bounds a record: who asks for tokens in the sessions of ever more credentials gets a generation of its own.
const maxParents = 16

const recordVersion = 1

var errRecord = errors.New("auth_token: an account's record cannot be read")

// begin makes a record of an account that has none. A database put back from a backup, or lost, must not make old refresh
// tokens fit again: so the first generation is any one of two thousand million.
func begin() *record {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return &record{Generation: uint64(binary.BigEndian.Uint32(b[:])>>1) + 1}
}

// void begins a new generation: all tokens of the account are void, those with validity seconds to live that somebody else
// signed with our key too.
func (r *record) void(now, validity uint64) {
	*r = record{
		Generation: r.Generation + 1,
		Password:   r.Password,
		Ceiling:    r.Ceiling,
		Mark:       max(r.Mark, r.Ceiling, now+validity),
	}
}

// settle makes sure that the generation is one of the password in force.
func (r *record) settle(password time.Time, now, validity uint64) {
	switch {
	case r.Password.IsZero(): // new, or what is left of an account that was deleted: that has been voided
	case !r.Password.Equal(password):
		r.void(now, validity)
	}
	r.Password = password
}

// ref names the generation as a credential.
func (r *record) ref() string { return modules.CredentialRef(Kind, r.id()) }

func (r *record) id() string { return strconv.FormatUint(r.Generation, 10) }

// issue notes that an access token is given out, and returns until when it is valid.
func (r *record) issue(now, validity uint64) (expiry uint64) {
	expiry = max(now+validity, r.Mark+1)
	r.Ceiling = max(r.Ceiling, expiry)
	return expiry
}

// seen notes a sign of life.
func (r *record) seen(now time.Time) {
	if r.Since.IsZero() {
		r.Since = now
	}
}

// descend notes by which credentials somebody was in who is given tokens. It tells whether there is room for them.
func (r *record) descend(refs []string) bool {
	for _, ref := range refs {
		if !slices.Contains(r.Parents, ref) && ref != r.ref() {
			r.Parents = append(r.Parents, ref)
		}
	}
	return len(r.Parents) <= maxParents
}

// encode writes a record: the version, then numbers as uvarints, times as seconds (the password's as nanoseconds) since 1970
// or 0, strings behind their length.
func (r *record) encode() []byte {
	b := []byte{recordVersion}
	for _, n := range []uint64{r.Generation, nanos(r.Password), r.Ceiling, r.Mark, secs(r.Since), secs(r.Used), uint64(len(r.Parents))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, p := range r.Parents {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

func decode(b []byte) (*record, error) {
	if len(b) == 0 || b[0] == 0 {
		return nil, errRecord
	}
	if b[0] > recordVersion {
		return nil, fmt.Errorf("auth_token: an account's record has version %d, this xmppd reads up to %d", b[0], recordVersion)
	}
	b = b[1:]
	whole := true
	next := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			whole, b = false, nil
			return 0
		}
		b = b[size:]
		return n
	}
	r := &record{Generation: next()}
	r.Password = at(0, next())
	r.Ceiling, r.Mark = next(), next()
	r.Since, r.Used = at(next(), 0), at(next(), 0)
	for n := next(); n > 0 && whole; n-- {
		size := next()
		if size > uint64(len(b)) {
			return nil, errRecord
		}
		r.Parents = append(r.Parents, string(b[:size]))
		b = b[size:]
	}
	if !whole || len(b) > 0 || r.Generation == 0 {
		return nil, errRecord
	}
	return r, nil
}

func secs(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())
}

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func at(seconds, nanoseconds uint64) time.Time {
	if seconds == 0 && nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), int64(nanoseconds)).UTC()
}

// load reads an account's record, nil where there is none.
func load(tx storage.Tx, local string) (*record, error) {
	b, err := tx.KV(kvAccounts).Get([]byte(local))
	if err != nil || b == nil {
		return nil, err
	}
	return decode(b)
}

func (r *record) save(tx storage.Tx, local string) error {
	return tx.KV(kvAccounts).Put([]byte(local), r.encode())
}
