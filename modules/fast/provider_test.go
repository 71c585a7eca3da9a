package fast

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// credential is a certificate, say, that another module knows.
type credential struct {
	gone, disabled bool
	err            error
}

func (*credential) Kind() string { return "certificate" }

func (c *credential) List(context.Context, stanza.JID) ([]modules.Credential, error) {
	if c.gone || c.err != nil {
		return nil, c.err
	}
	return []modules.Credential{{Kind: "certificate", ID: "x", Disabled: c.disabled}}, nil
}

func (c *credential) Revoke(context.Context, stanza.JID, string) error { c.gone = true; return nil }

func (*credential) RevokeBy(context.Context, stanza.JID, string) error { return nil }

func (*credential) Credentials() []string { return []string{"certificate:x"} }

// probe is a module that provides a service and keeps its host.
type probe struct {
	h   *modules.Host
	svc modules.Credentials
}

func (p *probe) Start(_ context.Context, h *modules.Host) error {
	p.h = h
	if p.svc != nil {
		modules.Provide(h, p.svc)
	}
	return nil
}

func (*probe) Stop(context.Context) error { return nil }

func (p *probe) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_probe"}, struct{}{}, func(struct{}) modules.Module { return p })
}

// A token that was got with a certificate is void when the certificate is.
func TestParent(t *testing.T) {
	ctx := context.Background()
	cert := &credential{}
	p := &probe{svc: cert}
	h := modtest.New(t, "a.test", Info, p.info())
	h.User("alice")
	alice := stanza.MustJID("alice@a.test")
	d := newDevice(t, h, "c")
	get := func() string {
		token, _ := d.finish(d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='"+none+"'/>"),
			auth.Identity{JID: alice, Mechanism: "EXTERNAL", Resource: "pinned", Details: cert})
		return token
	}
	token := get()
	l := d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='" + none + "'/>")
	id, condition := d.exchange(l, "alice", none, token)
	if id.Resource != "pinned" { // XEP-0257 §3
		t.Errorf("the resource %q", id.Resource)
	}
	if refs := modules.CredentialsOf(id.Details); condition != "" || strings.Join(refs, " ") != "fast:c certificate:x" {
		t.Fatalf("%s %q", condition, refs)
	}
	second, _ := d.finish(l, id) // hangs on the certificate as well
	list, err := modules.ListCredentials(ctx, p.h, alice)
	if err != nil || len(list) != 2 || list[0].Parent != "certificate:x" || list[0].Client != "c" || list[0].Software != "App" || list[0].LastUsed.IsZero() {
		t.Fatalf("%+v %v", list, err)
	}
	cert.disabled = true
	d.fails("alice", none, token, "", auth.CredentialsExpired)
	cert.disabled, cert.err = false, errors.New("disk")
	d.fails("alice", none, token, "", auth.TemporaryAuthFailure)
	cert.err = nil
	d.works("alice", none, token, "")
	if err := modules.RevokeCredential(ctx, p.h, alice, "certificate:x", nil); err != nil {
		t.Fatal(err)
	}
	cert.gone = false // even then
	d.fails("alice", none, token, "", auth.NotAuthorized)
	d.fails("alice", none, second, "", auth.NotAuthorized)

	// One that was revoked a moment ago gives no token.
	cert.gone = true
	if token := get(); token != "" {
		t.Error("a token of a certificate that is gone")
	}
	if list, _ := modules.ListCredentials(ctx, p.h, alice); len(list) != 0 {
		t.Errorf("%+v is left", list)
	}
}

func TestRevoke(t *testing.T) {
	ctx := context.Background()
	p := &probe{}
	h := modtest.New(t, "a.test", Info, p.info())
	h.User("alice")
	alice := stanza.MustJID("alice@a.test")
	phone, laptop := newDevice(t, h, "phone"), newDevice(t, h, "laptop")
	a, b := phone.password("alice", none), laptop.password("alice", none)
	l := phone.login("")
	id, _ := phone.exchange(l, "alice", none, a)
	s := h.Session("alice@a.test/phone")
	s.Change(func(i *modules.SessionInfo) { i.Details = id.Details })
	other := h.Session("alice@a.test/other")
	if err := modules.RevokeCredential(ctx, p.h, alice, "fast:phone", &stream.Error{Condition: "reset"}); err != nil {
		t.Fatal(err)
	}
	if closed, _ := s.Closed(); !closed {
		t.Error("the session goes on")
	}
	if closed, _ := other.Closed(); closed {
		t.Error("another session ended")
	}
	phone.fails("alice", none, a, "", auth.NotAuthorized)
	laptop.works("alice", none, b, "")
	if err := modules.RevokeCredential(ctx, p.h, alice, "fast:phone", nil); !errors.Is(err, modules.ErrNoCredential) {
		t.Errorf("again: %v", err)
	}
}

