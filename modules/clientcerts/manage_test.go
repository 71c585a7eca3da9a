package clientcerts

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

var alice = stanza.MustJID("alice@a.test")

const listXML = "<items xmlns='" + ns + "'/>"

func list(t testing.TB, s *modtest.Session) string {
	t.Helper()
	st := s.IQ("get", "", listXML)
	ok(t, st)
	var b strings.Builder
	for _, it := range st.Payload().Children {
		b.WriteString(it.ChildText("name"))
		if it.ChildText("x509cert") == "" {
			t.Errorf("%s without certificate", it.ChildText("name"))
		}
		if u := it.Child("", "users"); u != nil {
			for _, r := range u.Children {
				b.WriteString(" " + r.Name + "=" + r.Text)
			}
		}
		b.WriteString(";")
	}
	return b.String()
}

// TestAppend goes through the mistakes of a request to append.
func TestAppend(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	s := h.Session("alice@a.test/r")
	good := issue(t, spec{names: []string{"alice@a.test"}})
	b64 := base64.StdEncoding.EncodeToString(good.Raw)
	wrap := func(inner string) string { return "<append xmlns='" + ns + "'>" + inner + "</append>" }
	for name, test := range map[string]struct {
		payload string
		typ     stanza.ErrorType
		cond    stanza.Condition
	}{
		"no name":          {wrap("<x509cert>" + b64 + "</x509cert>"), stanza.Modify, stanza.BadRequest},
		"empty name":       {wrap("<name> </name><x509cert>" + b64 + "</x509cert>"), stanza.Modify, stanza.BadRequest},
		"long name":        {appendXML(strings.Repeat("n", maxName+1), good.Raw), stanza.Modify, stanza.BadRequest},
		"no certificate":   {wrap("<name>n</name>"), stanza.Modify, stanza.BadRequest},
		"empty":            {wrap("<name>n</name><x509cert/>"), stanza.Modify, stanza.BadRequest},
		"not base64":       {wrap("<name>n</name><x509cert>***</x509cert>"), stanza.Modify, stanza.NotAcceptable},
		"not DER":          {appendXML("n", []byte("hello")), stanza.Modify, stanza.NotAcceptable},
		"trailing bytes":   {appendXML("n", append(good.Raw[:len(good.Raw):len(good.Raw)], 0)), stanza.Modify, stanza.NotAcceptable},
		"64 KiB":           {appendXML("n", make([]byte, 64<<10)), stanza.Modify, stanza.NotAcceptable},
		"no address":       {appendXML("n", issue(t, spec{}).Raw), stanza.Modify, stanza.NotAcceptable},
		"common name only": {appendXML("n", issue(t, spec{common: "alice@a.test"}).Raw), stanza.Modify, stanza.NotAcceptable},
		"another address":  {appendXML("n", issue(t, spec{names: []string{"bob@a.test"}}).Raw), stanza.Modify, stanza.NotAcceptable},
		"another host":     {appendXML("n", issue(t, spec{names: []string{"alice@b.test"}}).Raw), stanza.Modify, stanza.NotAcceptable},
		"bad address":      {appendXML("n", issue(t, spec{names: []string{"alice@a.test", "@"}}).Raw), stanza.Modify, stanza.NotAcceptable},
		"expired":          {appendXML("n", issue(t, spec{names: []string{"alice@a.test"}, to: -time.Minute}).Raw), stanza.Modify, stanza.NotAcceptable},
		"not yet valid":    {appendXML("n", issue(t, spec{names: []string{"alice@a.test"}, from: time.Hour}).Raw), stanza.Modify, stanza.NotAcceptable},
		"other element":    {"<prepend xmlns='" + ns + "'/>", stanza.Modify, stanza.BadRequest},
		"items to set":     {listXML, stanza.Modify, stanza.BadRequest},
	} {
		t.Run(name, func(t *testing.T) { refused(t, s.IQ("set", "", test.payload), test.typ, test.cond) })
	}
	refused(t, s.IQ("get", "", appendXML("n", good.Raw)), stanza.Modify, stanza.BadRequest)
	if got := list(t, s); got != "" {
		t.Fatalf("the list is %s", got)
	}

	upload(t, s, "Phone", good)
	t.Run("name taken", func(t *testing.T) {
		other := issue(t, spec{names: []string{"alice@a.test"}})
		refused(t, s.IQ("set", "", appendXML(" Phone ", other.Raw)), stanza.Cancel, stanza.Conflict)
	})
	t.Run("certificate there already", func(t *testing.T) {
		refused(t, s.IQ("set", "", appendXML("Laptop", good.Raw)), stanza.Cancel, stanza.Conflict)
	})
	t.Run("own bare JID", func(t *testing.T) {
		ok(t, s.IQ("set", "alice@a.test", appendXML("Full", issue(t, spec{names: []string{"bob@a.test", "alice@a.test/tv"}}).Raw)))
	})
	if got := list(t, s); got != "Phone;Full;" {
		t.Errorf("the list is %s", got)
	}
	if st := s.IQ("get", "", listXML); st.Payload().Child("", "item").ChildText("x509cert") != b64 {
		t.Error("the list has another certificate")
	}
	bob := h.Session("bob@a.test/r")
	upload(t, bob, "Phone", issue(t, spec{names: []string{"bob@a.test"}}))
	if got := list(t, s); got != "Phone;Full;" {
		t.Errorf("the list is %s", got)
	}
	if log := h.Log(); !strings.Contains(log, `msg="certificate added"`) || !strings.Contains(log, fmt.Sprintf("fingerprint=%x", printOf(good))) ||
		!strings.Contains(log, "account=alice@a.test name=Phone") || !strings.Contains(log, "remote=127.0.0.1") || !strings.Contains(log, `mechanism=SCRAM-SHA-256 tls="TLS 1.3"`) {
		t.Errorf("the log is\n%s", log)
	}
}

