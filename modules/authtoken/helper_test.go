package authtoken

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// fakeKeys is a keystore with the keys of the test.
type fakeKeys struct {
	mu   sync.Mutex
	keys map[string]keystore.Keys
	err  error
}

func (f *fakeKeys) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[keystore.Service](h, f)
	return nil
}
func (f *fakeKeys) Stop(context.Context) error { return nil }

func (f *fakeKeys) GetKey(name string) ([]byte, error) {
	k, err := f.Keys(name)
	return k.Current, err
}

func (f *fakeKeys) Keys(name string) (keystore.Keys, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.keys[name]
	switch {
	case f.err != nil:
		return keystore.Keys{}, f.err
	case !ok:
		return k, fmt.Errorf("%w: %s", keystore.ErrNoKey, name)
	}
	return k, nil
}

func (f *fakeKeys) List() ([]keystore.Key, error) { return nil, nil }

func (f *fakeKeys) Rotate(name, _ string) (keystore.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[name] = keystore.Keys{Current: []byte("rotated " + name + time.Now().String()), Previous: f.keys[name].Current}
	return keystore.Key{}, nil
}

// world is a host with the module, a clock and keys of its own.
type world struct {
	*modtest.Host
	t    testing.TB
	m    *module
	keys *fakeKeys

	mu  sync.Mutex
	now time.Time
}

const vectorTime = 1767225600 // when the tokens of the vectors end; a day before is their time here

// The keys of the vectors.
const (
	vectorKey       = "access_or_refresh"
	vectorProvision = "provision"
)

func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// info is Info with the world's clock, and remembers the instance.
func (w *world) info() modules.Info {
	in := define(w.wall)
	return modules.Define(modules.Info{Name: in.Name}, in.Section.Defaults.(Config), func(c Config) modules.Module {
		w.m = &module{cfg: c, clock: clock{wall: w.wall}}
		return w.m
	})
}

// newWorld starts the module with options of its section. The time is an hour before the vectors end.
func newWorld(t testing.TB, host string, options string, others ...modules.Info) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(vectorTime-3600, 0), keys: &fakeKeys{keys: map[string]keystore.Keys{
		keyTokens:    {Current: []byte(vectorKey)},
		keyProvision: {Current: []byte(vectorProvision)},
	}}}
	store := modules.Define(modules.Info{Name: "mod_keystore"}, struct{}{}, func(struct{}) modules.Module { return w.keys })
	infos := append([]modules.Info{store, w.info(), register.Info}, others...)
	w.Host = modtest.NewConfig(t, host, "[modules.mod_auth_token]\n"+options, infos...)
	return w
}

// conn is the connection of a client under TLS.
func conn(host string) *auth.Conn {
	return &auth.Conn{Host: host, TLS: &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}}
}

func (w *world) mechanism(name string) auth.Mechanism {
	w.t.Helper()
	for _, m := range w.Table().Mechanisms {
		if m.Name == name {
			return m
		}
	}
	w.t.Fatalf("no %s", name)
	return auth.Mechanism{}
}

// offered tells whether a mechanism is offered on a connection.
func (w *world) offered(name string, c *auth.Conn) bool {
	for _, m := range w.Table().Mechanisms {
		if m.Name == name {
			return m.Offer(c)
		}
	}
	return false
}

// try does one login and returns who is in and what the success carries, or the condition of the failure.
func (w *world) try(mechanism string, message []byte) (id auth.Identity, out []byte, condition string, cause error) {
	w.t.Helper()
	x := auth.NewExchange(w.mechanism(mechanism), conn(w.Name))
	out, more, err := x.Step(context.Background(), message)
	var f *auth.Failure
	if errors.As(err, &f) {
		if f.Text != "" && f.Text != "message too long" {
			w.t.Errorf("the client is told %q", f.Text)
		}
		return x.Identity(), nil, f.Condition, f.Cause
	}
	if more {
		w.t.Fatal("the exchange goes on")
	}
	return x.Identity(), out, "", nil
}

// oauth is a login with X-OAUTH that must end with a condition, "" for success.
func (w *world) oauth(message []byte, want string) (auth.Identity, []byte) {
	w.t.Helper()
	id, out, got, cause := w.try("X-OAUTH", message)
	if got != want {
		w.t.Fatalf("got %q (%v), want %q", got, cause, want)
	}
	return id, out
}

// fails is oauth for what must fail for a reason.
func (w *world) fails(message []byte, want string, why error) {
	w.t.Helper()
	_, _, got, cause := w.try("X-OAUTH", message)
	if got != want || !errors.Is(cause, why) {
		w.t.Errorf("got %q (%v), want %q (%v)", got, cause, want, why)
	}
}

// tokens asks for tokens in a session.
func (w *world) tokens(s *modtest.Session) (short, long []byte) {
	w.t.Helper()
	st := s.IQ("get", s.JID().Bare().String(), "<query xmlns='"+ns+"'/>")
	if e := st.StanzaError(); e != nil {
		w.t.Fatalf("no tokens: %v", e)
	}
	items := st.Payload()
	for name, into := range map[string]*[]byte{"access_token": &short, "refresh_token": &long} {
		b, err := base64.StdEncoding.DecodeString(items.ChildText(name))
		if err != nil || len(b) == 0 {
			w.t.Fatalf("%s: %v in %s", name, err, st.AppendTo(nil))
		}
		*into = b
	}
	return short, long
}

// enter logs in with a token and makes the session.
func (w *world) enter(full string, mechanism string, message []byte) *modtest.Session {
	w.t.Helper()
	id, _, condition, cause := w.try(mechanism, message)
	if condition != "" {
		w.t.Fatalf("%s: %s (%v)", full, condition, cause)
	}
	return w.open(full, mechanism, id.Details)
}

// open makes the session of a login.
func (w *world) open(full, mechanism string, details any) *modtest.Session {
	w.t.Helper()
	s := w.Session(full)
	s.Change(func(i *modules.SessionInfo) { i.Mechanism, i.Details = mechanism, details })
	w.Table().Hooks.SessionOpened.Run(context.Background(), s) // once more, with the details
	return s
}

// signed is a token of X-OAUTH with the vectors' keys.
func signed(kind, account string, expiry, sequence uint64, vcard string) []byte {
	key := vectorKey
	if kind == provision {
		key = vectorProvision
	}
	return (&token{kind, stanza.MustJID(account), expiry, sequence, []byte(vcard)}).sign([]byte(key))
}

// sealed puts a MAC behind a body as it is.
func sealed(key, body string) []byte {
	return fmt.Appendf(nil, "%s\x00%x", body, mac([]byte(key), []byte(body)))
}

// silent fails the test if the log has any of these.
func (w *world) silent(secrets ...string) {
	w.t.Helper()
	for _, s := range secrets {
		if s == "" || strings.Contains(w.Log(), s) {
			w.t.Errorf("the log has %q", s)
		}
	}
}

// broken is a bucket that can fail.
type broken struct {
	storage.Bucket
	update, view error
}

func (b *broken) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if b.update != nil {
		return b.update
	}
	return b.Bucket.Update(ctx, fn)
}

func (b *broken) View(ctx context.Context, fn func(storage.Tx) error) error {
	if b.view != nil {
		return b.view
	}
	return b.Bucket.View(ctx, fn)
}