// A token that is taken back while its rotation is under way begets none.
func TestTakenDuringLogin(t *testing.T) {
	p := &probe{}
	h := modtest.New(t, "a.test", Info, p.info())
	h.User("alice")
	d := newDevice(t, h, "c")
	const ask = "<request-token xmlns='urn:xmpp:fast:0' mechanism='" + none + "'/>"
	for _, again := range []bool{false, true} {
		token := d.password("alice", none)
		l := d.login(ask)
		id, condition := d.exchange(l, "alice", none, token)
		if condition != "" {
			t.Fatal(condition)
		}
		if err := modules.RevokeCredential(t.Context(), p.h, stanza.MustJID("alice@a.test"), "fast:c", gone); err != nil {
			t.Fatal(err)
		}
		if again {
			d.password("alice", none)
		}
		if next, _ := d.finish(l, id); next != "" {
			t.Error("it begot another")
		}
	}
}

// A client that has shown its token, and has no session yet, gets none when the token is taken back.
func TestOnTheWay(t *testing.T) {
	ctx := context.Background()
	alice := stanza.MustJID("alice@a.test")
	for name, tc := range map[string]struct {
		between func(h *modtest.Host, p *probe, d *device)
		inner   string
		ends    bool
	}{
		"nothing":     {func(*modtest.Host, *probe, *device) {}, "", false},
		"given up":    {func(*modtest.Host, *probe, *device) {}, "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>", false},
		"a new token": {func(_ *modtest.Host, _ *probe, d *device) { d.password("alice", none) }, "", false},
		"revoked": {func(h *modtest.Host, p *probe, _ *device) {
			if err := modules.RevokeCredential(ctx, p.h, alice, "fast:c", gone); err != nil {
				t.Error(err)
			}
		}, "", true},
		"revoked, and a new token": {func(h *modtest.Host, p *probe, d *device) {
			if err := modules.RevokeCredential(ctx, p.h, alice, "fast:c", gone); err != nil {
				t.Error(err)
			}
			d.password("alice", none)
		}, "", true},
		"its certificate revoked":  {func(_ *modtest.Host, p *probe, _ *device) { p.svc.(*credential).gone = true }, "", true},
		"its certificate disabled": {func(_ *modtest.Host, p *probe, _ *device) { p.svc.(*credential).disabled = true }, "", true},
		"nobody knows":             {func(_ *modtest.Host, p *probe, _ *device) { p.svc.(*credential).err = errors.New("disk") }, "", true},
	} {
		for _, how := range []string{"opened", "resumed"} {
			t.Run(name+", "+how, func(t *testing.T) {
				p := &probe{svc: &credential{}}
				h := modtest.New(t, "a.test", Info, p.info())
				h.User("alice")
				d := newDevice(t, h, "c")
				token, _ := d.finish(d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='"+none+"'/>"),
					auth.Identity{JID: alice, Mechanism: "EXTERNAL", Details: p.svc})
				id, condition := d.exchange(d.login(tc.inner), "alice", none, token)
				if condition != "" {
					t.Fatal(condition)
				}
				tc.between(h, p, d)
				s := h.Session("alice@a.test/late")
				s.Change(func(i *modules.SessionInfo) { i.Mechanism, i.Details = none, id.Details })
				if hooks := h.Table().Hooks; how == "opened" {
					hooks.SessionOpened.Run(ctx, s)
				} else {
					hooks.SessionResumed.Run(ctx, s)
				}
				if closed, _ := s.Closed(); closed != tc.ends {
					t.Errorf("the session has ended: %t", closed)
				}
			})
		}
	}
}
