package fast

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func TestFeature(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	show := func() string { return string(h.Table().Inline[0].Feature(nil, &d.conn)) }
	if got, want := show(), "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>"; got != want {
		t.Errorf("TLS 1.2: %s", got)
	}
	d.conn.TLS.Version = tls.VersionTLS13
	if got, want := show(), "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>"; got != want {
		t.Errorf("TLS 1.3: %s", got)
	}
	for _, m := range h.Table().Mechanisms {
		if !m.Unlisted {
			t.Errorf("%s is listed", m.Name)
		}
		if m.Offer(&auth.Conn{Host: "a.test"}) {
			t.Errorf("%s is offered without TLS", m.Name)
		}
	}
}

func TestToken(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c1")
	for _, mech := range []string{none, endp} {
		token := d.password("alice", mech)
		if len(token) < 40 {
			t.Fatalf("token %q", token)
		}
		if again := d.works("alice", mech, token, ""); again != "" {
			t.Errorf("a new token though the old is young")
		}
		d.works("alice@a.test", mech, token, "") // COMPAT
		other := endp
		if mech == endp {
			other = none
		}
		d.fails("alice", other, token, "", auth.NotAuthorized)       // K03
		d.fails("bob", mech, token, "", auth.NotAuthorized)          // K04
		d.fails("alice@b.test", mech, token, "", auth.NotAuthorized) // K11
		d.fails("nobody", mech, token, "", auth.NotAuthorized)       //
		d.fails("alice", mech, token+"x", "", auth.NotAuthorized)    //
		d.fails("", mech, token, "", auth.MalformedRequest)          //
		d.fails("a b", mech, token, "", auth.MalformedRequest)       // no localpart
		newDevice(t, h, "c2").fails("alice", mech, token, "", auth.NotAuthorized)
		newDevice(t, h, "").fails("alice", mech, token, "", auth.MalformedRequest)
		d.works("alice", mech, token, "")
	}
	// K01, and clients that do not say which they are.
	for _, mech := range []string{"HT-FOO", "SCRAM-SHA-256", "", "HT-SHA-256-UNIQ", expr} { // no TLS 1.3 here
		if token := d.password("alice", mech); token != "" {
			t.Errorf("a token for %q", mech)
		}
	}
	if token := newDevice(t, h, "").password("alice", none); token != "" {
		t.Error("a token for nobody knows which client")
	}
	// SASL in the profile of RFC 6120 has no user agent.
	x := auth.NewExchange(h.Table().Mechanisms[0], &d.conn)
	if _, _, err := x.Step(context.Background(), append([]byte("alice\x00"), make([]byte, 32)...)); err == nil || err.(*auth.Failure).Condition != auth.MalformedRequest {
		t.Errorf("without SASL2: %v", err)
	}
}

// K11, and what a copy of one host's records is worth on another.
func TestHostsApart(t *testing.T) {
	a, b := newMinter(1), newMinter(2)
	nonce := make([]byte, nonceSize)
	if a.token("u", "c", none, nonce) == b.token("u", "c", none, nonce) {
		t.Error("two keys give one token")
	}
	seen := map[string]bool{}
	for _, f := range [][3]string{{"u", "c", none}, {"uc", "", none}, {"", "uc", none}, {"u", "c", endp}, {"u", "c" + none, ""}} {
		token := a.token(f[0], f[1], f[2], nonce)
		if seen[token] {
			t.Errorf("%q has another's token", f)
		}
		seen[token] = true
	}
}

// K06
func TestCount(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	count := func(n string) string { return "<fast xmlns='urn:xmpp:fast:0' count='" + n + "'/>" }
	d.works("alice", none, token, "<fast xmlns='urn:xmpp:fast:0'/>")
	d.works("alice", none, token, count("7"))
	for n, want := range map[string]string{
		"7": auth.NotAuthorized, "6": auth.NotAuthorized, "0": auth.MalformedRequest, "-1": auth.MalformedRequest, "x": auth.MalformedRequest,
		"18446744073709551616": auth.MalformedRequest, "8 ": auth.MalformedRequest,
	} {
		d.fails("alice", none, token, count(n), want)
	}
	d.fails("alice", none, token, "", auth.NotAuthorized) // who counts does so always
	d.works("alice", none, token, count("8"))
	// A new token is counted anew.
	token = d.password("alice", none)
	d.works("alice", none, token, count("1"))
}

