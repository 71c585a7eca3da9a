package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// maxPassword is the longest prepared password in bytes, that of an XMPP localpart.
const maxPassword = 1023

// preparePassword applies the OpaqueString profile: other spaces become ASCII ones, the form is NFC, no control characters,
// not empty. RFC 8265 §4.2. The error says what is wrong and never contains the password.
//
// COMPAT: clients of RFC 5802 prepare with SASLprep instead (RFC 4013), which differs for passwords with compatibility
// characters such as ligatures.
func preparePassword(password string) (string, error) {
	switch {
	case password == "":
		return "", fmt.Errorf("%w: the password is empty", ErrPolicy)
	case len(password) > 3*maxPassword: // NFC makes a third of it at most
		return "", fmt.Errorf("%w: the password is longer than %d bytes", ErrPolicy, maxPassword)
	case !utf8.ValidString(password):
		return "", fmt.Errorf("%w: the password is not UTF-8", ErrPolicy)
	}
	if !printableASCII(password) {
		prepared, err := precis.OpaqueString.String(password)
		if err != nil {
			return "", fmt.Errorf("%w: the password has a character that is not allowed, such as a control character", ErrPolicy)
		}
		password = prepared
	}
	if len(password) > maxPassword {
		return "", fmt.Errorf("%w: the password is longer than %d bytes", ErrPolicy, maxPassword)
	}
	return password, nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// The size and lifetime of verified.
const (
	verifiedMax = 10_000
	verifiedTTL = 5 * time.Minute
)

// verified remembers for minutes that a password was right, for the storm of clients that comes back after a restart of the
// network. It holds MACs under a key of this process, over the stored record too: a new password, or a new account of the
// same name, has another record, so that nothing needs to be forgotten explicitly.
type verified struct {
	key  [32]byte
	mu   sync.Mutex
	last map[string]verifiedEntry // by account
}

type verifiedEntry struct {
	mac   [sha256.Size]byte
	until time.Time
}

func (v *verified) mac(account string, c *credential, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.key[:])
	mac.Write(fields(account, string(c.Salt), string(c.Sealed), password))
	mac.Sum(sum[:0])
	return sum
}

func (v *verified) has(account string, mac [sha256.Size]byte) bool {
	v.mu.Lock()
	e := v.last[account]
	v.mu.Unlock()
	return hmac.Equal(e.mac[:], mac[:]) && time.Now().Before(e.until)
}

func (v *verified) add(account string, mac [sha256.Size]byte) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = make(map[string]verifiedEntry)
	}
	if _, ok := v.last[account]; !ok && len(v.last) >= verifiedMax {
		v.shrink(now)
	}
	v.last[account] = verifiedEntry{mac, now.Add(verifiedTTL)}
}

// shrink drops what is over, else a tenth of all, whichever the map gives first.
func (v *verified) shrink(now time.Time) {
	for account, e := range v.last {
		if !now.Before(e.until) {
			delete(v.last, account)
		}
	}
	for account := range v.last {
		if len(v.last) <= verifiedMax*9/10 {
			return
		}
		delete(v.last, account)
	}
}

// forget drops what is known of an account. Correctness does not need it, tidiness does.
func (v *verified) forget(account string) {
	v.mu.Lock()
	delete(v.last, account)
	v.mu.Unlock()
}
