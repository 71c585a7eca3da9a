package clientcerts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// TestChoose is the table of XEP-0178 §2 and XEP-0257 §3 for uploaded certificates: which addresses the certificate has,
// what the client says, as whom it is in or why not.
func TestChoose(t *testing.T) {
	const a, b, full = "alice@a.test", "bob@a.test", "alice@a.test/phone"
	tests := []struct {
		names         string // in the certificate
		authzid, from string
		want          string // JID, or the condition of the failure
	}{
		// One address.
		{a, "", "", a},
		{a, a, "", a},
		{a, "Alice@A.test", "", a},
		{a, "alice@a.test/any", "", a},
		{a, b, "", auth.InvalidAuthzid},
		{a, "alice@b.test", "", auth.InvalidAuthzid},
		{a, "a.test", "", auth.InvalidAuthzid},
		{a, "alice", "", auth.InvalidAuthzid},
		{a, "alice@a.test\x00", "", auth.InvalidAuthzid},
		{a, "\xff", "", auth.InvalidAuthzid},
		{a, "", b, a},
		{"ALICE@A.TEST", "", "", a},
		// One full address pins the resource.
		{full, "", "", full},
		{full, a, "", full},
		{full, full, "", full},
		{full, "alice@a.test/other", "", auth.InvalidAuthzid},
		// Bare and full: the bare one wins unless the client asks for the other.
		{a + " " + full, "", "", a},
		{full + " " + a, a, "", a},
		{a + " " + full, full, "", full},
		{a + " " + full, "alice@a.test/other", "", a},
		// Two full ones of one account: which?
		{full + " alice@a.test/tv", "", "", auth.InvalidAuthzid},
		{full + " alice@a.test/tv", a, "", auth.InvalidAuthzid},
		{full + " alice@a.test/tv", "alice@a.test/tv", "", "alice@a.test/tv"},
		{full + " alice@a.test/tv", "", full, full},
		// Several accounts.
		{a + " " + b, "", "", auth.InvalidAuthzid},
		{a + " " + b, "", a, a},
		{a + " " + b, "", "alice@a.test/x", a},
		{a + " " + b, "", "carol@a.test", auth.InvalidAuthzid},
		{a + " " + b, a, "", a},
		{a + " " + b, a, b, a},
		{a + " " + b, "carol@a.test", "", auth.InvalidAuthzid},
		{full + " " + b, "", a, full},
		{full + " " + b, "", full, full},
		{full + " " + b, "", "alice@a.test/other", full},
		{a + " alice@b.test", "", "", auth.InvalidAuthzid},
		{a + " alice@b.test", a, "", a},
		{a + " alice@b.test", "", "alice@b.test", auth.NotAuthorized},
		{a + " alice@b.test", "alice@b.test", "", auth.InvalidAuthzid},
		// Named, but by a certificate that only alice has uploaded.
		{a + " " + b, b, "", auth.NotAuthorized},
	}
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	h.User("bob")
	certs := map[string]*x509.Certificate{}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s as %q from %s", test.names, test.authzid, test.from), func(t *testing.T) {
			leaf := certs[test.names]
			if leaf == nil {
				leaf = issue(t, spec{names: strings.Fields(test.names)})
				certs[test.names] = leaf
				upload(t, owner, test.names, leaf)
			}
			c := conn("a.test", test.from, leaf)
			if !mechanism(t, h).Offer(c) {
				t.Error("not offered")
			}
			id, got := login(t, h, c, test.authzid)
			if got == "" {
				j := id.JID
				if id.Resource != "" {
					j, _ = j.WithResource(id.Resource)
				}
				got = j.String()
				if refs := modules.CredentialsOf(id.Details); len(refs) != 1 || refs[0] != fmt.Sprintf("certificate:%x", printOf(leaf)) {
					t.Errorf("refs %q", refs)
				}
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestNotOffered: EXTERNAL is offered where it could succeed, and nowhere else.
func TestNotOffered(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	upload(t, owner, "Phone", leaf)
	m := mechanism(t, h)
	for name, test := range map[string]struct {
		c    *auth.Conn
		want bool
	}{
		"uploaded":       {conn("a.test", "", leaf), true},
		"not uploaded":   {conn("a.test", "", issue(t, spec{names: []string{"alice@a.test"}})), false},
		"names nobody":   {conn("a.test", "", issue(t, spec{})), false},
		"another host":   {conn("a.test", "", issue(t, spec{names: []string{"alice@b.test"}})), false},
		"bad address":    {conn("a.test", "", issue(t, spec{names: []string{"@"}})), false},
		"not the leaf":   {conn("a.test", "", issue(t, spec{names: []string{"alice@a.test"}}), leaf), false},
		"no certificate": {conn("a.test", ""), false},
		"no TLS":         {&auth.Conn{Host: "a.test"}, false},
	} {
		if got := m.Offer(test.c); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if _, f := login(t, h, test.c, ""); (f == "") != test.want {
			t.Errorf("%s: login: %q", name, f)
		}
	}
}

// TestDates: the dates count at each login, not only when the certificate is uploaded or EXTERNAL is offered.
func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", section(`remove_expired_after = "2h"`), Info)
		owner := h.Session("alice@a.test/owner")
		leaf := issue(t, spec{names: []string{"alice@a.test"}, to: time.Hour})
		upload(t, owner, "Phone", leaf)
		c, m := conn("a.test", "", leaf), mechanism(t, h)
		live := enter(t, h, "alice@a.test/live", leaf)
		time.Sleep(59 * time.Minute)
		if _, f := login(t, h, c, ""); f != "" || !m.Offer(c) {
			t.Errorf("before it expires: %q", f)
		}
		time.Sleep(2 * time.Minute)
		if _, f := login(t, h, c, ""); f != auth.CredentialsExpired || m.Offer(c) {
			t.Errorf("expired: %q", f)
		}
		if closed, _ := live.Closed(); closed {
			t.Error("the session ended when its certificate expired")
		}
		if got := list(t, owner); got != "Phone resource=live;" {
			t.Errorf("the list is %s", got)
		}
		// The sweep comes once an hour.
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if got := list(t, owner); got != "" {
			t.Errorf("the list is %s", got)
		}
		if !strings.Contains(h.Log(), `msg="certificate removed"`) || !strings.Contains(h.Log(), "why=expired") {
			t.Errorf("the log is\n%s", h.Log())
		}
		h.Loader.Stop(t.Context()) // the timer ends with it
	})
}

func TestNeverRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", section(`remove_expired_after = "0"`), Info)
		owner := h.Session("alice@a.test/owner")
		upload(t, owner, "Phone", issue(t, spec{names: []string{"alice@a.test"}, to: time.Hour}))
		time.Sleep(100 * 24 * time.Hour)
		synctest.Wait()
		if got := list(t, owner); got != "Phone;" {
			t.Errorf("the list is %s", got)
		}
		h.Loader.Stop(t.Context())
	})
}

// TestWithoutAddress: require_xmpp_addr = false.
func TestWithoutAddress(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", section("require_xmpp_addr = false"), Info)
	leaf := issue(t, spec{common: "bob@a.test"})
	upload(t, h.Session("alice@a.test/r"), "Phone", leaf)
	h.User("bob")
	refused(t, h.Session("carol@a.test/r").IQ("set", "", appendXML("n", issue(t, spec{names: []string{"bob@a.test"}}).Raw)),
		stanza.Modify, stanza.NotAcceptable)
	for _, test := range []struct{ authzid, from, want string }{
		{"alice@a.test", "", ""},
		{"alice@a.test/x", "", ""},
		{"", "alice@a.test", ""},
		{"", "alice@a.test/x", ""},
		{"alice@a.test", "bob@a.test", ""},
		{"", "", auth.NotAuthorized},
		{"", "bob@a.test", auth.NotAuthorized},
		{"", "alice@b.test", auth.NotAuthorized},
		{"bob@a.test", "", auth.InvalidAuthzid},
		{"bob@a.test", "alice@a.test", auth.InvalidAuthzid},
		{"alice@b.test", "", auth.InvalidAuthzid},
	} {
		c := conn("a.test", test.from, leaf)
		if !mechanism(t, h).Offer(c) {
			t.Error("not offered")
		}
		id, f := login(t, h, c, test.authzid)
		if f != test.want || f == "" && (id.JID != alice || id.Resource != "") {
			t.Errorf("as %q from %q: %v %q, want %q", test.authzid, test.from, id.JID, f, test.want)
		}
	}
	if mechanism(t, h).Offer(conn("a.test", "", issue(t, spec{}))) {
		t.Error("offered to anybody")
	}
	// The same certificate may be that of two accounts: each says who it is.
	upload(t, h.Session("bob@a.test/r"), "mine too", leaf)
	if id, f := login(t, h, conn("a.test", "", leaf), "bob@a.test"); f != "" || id.JID.Local() != "bob" {
		t.Errorf("%v %q", id.JID, f)
	}
	if err := h.Reload(section("require_xmpp_addr = true")); err != nil {
		t.Fatal(err)
	}
	if _, f := login(t, h, conn("a.test", "", leaf), "alice@a.test"); f != auth.NotAuthorized || mechanism(t, h).Offer(conn("a.test", "", leaf)) {
		t.Errorf("after the option changed: %q", f)
	}
}

