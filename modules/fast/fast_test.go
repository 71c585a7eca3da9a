package fast

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// The examples of both sides' proofs, computed by an implementation of its own.
func TestVectors(t *testing.T) {
	const token = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"
	counting := make([]byte, 32)
	for i := range counting {
		counting[i] = byte(0x20 + i)
	}
	der := sha256.Sum256([]byte("xmppd test certificate DER bytes"))
	for _, v := range []struct {
		name             string
		binding          []byte
		i, r             string
		initial, success string
	}{
		{"NONE", nil, "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed",
			"4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62",
			"dXNlcgCQl3h0YaGE4PqE7ADBOBGQtsTRao7ERTx7KsXn/Pk17Q==", "TlE0CWMUdIY7mGyfPoweJ8op0derntQJfnr9YAe/nGI="},
		{"UNIQ", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "a5e8b4e6d44b1aa65b774707ad98fbc31a277a0925353ff239b4be1b732bc571",
			"e8457e8886672aad0dcf612546816e1b3c9cb50810b3324880ad93c1cc88065e",
			"dXNlcgCl6LTm1Esaplt3RwetmPvDGid6CSU1P/I5tL4bcyvFcQ==", "6EV+iIZnKq0Nz2ElRoFuGzyctQgQszJIgK2TwcyIBl4="},
		{"EXPR", counting, "e338438fed9b2c2e86499e71495ae74eca5205786d45968d0e94b018c3a1552f",
			"6e98933c68b7029a6bc376f5c7023c8eb11567e02caa9a7b4c7d3f705e2befd7",
			"dXNlcgDjOEOP7ZssLoZJnnFJWudOylIFeG1Flo0OlLAYw6FVLw==", "bpiTPGi3Apprw3b1xwI8jrEVZ+Asqpp7TH0/cF4r79c="},
		{"ENDP", der[:], "e637d3f835a5a5f522f8f88c4046f1e4d88b1cf26b5ea3b9d569e11aaf076109",
			"68d3ae7b63e8dce4e6202c274ddc8a5eb3ae1639508d731ec80d658c73fb1f4b",
			"dXNlcgDmN9P4NaWl9SL4+IxARvHk2Isc8mteo7nVaeEarwdhCQ==", ""},
	} {
		i, r := initiator(token, v.binding), responder(token, v.binding)
		if hex.EncodeToString(i) != v.i || hex.EncodeToString(r) != v.r {
			t.Errorf("%s: %x %x", v.name, i, r)
		}
		message, err := base64.StdEncoding.DecodeString(v.initial)
		if err != nil {
			t.Fatal(err)
		}
		user, mac, err := parseMessage(message)
		if err != nil || user != "user" || !bytes.Equal(mac, i) {
			t.Errorf("%s: %q %x %v", v.name, user, mac, err)
		}
		if v.success != "" && base64.StdEncoding.EncodeToString(r) != v.success {
			t.Errorf("%s: success data %s", v.name, base64.StdEncoding.EncodeToString(r))
		}
	}
}

