package xtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
)

// Scram is one attempt with SCRAM (RFC 5802), which may be a faulty one. After TryScram the last fields say what happened.
type Scram struct {
	Mechanism string // SCRAM-SHA-1 … SCRAM-SHA-512-PLUS
	User      string
	Password  string
	GS2       string // the GS2 header; empty: "n,,", with -PLUS "p=tls-exporter,,"
	Binding   []byte // the channel binding data; nil: those of this connection, for -PLUS

	First func(string) string              // changes client-first-message
	Final func(bare, proof string) string  // makes client-final-message of what stands before the proof, and the proof
	Bare  func(withoutProof string) string // changes client-final-message-without-proof before it is signed
	Stop  func(serverFirst string) bool    // looks at server-first-message; true ends the attempt with <abort/>

	ServerFirst, Salt, Nonce, Announced string
	Iterations                          int
	ClientProof                         string // as it was sent, in base64
}

// Hash is that of the mechanism.
func (s *Scram) Hash() func() hash.Hash {
	switch strings.TrimSuffix(strings.TrimPrefix(s.Mechanism, "SCRAM-"), "-PLUS") {
	case "SHA-256":
		return sha256.New
	case "SHA-512":
		return sha512.New
	}
	return sha1.New
}

// ChannelBinding returns the data of a type on this connection (RFC 9266 §2, RFC 5929 §4).
func (c *Client) ChannelBinding(kind string) []byte {
	c.T.Helper()
	cs := c.Conn.(*tls.Conn).ConnectionState()
	if kind == "tls-server-end-point" {
		sum := sha256.Sum256(cs.PeerCertificates[0].Raw)
		return sum[:]
	}
	data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		c.T.Fatal(err)
	}
	return data
}

// TryScram does one exchange and returns the server's last word. The server's signature is verified.
func (c *Client) TryScram(s *Scram) *Node {
	c.T.Helper()
	plus := strings.HasSuffix(s.Mechanism, "-PLUS")
	if s.GS2 == "" {
		s.GS2 = "n,,"
		if plus {
			s.GS2 = "p=tls-exporter,,"
		}
	}
	if s.Binding == nil && strings.HasPrefix(s.GS2, "p=") {
		kind, _, _ := strings.Cut(s.GS2[2:], ",")
		s.Binding = c.ChannelBinding(kind)
	}
	bare := "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.User) + ",r=" + rand.Text()
	first := s.GS2 + bare
	if s.First != nil {
		first = s.First(first)
		bare = strings.TrimPrefix(first, s.GS2)
	}
	c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%s</auth>", s.Mechanism, B64(first))
	n := c.Must()
	if n.Name.Local != "challenge" {
		return n
	}
	data, err := base64.StdEncoding.DecodeString(n.Text)
	if err != nil {
		c.T.Fatalf("%s: challenge: %v", c.Name, err)
	}
	s.ServerFirst = string(data)
	for _, f := range strings.Split(s.ServerFirst, ",") {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "r":
			s.Nonce = v
		case "s":
			s.Salt = v
		case "i":
			s.Iterations, _ = strconv.Atoi(v)
		case "h":
			s.Announced = v
		}
	}
	if s.Stop != nil && s.Stop(s.ServerFirst) {
		c.Send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		return c.Must()
	}
	h := s.Hash()
	salt, err := base64.StdEncoding.DecodeString(s.Salt)
	if err != nil || s.Iterations < 1 {
		c.T.Fatalf("%s: server-first-message: %s", c.Name, s.ServerFirst)
	}
	salted, err := s.salted(h, salt)
	if err != nil {
		c.T.Fatal(err)
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	clientKey := mac(salted, "Client Key")
	stored := h()
	stored.Write(clientKey)
	without := "c=" + B64(s.GS2+string(s.Binding)) + ",r=" + s.Nonce
	if s.Bare != nil {
		without = s.Bare(without)
	}
	message := bare + "," + s.ServerFirst + "," + without
	proof := mac(stored.Sum(nil), message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.ClientProof = base64.StdEncoding.EncodeToString(proof)
	final := without + ",p=" + s.ClientProof
	if s.Final != nil {
		final = s.Final(without, s.ClientProof)
	}
	c.Send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</response>", B64(final))
	n = c.Must()
	if n.Name.Local == "success" {
		got, _ := base64.StdEncoding.DecodeString(n.Text)
		want := "v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message))
		if !bytes.Equal(got, []byte(want)) {
			c.T.Fatalf("%s: the server's signature is %q, wanted %q", c.Name, got, want)
		}
	}
	return n
}

// saltedPasswords keeps what real clients keep too (RFC 5802 §5.1): the dear part of a login.
var saltedPasswords sync.Map

func (s *Scram) salted(h func() hash.Hash, salt []byte) ([]byte, error) {
	type entry struct {
		size       int
		salt       string
		iterations int
		password   string
	}
	key := entry{h().Size(), string(salt), s.Iterations, s.Password}
	if k, ok := saltedPasswords.Load(key); ok {
		return k.([]byte), nil
	}
	k, err := pbkdf2.Key(h, s.Password, salt, s.Iterations, h().Size())
	if err == nil {
		saltedPasswords.Store(key, k)
	}
	return k, err
}

// TryPlain sends one PLAIN message, of three parts with NULs between them or of whatever, and returns the answer.
func (c *Client) TryPlain(message string) *Node {
	c.T.Helper()
	c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", B64(message))
	return c.Must()
}

// Condition names the condition of a SASL failure, or the element itself where it is none.
func Condition(n *Node) string {
	if n.Name.Local == "failure" && n.Name.Space == "urn:ietf:params:xml:ns:xmpp-sasl" && len(n.Children) > 0 {
		return n.Children[0].Name.Local
	}
	return n.Name.Local
}