// TestRequireTrustedCA: an authority must vouch for an uploaded certificate, also at each login.
func TestRequireTrustedCA(t *testing.T) {
	ca, between := newAuthority(t, spec{}), newAuthority(t, spec{common: "other"})
	file := caFile(t, ca)
	h := modtest.NewConfig(t, "a.test", section("require_trusted_ca = true", "client_ca_file = '"+file+"'"), Info)
	owner := h.Session("alice@a.test/owner")
	good := issue(t, spec{names: []string{"alice@a.test"}, ca: ca, critical: true})
	for name, leaf := range map[string]*x509.Certificate{
		"self-signed":       issue(t, spec{names: []string{"alice@a.test"}}),
		"another authority": issue(t, spec{names: []string{"alice@a.test"}, ca: between}),
	} {
		refused(t, owner.IQ("set", "", appendXML(name, leaf.Raw)), stanza.Modify, stanza.NotAcceptable)
	}
	upload(t, owner, "Phone", good)
	if _, f := login(t, h, conn("a.test", "", good), ""); f != "" {
		t.Errorf("login: %q", f)
	}
	if _, f := login(t, h, conn("a.test", "", issue(t, spec{names: []string{"alice@a.test"}, ca: ca})), ""); f != auth.NotAuthorized {
		t.Errorf("login with one that was not uploaded: %q", f)
	}
	// The authority is struck out of the file.
	time.Sleep(2 * time.Millisecond) // so that the file's time differs
	writeCA(t, file, between, between)
	if _, f := login(t, h, conn("a.test", "", good), ""); f != auth.NotAuthorized || mechanism(t, h).Offer(conn("a.test", "", good)) {
		t.Errorf("login after the authority has gone: %q", f)
	}
	// A file that cannot be read changes nothing.
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, f := login(t, h, conn("a.test", "", good), ""); f != auth.NotAuthorized {
		t.Errorf("login: %q", f)
	}
	if !strings.Contains(h.Log(), "the authorities stay as they were") {
		t.Error("nothing in the log")
	}
}

