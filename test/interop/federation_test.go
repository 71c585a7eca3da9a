package interop

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestFederation has Prosody, ejabberd and xmppd meet, in a small internet of their own.
func TestFederation(t *testing.T) {
	if !apart(t) {
		return
	}
	l := newLab(t)
	prosody, ejabberd := l.prosody(), l.ejabberd()
	// The lab itself: other people's servers among themselves.
	t.Run("prosody with ejabberd", func(t *testing.T) {
		for method, host := range map[string]func(string) string{"EXTERNAL": good, "dialback": self} {
			t.Run(method, func(t *testing.T) {
				alice := prosody.client(t, "alice", host("prosody"))
				bob := ejabberd.client(t, "bob", host("ejabberd"))
				befriend(t, alice, bob)
				if os.Getenv("LABLOG") != "" {
					t.Log(prosody.read(0))
					os.WriteFile("/tmp/labx/p.log", []byte(prosody.read(0)), 0o644)
					os.WriteFile("/tmp/labx/e.log", []byte(ejabberd.read(0)), 0o644)
				}
			})
		}
	})
}

// login makes an account where there is none yet, and logs in with initial presence.
func login(t *testing.T, addr, user, host string) *xtest.Client {
	t.Helper()
	dial := func() *xtest.Client {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := &xtest.Client{T: t, Name: user + "@" + host, Host: host}
		c.Use(nc)
		t.Cleanup(func() { nc.Close() })
		c.Open()
		c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: host})
		return c
	}
	c := dial()
	c.Send("<iq type='set' id='reg' to='%s'><query xmlns='jabber:iq:register'><username>%s</username><password>%s</password></query></iq>", host, user, xtest.Password)
	if n := c.Must(); n.Attr("type") != "result" && n.Find("conflict") == nil {
		t.Fatalf("%s: no account: %s", c.Name, n)
	}
	c.Conn.Close()
	c = dial()
	c.Auth(sasl.Plain, user, xtest.Password)
	c.Bind("lab")
	appear(c)
	return c
}

// appear asks for the roster, which makes a client one that hears of subscriptions (RFC 6121 §2.2), and is there.
func appear(c *xtest.Client) {
	c.T.Helper()
	c.Send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>")
	await(c, "<iq type='result' id='roster'/>")
}

func bare(c *xtest.Client) string {
	jid, _, _ := strings.Cut(c.JID, "/")
	return jid
}

// await reads until an element fits, and keeps the others to be read again.
func await(c *xtest.Client, pattern string) *xtest.Node {
	c.T.Helper()
	want, err := c.Pattern(pattern)
	if err != nil {
		c.T.Fatal(err)
	}
	var others []*xtest.Node
	for {
		n, err := c.Next()
		if err != nil {
			c.T.Fatalf("%s: nothing like %s: %v; there was %s", c.Name, pattern, err, others)
		}
		if xtest.Match(want, n) == "" {
			c.Unread(others)
			return n
		}
		others = append(others, n)
	}
}

// befriend has two people at different servers find each other and talk, all both ways.
func befriend(t *testing.T, alice, bob *xtest.Client) {
	t.Helper()
	for _, p := range [][2]*xtest.Client{{alice, bob}, {bob, alice}} {
		a, b := p[0], p[1]
		a.Send("<presence type='subscribe' to='%s'/>", bare(b))
		await(b, "<presence type='subscribe' from='"+bare(a)+"'/>")
		b.Send("<presence type='subscribed' to='%s'/>", bare(a))
		await(a, "<presence type='subscribed' from='"+bare(b)+"'/>")
		await(a, "<presence from='"+b.JID+"'/>")
	}
	for _, p := range [][2]*xtest.Client{{alice, bob}, {bob, alice}} {
		a, b := p[0], p[1]
		a.Send("<presence><show>away</show><status xml:lang='de'>Grüße</status></presence>")
		await(b, "<presence from='"+a.JID+"'><show>away</show><status>Grüße</status></presence>")

		a.Send("<message to='%s' type='chat' id='m1'><body>a &lt;b> &amp; c 🙂</body><x:y xmlns:x='urn:x' z='1'><w xmlns='urn:w'/></x:y></message>", b.JID)
		await(b, "<message type='chat' id='m1' from='"+a.JID+"' to='"+b.JID+"'><body>a &lt;b> &amp; c 🙂</body><y xmlns='urn:x' z='1'><w xmlns='urn:w'/></y></message>")

		a.Send("<iq type='get' id='v1' to='%s'><query xmlns='jabber:iq:version'/></iq>", b.Host)
		await(a, "<iq type='result' id='v1' from='"+b.Host+"'><query xmlns='jabber:iq:version'><name>*</name></query></iq>")
		a.Send("<iq type='get' id='p1' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", b.JID)
		q := await(b, "<iq type='get' from='"+a.JID+"'><ping xmlns='urn:xmpp:ping'/></iq>")
		b.Send("<iq type='result' id='%s' to='%s'/>", q.Attr("id"), a.JID)
		await(a, "<iq type='result' id='p1' from='"+b.JID+"'/>")
		a.Send("<message to='nobody@%s' type='chat' id='m2'><body>x</body></message>", b.Host)
		await(a, "<message type='error' id='m2' from='nobody@"+b.Host+"'><error type='cancel'/></message>")
	}
}
