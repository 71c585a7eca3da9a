package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/bolt"
)

func TestUsers(t *testing.T) {
	ctx := context.Background()
	a := NewAccounts(newStore(t), Options{Iterations: testIterations, Secret: testSecret})
	var events []string
	a.OnChange(func(ctx context.Context, what string, j stanza.JID) {
		exists, err := a.Host(j.Domain()).Exists(ctx, j.Local()) // on disk by now, and the store can be used
		must(t, err)
		events = append(events, fmt.Sprintf("%s %s %v", what, j, exists))
	})
	u := a.Host(testHost)
	check := func(local, password string, want error) {
		t.Helper()
		if err := u.Check(ctx, local, password); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s with %s: got %v, want %v", local, password, err, want)
		}
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}

	before := time.Now()
	must(t, u.Create(ctx, "Alice", "one"))
	is(u.Create(ctx, "alice", "two"), ErrExists)
	check("alice", "one", nil)
	check("alice", "two", ErrPassword)
	check("nobody", "one", ErrPassword)
	got, err := u.Get(ctx, "alice")
	must(t, err)
	if got.Local != "alice" || got.Created.Before(before) || !got.Created.Equal(got.PasswordChanged) || got.Disabled ||
		!got.LastLogin.IsZero() || !slices.Equal(got.Hashes, allHashes) {
		t.Errorf("%+v", got)
	}

	must(t, u.SetPassword(ctx, "alice", "two"))
	check("alice", "one", ErrPassword)
	check("alice", "two", nil)
	changed, err := u.Get(ctx, "alice")
	must(t, err)
	if !changed.Created.Equal(got.Created) || !changed.PasswordChanged.After(got.PasswordChanged) {
		t.Errorf("%+v after %+v", changed, got)
	}

	must(t, u.SetDisabled(ctx, "alice", true))
	must(t, u.SetDisabled(ctx, "alice", true)) // no event
	check("alice", "two", ErrDisabled)
	check("alice", "one", ErrPassword)
	must(t, u.SetPassword(ctx, "alice", "three"))
	check("alice", "three", ErrDisabled)
	must(t, u.SetDisabled(ctx, "alice", false))
	check("alice", "three", nil)

	at := time.Now().UTC()
	must(t, u.Touch(ctx, "alice", at))
	must(t, u.Touch(ctx, "alice", at.Add(-time.Hour)))
	if got, _ = u.Get(ctx, "alice"); !got.LastLogin.Equal(at) || !got.PasswordChanged.After(changed.PasswordChanged) {
		t.Errorf("%+v, want login at %v", got, at)
	}

	must(t, u.Delete(ctx, "alice"))
	check("alice", "three", ErrPassword)
	for name, err := range map[string]error{
		"set":     u.SetPassword(ctx, "alice", "x"),
		"disable": u.SetDisabled(ctx, "alice", true),
		"delete":  u.Delete(ctx, "alice"),
		"touch":   u.Touch(ctx, "alice", at),
		"get":     func() error { _, err := u.Get(ctx, "alice"); return err }(),
	} {
		if !errors.Is(err, ErrNoUser) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, u.Create(ctx, "alice", "four")) // A27: nothing is left of the old one
	if got, _ = u.Get(ctx, "alice"); !got.LastLogin.IsZero() || !got.Created.After(changed.Created) {
		t.Errorf("%+v", got)
	}
	check("alice", "three", ErrPassword)

	want := []string{"created alice@a.test true", "password alice@a.test true", "disabled alice@a.test true",
		"password alice@a.test true", "enabled alice@a.test true", "deleted alice@a.test false", "created alice@a.test true"}
	if !slices.Equal(events, want) {
		t.Errorf("events %q\nwant   %q", events, want)
	}

	other := a.Host("b.test")
	if ok, _ := other.Exists(ctx, "alice"); ok {
		t.Error("exists on another host")
	}
	is(other.Check(ctx, "alice", "four"), ErrPassword)
}