func TestLimit(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", section("max_per_user = 2"), Info)
	s := h.Session("alice@a.test/r")
	for i := range 2 {
		upload(t, s, fmt.Sprint("c", i), issue(t, spec{names: []string{"alice@a.test"}}))
	}
	third := issue(t, spec{names: []string{"alice@a.test"}})
	refused(t, s.IQ("set", "", appendXML("c2", third.Raw)), stanza.Wait, stanza.ResourceConstraint)
	ok(t, s.IQ("set", "", named("disable", "c0")))
	upload(t, s, "c2", third)
}

// TestForeign: certificates are between an account and its own sessions.
func TestForeign(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	upload(t, h.Session("bob@a.test/r"), "Phone", issue(t, spec{names: []string{"bob@a.test"}}))
	s := h.Session("alice@a.test/r")
	for _, payload := range []string{named("revoke", "Phone"), named("disable", "Phone"), appendXML("n", issue(t, spec{names: []string{"bob@a.test"}}).Raw)} {
		refused(t, s.IQ("set", "bob@a.test", payload), stanza.Auth, stanza.Forbidden)
	}
	refused(t, s.IQ("get", "bob@a.test", listXML), stanza.Auth, stanza.Forbidden)
	h.Send("<iq type='get' id='x' from='mallory@evil.test/x' to='bob@a.test'>" + listXML + "</iq>")
	if got := modtest.XML(h.Sent()); !strings.Contains(got, "service-unavailable") {
		t.Errorf("a stranger got %s", got)
	}
	s.Change(func(i *modules.SessionInfo) { i.TLS = nil })
	refused(t, s.IQ("get", "", listXML), stanza.Cancel, stanza.PolicyViolation)
}

func TestUnknownName(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	s := h.Session("alice@a.test/r")
	for _, what := range []string{"disable", "revoke"} {
		refused(t, s.IQ("set", "", named(what, "nothing")), stanza.Cancel, stanza.ItemNotFound)
		refused(t, s.IQ("set", "", "<"+what+" xmlns='"+ns+"'/>"), stanza.Modify, stanza.BadRequest)
	}
}

// fake is a provider of tokens.
type fake struct{ dropped []string }

func (*fake) Kind() string { return "token" }
func (*fake) List(context.Context, stanza.JID) ([]modules.Credential, error) {
	return nil, nil
}
func (*fake) Revoke(context.Context, stanza.JID, string) error { return modules.ErrNoCredential }
func (f *fake) RevokeBy(_ context.Context, account stanza.JID, parent string) error {
	f.dropped = append(f.dropped, account.String()+" "+parent)
	return nil
}

// fakeModule provides it.
type fakeModule struct{ f *fake }

func (m fakeModule) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[modules.Credentials](h, m.f)
	return nil
}
func (fakeModule) Stop(context.Context) error { return nil }

// withTokens is a host with a provider of tokens beside the module.
func withTokens(t *testing.T, toml string) (*modtest.Host, *fake) {
	f := &fake{}
	info := modules.Define(modules.Info{Name: "mod_fake", Summary: "tokens"}, struct{}{}, func(struct{}) modules.Module { return fakeModule{f} })
	return modtest.NewConfig(t, "a.test", toml, Info, info), f
}