// TestWithoutUpload: external_without_upload, XEP-0178's way.
func TestWithoutUpload(t *testing.T) {
	root, stranger := newAuthority(t, spec{}), newAuthority(t, spec{common: "stranger"})
	below := newAuthority(t, spec{ca: root, common: "below"})
	noCA := &authority{key: newKey(t)}
	noCA.cert = issue(t, spec{names: []string{"mallory@a.test"}, ca: root, key: noCA.key}) // a leaf, used as an authority
	h := modtest.NewConfig(t, "a.test", section("external_without_upload = true", "client_ca_file = '"+caFile(t, root)+"'"), Info)
	h.User("alice")
	h.User("admin")
	names := []string{"alice@a.test"}
	usage := func(u ...x509.ExtKeyUsage) spec { return spec{names: names, ca: root, usage: u} }
	for name, test := range map[string]struct {
		shown []*x509.Certificate
		want  bool
	}{
		"good":                          {[]*x509.Certificate{issue(t, spec{names: names, ca: root})}, true},
		"critical subjectAltName":       {[]*x509.Certificate{issue(t, spec{names: names, ca: root, critical: true})}, true},
		"for clients":                   {[]*x509.Certificate{issue(t, usage(x509.ExtKeyUsageClientAuth))}, true},
		"for servers":                   {[]*x509.Certificate{issue(t, usage(x509.ExtKeyUsageServerAuth))}, true},
		"for anything":                  {[]*x509.Certificate{issue(t, usage(x509.ExtKeyUsageAny))}, true},
		"for mail":                      {[]*x509.Certificate{issue(t, usage(x509.ExtKeyUsageEmailProtection))}, false},
		"by way of another":             {[]*x509.Certificate{issue(t, spec{names: names, ca: below}), below.cert}, true},
		"by way of another, not shown":  {[]*x509.Certificate{issue(t, spec{names: names, ca: below})}, false},
		"by a leaf":                     {[]*x509.Certificate{issue(t, spec{names: names, ca: noCA}), noCA.cert}, false},
		"by a stranger":                 {[]*x509.Certificate{issue(t, spec{names: names, ca: stranger}), stranger.cert}, false},
		"self-signed":                   {[]*x509.Certificate{issue(t, spec{names: names})}, false},
		"expired":                       {[]*x509.Certificate{issue(t, spec{names: names, ca: root, to: -time.Minute})}, false},
		"CN=admin":                      {[]*x509.Certificate{issue(t, spec{common: "admin", ca: root})}, false},
		"OU=CN=admin,":                  {[]*x509.Certificate{issue(t, spec{ca: root, change: func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"CN=admin,"} }})}, false},
		"mail address":                  {[]*x509.Certificate{issue(t, spec{ca: root, change: func(c *x509.Certificate) { c.EmailAddresses = names }})}, false},
		"DNS name":                      {[]*x509.Certificate{issue(t, spec{ca: root, change: func(c *x509.Certificate) { c.DNSNames = []string{"a.test"} }})}, false},
		"the host, which is no account": {[]*x509.Certificate{issue(t, spec{names: []string{"a.test"}, ca: root})}, false},
		"the authority itself":          {[]*x509.Certificate{root.cert}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := conn("a.test", "", test.shown...)
			if got := mechanism(t, h).Offer(c); got != test.want {
				t.Errorf("offered: %v", got)
			}
			for _, authzid := range []string{"", "alice@a.test", "admin@a.test"} {
				id, f := login(t, h, c, authzid)
				if (f == "") != (test.want && authzid != "admin@a.test") || f == "" && id.JID != alice {
					t.Errorf("as %q: %v %q", authzid, id.JID, f)
				}
			}
		})
	}
}

// TestRevokedStaysOut: what was uploaded and revoked does not come in by the authority's door, whoever revoked it.
func TestRevokedStaysOut(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(t *testing.T, h *modtest.Host, s *modtest.Session){
		"revoke": func(t *testing.T, _ *modtest.Host, s *modtest.Session) {
			ok(t, s.IQ("set", "", named("revoke", "Phone")))
		},
		"disable": func(t *testing.T, _ *modtest.Host, s *modtest.Session) {
			ok(t, s.IQ("set", "", named("disable", "Phone")))
		},
		"password": func(t *testing.T, h *modtest.Host, _ *modtest.Session) { h.Users.SetPassword(ctx, "alice", "new") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newAuthority(t, spec{})
				h := modtest.NewConfig(t, "a.test", section("external_without_upload = true", "client_ca_file = '"+caFile(t, ca)+"'"), Info)
				owner := h.Session("alice@a.test/owner")
				leaf := issue(t, spec{names: []string{"alice@a.test"}, ca: ca, to: 3 * time.Hour})
				upload(t, owner, "Phone", leaf)
				end(t, h, owner)
				c := conn("a.test", "", leaf)
				if _, f := login(t, h, c, ""); f != auth.NotAuthorized || mechanism(t, h).Offer(c) {
					t.Errorf("login: %q", f)
				}
				if got := list(t, owner); got != "" {
					t.Errorf("the list is %s", got)
				}
				time.Sleep(5 * time.Hour) // it is forgotten when it has expired
				synctest.Wait()
				n := 0
				h.Store.Bucket("modules", "a.test", "mod_client_certs").KV(kvCerts).Scan(ctx, nil, nil, func(_, _ []byte) bool { n++; return true })
				if n != 0 {
					t.Errorf("%d are remembered", n)
				}
				h.Loader.Stop(ctx)
			})
		})
	}
}

