package mam

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"hash/crc32"
)

// ids makes the storage's IDs ones that nobody can predict and that tell nothing (XEP-0313 §3, XEP-0359 §3.1, §6): a block
// of the ID, which tells when, and of a checksum of its owner is enciphered with a key of the host's. It is the same each
// time, so nothing more need be stored, and an ID that was never given, or to somebody else, is known as such.
type ids struct{ block cipher.Block }

const (
	storedID = 13 // length of the storage's IDs
	ownerSum = aes.BlockSize - storedID
)

var idText = base64.RawURLEncoding.Strict()

func newIDs(secret []byte) (ids, error) {
	b, err := aes.NewCipher(secret)
	return ids{b}, err
}

// public returns what clients see of an ID of the storage.
func (x ids) public(owner, id string) string {
	var b [aes.BlockSize]byte
	copy(b[:storedID], id)
	sum := ownedBy(owner)
	copy(b[storedID:], sum[:])
	x.block.Encrypt(b[:], b[:])
	return idText.EncodeToString(b[:])
}

// stored returns the storage's ID of what a client says; ok is false for one that the owner's archive never gave.
func (x ids) stored(owner, public string) (id string, ok bool) {
	var b [aes.BlockSize + 2]byte // a few more, as Decode asks for
	if len(public) != idText.EncodedLen(aes.BlockSize) {
		return "", false
	}
	if n, err := idText.Decode(b[:], []byte(public)); err != nil || n != aes.BlockSize {
		return "", false
	}
	x.block.Decrypt(b[:aes.BlockSize], b[:aes.BlockSize])
	if [ownerSum]byte(b[storedID:aes.BlockSize]) != ownedBy(owner) {
		return "", false
	}
	return string(b[:storedID]), true
}

func ownedBy(owner string) (sum [ownerSum]byte) {
	n := crc32.ChecksumIEEE([]byte(owner))
	return [ownerSum]byte{byte(n >> 16), byte(n >> 8), byte(n)}
}