// derived are the Details of a login with a token that a client got in a session with a certificate.
type derived []string

func (d derived) Credentials() []string { return d }

func TestDisable(t *testing.T) {
	h, tokens := withTokens(t, "")
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	ref := modules.CredentialRef(Kind, fmt.Sprintf("%x", printOf(leaf)))
	upload(t, owner, "Phone", leaf)
	live, asleep := enter(t, h, "alice@a.test/live", leaf), enter(t, h, "alice@a.test/asleep", leaf)
	asleep.Hibernate()
	if got := list(t, owner); got != "Phone resource=asleep resource=live;" {
		t.Errorf("the list is %s", got)
	}
	ok(t, owner.IQ("set", "", named("disable", "Phone")))
	if closed, _ := live.Closed(); closed {
		t.Error("the live session ended")
	}
	if closed, why := asleep.Closed(); !closed || why == nil || why.Condition != "not-authorized" {
		t.Errorf("the sleeping session: %v, %v", closed, why)
	}
	if got := list(t, owner); got != "" {
		t.Errorf("the list is %s", got)
	}
	if got := strings.Join(tokens.dropped, ","); got != "alice@a.test "+ref {
		t.Errorf("dropped %q", got)
	}
	if mechanism(t, h).Offer(conn("a.test", "", leaf)) {
		t.Error("EXTERNAL is still offered")
	}
	if _, f := login(t, h, conn("a.test", "", leaf), ""); f != auth.NotAuthorized {
		t.Errorf("login: %q", f)
	}
	refused(t, owner.IQ("set", "", named("disable", "Phone")), stanza.Cancel, stanza.ItemNotFound)

	// It can still be revoked, which ends the session.
	ok(t, owner.IQ("set", "", named("revoke", "Phone")))
	if closed, why := live.Closed(); !closed || why == nil || why.Condition != "not-authorized" || why.Text != "certificate revoked" {
		t.Errorf("the live session: %v, %v", closed, why)
	}
	refused(t, owner.IQ("set", "", named("revoke", "Phone")), stanza.Cancel, stanza.ItemNotFound)
	upload(t, owner, "Phone", leaf) // its owner may think again
	if _, f := login(t, h, conn("a.test", "", leaf), ""); f != "" {
		t.Errorf("login: %q", f)
	}
}

// A disabled certificate that nobody uses any more is forgotten.
func TestDisabledIsForgotten(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	upload(t, owner, "Phone", leaf)
	live := enter(t, h, "alice@a.test/live", leaf)
	ok(t, owner.IQ("set", "", named("disable", "Phone")))
	stored := func() (n int) {
		h.Store.Bucket("modules", "a.test", "mod_client_certs").KV(kvCerts).Scan(context.Background(), nil, nil, func(_, _ []byte) bool { n++; return true })
		return n
	}
	if stored() != 1 {
		t.Error("forgotten too early")
	}
	live.Close(nil)
	if stored() != 0 {
		t.Error("not forgotten")
	}
}

func TestRevoke(t *testing.T) {
	h, tokens := withTokens(t, "")
	owner := h.Session("alice@a.test/owner")
	leaf, other := issue(t, spec{names: []string{"alice@a.test"}}), issue(t, spec{names: []string{"alice@a.test"}})
	ref := modules.CredentialRef(Kind, fmt.Sprintf("%x", printOf(leaf)))
	upload(t, owner, "Phone", leaf)
	upload(t, owner, "Laptop", other)
	live, asleep, laptop := enter(t, h, "alice@a.test/live", leaf), enter(t, h, "alice@a.test/asleep", leaf), enter(t, h, "alice@a.test/laptop", other)
	asleep.Hibernate()
	token := h.Session("alice@a.test/token")
	token.Change(func(i *modules.SessionInfo) { i.Details = derived{"token:1", ref} })
	ok(t, owner.IQ("set", "", named("revoke", "Phone")))
	for _, s := range []*modtest.Session{live, asleep, token} {
		if closed, why := s.Closed(); !closed || why == nil || why.Condition != "not-authorized" || why.Text != "certificate revoked" {
			t.Errorf("%s: %v, %v", s.JID(), closed, why)
		}
	}
	for _, s := range []*modtest.Session{owner, laptop} {
		if closed, _ := s.Closed(); closed {
			t.Errorf("%s ended", s.JID())
		}
	}
	if len(tokens.dropped) != 1 {
		t.Errorf("dropped %q", tokens.dropped)
	}
	if got := list(t, owner); got != "Laptop resource=laptop;" {
		t.Errorf("the list is %s", got)
	}
	if log := h.Log(); !strings.Contains(log, `msg="certificate revoked"`) || !strings.Contains(log, "sessions=3") {
		t.Errorf("the log is\n%s", log)
	}
	if _, f := login(t, h, conn("a.test", "", leaf), ""); f != auth.NotAuthorized {
		t.Errorf("login: %q", f)
	}

	// A session may take back its own certificate.
	laptop.Say("<iq type='set' id='own'>" + named("revoke", "Laptop") + "</iq>")
	if closed, _ := laptop.Closed(); !closed {
		t.Error("the session that revoked its own certificate goes on")
	}
}