func TestParseMessage(t *testing.T) {
	mac := strings.Repeat("m", 32)
	for in, ok := range map[string]bool{
		"u\x00" + mac: true, "u@a.test\x00" + mac: true, "u\x00" + mac[1:]: false, "u\x00" + mac + "x": false,
		"\x00" + mac: false, "u" + mac: false, "": false, "\x00": false, "\xff\x00" + mac: false,
		"u\x00" + mac[1:] + "\x00": true, "z\x00u\x00" + mac: false,
	} {
		if _, _, err := parseMessage([]byte(in)); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// device is a client that logs in, with the connection and the id of an installation.
type device struct {
	t    testing.TB
	h    *modtest.Host
	conn auth.Conn
	id   string // of the client; empty: none
}

func newDevice(t testing.TB, h *modtest.Host, id string) *device {
	d := &device{t: t, h: h, id: id, conn: auth.Conn{Host: h.Name, Leaf: leaf,
		TLS: &tls.ConnectionState{Version: tls.VersionTLS12, HandshakeComplete: true}}}
	d.conn.Bindings = auth.Bindings(&d.conn)
	return d
}

// login begins one; inner is what stands in <authenticate/>.
func (d *device) login(inner string) *modules.Login {
	d.t.Helper()
	e, err := stanza.ParseElement([]byte("<authenticate xmlns='urn:xmpp:sasl:2'>" + inner + "</authenticate>"))
	if err != nil {
		d.t.Fatal(err)
	}
	return &modules.Login{Conn: &d.conn, Request: e, Agent: modules.UserAgent{Client: d.id, Software: "App", Device: "Phone"}}
}

// finish lets a client in whose credentials were right, and returns the token that it is given.
func (d *device) finish(l *modules.Login, id auth.Identity) (token string, expiry time.Time) {
	d.t.Helper()
	acc, err := d.h.Users.Get(context.Background(), id.JID.Local())
	if err != nil {
		d.t.Fatal(err)
	}
	l.Identity, l.PasswordChanged = id, acc.PasswordChanged
	for _, f := range d.h.Table().Inline {
		if b := f.Success(context.Background(), l); b != nil {
			e, err := stanza.ParseElement(b)
			if err != nil || e.NS != ns || e.Name != "token" || len(e.Attr("token")) > 255 {
				d.t.Fatalf("%s: %v", b, err)
			}
			if expiry, err = time.Parse(time.RFC3339, e.Attr("expiry")); err != nil || !strings.HasSuffix(e.Attr("expiry"), "Z") {
				d.t.Fatalf("%s: %v", b, err)
			}
			token = e.Attr("token")
		}
	}
	return token, expiry
}

const none, endp, expr = "HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"

// password logs in with the password and asks for a token.
func (d *device) password(user, mech string) string {
	d.t.Helper()
	token, _ := d.finish(d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='"+mech+"'/>"),
		auth.Identity{JID: stanza.MustJID(user + "@" + d.h.Name), Mechanism: "SCRAM-SHA-256"})
	return token
}

// fast logs in with a token. It returns the token that it is given, or the condition of the failure.
func (d *device) fast(user, mech, token, inner string) (next, condition string) {
	d.t.Helper()
	l := d.login(inner)
	id, condition := d.exchange(l, user, mech, token)
	if condition != "" {
		return "", condition
	}
	next, _ = d.finish(l, id)
	return next, ""
}

func (d *device) exchange(l *modules.Login, user, mech, token string) (auth.Identity, string) {
	d.t.Helper()
	var binding []byte
	if mech == endp {
		sum := sha256.Sum256(leaf)
		binding = sum[:]
	}
	for _, m := range d.h.Table().Mechanisms {
		if m.Name != mech || !m.Offer(&d.conn) {
			continue
		}
		x := auth.NewExchange(m, &d.conn)
		out, more, err := x.Step(modules.WithLogin(context.Background(), l), append([]byte(user+"\x00"), initiator(token, binding)...))
		if err != nil {
			var f *auth.Failure
			if !errors.As(err, &f) {
				d.t.Fatal(err)
			}
			if f.Cause != nil {
				d.t.Logf("cause: %v", f.Cause)
			}
			return x.Identity(), f.Condition
		}
		if more || !bytes.Equal(out, responder(token, binding)) { // K02
			d.t.Errorf("success data %x", out)
		}
		return x.Identity(), ""
	}
	return auth.Identity{}, auth.InvalidMechanism
}

// works and fails say what a token is worth. works returns the token given in exchange.
func (d *device) works(user, mech, token, inner string) string {
	d.t.Helper()
	next, condition := d.fast(user, mech, token, inner)
	if condition != "" {
		d.t.Fatalf("%s: %s", mech, condition)
	}
	return next
}

func (d *device) fails(user, mech, token, inner, want string) {
	d.t.Helper()
	if _, condition := d.fast(user, mech, token, inner); condition != want {
		d.t.Fatalf("%s: %q, want %s", mech, condition, want)
	}
}

func newHost(t testing.TB) *modtest.Host {
	h := modtest.New(t, "a.test", Info)
	h.User("alice")
	h.User("bob")
	return h
}

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

func newMinter(b byte) *minter { return &minter{secret.NewKey(bytes.Repeat([]byte{b}, 32))} }

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

// newModule is newHost with the running instance.
func newModule(t testing.TB) (*modtest.Host, *module) {
	p := &probe{}
	h := modtest.New(t, "a.test", Info, p.info())
	h.User("alice")
	svc, err := modules.Find[modules.Credentials](p.h)
	if err != nil {
		t.Fatal(err)
	}
	return h, svc.(provider).m
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

func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		tokens := map[int]string{}
		for i := range maxClients {
			tokens[i] = newDevice(t, h, fmt.Sprintf("c%d", i)).password("alice", none)
			time.Sleep(time.Second)
		}
		newDevice(t, h, "c0").works("alice", none, tokens[0], "") // so the second is the oldest
		time.Sleep(time.Second)
		newDevice(t, h, "more").password("alice", none)
		newDevice(t, h, "c1").fails("alice", none, tokens[1], "", auth.NotAuthorized)
		for i := range maxClients {
			if i != 1 {
				newDevice(t, h, fmt.Sprintf("c%d", i)).works("alice", none, tokens[i], "")
			}
		}
	})
}

