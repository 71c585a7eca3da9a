package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"hash"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// TestExchangeAsks: RFC 6120 §6.4.2, a client may leave out the initial response.
func TestExchangeAsks(t *testing.T) {
	a := newAccounts(t, newStore(t))
	x := NewExchange(mechanism(t, a, testHost, "PLAIN"), &Conn{Host: testHost})
	out, more, err := x.Step(context.Background(), nil)
	if out == nil || len(out) != 0 || !more || err != nil {
		t.Fatalf("got %q, %v, %v", out, more, err)
	}
	out, more, err = x.Step(context.Background(), []byte("\x00alice\x00"+testPassword))
	if out != nil || more || err != nil {
		t.Fatalf("got %q, %v, %v", out, more, err)
	}
	if id := x.Identity(); id.JID != stanza.MustJID("alice@a.test") || id.Mechanism != "PLAIN" {
		t.Errorf("identity %+v", id)
	}
	if _, _, err := x.Step(context.Background(), nil); err == nil {
		t.Error("a step after success")
	}
	if x.Identity().JID.IsZero() {
		t.Error("that step made the login undone")
	}

	x = NewExchange(mechanism(t, a, testHost, "PLAIN"), &Conn{Host: testHost})
	x.Step(context.Background(), nil)
	if _, more, err := x.Step(context.Background(), nil); more || condition(t, err) != MalformedRequest {
		t.Errorf("asked twice: %v, %v", more, err)
	}
}

// TestExchangeFrame: what a mechanism may do wrong stays inside.
func TestExchangeFrame(t *testing.T) {
	secret := errors.New("key 0123")
	for name, tc := range map[string]struct {
		id    Identity
		err   error
		want  string
		cause error
	}{
		"good":             {id: Identity{JID: stanza.MustJID("alice@a.test")}},
		"full JID":         {id: Identity{JID: stanza.MustJID("alice@a.test/x")}},
		"nobody":           {want: TemporaryAuthFailure},
		"the host":         {id: Identity{JID: stanza.MustJID("a.test")}, want: TemporaryAuthFailure},
		"another host":     {id: Identity{JID: stanza.MustJID("alice@b.test")}, want: TemporaryAuthFailure},
		"failure":          {err: &Failure{Condition: CredentialsExpired}, want: CredentialsExpired},
		"storage":          {err: storage.ErrCorrupt, want: TemporaryAuthFailure, cause: storage.ErrCorrupt},
		"library, refused": {err: errors.Join(sasl.ErrAuthn, secret), want: NotAuthorized},
		"library, syntax":  {err: errors.Join(sasl.ErrInvalidChallenge, secret), want: MalformedRequest},
		"library, state":   {err: errors.Join(sasl.ErrTooManySteps, secret), want: MalformedRequest},
	} {
		t.Run(name, func(t *testing.T) {
			type key struct{}
			ctx := context.WithValue(context.Background(), key{}, 1)
			x := NewExchange(Mechanism{Name: "X", Server: func(x *Exchange) sasl.Mechanism {
				return sasl.Mechanism{Name: "X", Next: func(*sasl.Negotiator, []byte, any) (bool, []byte, any, error) {
					if x.Context().Value(key{}) != 1 {
						t.Error("not the step's context")
					}
					x.SetIdentity(tc.id)
					return false, []byte("data"), nil, tc.err
				}}
			}}, &Conn{Host: testHost})
			out, more, err := x.Step(ctx, []byte{})
			if got := condition(t, err); got != tc.want || more {
				t.Fatalf("got %q, more %v, want %q", got, more, tc.want)
			}
			if err == nil {
				if id := x.Identity(); string(out) != "data" || id.JID != stanza.MustJID("alice@a.test") || id.Mechanism != "X" {
					t.Errorf("%q %+v", out, id)
				}
				return
			}
			f := err.(*Failure)
			if out != nil || tc.cause != nil && !errors.Is(f, tc.cause) {
				t.Errorf("%q, cause %v", out, f.Cause)
			}
			if f.Cause != nil && strings.Contains(f.Cause.Error(), "0123") || strings.Contains(f.Error(), "0123") {
				t.Error("a library's error gets out")
			}
			if x.Context() == ctx {
				t.Error("holds on to the step's context")
			}
		})
	}
}

