package fast

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/xmppd/xmppd/secret"
)

// minter makes tokens from what is stored.
type minter struct{ key secret.Key }

// nonceSize is the size of the random number that makes a token new.
const nonceSize = 16

func newNonce() []byte {
	b := make([]byte, nonceSize)
	rand.Read(b) // never fails
	return b
}

// token returns the token of a slot. It fits an attribute and has 256 bits.
func (m *minter) token(local, client, mech string, nonce []byte) string {
	mac := hmac.New(sha256.New, m.key.Bytes())
	for _, field := range [][]byte{[]byte(local), []byte(client), []byte(mech), nonce} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(field)))) // so that no two lists of fields are alike
		mac.Write(field)
	}
	return "xt1." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// initiator and responder are what the two sides of HT prove that they know the token by (draft-schmaus-kitten-sasl-ht-09
// §3). The key is the token as it is written: nothing is decoded.
func initiator(token string, binding []byte) []byte { return proof(token, "Initiator", binding) }
func responder(token string, binding []byte) []byte { return proof(token, "Responder", binding) }

func proof(token, side string, binding []byte) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(side))
	mac.Write(binding)
	return mac.Sum(nil)
}
