package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/storage"
)

const (
	testHost       = "a.test"
	testPassword   = "correct horse"
	testIterations = 16 // tests derive many keys
)

func keyringOf(key string) *Keyring { return &Keyring{secret: secret.NewKey([]byte(key))} }

func testSecret(label string) []byte {
	return keyringOf("0123456789abcdef0123456789abcdef").Secret(label)
}

func otherSecret(label string) []byte {
	return keyringOf("another keyring of thirty-two by").Secret(label)
}

// newAccounts makes accounts with alice, and bob, who is disabled.
func newAccounts(t testing.TB, st storage.Store) *Accounts {
	t.Helper()
	a := NewAccounts(st, Options{Iterations: testIterations, Secret: testSecret})
	ctx := context.Background()
	u := a.Host(testHost)
	for _, local := range []string{"alice", "bob"} {
		must(t, u.Create(ctx, local, testPassword))
	}
	must(t, u.SetDisabled(ctx, "bob", true))
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put stores an account with a given salt, as an example of a specification has it.
func put(t testing.TB, a *Accounts, host, local, password, hash, salt string, iterations int) {
	t.Helper()
	ctx := context.Background()
	raw, err := base64.StdEncoding.DecodeString(salt)
	must(t, err)
	c := credential{Hash: hash, Iterations: iterations, Salt: raw}
	k, err := a.derive.keys(ctx, hash, password, raw, iterations)
	must(t, err)
	c.seal(a.vault, host, local, k)
	r := &record{Created: time.Now(), Changed: time.Now(), Keys: []credential{c}}
	must(t, a.host(host).records().Put(ctx, []byte(local), r.encode()))
}

func mechanism(t testing.TB, a *Accounts, host, name string) Mechanism {
	t.Helper()
	for _, m := range a.Mechanisms(host) {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no mechanism %s", name)
	return Mechanism{}
}

// condition is the failure's condition, or "" for success.
func condition(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("not a *Failure: %T %v", err, err)
	}
	return f.Condition
}

// testClient is a client of SCRAM, independent of the code under test, that can be told to cheat.
type testClient struct {
	hash, user, password, authzid string
	flag                          string // n, y, p=...
	data                          []byte // channel binding data
	nonce                         string
	extension                     string                       // appended to client-first
	alter                         func(final string) string    // of client-final, before the proof is computed
	alterProof                    func(final, p string) string // of client-final with its proof
}

var escapeSaslname = strings.NewReplacer("=", "=3D", ",", "=2C")

func (c *testClient) bare() string {
	return "n=" + escapeSaslname.Replace(c.user) + ",r=" + c.nonce + c.extension
}

func (c *testClient) gs2() string {
	s := c.flag + ","
	if c.authzid != "" {
		s += "a=" + c.authzid
	}
	return s + ","
}

// run drives an exchange to its end. It fails the test when the server is let off with a wrong signature.
func (c *testClient) run(t testing.TB, x *Exchange) (serverFirst string, err error) {
	t.Helper()
	ctx := context.Background()
	if c.nonce == "" {
		c.nonce = "clientnonce"
	}
	if c.flag == "" {
		c.flag = "n"
	}
	out, more, err := x.Step(ctx, []byte(c.gs2()+c.bare()))
	if err != nil {
		return "", err
	}
	if !more {
		t.Fatal("logged in after the first message")
	}
	serverFirst = string(out)
	attrs := map[string]string{}
	for _, a := range strings.Split(serverFirst, ",") {
		attrs[a[:1]] = a[2:]
	}
	if !strings.HasPrefix(attrs["r"], c.nonce) || len(attrs["r"]) < len(c.nonce)+22 {
		t.Fatalf("nonce %q of %q", attrs["r"], c.nonce)
	}
	salt, err := base64.StdEncoding.DecodeString(attrs["s"])
	must(t, err)
	iter, err := strconv.Atoi(attrs["i"])
	must(t, err)

	h, _ := hashFunc(c.hash)
	d := newDeriver(1)
	salted, err := d.run(h, c.password, salt, iter, h().Size())
	must(t, err)
	clientKey := hmacOf(h, salted, "Client Key")
	final := "c=" + base64.StdEncoding.EncodeToString(append([]byte(c.gs2()), c.data...)) + ",r=" + attrs["r"]
	if c.alter != nil {
		final = c.alter(final)
	}
	message := c.bare() + "," + serverFirst + "," + final
	signature := hmacOf(h, sumOf(h, clientKey), message)
	for i := range clientKey {
		clientKey[i] ^= signature[i]
	}
	proof := base64.StdEncoding.EncodeToString(clientKey)
	if c.alterProof != nil {
		final = c.alterProof(final, proof)
	} else {
		final += ",p=" + proof
	}
	out, more, err = x.Step(ctx, []byte(final))
	if err != nil {
		return serverFirst, err
	}
	want := "v=" + base64.StdEncoding.EncodeToString(hmacOf(h, hmacOf(h, salted, "Server Key"), message))
	if more || string(out) != want {
		t.Fatalf("server-final %q, more %v, want %q", out, more, want)
	}
	return serverFirst, nil
}

// newCert makes a certificate whose signature is of a kind.
func newCert(t testing.TB, alg x509.SignatureAlgorithm) tls.Certificate {
	t.Helper()
	var key any
	var pub any
	switch alg {
	case x509.PureEd25519:
		p, k, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		key, pub = k, p
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		key, pub = k, k.Public()
	default:
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		key, pub = k, k.Public()
	}
	tmpl := &x509.Certificate{
		SerialNumber:       big.NewInt(1),
		Subject:            pkix.Name{CommonName: testHost},
		DNSNames:           []string{testHost},
		NotBefore:          time.Now().Add(-time.Hour),
		NotAfter:           time.Now().Add(time.Hour),
		SignatureAlgorithm: alg,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newTLS makes a real connection of a version and returns what the server knows of it, and the client's state.
func newTLS(t testing.TB, version uint16) (*Conn, tls.ConnectionState) {
	t.Helper()
	cert := newCert(t, x509.ECDSAWithSHA256)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert},
		MinVersion: version, MaxVersion: version})
	must(t, err)
	defer l.Close()
	type accepted struct {
		conn net.Conn
		err  error
	}
	ch := make(chan accepted, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*tls.Conn).Handshake()
		}
		ch <- accepted{conn, err}
	}()
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	must(t, err)
	roots.AddCert(leaf)
	client, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: testHost})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	server := <-ch
	must(t, server.err)
	t.Cleanup(func() { server.conn.Close() })
	state := server.conn.(*tls.Conn).ConnectionState()
	c := &Conn{Host: testHost, TLS: &state, Leaf: cert.Certificate[0], Remote: server.conn.RemoteAddr()}
	return c, client.ConnectionState()
}

// announce puts on a connection what c2s would announce on it.
func announce(a *Accounts, c *Conn) *Conn {
	c.Mechanisms = nil
	for _, m := range a.Mechanisms(c.Host) {
		if m.Offer(c) {
			c.Mechanisms = append(c.Mechanisms, m.Name)
		}
	}
	c.Bindings = Bindings(c)
	return c
}

// newSecond opens a store's accounts again, as another process or the next one does.
func newSecond(st storage.Store) *Accounts {
	return NewAccounts(st, Options{Iterations: testIterations, Secret: testSecret})
}
