package register

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/accounts"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

const open = "[modules.mod_register]\nallow_registration = true\n"

// conn is a connection of an address that has not logged in.
func conn(ip string, secure bool) *auth.Conn {
	c := &auth.Conn{Host: "a.test", Remote: &net.TCPAddr{IP: net.ParseIP(ip), Port: 4000}}
	if secure {
		c.TLS = &tls.ConnectionState{Version: tls.VersionTLS13}
	}
	return c
}

func set(payload string) string {
	return "<iq type='set' id='1' to='a.test'><query xmlns='jabber:iq:register'>" + payload + "</query></iq>"
}

func credentials(user, password string) string {
	return "<username>" + user + "</username><password>" + password + "</password>"
}

// condition names the error of an answer, or "ok".
func condition(st *stanza.Stanza) stanza.Condition {
	switch {
	case st == nil:
		return "no answer"
	case st.Type == stanza.TypeResult:
		return "ok"
	}
	return st.StanzaError().Condition
}

func TestOffByDefault(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	if st := h.Preauth(conn("127.0.0.2", true), set(credentials("eve", "x"))); st != nil {
		t.Errorf("answered: %s", st.AppendTo(nil))
	}
	if len(h.Table().Features) != 0 {
		t.Error("announced")
	}
}

func TestRegister(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", open+"registrations_per_hour = 100\n", Info)
	h.User("bob")
	c := conn("127.0.0.2", true)

	form := h.Preauth(c, "<iq type='get' id='1' to='a.test'><query xmlns='jabber:iq:register'/></iq>").Payload()
	if form.Child("", "username") == nil || form.Child("", "password") == nil || form.ChildText("instructions") == "" || form.Child("", "registered") != nil {
		t.Errorf("form %+v", form)
	}
	for _, tt := range []struct {
		payload string
		want    stanza.Condition
	}{
		{credentials("alice", "secret word"), "ok"},
		{credentials("alice", "other"), stanza.Conflict},
		{credentials("ALICE", "other"), stanza.Conflict},
		{credentials("bob", "other"), stanza.Conflict},
		{credentials("", "x"), stanza.NotAcceptable},
		{credentials("carol", ""), stanza.NotAcceptable},
		{"<username>carol</username>", stanza.NotAcceptable},
		{"<password>x</password>", stanza.NotAcceptable},
		{"", stanza.NotAcceptable},
		{credentials("a@b", "x"), stanza.NotAcceptable},
		{credentials("a/b", "x"), stanza.NotAcceptable},
		{credentials("two words", "x"), stanza.NotAcceptable},
		{credentials("&#x200b;", "x"), stanza.NotAcceptable},
		{"<remove/>", stanza.UnexpectedRequest},
		{credentials("Carol", "x"), "ok"},
	} {
		st := h.Preauth(c, set(tt.payload))
		if got := condition(st); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.payload, got, tt.want)
		}
		if strings.Contains(string(st.AppendTo(nil)), "secret word") {
			t.Error("the answer echoes the password")
		}
	}
	if err := h.Users.Check(context.Background(), "alice", "secret word"); err != nil {
		t.Errorf("alice: %v", err)
	}
	if ok, _ := h.Users.Exists(context.Background(), "carol"); !ok {
		t.Error("the name is not stored in its prepared form")
	}
	if strings.Contains(h.Log(), "secret word") {
		t.Error("the log has the password")
	}
	if st := h.Preauth(c, "<iq type='set' id='1'><other xmlns='jabber:iq:register'/></iq>"); condition(st) != stanza.BadRequest {
		t.Errorf("another element: %s", st.AppendTo(nil))
	}
}

func TestNeverWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		toml   string
		conn   *auth.Conn
		want   stanza.Condition
		states []stream.State // where the feature is announced
	}{
		{open, conn("127.0.0.2", false), stanza.NotAllowed, []stream.State{stream.Secure}},
		{open, nil, stanza.NotAllowed, []stream.State{stream.Secure}},
		{open, conn("127.0.0.2", true), "ok", []stream.State{stream.Secure}},
		{open + "require_encryption = false\n", conn("127.0.0.2", false), "ok", []stream.State{0, stream.Secure}},
	} {
		h := modtest.NewConfig(t, "a.test", tt.toml, Info)
		if got := condition(h.Preauth(tt.conn, set(credentials("eve", "x")))); got != tt.want {
			t.Errorf("%s %v: %s", tt.toml, tt.conn, got)
		}
		f := h.Table().Features[0]
		var states []stream.State
		for _, s := range []stream.State{0, stream.Secure, stream.Secure | stream.Authenticated} {
			if s&f.Need == f.Need && s&f.Exclude == 0 {
				states = append(states, s)
			}
		}
		if fmt.Sprint(states) != fmt.Sprint(tt.states) {
			t.Errorf("announced in %v", states)
		}
		if got := string(f.Append(nil, nil)); got != "<register xmlns='http://jabber.org/features/iq-register'/>" {
			t.Errorf("feature %s", got)
		}
	}
}