// TestManyRevoked: with authorities, revoked certificates are remembered, but not without end.
func TestManyRevoked(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", section("client_ca_file = '"+caFile(t, newAuthority(t, spec{}))+"'"), Info)
	owner := h.Session("alice@a.test/owner")
	key := newKey(t)
	for range maxKept {
		upload(t, owner, "c", issue(t, spec{names: []string{"alice@a.test"}, key: key}))
		ok(t, owner.IQ("set", "", named("revoke", "c")))
	}
	refused(t, owner.IQ("set", "", appendXML("c", issue(t, spec{names: []string{"alice@a.test"}}).Raw)), stanza.Wait, stanza.ResourceConstraint)
}

func TestConfig(t *testing.T) {
	empty := t.TempDir() + "/empty.pem"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for toml, want := range map[string]string{
		section("require_trusted_ca = true"):              "config.toml:2: modules.mod_client_certs.require_trusted_ca: needs client_ca_file",
		section("external_without_upload = true"):         "config.toml:2: modules.mod_client_certs.external_without_upload: needs client_ca_file",
		section("max_per_user = 0"):                       "config.toml:2: modules.mod_client_certs.max_per_user: must be at least 1, is 0",
		section(`remove_expired_after = "a month"`):       `must be a time span such as "30s"`,
		section("client_ca_file = '/no/such/file'"):       "config.toml:2: modules.mod_client_certs.client_ca_file: open /no/such/file: no such file",
		section("client_ca_file = '" + empty + "'"):       "client_ca_file: " + empty + " has no certificate in PEM",
		section("client_ca_file = '" + t.TempDir() + "'"): "client_ca_file: ",
	} {
		if _, err := modtest.TryConfig(t, "a.test", toml, Info); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s%v, want %s", toml, err, want)
		}
	}
}

