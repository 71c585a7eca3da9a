package authtoken

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func (w *world) record(local string) (r *record) {
	w.t.Helper()
	err := w.m.h.Store.View(context.Background(), func(tx storage.Tx) (err error) {
		r, err = load(tx, local)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestWhatEndsTokens: all of an account's, of all kinds, and what is given out afterwards is good.
func TestWhatEndsTokens(t *testing.T) {
	ctx := context.Background()
	alice := stanza.MustJID("alice@a.test")
	for name, end := range map[string]func(*world) error{
		"revoked":  func(w *world) error { _, err := w.m.RevokeTokens(ctx, alice, false, "a test"); return err },
		"password": func(w *world) error { return w.Users.SetPassword(ctx, "alice", "new") },
		"disabled, enabled": func(w *world) error {
			return errors.Join(w.Users.SetDisabled(ctx, "alice", true), w.Users.SetDisabled(ctx, "alice", false))
		},
		"K29 deleted, made": func(w *world) error {
			return errors.Join(w.Users.Delete(ctx, "alice"), w.Users.Create(ctx, "alice", "x"))
		},
		"deleted, made x 3": func(w *world) error {
			return errors.Join(w.Users.Delete(ctx, "alice"), w.Users.Create(ctx, "alice", "x"), w.Users.Delete(ctx, "alice"), w.Users.Create(ctx, "alice", "x"))
		},
		"as a credential": func(w *world) error { return provider{w.m}.Revoke(ctx, alice, w.record("alice").id()) },
		"by RevokeCredential": func(w *world) error {
			return modules.RevokeCredential(ctx, w.m.h, alice, w.record("alice").ref(), gone)
		},
		"password, unnoticed": func(w *world) error {
			// The module was off when it happened.
			missed := w.m.h.Users
			return errors.Join(w.Reload("[general]\nhosts = [\"a.test\"]\n[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_auth_token\"]\n"),
				missed.SetPassword(ctx, "alice", "new"), w.Reload(""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a.test", "")
			short, long := w.tokens(w.Session("alice@a.test/x"))
			_, fresh := w.oauth(long, "")
			elsewhere := signed(access, "alice@a.test", w.m.clock.date()+3000, 0, "") // with our key, by somebody else
			card := signed(provision, "alice@a.test", 63934444800, 0, vectorCard)
			w.oauth(card, "")
			before := w.record("alice").Generation
			if err := end(w); err != nil {
				t.Fatal(err)
			}
			for _, raw := range [][]byte{short, long, fresh, elsewhere, card} {
				w.fails(raw, auth.NotAuthorized, errRevoked)
			}
			short, long = w.tokens(w.Session("alice@a.test/y"))
			if g := w.record("alice").Generation; g <= before {
				t.Errorf("generation %d after %d", g, before)
			}
			w.oauth(short, "")
			_, fresh = w.oauth(long, "")
			w.oauth(fresh, "")
			w.pass(3599 * time.Second)
			w.oauth(short, "")
			w.fails(elsewhere, auth.NotAuthorized, errRevoked)
		})
	}
}

// TestRevokedThenExpired: a token that was revoked does not tell by credentials-expired that it was good once.
func TestRevokedThenExpired(t *testing.T) {
	w := newWorld(t, "a.test", "")
	_, long := w.tokens(w.Session("alice@a.test/x"))
	w.m.RevokeTokens(context.Background(), stanza.MustJID("alice@a.test"), false, "a test")
	w.pass(365 * 24 * time.Hour)
	w.fails(long, auth.NotAuthorized, errRevoked)
}

// TestShorterValidity: revoking ends access tokens that were given out when they were valid for longer.
func TestShorterValidity(t *testing.T) {
	w := newWorld(t, "a.test", "validity_period.access = {value = 10, unit = \"hours\"}\n")
	short, _ := w.tokens(w.Session("alice@a.test/x"))
	if err := w.Reload("[modules.mod_auth_token]\nvalidity_period.access = {value = 1, unit = \"seconds\"}\n"); err != nil {
		t.Fatal(err)
	}
	w.m.RevokeTokens(context.Background(), stanza.MustJID("alice@a.test"), false, "a test")
	w.fails(short, auth.NotAuthorized, errRevoked)
	short, _ = w.tokens(w.Session("alice@a.test/y"))
	w.oauth(short, "")
}

// TestGenerationsStartAnywhere: a lost database does not make the tokens of the one before it fit.
func TestGenerationsStartAnywhere(t *testing.T) {
	seen := map[uint64]bool{}
	for range 100 {
		g := begin().Generation
		if g < 1 || g > 1<<31 || seen[g] {
			t.Errorf("generation %d", g)
		}
		seen[g] = true
	}
}

// TestRevokeSessions: -sessions ends those that a token let in, wherever they are, and no others.
func TestRevokeSessions(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, "a.test", "otp_seed = \""+seedText+"\"\ntoken_secret = \""+secretText+"\"\n")
	password := w.Session("alice@a.test/password")
	short, long := w.tokens(password)
	byToken := []*modtest.Session{
		w.enter("alice@a.test/access", "X-OAUTH", short),
		w.enter("alice@a.test/refresh", "X-OAUTH", long),
		w.enter("alice@a.test/provision", "X-OAUTH", signed(provision, "alice@a.test", 63934444800, 0, vectorCard)),
		w.enter("alice@a.test/xtoken", "X-TOKEN", w.xtoken("alice", "a.test", nonce(1))),
		// Another mechanism, whose credential was got in such a session.
		w.open("alice@a.test/derived", "HT-SHA-256-NONE", derived{"fast:1", w.record("alice").ref()}),
	}
	byToken[1].Hibernate()
	bobShort, _ := w.tokens(w.Session("bob@a.test/x"))
	bob := w.enter("bob@a.test/access", "X-OAUTH", bobShort)
	certificate := w.open("alice@a.test/certificate", "EXTERNAL", derived{"certificate:1"})

	if n, err := w.m.RevokeTokens(ctx, stanza.MustJID("alice@a.test"), false, "a test"); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	for _, s := range append(byToken, password, bob, certificate) {
		if closed, _ := s.Closed(); closed {
			t.Errorf("%s ended without -sessions", s.JID())
		}
	}
	n, err := w.m.RevokeTokens(ctx, stanza.MustJID("alice@a.test"), true, "a test") // again: those of the generation before as well
	if n != len(byToken) || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	for _, s := range byToken {
		if closed, e := s.Closed(); !closed || e == nil || e.Condition != "not-authorized" {
			t.Errorf("%s: %v %v", s.JID(), closed, e)
		}
	}
	for _, s := range []*modtest.Session{password, bob, certificate} {
		if closed, _ := s.Closed(); closed {
			t.Errorf("%s ended", s.JID())
		}
	}
	w.oauth(bobShort, "")
	if _, err := w.m.RevokeTokens(ctx, stanza.MustJID("nobody@a.test"), false, "a test"); !errors.Is(err, auth.ErrNoUser) {
		t.Errorf("nobody: %v", err)
	}
	w.User("carol") // never had one; those signed elsewhere end too
	if _, err := w.m.RevokeTokens(ctx, stanza.MustJID("carol@a.test"), true, "a test"); err != nil {
		t.Error(err)
	}
	w.fails(signed(access, "carol@a.test", w.m.clock.date()+3600, 0, ""), auth.NotAuthorized, errRevoked)
	w.oauth(signed(access, "carol@a.test", w.m.clock.date()+3601, 0, ""), "")
}

// derived are the Details of another module's login.
type derived []string

func (d derived) Credentials() []string { return d }

// TestOnTheWay: a session whose token is revoked between login and bind ends when it can be found.
func TestOnTheWay(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		mechanism string
		message   func(*world, []byte, []byte) []byte
	}{
		access:    {"X-OAUTH", func(_ *world, short, _ []byte) []byte { return short }},
		refresh:   {"X-OAUTH", func(_ *world, _, long []byte) []byte { return long }},
		"x-token": {"X-TOKEN", func(w *world, _, _ []byte) []byte { return w.xtoken("alice", "a.test", nonce(1)) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a.test", "otp_seed = \""+seedText+"\"\ntoken_secret = \""+secretText+"\"\n")
			short, long := w.tokens(w.Session("alice@a.test/x"))
			id, _, condition, _ := w.try(tc.mechanism, tc.message(w, short, long))
			if condition != "" {
				t.Fatal(condition)
			}
			w.m.RevokeTokens(ctx, stanza.MustJID("alice@a.test"), true, "a test")
			if closed, _ := w.open("alice@a.test/late", tc.mechanism, id.Details).Closed(); !closed {
				t.Error("the session goes on")
			}
			// With what it logged in by it may take over a session that began otherwise.
			s := w.Session("alice@a.test/asleep")
			s.Change(func(i *modules.SessionInfo) { i.Mechanism, i.Details = tc.mechanism, id.Details })
			w.Table().Hooks.SessionResumed.Run(ctx, s)
			if closed, _ := s.Closed(); !closed {
				t.Error("a session that was resumed goes on")
			}
		})
	}
	w := newWorld(t, "a.test", "")
	short, _ := w.tokens(w.Session("alice@a.test/x"))
	id, _ := w.oauth(short, "")
	w.m.h.Store = &broken{Bucket: w.m.h.Store, view: errors.New("cannot read")}
	if closed, _ := w.open("alice@a.test/late", "X-OAUTH", id.Details).Closed(); !closed {
		t.Error("a session goes on though nobody knows whether it may")
	}
}

// fast stands for a module whose credentials are got in sessions of others.
type fast struct{ by []string }

func (f *fast) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[modules.Credentials](h, f)
	return nil
}
func (f *fast) Stop(context.Context) error { return nil }
func (f *fast) Kind() string               { return "fast" }
func (f *fast) List(context.Context, stanza.JID) ([]modules.Credential, error) {
	return nil, nil
}
func (f *fast) Revoke(context.Context, stanza.JID, string) error { return modules.ErrNoCredential }
func (f *fast) RevokeBy(_ context.Context, _ stanza.JID, parent string) error {
	f.by = append(f.by, parent)
	return nil
}

