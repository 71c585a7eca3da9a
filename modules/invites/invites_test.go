package invites

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/commands"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice = "alice@a.test"
	root  = "root@a.test"
	romeo = "romeo@b.test"
)

// host is a.test with mod_invites, whose instance the test can look into.
type host struct {
	*modtest.Host
	t *testing.T
	m *module
}

func newHost(t *testing.T, toml string) *host {
	t.Helper()
	h := &host{t: t}
	in := modules.Define(Info, defaults, func(c Config) modules.Module { h.m = &module{cfg: c}; return h.m })
	h.Host = modtest.NewConfig(t, "a.test", "[general]\nhosts = [\"a.test\"]\nadmins = [\"root@a.test\"]\n"+toml,
		roster.Info, disco.Info, commands.Info, in, register.Info)
	return h
}

// guest is a connection that has not logged in.
func newConn() *auth.Conn {
	return &auth.Conn{Host: "a.test", TLS: &tls.ConnectionState{}, Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 1}}
}

func condition(st *stanza.Stanza) stanza.Condition {
	if e := st.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// show shows a token.
func (h *host) show(c *auth.Conn, token string) stanza.Condition {
	h.t.Helper()
	return condition(h.Preauth(c, "<iq type='set' id='pa' to='a.test'><preauth xmlns='"+nsPars+"' token='"+token+"'/></iq>"))
}

// register makes an account.
func (h *host) register(c *auth.Conn, name string) stanza.Condition {
	h.t.Helper()
	return condition(h.Preauth(c, "<iq type='set' id='r' to='a.test'><query xmlns='jabber:iq:register'><username>"+name+"</username><password>pw</password></query></iq>"))
}

// invite executes a command and returns the link.
func (h *host) invite(s *modtest.Session, node string, fields ...string) string {
	h.t.Helper()
	const ns = "http://jabber.org/protocol/commands"
	st := s.IQ("set", "a.test", "<command xmlns='"+ns+"' node='"+node+"'/>")
	if fields != nil && st.Type == stanza.TypeResult {
		var x stanza.XML
		x.Start("command", "xmlns", ns, "node", node, "sessionid", st.Payload().Attr("sessionid")).Start("x", "xmlns", stanza.NSData, "type", "submit")
		for i := 0; i+1 < len(fields); i += 2 {
			x.Start("field", "var", fields[i]).Leaf("value", fields[i+1]).End()
		}
		st = s.IQ("set", "a.test", string(x.Bytes()))
	}
	f, err := stanza.ParseForm(st.Payload().Child(stanza.NSData, "x"))
	if err != nil || f.Type != "urn:xmpp:invite#invitation" {
		return string(st.AppendTo(nil))
	}
	return f.Value("uri")
}

// token cuts the token out of a link.
func token(link string) string {
	_, t, _ := strings.Cut(link, "preauth=")
	t, _, _ = strings.Cut(t, ";")
	return t
}

func rosterOf(s *modtest.Session) string {
	return string(s.IQ("get", "", "<query xmlns='jabber:iq:roster'/>").AppendTo(nil))
}

// XEP-0401 §3.1, XEP-0379 §3: whoever follows the link becomes a contact, on both sides.
func TestContact(t *testing.T) {
	h := newHost(t, "")
	a := h.Session(alice + "/one")
	rosterOf(a)
	a.Available(0, "")
	a.Sent()
	link := h.invite(a, nsInvite+"#invite")
	if !strings.HasPrefix(link, "xmpp:alice@a.test?roster;preauth=") || strings.Contains(link, "ibr") {
		t.Fatalf("the link is %s", link)
	}
	subscribe := func(from, tok string) {
		h.Send("<presence type='subscribe' from='" + from + "' to='" + alice + "'><preauth xmlns='" + nsPars + "' token='" + tok + "'/></presence>")
	}
	subscribe("tybalt@b.test", "wrong")
	if got := modtest.XML(a.Sent()); !strings.Contains(got, "type='subscribe'") {
		t.Errorf("a wrong token is a request like others: %s", got)
	}
	if got := h.Sent(); len(got) != 0 {
		t.Errorf("answered: %s", modtest.XML(got))
	}
	subscribe(romeo+"/x", token(link))
	if got := modtest.XML(a.Sent()); strings.Contains(got, "<presence") || !strings.Contains(got, "jid='"+romeo+"' subscription='from' ask='subscribe'") {
		t.Errorf("the inviter got %s", got)
	}
	got := modtest.XML(h.Sent())
	for _, want := range []string{"type='subscribed' from='alice@a.test' to='" + romeo + "'", "<presence type='subscribe' from='alice@a.test' to='" + romeo + "'", "from='alice@a.test/one'"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	h.Send("<presence type='subscribed' from='" + romeo + "' to='" + alice + "'/>")
	if got := rosterOf(a); !strings.Contains(got, "jid='"+romeo+"' subscription='both'") {
		t.Errorf("the roster is %s", got)
	}
	a.Sent()
	subscribe("paris@b.test", token(link)) // once is once
	if got := modtest.XML(a.Sent()); !strings.Contains(got, "type='subscribe'") {
		t.Errorf("used again: %s", got)
	}
}

// Both on this host, with a request that waits already.
func TestContactHere(t *testing.T) {
	h := newHost(t, "")
	a, b := h.Session(alice+"/one"), h.Session("bob@a.test/one")
	b.Say("<presence type='subscribe' to='" + alice + "'/>")
	link := h.invite(a, nsInvite+"#invite")
	b.Say("<presence type='subscribed' to='" + alice + "'/>") // XEP-0379 §3.4: pre-approved
	b.Say("<presence type='subscribe' to='" + alice + "'><preauth xmlns='" + nsPars + "' token='" + token(link) + "'/></presence>")
	for _, s := range []*modtest.Session{a, b} {
		if got := rosterOf(s); !strings.Contains(got, "subscription='both'") {
			t.Errorf("the roster of %s is %s", s.JID(), got)
		}
	}
	// Who is a contact already uses nothing up, and one's own token is of no use.
	link = h.invite(a, nsInvite+"#invite")
	b.Say("<presence type='subscribe' to='" + alice + "'><preauth xmlns='" + nsPars + "' token='" + token(link) + "'/></presence>")
	a.Say("<presence type='subscribe' to='" + alice + "'><preauth xmlns='" + nsPars + "' token='" + token(link) + "'/></presence>")
	// Of another user it is a request like others.
	c := h.Session("carol@a.test/one")
	c.Say("<presence type='subscribe' to='bob@a.test'><preauth xmlns='" + nsPars + "' token='" + token(link) + "'/></presence>")
	if got := rosterOf(c); !strings.Contains(got, "subscription='none' ask='subscribe'") {
		t.Errorf("the roster is %s", got)
	}
	if r, err := h.m.find(context.Background(), hash(token(link))); err != nil || r == nil {
		t.Errorf("the invitation: %v, %v", r, err)
	}
}

// XEP-0445: an account for who is invited, and for nobody else.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "")
		r := h.Session(root + "/r")
		rosterOf(r)
		link := h.invite(r, nsInvite+"#create-account", "username", "", "roster-subscription", "1")
		if !strings.HasPrefix(link, "xmpp:a.test?register;preauth=") {
			t.Fatalf("the link is %s", link)
		}
		c := newConn()
		if got := h.register(c, "juliet"); got != stanza.NotAllowed {
			t.Errorf("uninvited: %q", got)
		}
		if got := condition(h.Preauth(c, "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>")); got != stanza.NotAllowed {
			t.Errorf("uninvited: %q", got)
		}
		if got := h.show(c, "wrong"); got != stanza.ItemNotFound {
			t.Errorf("a wrong token: %q", got)
		}
		if got := h.show(c, token(link)); got != "" {
			t.Errorf("the token: %q", got)
		}
		if got := string(h.Preauth(c, "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>").AppendTo(nil)); !strings.Contains(got, "<username/>") {
			t.Errorf("the form: %s", got)
		}
		h.User("taken")
		if got := h.register(c, "taken"); got != stanza.Conflict { // it is not used up by what fails
			t.Errorf("a name that is taken: %q", got)
		}
		time.Sleep(7*24*time.Hour + time.Minute) // XEP-0445 §3: it has been shown in time
		d := newConn()
		if got := h.show(d, token(link)); got != stanza.ItemNotFound {
			t.Errorf("expired: %q", got)
		}
		r.Sent()
		if got := h.register(c, "Juliet"); got != "" {
			t.Errorf("invited: %q", got)
		}
		if got := modtest.XML(r.Sent()); !strings.Contains(got, "jid='juliet@a.test' subscription='both'") { // XEP-0401 §4.3
			t.Errorf("the inviter got %s", got)
		}
		if got := rosterOf(h.Session("juliet@a.test/one")); !strings.Contains(got, "jid='root@a.test' subscription='both'") {
			t.Errorf("the invited has %s", got)
		}
		if got := h.register(c, "second"); got != stanza.NotAllowed {
			t.Errorf("twice on one connection: %q", got)
		}
		if got := h.show(newConn(), token(link)); got != stanza.ItemNotFound {
			t.Errorf("used: %q", got)
		}
		if strings.Contains(h.Log(), token(link)) {
			t.Error("the log has the token")
		}
	})
}