// TestExchangeStoreFault: a broken store is no wrong password.
func TestExchangeStoreFault(t *testing.T) {
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	must(t, a.host(testHost).records().Put(ctx, []byte("carol"), []byte("\x01broken")))
	must(t, a.host(testHost).records().Put(ctx, []byte("dave"), append([]byte{99}, (&record{}).encode()[1:]...)))
	must(t, a.host(testHost).records().Put(ctx, []byte("erin"), (&record{}).encode()))
	for _, user := range []string{"carol", "dave"} {
		for m, in := range map[string]string{"PLAIN": "\x00" + user + "\x00x", "SCRAM-SHA-1": "n,,n=" + user + ",r=x"} {
			x := NewExchange(mechanism(t, a, testHost, m), &Conn{Host: testHost})
			_, _, err := x.Step(ctx, []byte(in))
			if condition(t, err) != TemporaryAuthFailure || err.(*Failure).Cause == nil {
				t.Errorf("%s %s: %v", user, m, err)
			}
		}
	}
	x := NewExchange(mechanism(t, a, testHost, "PLAIN"), &Conn{Host: testHost})
	if _, _, err := x.Step(ctx, []byte("\x00erin\x00x")); condition(t, err) != NotAuthorized {
		t.Errorf("an account without any keys: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	x = NewExchange(mechanism(t, a, testHost, "PLAIN"), &Conn{Host: testHost})
	if _, _, err := x.Step(done, []byte("\x00alice\x00"+testPassword)); condition(t, err) != TemporaryAuthFailure {
		t.Errorf("a context that is over: %v", err)
	}
}

// TestExchangeTurn: the session may refuse an account before anything secret is looked at.
func TestExchangeTurn(t *testing.T) {
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	derived := false
	a.derive.run = func(func() hash.Hash, string, []byte, int, int) ([]byte, error) {
		derived = true
		return nil, errors.New("derived")
	}
	for m, in := range map[string]string{"PLAIN": "\x00alice\x00x", "SCRAM-SHA-1": "n,,n=alice,r=x"} {
		var asked []stanza.JID
		x := NewExchange(mechanism(t, a, testHost, m), &Conn{Host: testHost})
		x.Turn = func() *Failure {
			asked = append(asked, x.Identity().JID)
			return &Failure{Condition: TemporaryAuthFailure, Text: "later"}
		}
		_, more, err := x.Step(ctx, []byte(in))
		if more || condition(t, err) != TemporaryAuthFailure || err.(*Failure).Text != "later" || derived {
			t.Errorf("%s: more %v, %v, derived %v", m, more, err, derived)
		}
		if !slices.Equal(asked, []stanza.JID{stanza.MustJID("alice@a.test")}) {
			t.Errorf("%s: asked %v", m, asked)
		}
	}
	x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-1"), &Conn{Host: testHost})
	x.Turn = func() *Failure { return nil }
	if _, more, err := x.Step(ctx, []byte("n,,n=alice,r=x")); !more || err != nil {
		t.Errorf("its turn: %v", err)
	}
}

func TestOffers(t *testing.T) {
	conn13, _ := newTLS(t, tls.VersionTLS13)
	a := newAccounts(t, newStore(t))
	offered := func(c *Conn) string {
		ms := slices.Clone(a.Mechanisms(testHost))
		slices.SortFunc(ms, func(a, b Mechanism) int { return b.Weight - a.Weight })
		var names []string
		for _, m := range ms {
			if m.Offer(c) {
				names = append(names, strings.TrimPrefix(m.Name, "SCRAM-SHA-"))
			}
		}
		return strings.Join(names, " ")
	}
	plain := &Conn{Host: testHost}
	noLeaf12 := &Conn{Host: testHost, TLS: &tls.ConnectionState{Version: tls.VersionTLS12}}
	for _, tc := range []struct {
		hashes []string
		conn   *Conn
		want   string
	}{
		{nil, conn13, "512-PLUS 256-PLUS 1-PLUS 512 256 1 PLAIN"},
		{nil, plain, "512 256 1"},
		{nil, noLeaf12, "512 256 1 PLAIN"},
		{[]string{"SHA-256"}, conn13, "256-PLUS 256 PLAIN"},
		{[]string{"SHA-256", "MD5", "SHA-256"}, plain, "256"},
	} {
		a.SetOptions(Options{Hashes: tc.hashes})
		if got := offered(tc.conn); got != tc.want {
			t.Errorf("%v: offers %q, want %q", tc.hashes, got, tc.want)
		}
	}
}