// TestRevokedOnTheWay: a certificate taken back between login and session.
func TestRevokedOnTheWay(t *testing.T) {
	for _, what := range []string{"revoke", "disable"} {
		h := modtest.New(t, "a.test", Info)
		owner := h.Session("alice@a.test/owner")
		leaf := issue(t, spec{names: []string{"alice@a.test"}})
		upload(t, owner, "Phone", leaf)
		id, f := login(t, h, conn("a.test", "", leaf), "")
		if f != "" {
			t.Fatal(f)
		}
		ok(t, owner.IQ("set", "", named(what, "Phone")))
		s := h.Session("alice@a.test/late")
		s.Change(func(i *modules.SessionInfo) { i.Details = id.Details })
		h.Table().Hooks.SessionResumed.Run(context.Background(), s)
		if closed, _ := s.Closed(); !closed {
			t.Errorf("%s: the session goes on", what)
		}
	}
}

func TestNoCertManagement(t *testing.T) {
	for _, allow := range []bool{true, false} {
		t.Run(fmt.Sprint("list ", allow), func(t *testing.T) {
			h := modtest.NewConfig(t, "a.test", section(fmt.Sprintf("allow_list_when_restricted = %v", allow)), Info)
			owner := h.Session("alice@a.test/owner")
			leaf, free := issue(t, spec{names: []string{"alice@a.test"}}), issue(t, spec{names: []string{"alice@a.test"}})
			ok(t, owner.IQ("set", "", strings.Replace(appendXML("Bot", leaf.Raw), "</name>", "</name><no-cert-management/>", 1)))
			upload(t, owner, "Free", free)
			bot, token := enter(t, h, "alice@a.test/bot", leaf), h.Session("alice@a.test/token")
			token.Change(func(i *modules.SessionInfo) {
				i.Details = derived{"token:1", modules.CredentialRef(Kind, fmt.Sprintf("%x", printOf(leaf)))}
			})
			another := issue(t, spec{names: []string{"alice@a.test"}})
			for _, s := range []*modtest.Session{bot, token} {
				for _, payload := range []string{appendXML("Mine", another.Raw), named("disable", "Bot"), named("revoke", "Bot"), named("revoke", "Free")} {
					refused(t, s.IQ("set", "", payload), stanza.Auth, stanza.Forbidden)
				}
				if allow {
					if got := list(t, s); got != "Bot resource=bot;Free;" {
						t.Errorf("the list is %s", got)
					}
				} else {
					refused(t, s.IQ("get", "", listXML), stanza.Auth, stanza.Forbidden)
				}
			}
			upload(t, enter(t, h, "alice@a.test/free", free), "Mine", another)
		})
	}
}