func TestPolicy(t *testing.T) {
	ctx := context.Background()
	u := NewAccounts(newStore(t), Options{Iterations: 1}).Host(testHost)
	must(t, u.Create(ctx, "alice", "x"))
	for name, password := range map[string]string{
		"empty":            "",
		"control":          "a\x01b",
		"delete":           "a\x7fb",
		"line end":         "a\nb",
		"C1 control":       "a\u0085b",
		"not UTF-8":        "a\xffb",
		"too long":         strings.Repeat("x", 1024),
		"too long in NFC":  strings.Repeat("ä", 512),
		"very long":        strings.Repeat("x", 1<<20),
		"unassigned":       "a\U000e0fffb",
		"private use":      "a\ue000b",
		"zero width space": "a\u200bb",
	} {
		err := u.Create(ctx, "bob", password)
		if !errors.Is(err, ErrPolicy) || !errors.Is(u.SetPassword(ctx, "alice", password), ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		} else if password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error shows the password", name)
		}
		if err := u.Check(ctx, "alice", password); err != ErrPassword {
			t.Errorf("%s checked: %v", name, err)
		}
	}
	for _, local := range []string{"", "al ice", "a@b", "a/b", "a\"b", strings.Repeat("x", 1024), "a\x00b", "\xff"} {
		if err := u.Create(ctx, local, "x"); !errors.Is(err, ErrPolicy) {
			t.Errorf("name %q: %v", local, err)
		}
	}
}

// TestPreparation: A31, RFC 8265 §4.2.
func TestPreparation(t *testing.T) {
	ctx := context.Background()
	u := NewAccounts(newStore(t), Options{Iterations: 1}).Host(testHost)
	for i, tc := range []struct {
		set, login string
		same       bool
	}{
		{"caf\u00e9", "cafe\u0301", true}, // NFC, NFD
		{"cafe\u0301", "caf\u00e9", true}, //
		{"a b", "a\u3000b", true},         // other spaces
		{"a b", "a\u00a0b", true},         //
		{"a b", "ab", false},              //
		{"Secret", "secret", false},       // case counts
		{"\uff41bc", "abc", false},        // width counts
		{" x ", "x", false},               // outer spaces count
		{"Ⅳ", "IV", false},                // NFC, not NFKC
		{"πß 🔑", "πß 🔑", true},            //
		{strings.Repeat("e\u0301", 511), strings.Repeat("\u00e9", 511), true}, // 1533 bytes before, 1022 after
	} {
		local := fmt.Sprintf("u%d", i)
		must(t, u.Create(ctx, local, tc.set))
		if err := u.Check(ctx, local, tc.login); (err == nil) != tc.same {
			t.Errorf("%q for %q: %v", tc.login, tc.set, err)
		}
	}
}

func TestList(t *testing.T) {
	ctx := context.Background()
	a := NewAccounts(newStore(t), Options{Iterations: 1, Hashes: []string{"SHA-256"}})
	u := a.Host(testHost)
	const n = 2*listPage + 1
	var want []string
	for i := range n {
		local := fmt.Sprintf("user%03d", i)
		want = append(want, local)
		put(t, a, testHost, local, "x", "SHA-256", "AAAA", 1)
	}
	must(t, a.Host("b.test").Create(ctx, "other", "x"))
	at := time.Unix(1e9, 5).UTC()
	must(t, u.Touch(ctx, "user150", at))
	var got []string
	must(t, u.List(ctx, func(acc Account) bool {
		got = append(got, acc.Local)
		if (acc.Local == "user150") != acc.LastLogin.Equal(at) {
			t.Errorf("%s logged in at %v", acc.Local, acc.LastLogin)
		}
		if acc.Local == "user000" {
			must(t, u.Delete(ctx, acc.Local)) // the store can be used meanwhile
		}
		return true
	}))
	if !slices.Equal(got, want) {
		t.Errorf("%d accounts: %v", len(got), got)
	}
	got = nil
	must(t, u.List(ctx, func(acc Account) bool { got = append(got, acc.Local); return len(got) < 3 }))
	if len(got) != 3 || got[0] != "user001" {
		t.Errorf("stopped after %v", got)
	}
	must(t, a.host(testHost).records().Put(ctx, []byte("user005"), []byte("\x01broken")))
	if err := u.List(ctx, func(Account) bool { return true }); err == nil || !strings.Contains(err.Error(), "user005@a.test") {
		t.Errorf("a damaged record: %v", err)
	}
}

