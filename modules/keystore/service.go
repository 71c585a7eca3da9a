package keystore

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// The errors of a Service.
var (
	// ErrNoKey says that the configuration names no such key.
	ErrNoKey = errors.New("no such key")
	// ErrBackend says that the key is there, and those who keep it cannot be asked now.
	ErrBackend = errors.New("keys not available")
	// ErrUnchanged says that a file still holds the key in force, so that there is nothing to rotate to.
	ErrUnchanged = errors.New("the file has the same key as before")
)

// Service gives the modules of a host its keys. It provides them by name for as long as it lives: who signs or verifies asks
// each time, because an admin may rotate them.
type Service interface {
	// GetKey returns the key to sign with: ErrNoKey, or ErrBackend where it cannot be had now. The bytes must not be changed.
	GetKey(name string) (current []byte, err error)
	// Keys returns the key to sign with and the one before it, which is only for verifying what was signed in its time.
	Keys(name string) (Keys, error)
	// List describes all keys, by name.
	List() ([]Key, error)
	// Rotate replaces a key: one of type ram by a new one, one of type file by what the file holds now. The old one is the
	// previous one from then on, and the one before that is gone. by says in the log who wanted it.
	Rotate(name, by string) (Key, error)
}

// Keys are a key and the one that it replaced.
type Keys struct {
	Current  []byte
	Previous []byte // nil: none
}

// Each returns the keys to verify with, the current one first.
func (k Keys) Each() [][]byte {
	if k.Previous == nil {
		return [][]byte{k.Current}
	}
	return [][]byte{k.Current, k.Previous}
}

// Format keeps the keys out of whatever prints whole structures.
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "keystore.Keys") }

// Key is what people may know of a key.
type Key struct {
	Name        string
	Type        string // ram or file
	Path        string // of type file
	Size        int    // bytes
	Fingerprint string
	Previous    string // fingerprint of the previous key, which still verifies; "": none
}

// Fingerprint names a key without telling it: the first eight hex digits of its SHA-256.
func Fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