// TestService is what the CLI sees.
func TestService(t *testing.T) {
	ctx := context.Background()
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	upload(t, owner, "Phone", leaf)
	s := enter(t, h, "alice@a.test/phone", leaf)
	svc, found := modules.ServiceOf[*Service](h.Loader, "a.test")
	if !found {
		t.Fatal("no service")
	}
	got, err := svc.List(ctx, alice)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	c := got[0]
	if c.Name != "Phone" || c.Fingerprint != fmt.Sprintf("%x", printOf(leaf)) || c.Added.IsZero() || c.LastUsed.IsZero() ||
		!c.NotAfter.Equal(leaf.NotAfter) || !c.NotBefore.Equal(leaf.NotBefore) || c.Restricted || c.Disabled || fmt.Sprint(c.Resources) != "[phone]" {
		t.Errorf("%+v", c)
	}
	if err := svc.Revoke(ctx, alice, "Laptop", "test"); err != ErrNoCertificate {
		t.Error(err)
	}
	if err := svc.Revoke(ctx, alice, "Phone", "test"); err != nil {
		t.Error(err)
	}
	if closed, _ := s.Closed(); !closed {
		t.Error("the session goes on")
	}
	if got, err := svc.List(ctx, alice); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestCredentials is what the view of an account's devices sees.
func TestCredentials(t *testing.T) {
	ctx := context.Background()
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	upload(t, owner, "Phone", leaf)
	p, _ := modules.ServiceOf[modules.Credentials](h.Loader, "a.test")
	got, err := p.List(ctx, alice)
	if err != nil || len(got) != 1 || got[0].Name != "Phone" || got[0].Kind != Kind || !got[0].Valid(time.Now()) || got[0].Valid(leaf.NotAfter) {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, id := range []string{"", "zz", strings.Repeat("00", 32), got[0].ID + "00"} {
		if err := p.Revoke(ctx, alice, id); err != modules.ErrNoCredential {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := p.Revoke(ctx, alice, got[0].ID); err != nil {
		t.Error(err)
	}
	if _, f := login(t, h, conn("a.test", "", leaf), ""); f != auth.NotAuthorized {
		t.Errorf("login: %q", f)
	}
	if err := p.RevokeBy(ctx, alice, "token:1"); err != nil {
		t.Error(err)
	}
}

// A damaged record lets nobody in and is no reason to fall over.
func TestDamagedRecord(t *testing.T) {
	ctx := context.Background()
	h := modtest.New(t, "a.test", Info)
	owner := h.Session("alice@a.test/owner")
	leaf := issue(t, spec{names: []string{"alice@a.test"}})
	upload(t, owner, "Phone", leaf)
	kv := h.Store.Bucket("modules", "a.test", "mod_client_certs").KV(kvCerts)
	if err := kv.Put(ctx, certKey("alice", printOf(leaf)), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, f := login(t, h, conn("a.test", "", leaf), ""); f != auth.TemporaryAuthFailure || mechanism(t, h).Offer(conn("a.test", "", leaf)) {
		t.Errorf("login: %q", f)
	}
	refused(t, owner.IQ("get", "", listXML), stanza.Cancel, stanza.InternalServerError)
}

// FuzzAuthzid: whatever a client says, it is in as alice or not at all.
func FuzzAuthzid(f *testing.F) {
	for _, s := range []string{"", "alice@a.test", "ALICE@a.test/x", "bob@a.test", "\x00", "alice@a.test/"} {
		f.Add(s, s)
	}
	h := modtest.New(f, "a.test", Info)
	leaf := issue(f, spec{names: []string{"alice@a.test", "alice@a.test/phone", "bob@a.test"}})
	upload(f, h.Session("alice@a.test/owner"), "Phone", leaf)
	f.Fuzz(func(t *testing.T, authzid, from string) {
		c := &auth.Conn{Host: "a.test", TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
		c.From, _ = stanza.ParseJID(from)
		id, failure := login(t, h, c, authzid)
		if failure == "" && (id.JID != alice || id.Resource != "" && id.Resource != "phone") {
			t.Fatalf("in as %v/%s", id.JID, id.Resource)
		}
	})
}

// FuzzManage sends requests of any shape.
func FuzzManage(f *testing.F) {
	h := modtest.New(f, "a.test", Info)
	s := h.Session("alice@a.test/owner")
	leaf := issue(f, spec{names: []string{"alice@a.test"}})
	for _, p := range []string{appendXML("n", leaf.Raw), named("disable", "n"), named("revoke", "n"), listXML, "<append xmlns='" + ns + "'/>"} {
		f.Add(p, true)
		f.Add(p, false)
	}
	f.Fuzz(func(t *testing.T, payload string, set bool) {
		typ := "get"
		if set {
			typ = "set"
		}
		st, err := stanza.Parse([]byte("<iq xmlns='jabber:client' type='" + typ + "' id='f'>" + payload + "</iq>"))
		if err != nil || len(st.Children) != 1 || st.Children[0].NS != ns {
			return
		}
		q := &modules.IQ{Packet: &modules.Packet{Stanza: st, From: s.JID(), To: alice, Origin: s}, Payload: st.Payload()}
		_, err = h.Table().IQ(modules.Account, ns)(context.Background(), q)
		if e, log := modules.Answer(err); err != nil && log {
			t.Fatalf("%v: %v", e, err)
		}
	})
}