// TestOptionsChange: a reload concerns passwords set from then on.
func TestOptionsChange(t *testing.T) {
	ctx := context.Background()
	a := NewAccounts(newStore(t), Options{Iterations: 1, Hashes: []string{"SHA-1"}, Secret: testSecret})
	u := a.Host(testHost)
	must(t, u.Create(ctx, "old", "x"))
	a.SetOptions(Options{Iterations: 2, Hashes: []string{"SHA-512"}}) // and keeps the secret
	must(t, u.Create(ctx, "new", "x"))
	for local, want := range map[string]string{"old": "SHA-1", "new": "SHA-512"} {
		must(t, u.Check(ctx, local, "x"))
		if acc, _ := u.Get(ctx, local); !slices.Equal(acc.Hashes, []string{want}) {
			t.Errorf("%s has %v", local, acc.Hashes)
		}
	}
}

// TestDefaults: A30, XEP-0438 §6.
func TestDefaults(t *testing.T) {
	a := NewAccounts(newStore(t), Options{})
	for _, hash := range allHashes {
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-"+hash), &Conn{Host: testHost})
		out, _, err := x.Step(context.Background(), []byte("n,,n=nobody,r=x"))
		must(t, err)
		if !strings.HasSuffix(string(out), ",i=10000") {
			t.Errorf("%s: %s", hash, out)
		}
	}
}

// TestEqualWork: A24. An attempt on an unknown account derives a key as one on a known account does; what differs is only
// what cannot be seen.
func TestEqualWork(t *testing.T) {
	ctx := context.Background()
	for _, hashes := range [][]string{nil, {"SHA-1"}, {"SHA-512"}, {"SHA-512", "SHA-1"}} {
		a := NewAccounts(newStore(t), Options{Iterations: 7, Hashes: hashes, Secret: testSecret})
		u := a.Host(testHost)
		must(t, u.Create(ctx, "alice", "x"))
		must(t, u.Create(ctx, "bob", "x"))
		must(t, u.SetDisabled(ctx, "bob", true))
		var runs []string
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			runs = append(runs, fmt.Sprint(password, len(salt), iter, size))
			return run(h, password, salt, iter, size)
		}
		work := func(local string) []string {
			runs = nil
			if err := u.Check(ctx, local, "wrong"); err != ErrPassword {
				t.Fatalf("%s: %v", local, err)
			}
			return runs
		}
		want := work("alice")
		if len(want) != 1 {
			t.Fatalf("%v", want)
		}
		for _, local := range []string{"nobody", "bob"} {
			for range 2 {
				if got := work(local); !slices.Equal(got, want) {
					t.Errorf("%v: work for %q %v, for alice %v", hashes, local, got, want)
				}
			}
		}
	}
}

// TestVerifiedCache: a password that was right is not derived again for some minutes, unless something changed.
func TestVerifiedCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		a := NewAccounts(newStore(t), Options{Iterations: 1, Hashes: []string{"SHA-256"}, Secret: testSecret})
		var runs atomic.Int32
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			runs.Add(1)
			return run(h, password, salt, iter, size)
		}
		u := a.Host(testHost)
		must(t, u.Create(ctx, "alice", "x"))
		check := func(password string, want error, derived int32) {
			t.Helper()
			runs.Store(0)
			if err := u.Check(ctx, "alice", password); err != want || runs.Load() != derived {
				t.Errorf("%s: %v after %d runs, want %v after %d", password, err, runs.Load(), want, derived)
			}
		}
		check("x", nil, 1)
		check("x", nil, 0)
		check("wrong", ErrPassword, 1)
		check("wrong", ErrPassword, 1)
		check("x", nil, 0)
		time.Sleep(verifiedTTL)
		check("x", nil, 1)
		must(t, u.SetDisabled(ctx, "alice", true))
		if err := u.Check(ctx, "alice", "x"); err != ErrDisabled {
			t.Errorf("disabled: %v", err)
		}
		must(t, u.SetDisabled(ctx, "alice", false))
		check("x", nil, 1)
		must(t, u.SetPassword(ctx, "alice", "y"))
		check("x", ErrPassword, 1)
		check("y", nil, 1)
		check("y", nil, 0)
		must(t, u.Delete(ctx, "alice"))
		check("y", ErrPassword, 1)
		must(t, u.Create(ctx, "alice", "z"))
		check("y", ErrPassword, 1)
	})
}