func TestCredentials(t *testing.T) {
	ctx := context.Background()
	f := &fast{}
	w := newWorld(t, "a.test", "", modules.Define(modules.Info{Name: "mod_fast"}, struct{}{}, func(struct{}) modules.Module { return f }))
	alice := stanza.MustJID("alice@a.test")
	w.User("alice")
	list := func() []modules.Credential {
		t.Helper()
		l, err := modules.ListCredentials(ctx, w.m.h, alice)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := list(); len(l) != 0 {
		t.Errorf("nothing was given out: %+v", l)
	}
	certificate := w.open("alice@a.test/c", "EXTERNAL", derived{"certificate:1"})
	_, long := w.tokens(certificate)
	l := list()
	if len(l) != 1 || l[0].Kind != Kind || l[0].Ref() != w.record("alice").ref() || !l[0].Expires.IsZero() || !l[0].LastUsed.IsZero() || l[0].Parent != "certificate:1" {
		t.Errorf("%+v", l)
	}
	w.pass(time.Minute)
	byToken := w.enter("alice@a.test/t", "X-OAUTH", long)
	if refs := modules.CredentialsOf(byToken.Info().Details); !slices.Equal(refs, []string{l[0].Ref(), "certificate:1"}) {
		t.Errorf("the login's credentials are %v", refs)
	}
	if l := list(); !l[0].LastUsed.Equal(w.wall()) {
		t.Errorf("last used %v", l[0].LastUsed)
	}
	if c, err := modules.FindCredential(ctx, w.m.h, alice, l[0].Ref()); err != nil || c.ID != l[0].ID {
		t.Errorf("%+v, %v", c, err)
	}
	if err := (provider{w.m}).Revoke(ctx, alice, "1"); !errors.Is(err, modules.ErrNoCredential) {
		t.Errorf("another generation: %v", err)
	}
	// What another credential got ends with it, and what was got with that in turn.
	if err := (provider{w.m}).RevokeBy(ctx, alice, "certificate:2"); err != nil || len(f.by) > 0 {
		t.Error(err, f.by)
	}
	w.oauth(long, "")
	if err := (provider{w.m}).RevokeBy(ctx, alice, "certificate:1"); err != nil {
		t.Error(err)
	}
	w.fails(long, auth.NotAuthorized, errRevoked)
	if !slices.Equal(f.by, []string{l[0].Ref()}) {
		t.Errorf("told of %v", f.by)
	}
	if l := list(); len(l) != 0 {
		t.Errorf("still listed: %+v", l)
	}
	if _, err := modules.FindCredential(ctx, w.m.h, alice, l[0].Ref()); !errors.Is(err, modules.ErrNoCredential) {
		t.Errorf("still found: %v", err)
	}
	f.by = nil
	_, long = w.tokens(w.open("alice@a.test/d", "EXTERNAL", derived{"certificate:3"}))
	if _, err := w.m.RevokeTokens(ctx, alice, false, "a test"); err != nil || len(f.by) != 1 {
		t.Error(err, f.by)
	}
	w.fails(long, auth.NotAuthorized, errRevoked)
	if !strings.Contains(w.Log(), "tokens revoked") {
		t.Error("the log does not tell")
	}
	if l, err := (provider{w.m}).List(ctx, stanza.MustJID("nobody@a.test")); len(l) != 0 || err != nil {
		t.Error(l, err)
	}
}

// TestManyParents: a record does not grow without end, and no parent is forgotten.
func TestManyParents(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, "a.test", "")
	alice := stanza.MustJID("alice@a.test")
	tokens := map[string][]byte{}
	for i := range 3 * maxParents {
		ref := modules.CredentialRef("certificate", strings.Repeat("x", i+1))
		s := w.open("alice@a.test/"+ref, "EXTERNAL", derived{ref})
		_, tokens[ref] = w.tokens(s)
		s.Close(nil)
		if n := len(w.record("alice").Parents); n > maxParents {
			t.Fatalf("%d parents", n)
		}
	}
	good := 0
	for ref, raw := range tokens {
		if _, _, condition, _ := w.try("X-OAUTH", raw); condition != "" {
			continue // its generation is over
		}
		good++
		if !slices.Contains(w.record("alice").Parents, ref) {
			t.Errorf("%s is forgotten, and its token is good", ref)
		}
	}
	if good == 0 {
		t.Error("no token is good")
	}
	last := modules.CredentialRef("certificate", strings.Repeat("x", 3*maxParents))
	if err := (provider{w.m}).RevokeBy(ctx, alice, last); err != nil {
		t.Fatal(err)
	}
	w.fails(tokens[last], auth.NotAuthorized, errRevoked)
}

// TestNotRevoked: a hook that cannot write says so; the password's date does the work.
func TestNotRevoked(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, "a.test", "")
	short, long := w.tokens(w.Session("alice@a.test/x"))
	store := &broken{Bucket: w.m.h.Store, update: errors.New("disk on fire")}
	w.m.h.Store = store
	w.Users.SetPassword(ctx, "alice", "new")
	if !strings.Contains(w.Log(), "tokens not revoked") {
		t.Error("the log does not tell")
	}
	if _, err := w.m.RevokeTokens(ctx, stanza.MustJID("alice@a.test"), true, "a test"); err == nil {
		t.Error("revoked without a disk")
	}
	store.update = nil
	w.fails(short, auth.NotAuthorized, errRevoked)
	w.fails(long, auth.NotAuthorized, errRevoked)
}
