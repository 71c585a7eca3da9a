package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"github.com/xmppd/xmppd/secret"
)

// errSealed says that a record was sealed with another keyring, for another account, or was changed.
var errSealed = errors.New("sealed with another keyring, or damaged")

// vault seals what the database holds of passwords, so that a copy of it alone lets nobody in and impersonates no server.
type vault struct {
	aead cipher.AEAD
	fake secret.Key // for the salts of accounts that do not exist
}

func newVault(derive func(label string) []byte) *vault {
	block, err := aes.NewCipher(derive("accounts"))
	if err != nil {
		panic("auth: " + err.Error()) // Secret did not give 32 bytes
	}
	// A random nonce of 96 bits is good for 2³² passwords set under one keyring.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("auth: " + err.Error())
	}
	return &vault{aead: aead, fake: secret.NewKey(derive("fake-salt"))}
}

// seal encrypts for a place: what is sealed for one account and hash cannot be moved to another.
func (v *vault) seal(plain, place []byte) []byte { return v.aead.Seal(nil, nil, plain, place) }

func (v *vault) open(sealed, place []byte) ([]byte, error) {
	plain, err := v.aead.Open(nil, nil, sealed, place)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// fakeSalt is the salt shown for an account that is not there: always the same one, also after a restart, and of the same
// form as a real one.
func (v *vault) fakeSalt(host, local, hash string) []byte {
	mac := hmac.New(sha256.New, v.fake.Bytes())
	mac.Write(fields(host, local, hash))
	return mac.Sum(nil)[:saltSize]
}

// fields joins strings so that no two lists give the same bytes.
func fields(ss ...string) []byte {
	var b []byte
	for _, s := range ss {
		b = appendBytes(b, s)
	}
	return b
}
