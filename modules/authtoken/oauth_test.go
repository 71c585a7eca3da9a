package authtoken

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// TestRefresh is K23: an access token lets in; a refresh token lets in and gets a new access token, and goes on to do so.
func TestRefresh(t *testing.T) {
	w := newWorld(t, "a.test", "")
	short, long := w.tokens(w.Session("alice@a.test/x"))
	if _, out := w.oauth(short, ""); out != nil {
		t.Errorf("an access token gets %q", out)
	}
	w.pass(time.Hour)
	w.fails(short, auth.CredentialsExpired, errExpired)
	id, fresh := w.oauth(long, "")
	if l, ok := id.Details.(*Login); !ok || l.Token != refresh || id.JID.String() != "alice@a.test" {
		t.Errorf("%+v", id)
	}
	if bytes.Equal(fresh, short) || !bytes.HasPrefix(fresh, []byte("access\x00alice@a.test\x00")) {
		t.Errorf("a refresh token gets %q", fresh)
	}
	w.oauth(fresh, "")
	w.pass(time.Hour)
	w.fails(fresh, auth.CredentialsExpired, errExpired)
	w.oauth(long, "")
	w.pass(25*24*time.Hour - 2*time.Hour)
	w.fails(long, auth.CredentialsExpired, errExpired)
	w.silent(string(short[:40]), vectorKey, fmt.Sprintf("%x", vectorKey), string(long[len(long)-96:]), string(fresh[len(fresh)-96:]))
}

// TestValidity: the periods are the configured ones, each with a default of its own.
func TestValidity(t *testing.T) {
	w := newWorld(t, "a.test", "validity_period.refresh = {value = 90, unit = \"seconds\"}\n")
	short, long := w.tokens(w.Session("alice@a.test/x"))
	w.pass(89 * time.Second)
	w.oauth(long, "")
	w.pass(time.Second)
	w.fails(long, auth.CredentialsExpired, errExpired)
	w.oauth(short, "")
	w.pass(time.Hour)
	w.fails(short, auth.CredentialsExpired, errExpired)

	for unit, d := range map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour} {
		w := newWorld(t, "a.test", "validity_period.access = {value = 2, unit = \""+unit+"\"}\n")
		short, _ := w.tokens(w.Session("alice@a.test/x"))
		w.pass(2*d - time.Second)
		w.oauth(short, "")
		w.pass(time.Second)
		w.fails(short, auth.CredentialsExpired, errExpired)
	}
	w = newWorld(t, "a.test", "validity_period.access = {value = 0, unit = \"days\"}\n")
	short, _ = w.tokens(w.Session("alice@a.test/x"))
	w.fails(short, auth.CredentialsExpired, errExpired)
}

// TestClockSetBack: an expired token does not live again because the clock was set back; K09, D06 for these tokens.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t, "a.test", "")
	short, _ := w.tokens(w.Session("alice@a.test/x"))
	w.pass(time.Hour)
	w.fails(short, auth.CredentialsExpired, errExpired)
	w.pass(-time.Hour)
	w.fails(short, auth.CredentialsExpired, errExpired)
	// What is given out meanwhile is good, also when time goes on.
	other, _ := w.tokens(w.Session("bob@a.test/x"))
	w.oauth(other, "")
	w.pass(2*time.Hour - time.Second)
	w.oauth(other, "")
	// A clock that was a year ahead was wrong.
	w.pass(365 * 24 * time.Hour)
	w.fails(other, auth.CredentialsExpired, errExpired)
	w.pass(-365 * 24 * time.Hour)
	w.oauth(other, "")
}

// TestOffer is K22: not without TLS, and not without the key.
func TestOffer(t *testing.T) {
	w := newWorld(t, "a.test", "")
	clear := conn("a.test")
	clear.TLS = nil
	if w.offered("X-OAUTH", clear) || !w.offered("X-OAUTH", conn("a.test")) || w.offered("X-TOKEN", conn("a.test")) {
		t.Error("K22 offered in clear, or not under TLS, or X-TOKEN without its secrets")
	}
	if _, features, _ := w.Table().Disco(modules.Server); !slices.Contains(features, ns) {
		t.Errorf("not announced in %v", features)
	}
	delete(w.keys.keys, keyTokens)
	if w.offered("X-OAUTH", conn("a.test")) {
		t.Error("K22 offered without its key")
	}
	w.fails(signed(access, "alice@a.test", 63934444800, 0, ""), auth.NotAuthorized, keystore.ErrNoKey)
	w.keys.err = keystore.ErrBackend
	if w.offered("X-OAUTH", conn("a.test")) {
		t.Error("offered while the key cannot be had")
	}
	if _, _, condition, _ := w.try("X-OAUTH", signed(access, "alice@a.test", 63934444800, 0, "")); condition != auth.TemporaryAuthFailure {
		t.Errorf("without the backend: %s", condition)
	}
}