// TestAccountChanges: certificates die with a change of the account, even one that is just being uploaded.
func TestAccountChanges(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]func(*modtest.Host) error{
		"password": func(h *modtest.Host) error { return h.Users.SetPassword(ctx, "alice", "new") },
		"disabled": func(h *modtest.Host) error { return h.Users.SetDisabled(ctx, "alice", true) },
		"deleted":  func(h *modtest.Host) error { return h.Users.Delete(ctx, "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			leaf, bobs := issue(t, spec{names: []string{"alice@a.test"}}), issue(t, spec{names: []string{"bob@a.test"}})
			upload(t, h.Session("alice@a.test/r"), "Phone", leaf)
			upload(t, h.Session("bob@a.test/r"), "Phone", bobs)
			if err := change(h); err != nil {
				t.Fatal(err)
			}
			if mechanism(t, h).Offer(conn("a.test", "", leaf)) || !mechanism(t, h).Offer(conn("a.test", "", bobs)) {
				t.Error("not alice's alone is gone")
			}
			svc, _ := modules.ServiceOf[*Service](h.Loader, "a.test")
			if got, err := svc.List(ctx, alice); err != nil || len(got) != 0 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestRemovedIsLogged: with a new password a certificate is removed, and one line says so, whether the session that it let in ended before
// this module was told of the change or later.
func TestRemovedIsLogged(t *testing.T) {
	for _, before := range []bool{true, false} {
		var live *modtest.Session
		first := modules.Define(modules.Info{Name: "mod_first"}, struct{}{}, func(struct{}) modules.Module {
			return starter(func(h *modules.Host) {
				h.Hooks.PasswordChanged.On(modules.Keep, func(context.Context, stanza.JID) {
					if before {
						live.Close(nil)
					}
				})
			})
		})
		h := modtest.New(t, "a.test", first, Info)
		leaf := issue(t, spec{names: []string{"alice@a.test"}})
		upload(t, h.Session("alice@a.test/owner"), "Phone", leaf)
		live = enter(t, h, "alice@a.test/live", leaf)
		if err := h.Users.SetPassword(context.Background(), "alice", "new"); err != nil {
			t.Fatal(err)
		}
		if !before {
			live.Close(nil)
		}
		if n := strings.Count(h.Log(), `msg="certificate removed"`); n != 1 || !strings.Contains(h.Log(), `why="password changed"`) {
			t.Errorf("closed before %t: %d lines in %s", before, n, h.Log())
		}
	}
}

// starter is a module that does nothing but start.
type starter func(h *modules.Host)

func (s starter) Start(_ context.Context, h *modules.Host) error { s(h); return nil }
func (starter) Stop(context.Context) error                       { return nil }

// TestChangedWhileOff: the account changes while nobody looks after certificates.
func TestChangedWhileOff(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		change func(*modtest.Host) error
		stays  bool
	}{
		"nothing":  {func(*modtest.Host) error { return nil }, true},
		"password": {func(h *modtest.Host) error { return h.Users.SetPassword(ctx, "alice", "new") }, false},
		"another of the name": {func(h *modtest.Host) error {
			if err := h.Users.Delete(ctx, "alice"); err != nil {
				return err
			}
			return h.Users.Create(ctx, "alice", "hers")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t, spec{})
			h := modtest.NewConfig(t, "a.test", "", Info)
			leaf := issue(t, spec{names: []string{"alice@a.test"}, ca: ca})
			upload(t, h.Session("alice@a.test/r"), "Phone", leaf)
			if err := h.Reload("[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_client_certs\"]\n"); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(h); err != nil {
				t.Fatal(err)
			}
			for what, toml := range map[string]string{
				"on again":          "",
				"with an authority": section(`client_ca_file = "`+caFile(t, ca)+`"`, "external_without_upload = true"),
			} {
				if err := h.Reload(toml); err != nil {
					t.Fatal(err)
				}
				c := conn("a.test", "", leaf)
				if _, failed := login(t, h, c, ""); (failed == "") != tc.stays || mechanism(t, h).Offer(c) != tc.stays {
					t.Errorf("%s: offered %t, login %q", what, mechanism(t, h).Offer(c), failed)
				}
				svc, _ := modules.ServiceOf[*Service](h.Loader, "a.test")
				if got, err := svc.List(ctx, alice); err != nil || (len(got) == 1) != tc.stays {
					t.Errorf("%s: %v, %v", what, got, err)
				}
			}
			if s := h.Session("alice@a.test/later"); !tc.stays { // the name is free, and so is the certificate
				upload(t, s, "Phone", leaf)
			}
		})
	}
}

// TestUploadDuringChange: the account changes while a certificate is on its way to the disk.
func TestUploadDuringChange(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	s := h.Session("alice@a.test/r")
	users := &changing{Users: h.Users, h: h}
	svc, _ := modules.ServiceOf[*Service](h.Loader, "a.test")
	svc.m.h.Users = users
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	refused(t, s.IQ("set", "", appendXML("Phone", leaf.Raw)), stanza.Auth, stanza.NotAuthorized)
	if mechanism(t, h).Offer(conn("a.test", "", leaf)) {
		t.Error("the certificate outlived the change")
	}
}

// changing are accounts whose password changes behind the first look.
type changing struct {
	auth.Users
	h    *modtest.Host
	done bool
}

func (u *changing) Get(ctx context.Context, local string) (auth.Account, error) {
	a, err := u.Users.Get(ctx, local)
	if !u.done {
		u.done = true
		u.h.Users.SetPassword(ctx, local, "new")
	}
	return a, err
}
