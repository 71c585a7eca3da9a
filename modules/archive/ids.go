package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"hash/crc32"

	"github.com/xmppd/xmppd/stanza"
)

// IDs makes the storage's IDs ones that nobody can predict and that tell nothing (XEP-0313 §3, XEP-0359 §3.1, §6): a block
// of the ID, which tells when, and of a checksum of its owner is enciphered with a key of the host's. It is the same each
// time, so nothing more need be stored, and an ID that was never given, or to somebody else, is known as such.
type IDs struct{ block cipher.Block }

const (
	storedID = 13 // length of the storage's IDs
	ownerSum = aes.BlockSize - storedID
)

var idText = base64.RawURLEncoding.Strict()

// NewIDs makes the IDs of a storage.Archive's owners of a key of 32 bytes, which no other has: modules.Host.Secret gives it.
func NewIDs(secret []byte) (IDs, error) {
	b, err := aes.NewCipher(secret)
	return IDs{b}, err
}

// Public returns what clients see of an ID of the storage.
func (x IDs) Public(owner, id string) string {
	var b [aes.BlockSize]byte
	copy(b[:storedID], id)
	sum := ownedBy(owner)
	copy(b[storedID:], sum[:])
	x.block.Encrypt(b[:], b[:])
	return idText.EncodeToString(b[:])
}

// Stored returns the storage's ID of what a client says; ok is false for one that the owner's archive never gave.
func (x IDs) Stored(owner, public string) (id string, ok bool) {
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

// Stamp returns a message with the ID that an archive gave to it (XEP-0359 §3); by is the archive's address.
func (x IDs) Stamp(st *stanza.Stanza, by stanza.JID, owner, id string) *stanza.Stanza {
	st = st.Clone()
	st.Add(stanza.AppendStanzaID(make([]byte, 0, 128), by, x.Public(owner, id)))
	return st
}

func ownedBy(owner string) (sum [ownerSum]byte) {
	n := crc32.ChecksumIEEE([]byte(owner))
	return [ownerSum]byte{byte(n >> 16), byte(n >> 8), byte(n)}
}
