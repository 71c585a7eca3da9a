package auth

import (
	"context"
	"crypto/rand"
	"fmt"
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

// credentials derives what is stored of a password, for each hash with a salt of its own.
func (u *users) credentials(ctx context.Context, local, password string) ([]credential, error) {
	password, err := preparePassword(password)
	if err != nil {
		return nil, err
	}
	o := u.accounts.options.Load()
	cs := make([]credential, 0, len(o.hashes))
	for _, name := range o.hashes {
		c := credential{Hash: name, Iterations: o.iterations, Salt: make([]byte, saltSize)}
		rand.Read(c.Salt)
		k, err := u.accounts.derive.keys(ctx, name, password, c.Salt, c.Iterations)
		if err != nil {
			return nil, err
		}
		c.seal(u.accounts.vault, u.host, local, k)
		cs = append(cs, c)
	}
	return cs, nil
}