// TestRotation: what the previous key signed is good until the next rotation; new tokens have the new key.
func TestRotation(t *testing.T) {
	w := newWorld(t, "a.test", "")
	short, long := w.tokens(w.Session("alice@a.test/x"))
	w.keys.Rotate(keyTokens, "")
	w.oauth(short, "")
	_, fresh := w.oauth(long, "")
	w.keys.Rotate(keyTokens, "")
	w.fails(short, auth.NotAuthorized, errMAC)
	w.fails(long, auth.NotAuthorized, errMAC)
	w.oauth(fresh, "")
}

// TestTurn: who guesses waits before a secret is looked at, and it is known on which account.
func TestTurn(t *testing.T) {
	w := newWorld(t, "a.test", "otp_seed = \""+seedText+"\"\ntoken_secret = \""+secretText+"\"\n")
	for mechanism, message := range map[string]string{
		"X-OAUTH": string(sealed("guessed", "access\x00alice@a.test\x0063934444800")),
		"X-TOKEN": "\x00alice\x00" + strings.Repeat("1", 40) + " N6QVoygOyGmO1lR78zk09yEKi00/QxxroQWtNda4YIo=",
	} {
		x := auth.NewExchange(w.mechanism(mechanism), conn("a.test"))
		asked := ""
		x.Turn = func() *auth.Failure {
			asked = x.Identity().JID.String()
			return &auth.Failure{Condition: auth.TemporaryAuthFailure}
		}
		w.keys.err = errors.New("asked too early")
		_, _, err := x.Step(context.Background(), []byte(message))
		var f *auth.Failure
		if !errors.As(err, &f) || f.Condition != auth.TemporaryAuthFailure || f.Cause != nil || asked != "alice@a.test" {
			t.Errorf("%s: %v, asked on %q", mechanism, err, asked)
		}
		w.keys.err = nil
	}
}

// TestAccounts: a token is of use for an account that is there and may log in.
func TestAccounts(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, "a.test", "")
	short, _ := w.tokens(w.Session("alice@a.test/x"))
	w.Users.SetDisabled(ctx, "alice", true)
	if _, _, condition, _ := w.try("X-OAUTH", signed(provision, "alice@a.test", 63934444800, 0, vectorCard)); condition != auth.AccountDisabled {
		t.Errorf("disabled: %s", condition)
	}
	w.Users.Delete(ctx, "alice")
	w.fails(short, auth.NotAuthorized, errNobody)
}

// cards is a module that keeps vCards.
type cards struct {
	got  []string
	fail error
}

func (c *cards) Start(_ context.Context, h *modules.Host) error { modules.Provide(h, c); return nil }
func (c *cards) Stop(context.Context) error                     { return nil }
func (c *cards) SetVCard(_ context.Context, account stanza.JID, vcard []byte) error {
	c.got = append(c.got, account.String()+" "+string(vcard))
	return c.fail
}
func (c *cards) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_cards"}, struct{}{}, func(struct{}) modules.Module { return c })
}

func TestProvision(t *testing.T) {
	c := &cards{}
	w := newWorld(t, "a.test", "", c.info())
	raw := signed(provision, "alice@a.test", 63934444800, 0, vectorCard)
	w.fails(raw, auth.NotAuthorized, errNobody)
	if ok, _ := w.Users.Exists(context.Background(), "alice"); ok {
		t.Error("an account is made though that is not allowed")
	}
	w.User("alice")
	for range 3 { // the vCard is the first login's: the user may have changed it since
		id, _ := w.oauth(raw, "")
		if l := id.Details.(*Login); l.Token != provision || id.Made {
			t.Errorf("%+v", l)
		}
	}
	if want := []string{"alice@a.test " + vectorCard}; !slices.Equal(c.got, want) {
		t.Errorf("vCards %q", c.got)
	}
	c.fail = errors.New("no room")
	w.oauth(signed(provision, "alice@a.test", 63934444801, 0, vectorCard), "")
	if !strings.Contains(w.Log(), "vCard of a provision token not kept") {
		t.Error("nobody hears that the vCard is lost")
	}
	// Who signs access tokens cannot provision, and the other way round.
	w.fails(sealed(vectorKey, "provision\x00alice@a.test\x0063934444800\x00"+vectorCard), auth.NotAuthorized, errMAC)
	w.fails(sealed(vectorProvision, "access\x00alice@a.test\x0063934444800"), auth.NotAuthorized, errMAC)
	delete(w.keys.keys, keyProvision)
	w.fails(raw, auth.NotAuthorized, keystore.ErrNoKey)
}