// K14: with a copy of the database, but another keyring, nobody gets in; and no token is in it.
func TestStoreHasNoTokens(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	d.works("alice", none, token, "")
	second := d.password("alice", none)
	var stolen [][2][]byte
	kv := h.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients)
	kv.Scan(context.Background(), nil, nil, func(k, v []byte) bool {
		stolen = append(stolen, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
		return true
	})
	if len(stolen) != 1 {
		t.Fatalf("%d records", len(stolen))
	}
	for _, token := range []string{token, second} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "xt1."))
		if err != nil || len(raw) != 32 {
			t.Fatalf("%x %v", raw, err)
		}
		for _, form := range [][]byte{[]byte(token), []byte(token[4:]), raw, []byte(hex.EncodeToString(raw)), initiator(token, nil), responder(token, nil),
			[]byte(base64.StdEncoding.EncodeToString(initiator(token, nil)))} {
			if bytes.Contains(stolen[0][1], form) {
				t.Errorf("%s holds %x", stolen[0][1], form)
			}
		}
	}
	other := newHost(t) // its keyring is another
	if err := other.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients).Put(context.Background(), stolen[0][0], stolen[0][1]); err != nil {
		t.Fatal(err)
	}
	thief := newDevice(t, other, "c")
	thief.fails("alice", none, token, "", auth.NotAuthorized)
	thief.fails("alice", none, second, "", auth.NotAuthorized)
}

// What is damaged lets nobody in, and is in nobody's way.
func TestDamaged(t *testing.T) {
	h := newHost(t)
	kv := h.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients)
	d := newDevice(t, h, "c")
	for _, v := range []string{"", "{", `{"new":{"nonce":"","mech":"HT-SHA-256-NONE"}}`, `{"cur":{"nonce":"AA=="}}`, "null"} {
		kv.Put(context.Background(), clientKey("alice", "c"), []byte(v))
		if _, condition := d.fast("alice", none, "x", ""); condition != auth.TemporaryAuthFailure && v != "null" {
			t.Errorf("%s: %q", v, condition)
		}
		kv.Put(context.Background(), clientKey("alice", "other"), []byte(v))
		d.works("alice", none, d.password("alice", none), "")
	}
}

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
func (*credential) Credentials() []string                              { return []string{"certificate:x"} }

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

// FuzzMessage: whatever comes, it is refused or a login of exactly this account.
func FuzzMessage(f *testing.F) {
	h := newHost(f)
	d := newDevice(f, h, "c")
	token := d.password("alice", none)
	right := append([]byte("alice\x00"), initiator(token, nil)...)
	f.Add(right, "")
	f.Add([]byte("alice"), "1")
	f.Add([]byte("\x00\x00"), "-1")
	f.Add(append([]byte("Alice@a.test\x00"), make([]byte, 32)...), "x")
	m := h.Table().Mechanisms
	f.Fuzz(func(t *testing.T, in []byte, count string) {
		e := &stanza.Element{NS: "urn:xmpp:sasl:2", Name: "authenticate", Children: []*stanza.Element{
			{NS: ns, Name: "fast", Attrs: []stanza.Attr{{Name: "count", Value: count}}}}}
		l := &modules.Login{Conn: &d.conn, Request: e, Agent: modules.UserAgent{Client: "c"}}
		for i := range m {
			if !m[i].Offer(&d.conn) {
				continue
			}
			x := auth.NewExchange(m[i], &d.conn)
			_, more, err := x.Step(modules.WithLogin(context.Background(), l), in)
			if more {
				t.Fatal("more")
			}
			if err == nil && (x.Identity().JID != stanza.MustJID("alice@a.test") || !bytes.HasSuffix(in, right[6:])) {
				t.Fatalf("%q got in", in)
			}
		}
	})
}