// K07
func TestInvalidate(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	for _, v := range []string{"1", "true"} {
		token := d.password("alice", none)
		d.works("alice", none, token, "")
		second := d.password("alice", none)
		if next := d.works("alice", none, token, "<fast xmlns='urn:xmpp:fast:0' invalidate='"+v+"'/>"); next != "" {
			t.Error("a new token for who leaves")
		}
		d.fails("alice", none, token, "", auth.NotAuthorized)
		d.fails("alice", none, second, "", auth.NotAuthorized)
	}
	token := d.password("alice", none)
	d.works("alice", none, token, "<fast xmlns='urn:xmpp:fast:0' invalidate='false'/>")
	next := d.works("alice", none, token, "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/><request-token xmlns='urn:xmpp:fast:0' mechanism='"+endp+"'/>")
	d.fails("alice", none, token, "", auth.NotAuthorized)
	d.works("alice", endp, next, "")
}

// K08, K09
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		d := newDevice(t, h, "c")
		first := d.password("alice", none)
		time.Sleep(24 * time.Hour)
		if d.works("alice", none, first, "") != "" {
			t.Error("replaced at a day")
		}
		time.Sleep(time.Second)
		lost := d.works("alice", none, first, "")
		if lost == "" || lost == first {
			t.Fatalf("token %q", lost)
		}
		d.works("alice", none, first, "") // the answer got lost
		d.fails("alice", none, lost, "", auth.NotAuthorized)
		d.works("alice", none, first, "")
		second := d.works("alice", none, first, "")
		d.works("alice", none, second, "")
		d.fails("alice", none, first, "", auth.NotAuthorized) // the new one is in use
		d.works("alice", none, second, "")

		// Who comes often enough never needs the password.
		for range 10 {
			time.Sleep(19 * 24 * time.Hour)
			if second = d.works("alice", none, second, ""); second == "" {
				t.Fatal("not replaced")
			}
		}
		d.works("alice", none, second, "")
		time.Sleep(21*24*time.Hour + time.Second)
		d.fails("alice", none, second, "", auth.CredentialsExpired)
		d.fails("alice", none, second, "", auth.NotAuthorized) // gone, whatever the clock says now
	})
}