// TestProvisionCreates: the account is made where that is allowed, and K30 for nothing that is not in order.
func TestProvisionCreates(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, "a.test", "provision_creates_account = true\n")
	big := "<vCard xmlns='vcard-temp'><FN>" + strings.Repeat("x", 1<<20) + "</FN></vCard>"
	for name, tc := range map[string]struct {
		raw  []byte
		want string
	}{
		"K30 document type":   {signed(provision, "alice@a.test", 63934444800, 0, "<!DOCTYPE x><vCard xmlns='vcard-temp'/>"), auth.NotAuthorized},
		"K30 other namespace": {signed(provision, "alice@a.test", 63934444800, 0, "<vCard xmlns='jabber:client'/>"), auth.NotAuthorized},
		"K30 a megabyte":      {signed(provision, "alice@a.test", 63934444800, 0, big), auth.MalformedRequest},
		"K30 no vCard":        {signed(provision, "alice@a.test", 63934444800, 0, ""), auth.NotAuthorized},
		"K30 bad MAC":         {sealed("guessed", "provision\x00alice@a.test\x0063934444800\x00"+vectorCard), auth.NotAuthorized},
		"expired":             {signed(provision, "alice@a.test", 1, 0, vectorCard), auth.CredentialsExpired},
		"access":              {signed(access, "alice@a.test", 63934444800, 0, ""), auth.NotAuthorized},
		"refresh":             {signed(refresh, "alice@a.test", 63934444800, 4, ""), auth.NotAuthorized},
	} {
		if _, _, condition, cause := w.try("X-OAUTH", tc.raw); condition != tc.want {
			t.Errorf("%s: %q (%v), want %s", name, condition, cause, tc.want)
		}
		if ok, _ := w.Users.Exists(ctx, "alice"); ok {
			t.Fatalf("%s: the account is made", name)
		}
	}
	raw := signed(provision, "alice@a.test", 63934444800, 0, vectorCard)
	if id, _ := w.oauth(raw, ""); !id.Made || id.JID.String() != "alice@a.test" {
		t.Errorf("%+v", id)
	}
	if id, _ := w.oauth(raw, ""); id.Made {
		t.Error("made twice")
	}
	if w.Users.Check(ctx, "alice", "") == nil || w.Users.Check(ctx, "alice", modtestPassword) == nil {
		t.Error("the account has a password that can be guessed")
	}
	// What the account's end ends: neither the token that was used nor a new one brings it back while the name is kept.
	w.Users.Delete(ctx, "alice")
	w.fails(raw, auth.NotAuthorized, errRevoked)
	w.fails(signed(provision, "alice@a.test", 63934444801, 0, vectorCard), auth.NotAuthorized, errKeptName)
	// The admin gives the name to somebody else: the old token is not his.
	w.User("alice")
	w.fails(raw, auth.NotAuthorized, errRevoked)
	w.oauth(signed(provision, "alice@a.test", 63934444801, 0, vectorCard), "")
}

const modtestPassword = "correct horse"

// TestFullDisk: what needs not be written down does not keep anybody out; what must be, does.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, "a.test", "")
	short, long := w.tokens(w.Session("alice@a.test/x"))
	card := signed(provision, "alice@a.test", 63934444800, 0, vectorCard)
	store := &broken{Bucket: w.m.h.Store}
	w.m.h.Store = store
	for _, err := range []error{storage.ErrFull, storage.ErrReadOnly} {
		store.update = err
		w.oauth(short, "")
		_, fresh := w.oauth(long, "")
		w.oauth(fresh, "")
		w.fails(card, auth.TemporaryAuthFailure, err)
		// An account without record, whose token was signed elsewhere.
		w.Users.Create(context.Background(), "bob", "x")
		s := w.enter("bob@a.test/"+err.Error(), "X-OAUTH", signed(access, "bob@a.test", 63934444800, 0, ""))
		if closed, _ := s.Closed(); closed {
			t.Error("the session does not last")
		}
		if st := s.IQ("get", "bob@a.test", "<query xmlns='"+ns+"'/>"); st.StanzaError() == nil || st.StanzaError().Type != stanza.Wait {
			t.Errorf("tokens are given out that nobody wrote down: %s", st.AppendTo(nil))
		}
	}
	store.update = errors.New("disk on fire")
	w.fails(short, auth.TemporaryAuthFailure, store.update)
	store.update, store.view = nil, errors.New("cannot read")
	w.fails(short, auth.TemporaryAuthFailure, store.view)
}