// TestVerifiedChangeElsewhere: the cache does not trust that it is told of changes.
func TestVerifiedChangeElsewhere(t *testing.T) {
	ctx := context.Background()
	st := newStore(t)
	a := newAccounts(t, st)
	must(t, a.Host(testHost).Check(ctx, "alice", testPassword))
	must(t, newSecond(st).Host(testHost).SetPassword(ctx, "alice", "new"))
	if err := a.Host(testHost).Check(ctx, "alice", testPassword); err != ErrPassword {
		t.Errorf("the old password: %v", err)
	}
}

func TestVerifiedBounded(t *testing.T) {
	var v verified
	for i := range verifiedMax + 100 {
		v.add(fmt.Sprint(i), [32]byte{byte(i)})
	}
	if len(v.last) > verifiedMax {
		t.Errorf("%d entries", len(v.last))
	}
	if !v.has(fmt.Sprint(verifiedMax+99), [32]byte{byte((verifiedMax + 99) & 0xff)}) {
		t.Error("the newest entry is gone")
	}
	if v.has("none", [32]byte{}) {
		t.Error("an account that was never added, with a MAC of zeros")
	}
}

// TestChangeDuringCheck: A26, what changes while a check waits for its turn counts.
func TestChangeDuringCheck(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		change func(u Users) error
		want   error
	}{
		"password": {func(u Users) error { return u.SetPassword(ctx, "alice", "new") }, ErrPassword},
		"disabled": {func(u Users) error { return u.SetDisabled(ctx, "alice", true) }, ErrDisabled},
		"deleted":  {func(u Users) error { return u.Delete(ctx, "alice") }, ErrPassword},
	} {
		st := newStore(t)
		a := newAccounts(t, st)
		run := a.derive.run
		a.derive.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			must(t, tc.change(newSecond(st).Host(testHost)))
			return run(h, password, salt, iter, size)
		}
		if err := a.Host(testHost).Check(ctx, "alice", testPassword); err != tc.want {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// TestSlots: no more derivations at once than there are slots, and who gives up waiting gets his context's error.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccounts(t, newStore(t))
		var now, most atomic.Int32
		slots := newDeriver(2)
		slots.run = func(h func() hash.Hash, password string, salt []byte, iter, size int) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return make([]byte, size), nil
		}
		a.derive = slots
		ctx, cancel := context.WithTimeout(context.Background(), 3500*time.Millisecond)
		defer cancel()
		var refused, late atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				switch err := a.Host(testHost).Check(ctx, "alice", "wrong"); {
				case err == ErrPassword:
					refused.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					late.Add(1)
				}
			})
		}
		wg.Wait()
		if most.Load() != 2 || refused.Load() != 8 || late.Load() != 2 {
			t.Errorf("%d at once, %d done, %d gave up", most.Load(), refused.Load(), late.Load())
		}
	})
}

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

// TestConcurrentCreate: one of many wins.
func TestConcurrentCreate(t *testing.T) {
	ctx := context.Background()
	a := NewAccounts(newStore(t), Options{Iterations: 1, Secret: testSecret})
	var created, exists, events atomic.Int32
	a.OnChange(func(context.Context, string, stanza.JID) { events.Add(1) })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := a.Host(testHost).Create(ctx, "alice", fmt.Sprint("password", i)); {
			case err == nil:
				created.Add(1)
			case errors.Is(err, ErrExists):
				exists.Add(1)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || exists.Load() != 7 || events.Load() != 1 {
		t.Errorf("%d created, %d refused, %d events", created.Load(), exists.Load(), events.Load())
	}
}

// TestPasswordChangedRises: also when the clock was set back, so that what was issued before is older.
func TestPasswordChangedRises(t *testing.T) {
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	future := time.Now().Add(time.Hour).UTC()
	must(t, a.host(testHost).change(ctx, "alice", "password", func(r *record) bool { r.Changed = future; return true }))
	must(t, a.Host(testHost).SetPassword(ctx, "alice", "x"))
	if acc, _ := a.Host(testHost).Get(ctx, "alice"); !acc.PasswordChanged.After(future) {
		t.Errorf("changed at %v, after %v", acc.PasswordChanged, future)
	}
}
