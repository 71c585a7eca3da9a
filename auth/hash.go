package auth

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
)

// saltSize is the size of all salts, real and fake: over 128 bits, and without padding in base64.
const saltSize = 18

// allHashes are the hashes that SCRAM is known with, RFC 5802, RFC 7677 and draft-melnikov-scram-sha-512.
var allHashes = []string{"SHA-1", "SHA-256", "SHA-512"}

// cheapestFirst is the order in which PLAIN looks for a stored key. SHA-256 takes the processor's own instructions.
var cheapestFirst = []string{"SHA-256", "SHA-1", "SHA-512"}

func hashFunc(name string) (func() hash.Hash, bool) {
	switch name {
	case "SHA-1":
		return sha1.New, true
	case "SHA-256":
		return sha256.New, true
	case "SHA-512":
		return sha512.New, true
	}
	return nil, false
}

// keys are the two that a server holds of a password for one hash (RFC 5802 §3).
type keys struct{ stored, server []byte }

// Format keeps them out of whatever prints whole structures.
func (keys) Format(f fmt.State, _ rune) { io.WriteString(f, "auth.keys") }

// deriver runs PBKDF2, on so many processors at once and no more: a flood of PLAIN attempts slows other PLAIN attempts only.
type deriver struct {
	slots chan struct{}
	run   func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error)
}

func newDeriver(slots int) deriver {
	return deriver{slots: make(chan struct{}, slots), run: pbkdf2.Key[hash.Hash]}
}

// keys derives the keys of a prepared password. RFC 5802 §3.
func (d *deriver) keys(ctx context.Context, hashName, password string, salt []byte, iterations int) (keys, error) {
	h, ok := hashFunc(hashName)
	if !ok {
		return keys{}, errSealed
	}
	select {
	case d.slots <- struct{}{}:
	case <-ctx.Done():
		return keys{}, ctx.Err()
	}
	defer func() { <-d.slots }()
	if err := ctx.Err(); err != nil {
		return keys{}, err
	}
	salted, err := d.run(h, password, salt, iterations, h().Size())
	if err != nil {
		return keys{}, err
	}
	return derived(h, salted), nil
}

// derived are the keys that follow from SaltedPassword. RFC 5802 §3.
func derived(h func() hash.Hash, salted []byte) keys {
	client := hmacOf(h, salted, "Client Key")
	return keys{stored: sumOf(h, client), server: hmacOf(h, salted, "Server Key")}
}

func hmacOf(h func() hash.Hash, key []byte, message string) []byte {
	mac := hmac.New(h, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func sumOf(h func() hash.Hash, b []byte) []byte {
	d := h()
	d.Write(b)
	return d.Sum(nil)
}
