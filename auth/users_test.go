package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
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
	u.Touch("alice", at)
	u.Touch("alice", at.Add(-time.Hour))
	if got, _ = u.Get(ctx, "alice"); !got.LastLogin.Equal(at) || !got.PasswordChanged.After(changed.PasswordChanged) {
		t.Errorf("%+v, want login at %v", got, at)
	}

	must(t, u.Delete(ctx, "alice"))
	check("alice", "three", ErrPassword)
	for name, err := range map[string]error{
		"set":     u.SetPassword(ctx, "alice", "x"),
		"disable": u.SetDisabled(ctx, "alice", true),
		"delete":  u.Delete(ctx, "alice"),
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
	at := time.Now().UTC()
	u.Touch("user150", at)
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