// Attempts count, each address for itself, for an hour; limits.profile = "off" lets a load test make all its accounts.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", open+"registrations_per_hour = 2\n", Info)
		try := func(ip, user string) stanza.Condition {
			return condition(h.Preauth(conn(ip, true), set(credentials(user, "x"))))
		}
		for _, tt := range []struct {
			ip, user string
			want     stanza.Condition
		}{
			{"127.0.0.2", "u1", "ok"},
			{"127.0.0.2", "u1", stanza.Conflict},
			{"127.0.0.2", "u2", stanza.NotAcceptable},
			{"127.0.0.2", "u1", stanza.NotAcceptable},
			{"127.0.0.3", "u3", "ok"},
			{"2001:db8::1", "u4", "ok"},
			{"2001:db8::2", "u5", "ok"},
			{"2001:db8::3", "u6", stanza.NotAcceptable},
			{"2001:db8:0:1::1", "u7", "ok"},
		} {
			if got := try(tt.ip, tt.user); got != tt.want {
				t.Errorf("%s %s: %s, want %s", tt.ip, tt.user, got, tt.want)
			}
		}
		time.Sleep(time.Hour)
		if got := try("127.0.0.2", "u2"); got != "ok" {
			t.Errorf("an hour later: %s", got)
		}
		if err := h.Reload(open + "[limits]\nprofile = \"off\"\n"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if got := try("127.0.0.2", fmt.Sprint("load", i)); got != "ok" {
				t.Fatalf("account %d: %s", i, got)
			}
		}
	})
}

func TestRateIsBounded(t *testing.T) {
	r, now := newRate(1), time.Now()
	for i := range maxAddresses + 10 {
		a := &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))}
		if got, want := r.allow(a, now), i < maxAddresses; got != want {
			t.Fatalf("address %d: %v", i, got)
		}
	}
	if !r.allow(&net.TCPAddr{IP: net.IPv4(11, 0, 0, 1)}, now.Add(time.Hour)) || len(r.seen) != 1 {
		t.Errorf("an hour later there is no room: %d", len(r.seen))
	}
	if !r.allow(&net.UnixAddr{}, now) || r.allow(&net.UnixAddr{}, now) {
		t.Error("addresses without IP are not one source")
	}
}

func TestLoggedIn(t *testing.T) {
	h := modtest.New(t, "a.test", Info, accounts.Info)
	alice, other := h.Session("alice@a.test/1"), h.Session("alice@a.test/2")
	bob := h.Session("bob@a.test/1")

	for _, to := range []string{"", "a.test", "alice@a.test"} {
		q := alice.IQ("get", to, "<query xmlns='jabber:iq:register'/>").Payload()
		if q.Child("", "registered") == nil || q.ChildText("username") != "alice" || q.ChildText("password") != "" {
			t.Errorf("to %q: %+v", to, q)
		}
	}
	for _, tt := range []struct {
		to, payload string
		want        stanza.Condition
	}{
		{"bob@a.test", credentials("bob", "hacked"), stanza.ServiceUnavailable},
		{"nobody@a.test", credentials("nobody", "hacked"), stanza.ServiceUnavailable},
		{"a.test", credentials("bob", "hacked"), stanza.Forbidden},
		{"a.test", credentials("alice", ""), stanza.BadRequest},
		{"a.test", credentials("", "x"), stanza.BadRequest},
		{"a.test", credentials("a@b", "x"), stanza.BadRequest},
		{"a.test", "", stanza.BadRequest},
		{"a.test", "<remove/><username>alice</username>", stanza.BadRequest},
		{"a.test", credentials("Alice", "new word"), "ok"},
	} {
		if got := condition(alice.IQ("set", tt.to, "<query xmlns='jabber:iq:register'>"+tt.payload+"</query>")); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.to, tt.payload, got, tt.want)
		}
	}
	ctx := context.Background()
	if h.Users.Check(ctx, "alice", "new word") != nil || h.Users.Check(ctx, "bob", modtest.Password) != nil {
		t.Error("the wrong password changed")
	}
	if closed, e := other.Closed(); !closed || e.Condition != "reset" {
		t.Errorf("the other session: %v %v", closed, e)
	}
	for _, s := range []*modtest.Session{alice, bob} {
		if closed, _ := s.Closed(); closed {
			t.Errorf("%s is closed", s.JID())
		}
	}
	if strings.Contains(h.Log(), "new word") || strings.Contains(h.Log(), "hacked") {
		t.Error("the log has a password")
	}
	h.Send("<iq type='set' id='1' from='mallory@b.test/x' to='a.test'><query xmlns='jabber:iq:register'><remove/></query></iq>")
	if sent := h.Sent(); len(sent) != 1 || condition(sent[0]) != stanza.ServiceUnavailable {
		t.Errorf("another server's user: %s", modtest.XML(sent))
	}
}

