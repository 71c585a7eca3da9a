package modules

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// Secret returns 32 bytes for a use of this module on this host: the same ones after a restart, and others than any other
// module or host gets. They come from the server's keyring and are never in the database, so a copy of that alone is of no
// use where what it holds was made with them.
func (h *Host) Secret(label string) []byte {
	return h.secret("module " + h.reg.module + " of " + h.Name + ": " + label)
}

// newSecret makes a keyring of this process.
func newSecret() func(label string) []byte {
	var key [32]byte
	rand.Read(key[:]) // never fails
	return func(label string) []byte {
		mac := hmac.New(sha256.New, key[:])
		mac.Write([]byte(label))
		return mac.Sum(nil)
	}
}