// An expired token that was seen stays dead when the clock is set back.
func TestClockSetBack(t *testing.T) {
	h, m := newModule(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	r := request{local: "alice", client: "c", mech: none, knows: func(s string) bool { return s == token }}
	if _, _, err := m.login(context.Background(), r, time.Now().Add(22*24*time.Hour)); err != errExpired {
		t.Fatal(err)
	}
	if _, _, err := m.login(context.Background(), r, time.Now()); err != errWrong {
		t.Fatal(err)
	}
}

// Parallel logins with the same count: one gets in.
func TestParallel(t *testing.T) {
	h, m := newModule(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	for _, c := range []struct {
		count uint64
		want  int
	}{{5, 1}, {0, 0}, {6, 1}} {
		got := make(chan error)
		for range 8 {
			go func() {
				_, _, err := m.login(context.Background(), request{local: "alice", client: "c", mech: none, count: c.count,
					knows: func(s string) bool { return s == token }}, time.Now())
				got <- err
			}()
		}
		n := 0
		for range 8 {
			if err := <-got; err == nil {
				n++
			} else if err != errWrong {
				t.Error(err)
			}
		}
		if n != c.want {
			t.Errorf("count %d got %d in, want %d", c.count, n, c.want)
		}
	}
}

func TestAccounts(t *testing.T) {
	ctx := context.Background()
	h := newHost(t)
	phone, laptop := newDevice(t, h, "phone"), newDevice(t, h, "laptop")
	s := h.Session("alice@a.test/phone")
	s.Change(func(i *modules.SessionInfo) { i.Agent.Client = "phone" })
	p, l, b := phone.password("alice", none), laptop.password("alice", none), phone.password("bob", none)
	if err := h.Users.SetPassword(modules.WithActor(ctx, s), "alice", "another"); err != nil {
		t.Fatal(err)
	}
	phone.works("alice", none, p, "") // it changed the password
	laptop.fails("alice", none, l, "", auth.NotAuthorized)
	phone.works("bob", none, b, "")
	if err := h.Users.SetPassword(ctx, "alice", "a third"); err != nil {
		t.Fatal(err)
	}
	phone.fails("alice", none, p, "", auth.NotAuthorized)

	p = phone.password("alice", none)
	h.Users.SetDisabled(ctx, "alice", true)
	h.Users.SetDisabled(ctx, "alice", false)
	phone.fails("alice", none, p, "", auth.NotAuthorized)
	p = phone.password("alice", none)
	h.Users.Delete(ctx, "alice")
	phone.fails("alice", none, p, "", auth.NotAuthorized)
	h.User("alice")
	phone.fails("alice", none, p, "", auth.NotAuthorized)
}

// A token that was made while the password changed is worth nothing.
func TestChangedMeanwhile(t *testing.T) {
	ctx := context.Background()
	h := newHost(t)
	d := newDevice(t, h, "c")
	l := d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='" + none + "'/>")
	acc, _ := h.Users.Get(ctx, "alice")
	l.Identity, l.PasswordChanged = auth.Identity{JID: stanza.MustJID("alice@a.test"), Mechanism: "PLAIN"}, acc.PasswordChanged
	if err := h.Users.SetPassword(ctx, "alice", "another"); err != nil {
		t.Fatal(err)
	}
	e, err := stanza.ParseElement(h.Table().Inline[0].Success(ctx, l))
	if err != nil {
		t.Fatal(err)
	}
	d.fails("alice", none, e.Attr("token"), "", auth.CredentialsExpired)
	d.fails("alice", none, e.Attr("token"), "", auth.NotAuthorized)
}

// Only a login that is worth as much as a password, or whose credentials a token can be bound to, gets one.
func TestWhoGetsOne(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	for mech, ok := range map[string]bool{"PLAIN": true, "SCRAM-SHA-1-PLUS": true, "X-OAUTH": false, "X-TOKEN": false, "EXTERNAL": false} {
		token, _ := d.finish(d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='"+none+"'/>"),
			auth.Identity{JID: stanza.MustJID("alice@a.test"), Mechanism: mech})
		if (token != "") != ok {
			t.Errorf("%s: token %t", mech, token != "")
		}
	}
}

func TestConfig(t *testing.T) {
	for toml, want := range map[string]string{
		"sasl2_fast_token_ttl = 86400\nsasl2_fast_token_min_ttl = \"2d\"\n": `sasl2_fast_token_min_ttl: must be shorter than sasl2_fast_token_ttl, which is "1d", is "2d"`,
		"sasl2_fast_token_ttl = 0\n":                                        "sasl2_fast_token_ttl: must be more than 0",
		"sasl2_fast_token_ttl = 86400\n":                                    "must be shorter",
	} {
		if _, err := modtest.TryConfig(t, "a.test", "[modules.mod_sasl2_fast]\n"+toml, Info); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", toml, err)
		}
	}
	// The numbers of the options are seconds.
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", "[modules.mod_sasl2_fast]\nsasl2_fast_token_ttl = 100\nsasl2_fast_token_min_ttl = 10\n", Info)
		h.User("alice")
		d := newDevice(t, h, "c")
		token := d.password("alice", none)
		time.Sleep(11 * time.Second)
		if token = d.works("alice", none, token, ""); token == "" {
			t.Error("not replaced")
		}
		time.Sleep(101 * time.Second)
		d.fails("alice", none, token, "", auth.CredentialsExpired)
	})
}

// What lets people in is in no log.
func TestLog(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	d.works("alice", none, token, "")
	d.fails("alice", none, token+"x", "", auth.NotAuthorized)
	d.works("alice", none, token, "<fast xmlns='urn:xmpp:fast:0' invalidate='1'/>")
	log := h.Log()
	for _, want := range []string{"token given", "tokens given up", "account=alice@a.test client=c", "TLS 1.2", "mechanism=" + none} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log, token[4:]) {
		t.Error("the token is in the log")
	}
}