// Who may change a password, and who not.
func TestPasswordPolicy(t *testing.T) {
	for _, tt := range []struct {
		name, toml string
		change     func(*modules.SessionInfo)
		fail       error
		want       stanza.Condition
	}{
		{"no TLS", "", func(i *modules.SessionInfo) { i.TLS = nil }, nil, stanza.NotAuthorized},
		{"no TLS needed", "[modules.mod_register]\nrequire_encryption = false\n", func(i *modules.SessionInfo) { i.TLS = nil }, nil, "ok"},
		{"certificate", "", func(i *modules.SessionInfo) { i.Mechanism = "EXTERNAL" }, nil, stanza.NotAuthorized},
		{"token got with a certificate", "", func(i *modules.SessionInfo) { i.Mechanism, i.Details = "HT", token{} }, nil, stanza.NotAuthorized},
		{"not allowed", "[modules.mod_register]\nallow_password_change = false\n", nil, nil, stanza.NotAllowed},
		{"refused", "", nil, fmt.Errorf("%w: x is in a dictionary", auth.ErrPolicy), stanza.NotAcceptable},
		{"disk full", "", nil, storage.ErrFull, stanza.ResourceConstraint},
		{"broken", "", nil, fmt.Errorf("what"), stanza.InternalServerError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := modtest.NewConfig(t, "a.test", tt.toml, Info)
			alice := h.Session("alice@a.test/1")
			if tt.change != nil {
				alice.Change(tt.change)
			}
			h.Users.Fail = tt.fail
			st := alice.IQ("set", "a.test", "<query xmlns='jabber:iq:register'>"+credentials("alice", "x")+"</query>")
			if got := condition(st); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if strings.Contains(string(st.AppendTo(nil)), "dictionary") {
				t.Error("the error of the accounts is told")
			}
		})
	}
}

// Removal: the answer first, then the stream errors; the name is kept for a while (XEP-0077 §3.2).
func TestRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", open+"registrations_per_hour = 100\nkeep_names = \"10d\"\n", accounts.Info, Info)
		alice, other := h.Session("alice@a.test/1"), h.Session("alice@a.test/2")
		st := alice.IQ("set", "", "<query xmlns='jabber:iq:register'><remove/></query>")
		if condition(st) != "ok" || st.From().String() != "alice@a.test" || st.To() != alice.JID() {
			t.Errorf("%s", st.AppendTo(nil))
		}
		for _, s := range []*modtest.Session{alice, other} {
			if closed, e := s.Closed(); !closed || e == nil || e.Condition != "not-authorized" {
				t.Errorf("%s: %v %v", s.JID(), closed, e)
			}
		}
		if ok, _ := h.Users.Exists(t.Context(), "alice"); ok {
			t.Error("the account is there")
		}
		again := func() stanza.Condition {
			return condition(h.Preauth(conn("127.0.0.2", true), set(credentials("alice", "x"))))
		}
		if got := again(); got != stanza.Conflict {
			t.Errorf("the name at once: %s", got)
		}
		time.Sleep(10*24*time.Hour + time.Second)
		if got := again(); got != "ok" {
			t.Errorf("the name after its time: %s", got)
		}
	})
}

