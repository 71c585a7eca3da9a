package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

const (
	agent2   = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>App</software><device>Phone</device></user-agent>"
	bind2    = "<bind xmlns='urn:xmpp:bind:0'><tag>App</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
	askToken = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>"
)

// turns counts how often a connection waited for the other side: a round trip each.
type turns struct {
	net.Conn
	n       int
	waiting bool
}

func (c *turns) Write(p []byte) (int, error) { c.waiting = true; return c.Conn.Write(p) }

func (c *turns) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.waiting && n > 0 {
		c.n, c.waiting = c.n+1, false
	}
	return n, err
}

// direct13 connects to the port of direct TLS and does the handshake, but for what goes along with it.
func direct13(t *testing.T, s *xtest.Server) (*xtest.Client, *turns) {
	t.Helper()
	c := s.DialDirect(t)
	n := &turns{Conn: c.Conn}
	cfg := c.TLSConfig()
	cfg.NextProtos, cfg.MinVersion = []string{"xmpp-client"}, tls.VersionTLS13
	tc := tls.Client(n, cfg)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.Use(tc)
	return c, n
}

func header2(c *xtest.Client, user string) string {
	return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" +
		c.Host + "' from='" + user + "@" + c.Host + "'>"
}

// withPassword and withToken are logins by SASL2.
func withPassword(user, inner string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + xtest.B64("\x00"+user+"\x00"+xtest.Password) +
		"</initial-response>" + agent2 + inner + "</authenticate>"
}

func withToken(c *xtest.Client, user, token, inner string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-EXPR'><initial-response>" +
		xtest.B64(user+"\x00"+hashed(c, token, "Initiator")) + "</initial-response>" + agent2 + inner + "</authenticate>"
}

func hashed(c *xtest.Client, token, side string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte(side))
	mac.Write(c.ChannelBinding("tls-exporter"))
	return string(mac.Sum(nil))
}

// open2 opens a stream and sends a login in one flight; it returns what the server says to the login.
func open2(c *xtest.Client, user, login string) *xtest.Node {
	c.T.Helper()
	c.Send("%s", header2(c, user)+login)
	c.ReadOpen()
	return c.Must()
}

// newToken logs in with the password and returns the token, and the session's id for resumption.
func newToken(t *testing.T, s *xtest.Server, user string) (c *xtest.Client, token, sm string) {
	t.Helper()
	c, _ = direct13(t, s)
	n := open2(c, user, withPassword(user, bind2+askToken))
	if n.Name.Local != "success" || n.Find("token") == nil || n.Find("enabled") == nil {
		t.Fatalf("got %s", n)
	}
	c.Must() // features
	return c, n.Find("token").Attr("token"), n.Find("enabled").Attr("id")
}

func condition2(n *xtest.Node) string {
	if n.Name.Local == "failure" && n.Name.Space == "urn:xmpp:sasl:2" && len(n.Children) > 0 {
		return n.Children[0].Name.Local
	}
	return n.Name.Local
}

// TestRoundTrips counts the round trips from the first byte of TLS to a session that goes on: one for TLS 1.3, and one for
// stream header, login and resumption together. The log has the number of the old way for comparison.
func TestRoundTrips(t *testing.T) {
	s := xtest.New(t, xtest.Options{})
	s.AddUsers("alice@localhost")
	first, token, sm := newToken(t, s, "alice")
	first.Conn.Close()

	c, n := direct13(t, s)
	success := open2(c, "alice", withToken(c, "alice", token, "<fast xmlns='urn:xmpp:fast:0'/><resume xmlns='urn:xmpp:sm:3' h='0' previd='"+sm+"'/>"+bind2))
	if success.Find("resumed") == nil || success.Find("bound") != nil {
		t.Fatalf("got %s", success)
	}
	t.Run("K02 the server's proof", func(t *testing.T) {
		if data, _ := base64.StdEncoding.DecodeString(success.Find("additional-data").Text); string(data) != hashed(c, token, "Responder") {
			t.Errorf("the server does not know the token: %s", success)
		}
	})
	if n.n != 2 {
		t.Errorf("%d round trips, want 2", n.n)
	}
	resumed := n.n
	c.Quiet()

	c, n = direct13(t, s)
	if got := open2(c, "alice", withPassword("alice", bind2)); got.Find("bound") == nil {
		t.Fatalf("got %s", got)
	}
	if n.n != 2 {
		t.Errorf("%d round trips with the password, want 2", n.n)
	}

	old := s.Dial(t)
	m := &turns{Conn: old.Conn}
	old.Use(m)
	old.Open()
	old.StartTLS(&tls.Config{RootCAs: s.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS13})
	old.Auth(sasl.ScramSha256, "alice", xtest.Password)
	old.Bind("x")
	old.Send("<enable xmlns='urn:xmpp:sm:3'/>")
	old.Want("<enabled xmlns='urn:xmpp:sm:3'/>")
	t.Logf("round trips after TCP: %d with a token or password in one flight; %d by STARTTLS, SCRAM, bind, enable, one after the other", resumed, m.n)
}