// A name that an invitation names is kept for it, until it has expired.
func TestName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_register]\nallow_registration = true\nregistrations_per_hour = 100\n")
		link, err := h.m.InviteAccount(context.Background(), "Juliet", 24*time.Hour)
		if err != nil || !strings.HasPrefix(link.URI, "xmpp:juliet@a.test?register;preauth=") || !link.Expires.Equal(time.Now().Add(24*time.Hour)) {
			t.Fatalf("%+v, %v", link, err)
		}
		if _, err := h.m.InviteAccount(context.Background(), "juliet", 0); err == nil {
			t.Error("the name is given to two")
		}
		h.User("bob")
		for _, bad := range []string{"bob", "a b", "@"} {
			if _, err := h.m.InviteAccount(context.Background(), bad, 0); err == nil {
				t.Errorf("%q is invited", bad)
			}
		}
		if got := h.register(newConn(), "juliet"); got != stanza.Conflict {
			t.Errorf("a stranger gets the name: %q", got)
		}
		c := newConn()
		h.show(c, token(link.URI))
		if got := string(h.Preauth(c, "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>").AppendTo(nil)); !strings.Contains(got, "<username>juliet</username>") {
			t.Errorf("the form: %s", got)
		}
		if got := h.register(c, "romeo"); got != stanza.NotAcceptable {
			t.Errorf("another name: %q", got)
		}
		time.Sleep(25 * time.Hour)
		if got := h.register(newConn(), "juliet"); got != "" {
			t.Errorf("after its time: %q", got)
		}
	})
}

