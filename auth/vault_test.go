package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/storage/bolt"
)

// TestSealed: K14, a copy of the database authenticates nobody and impersonates no server.
func TestSealed(t *testing.T) {
	ctx := context.Background()
	st := newStore(t)
	a := newAccounts(t, st)
	must(t, a.Verify(ctx))
	must(t, a.Verify(ctx))
	must(t, newSecond(st).Verify(ctx)) // after a restart

	var dump bytes.Buffer
	err := a.host(testHost).records().Scan(ctx, nil, nil, func(k, v []byte) bool {
		dump.Write(v)
		r, err := decodeRecord(v)
		must(t, err)
		for _, c := range r.Keys {
			dump.Write(c.Sealed)
		}
		return true
	})
	must(t, err)
	for _, hash := range allHashes {
		l, err := a.host(testHost).lookup(ctx, "alice", hash)
		must(t, err)
		h, _ := hashFunc(hash)
		if len(l.stored) != h().Size() || len(l.server) != h().Size() {
			t.Fatalf("%s: keys of %d and %d bytes", hash, len(l.stored), len(l.server))
		}
		for _, k := range [][]byte{l.stored, l.server} {
			for _, form := range []string{string(k), hex.EncodeToString(k), base64.StdEncoding.EncodeToString(k)} {
				if strings.Contains(dump.String(), form) {
					t.Errorf("%s: a key is in the store", hash)
				}
			}
		}
	}

	thief := NewAccounts(st, Options{Iterations: testIterations, Secret: otherSecret})
	if err := thief.Verify(ctx, testHost, "b.test"); err == nil || !strings.Contains(err.Error(), "(2)") {
		t.Errorf("another keyring: %v", err)
	}
	if err := thief.Host(testHost).Check(ctx, "alice", testPassword); err == nil || errors.Is(err, ErrPassword) {
		t.Errorf("PLAIN with another keyring: %v", err)
	}
	x := NewExchange(mechanism(t, thief, testHost, "SCRAM-SHA-256"), &Conn{Host: testHost})
	c := &testClient{hash: "SHA-256", user: "alice", password: testPassword}
	if _, err := c.run(t, x); condition(t, err) != TemporaryAuthFailure {
		t.Errorf("SCRAM with another keyring: %v", err)
	}
}

// TestKeyringLost: who has lost the keyring sets new passwords, and is not told of it for ever.
func TestKeyringLost(t *testing.T) {
	ctx := context.Background()
	st := newStore(t)
	must(t, newAccounts(t, st).Verify(ctx, testHost))
	a := NewAccounts(st, Options{Iterations: testIterations, Secret: otherSecret})
	must(t, a.Host(testHost).SetPassword(ctx, "alice", testPassword))
	must(t, a.Host(testHost).Check(ctx, "alice", testPassword))
	if err := a.Verify(ctx, testHost); err == nil || !strings.Contains(err.Error(), "(1)") {
		t.Errorf("bob's password is lost: %v", err)
	}
	must(t, a.Host(testHost).Delete(ctx, "bob"))
	must(t, a.Verify(ctx, testHost))
	must(t, a.Verify(ctx))
	if err := newSecond(st).Verify(ctx, testHost); err == nil {
		t.Error("takes the old keyring back")
	}
}

// TestSealedOnDisk: K14 and A23 over files and restarts.
func TestSealedOnDisk(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	database := filepath.Join(dir, "db")
	open := func(keyring string, fn func(a *Accounts)) {
		t.Helper()
		k, err := OpenKeyring(filepath.Join(dir, keyring))
		must(t, err)
		st, err := bolt.Open(database, bolt.Options{})
		must(t, err)
		defer func() { must(t, st.Close()) }()
		fn(NewAccounts(st, Options{Iterations: testIterations, Secret: k.Secret}))
	}
	challenge := func(a *Accounts) string {
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-256"), &Conn{Host: testHost})
		x.nonce = func() string { return "y" }
		out, _, err := x.Step(ctx, []byte("n,,n=nobody,r=x"))
		must(t, err)
		return string(out)
	}

	var secrets [][]byte
	var fake string
	open("keyring", func(a *Accounts) {
		must(t, a.Verify(ctx))
		must(t, a.Host(testHost).Create(ctx, "alice", testPassword))
		for _, hash := range allHashes {
			l, err := a.host(testHost).lookup(ctx, "alice", hash)
			must(t, err)
			secrets = append(secrets, l.stored, l.server)
		}
		fake = challenge(a)
	})
	dump, err := os.ReadFile(database)
	must(t, err)
	if !bytes.Contains(dump, []byte("alice")) {
		t.Error("the file is not readable as this test believes")
	}
	for _, s := range append(secrets, []byte(testPassword)) {
		if bytes.Contains(dump, s) {
			t.Error("a secret is in the file")
		}
	}
	open("keyring", func(a *Accounts) {
		must(t, a.Verify(ctx))
		must(t, a.Host(testHost).Check(ctx, "alice", testPassword))
		if again := challenge(a); again != fake {
			t.Errorf("challenge to nobody %q, then %q", fake, again)
		}
	})
	open("another", func(a *Accounts) {
		if err := a.Verify(ctx, testHost); err == nil {
			t.Error("takes another keyring")
		}
		if err := a.Host(testHost).Check(ctx, "alice", testPassword); !errors.Is(err, errSealed) {
			t.Errorf("checked with another keyring: %v", err)
		}
		if challenge(a) == fake {
			t.Error("the fake salt does not depend on the keyring")
		}
	})
}

// TestSealedPlace: sealed keys are good for their account, host, hash, salt and iterations only.
func TestSealedPlace(t *testing.T) {
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	must(t, a.Host("b.test").Create(ctx, "alice", "x"))
	raw, err := a.host(testHost).records().Get(ctx, []byte("alice"))
	must(t, err)
	swap := func(name, host, local string, change func(r *record)) {
		r, err := decodeRecord(bytes.Clone(raw))
		must(t, err)
		change(r)
		must(t, a.host(host).records().Put(ctx, []byte(local), r.encode()))
		if err := a.Host(host).Check(ctx, local, testPassword); !errors.Is(err, errSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nothing := func(*record) {}
	swap("another account", testHost, "mallory", nothing)
	swap("another host", "b.test", "alice", nothing)
	swap("fewer iterations", testHost, "alice", func(r *record) { r.credential("SHA-256").Iterations = 1 })
	swap("another salt", testHost, "alice", func(r *record) { r.credential("SHA-256").Salt[0] ^= 1 })
	swap("another hash", testHost, "alice", func(r *record) { r.credential("SHA-256").Sealed = r.credential("SHA-1").Sealed })
	swap("cut", testHost, "alice", func(r *record) { r.credential("SHA-256").Sealed = nil })
}

func TestSalts(t *testing.T) {
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	seen := map[string]bool{}
	for range 2 {
		for _, local := range []string{"alice", "bob"} {
			must(t, a.Host(testHost).SetPassword(ctx, local, testPassword))
			for _, hash := range allHashes {
				l, err := a.host(testHost).lookup(ctx, local, hash)
				must(t, err)
				if len(l.Salt) < 16 || seen[string(l.Salt)] {
					t.Errorf("%s %s: salt of %d bytes, seen %v", local, hash, len(l.Salt), seen[string(l.Salt)])
				}
				seen[string(l.Salt)] = true
			}
		}
	}
}