// TestFAST has what ends tokens, and what does not.
func TestFAST(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "profile = \"off\""})
	s.AddUsers("alice@localhost", "bob@localhost")
	try := func(user, token string) string {
		c, _ := direct13(t, s)
		return condition2(open2(c, user, withToken(c, user, token, "")))
	}
	want := func(user, token string, conditions ...string) {
		t.Helper()
		got := try(user, token)
		for _, c := range conditions {
			if got == c {
				return
			}
		}
		t.Errorf("%s: %s, want %s", user, got, conditions)
	}
	run := func(stdin string, args ...string) string {
		t.Helper()
		out, errs, code := s.Run(stdin, args...)
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	_, token, _ := newToken(t, s, "alice")
	want("alice", token, "success")
	t.Run("K04 another user, another stream", func(t *testing.T) {
		want("bob", token, "not-authorized")
		c, _ := direct13(t, s)
		if got := condition2(open2(c, "bob", withToken(c, "alice", token, ""))); got != "invalid-authzid" {
			t.Errorf("on a stream of bob's: %s", got)
		}
		c, _ = direct13(t, s)
		nobody := strings.Replace(withToken(c, "alice", token, ""), agent2, "", 1)
		if got := condition2(open2(c, "alice", nobody)); got != "malformed-request" {
			t.Errorf("without a user agent: %s", got)
		}
	})

	// A restart, with and without warning.
	s.Kill()
	s.Start(xtest.Options{})
	want("alice", token, "success")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Start(xtest.Options{})
	want("alice", token, "success")

	// The account is disabled, has a new password, is another.
	run("", "user", "disable", "alice@localhost")
	want("alice", token, "not-authorized", "account-disabled")
	run("", "user", "enable", "alice@localhost")
	want("alice", token, "not-authorized")
	_, token, _ = newToken(t, s, "alice")
	run(xtest.Password+"\n", "user", "passwd", "alice@localhost")
	want("alice", token, "not-authorized", "credentials-expired")
	_, token, _ = newToken(t, s, "alice")
	run("", "user", "delete", "alice@localhost")
	want("alice", token, "not-authorized")
	s.AddUsers("alice@localhost")
	want("alice", token, "not-authorized")

	// The client that changes the password keeps its own.
	c, mine, _ := newToken(t, s, "bob")
	c.Send("<iq type='set' id='p' to='localhost'><query xmlns='jabber:iq:register'><username>bob</username><password>" + xtest.Password + "2</password></query></iq>")
	for n := c.Must(); n.Attr("id") != "p"; n = c.Must() {
	}
	want("bob", mine, "success")

	_, token, _ = newToken(t, s, "alice")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.Dir, "data", "server.key"), filepath.Join(s.Dir, "server.key")); err != nil {
		t.Fatal(err)
	}
	s.Start(xtest.Options{})
	t.Run("K14 the database with another keyring", func(t *testing.T) {
		want("alice", token, "not-authorized")
		want("bob", mine, "not-authorized")
	})
	if log := s.Log(); strings.Contains(log, token) || strings.Contains(log, mine) {
		t.Error("a token is in the log")
	}
}