// Two at once with the same token: one account.
func TestOnce(t *testing.T) {
	h := newHost(t, "")
	link, err := h.m.InviteAccount(context.Background(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	c, d := newConn(), newConn()
	h.show(c, token(link.URI))
	h.show(d, token(link.URI))
	if got := h.register(c, "one"); got != "" {
		t.Errorf("the first: %q", got)
	}
	if got := h.register(d, "two"); got != stanza.ItemNotFound {
		t.Errorf("the second: %q", got)
	}
	if ok, _ := h.Users.Exists(context.Background(), "two"); ok {
		t.Error("the second has an account")
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_invites]\nmax_of_user = 2\nmax_open = 3\nusers_invite_accounts = true\n")
		a := h.Session(alice + "/one")
		for range 2 {
			if link := h.invite(a, nsInvite+"#invite"); !strings.HasSuffix(link, ";ibr=y") {
				t.Errorf("the link is %s", link)
			}
		}
		if got := h.invite(a, nsInvite+"#invite"); !strings.Contains(got, "resource-constraint") {
			t.Errorf("one too many: %s", got)
		}
		b := h.Session("bob@a.test/one")
		h.invite(b, nsInvite+"#invite")
		if got := h.invite(b, nsInvite+"#invite"); !strings.Contains(got, "resource-constraint") {
			t.Errorf("one too many of all: %s", got)
		}
		if got := h.invite(b, nsInvite+"#create-account"); !strings.Contains(got, "forbidden") {
			t.Errorf("a user invites to accounts: %s", got)
		}
		time.Sleep(7*24*time.Hour + 2*time.Hour)
		if link := h.invite(a, nsInvite+"#invite"); !strings.HasPrefix(link, "xmpp:") {
			t.Errorf("after the others' time: %s", link)
		}
		c := newConn()
		for range maxShown {
			h.show(c, "wrong")
		}
		if got := h.show(c, "wrong"); got != stanza.PolicyViolation {
			t.Errorf("guessing: %q", got)
		}
		if got := condition(h.Preauth(&auth.Conn{Host: "a.test"}, "<iq type='set' id='pa'><preauth xmlns='"+nsPars+"' token='x'/></iq>")); got != stanza.NotAllowed {
			t.Errorf("in clear: %q", got)
		}
	})
}