// Names go by themselves when their time is over, and that of an account which never came to be is not kept.
func TestNamesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", open+"registrations_per_hour = 100\nkeep_names = \"10d\"\n", accounts.Info, Info)
		left := func() (list []string) {
			h.Store.Bucket("modules", "a.test", Info.Name).KV(names).Scan(t.Context(), nil, nil, func(k, _ []byte) bool {
				list = append(list, string(k))
				return true
			})
			return list
		}
		h.Session("alice@a.test/1")
		h.Session("bob@a.test/1")
		if err := h.Users.Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if err := h.Users.Delete(modules.WithUndo(t.Context()), "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * 24 * time.Hour)
		if got := left(); !slices.Equal(got, []string{"alice"}) {
			t.Errorf("kept: %q", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		if got := left(); len(got) > 0 {
			t.Errorf("kept for ever: %q", got)
		}
	})
}

func TestRemovalByCertificate(t *testing.T) {
	for what, change := range map[string]func(*modules.SessionInfo){
		"certificate":                  func(i *modules.SessionInfo) { i.Mechanism = "EXTERNAL" },
		"token got with a certificate": func(i *modules.SessionInfo) { i.Mechanism, i.Details = "HT", token{} },
	} {
		h := modtest.NewConfig(t, "a.test", "", accounts.Info, Info)
		alice := h.Session("alice@a.test/1")
		alice.Change(change)
		if got := condition(alice.IQ("set", "", "<query xmlns='jabber:iq:register'><remove/></query>")); got != stanza.Forbidden {
			t.Errorf("%s: %s", what, got)
		}
		if ok, _ := h.Users.Exists(t.Context(), "alice"); !ok {
			t.Errorf("%s: the account is gone", what)
		}
	}
}

func TestRemovalNotAllowed(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_register]\nallow_removal = false\n", Info)
	alice := h.Session("alice@a.test/1")
	if got := condition(alice.IQ("set", "", "<query xmlns='jabber:iq:register'><remove/></query>")); got != stanza.NotAllowed {
		t.Errorf("%s", got)
	}
	h.Users.Fail = storage.ErrReadOnly
	if err := h.Reload(""); err != nil {
		t.Fatal(err)
	}
	if got := condition(alice.IQ("set", "", "<query xmlns='jabber:iq:register'><remove/></query>")); got != stanza.ResourceConstraint {
		t.Errorf("with a disk that cannot be written: %s", got)
	}
	if closed, _ := alice.Closed(); closed {
		t.Error("closed though nothing was removed")
	}
}

func TestConfig(t *testing.T) {
	_, err := modtest.TryConfig(t, "a.test", "[modules.mod_register]\nregistrations_per_hour = 0\n", Info)
	if err == nil || !strings.Contains(err.Error(), "config.toml:2: modules.mod_register.registrations_per_hour: must be 1 or more, is 0") {
		t.Errorf("error %v", err)
	}
}

// Whatever stands in a request, it is answered, and only a whole one with a fit name makes an account.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		credentials("alice", "x"), "<remove/>", "<username>a</username>", "<x xmlns='jabber:x:data' type='submit'/>",
		"<username xmlns='urn:x'>a</username><password>b</password>", credentials("a&amp;b", "&lt;"), credentials("\u00e9\u0301", "x"), "text",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, payload string, set bool) {
		typ := "get"
		if set {
			typ = "set"
		}
		xml := "<iq type='" + typ + "' id='1' to='a.test'><query xmlns='jabber:iq:register'>" + payload + "</query></iq>"
		st, err := stanza.Parse([]byte(xml))
		if err != nil || len(st.Children) != 1 {
			t.Skip()
		}
		h := modtest.NewConfig(t, "a.test", open, Info)
		if st.Type == stanza.TypeGet || st.Type == stanza.TypeSet {
			if answer := h.Preauth(conn("127.0.0.2", true), xml); answer == nil {
				t.Error("no answer before login")
			}
		}
		h.Users.List(t.Context(), func(a auth.Account) bool {
			j, err := stanza.NewJID(a.Local, "a.test", "")
			if err != nil || j.Local() != a.Local || !set {
				t.Errorf("account %q out of %s", a.Local, payload)
			}
			return true
		})
		s := h.Session("user@a.test/r")
		s.Say(xml)
		if len(s.Sent()) != 1 {
			t.Error("no answer after login")
		}
	})
}

// token are the details of a login with a token that was got in a session with a certificate.
type token struct{}

func (token) Credentials() []string { return []string{"fast:1", "certificate:2"} }