// An invitation that nobody uses goes by itself, with the name that was kept.
func TestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "")
		h.invite(h.Session(root+"/one"), nsInvite+"#create-account", "username", "carol")
		left := func() (n int) {
			for _, name := range []string{kvTokens, kvNames} {
				h.Store.Bucket("modules", "a.test", Info.Name).KV(name).Scan(t.Context(), nil, nil, func(_, _ []byte) bool { n++; return true })
			}
			return n
		}
		if n := left(); n != 2 {
			t.Fatalf("%d are kept", n)
		}
		time.Sleep(7*24*time.Hour + 3*time.Hour)
		synctest.Wait()
		if n := left(); n != 0 {
			t.Errorf("%d are kept for ever", n)
		}
	})
}

// A user's link with ibr=y makes an account and a contact of its owner.
func TestUserInvitesAccount(t *testing.T) {
	h := newHost(t, "[modules.mod_invites]\nusers_invite_accounts = true\n")
	a := h.Session(alice + "/one")
	link := h.invite(a, nsInvite+"#invite")
	c := newConn()
	if h.show(c, token(link)) != "" || h.register(c, "juliet") != "" {
		t.Error("no account")
	}
	if got := rosterOf(a); !strings.Contains(got, "jid='juliet@a.test' subscription='both'") {
		t.Errorf("the inviter has %s", got)
	}
	// Without the option a token of a contact makes no account.
	h = newHost(t, "")
	link = h.invite(h.Session(alice+"/one"), nsInvite+"#invite")
	if got := h.show(newConn(), token(link)); got != stanza.ItemNotFound {
		t.Errorf("a contact's token: %q", got)
	}
}

// Nothing on disk is a token, and nothing outlives its account.
func TestStored(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, "")
	r := h.Session(root + "/r")
	a := h.invite(r, nsInvite+"#create-account", "username", "juliet")
	b := h.invite(r, nsInvite+"#invite")
	n := 0
	for _, kv := range []string{kvTokens, kvNames} {
		h.m.h.Store.KV(kv).Scan(ctx, nil, nil, func(k, v []byte) bool {
			n++
			for _, tok := range []string{token(a), token(b)} {
				if bytes.Contains(k, []byte(tok)) || bytes.Contains(v, []byte(tok)) {
					t.Errorf("%s has a token", kv)
				}
			}
			return true
		})
	}
	if n != 3 {
		t.Errorf("%d records", n)
	}
	if err := h.Users.Delete(ctx, "root"); err != nil {
		t.Fatal(err)
	}
	for _, kv := range []string{kvTokens, kvNames} {
		h.m.h.Store.KV(kv).Scan(ctx, nil, nil, func(k, _ []byte) bool { t.Errorf("%s still has %q", kv, k); return true })
	}
}

func FuzzShown(f *testing.F) {
	f.Add("<preauth xmlns='" + nsPars + "' token='x'/>")
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := stanza.ParseElement([]byte(payload)); err != nil {
			t.Skip()
		}
		h := newHost(t, "")
		h.Preauth(newConn(), "<iq type='set' id='pa'>"+payload+"</iq>")
		h.Send("<presence type='subscribe' from='" + romeo + "' to='" + alice + "'>" + payload + "</presence>")
	})
}
