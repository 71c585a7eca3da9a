package interop

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestFederationLab has Prosody, ejabberd and xmppd meet, in a small internet of their own.
func TestFederationLab(t *testing.T) {
	if !apart(t) {
		return
	}
	l := newLab(t)
	prosody, ejabberd, x := l.prosody(), l.ejabberd(), l.xmppd(t, "")
	// By what each of two hosts has to prove to the other who it is.
	type meeting struct {
		kind         string
		ours, theirs func(string) string
		out, in      string
	}
	for i, m := range []meeting{
		{"two with certificates", good, good, "EXTERNAL", "EXTERNAL"},
		{"two without", self, self, "dialback", "dialback"},
		{"ours with one", good, self, "EXTERNAL", "dialback"},
		{"theirs with one", self, good, "dialback", "EXTERNAL"},
		{"direct TLS", direct, direct, "EXTERNAL", "EXTERNAL"},
		{"certificates of servers alone", server, server, "", "EXTERNAL"},
	} {
		// The lab itself: other people's servers among themselves.
		if m.out == m.in {
			t.Run("prosody and ejabberd, "+m.kind, func(t *testing.T) {
				befriend(t, prosody.client(t, "alice", m.ours("prosody")), ejabberd.client(t, "bob", m.theirs("ejabberd")))
				wantProof(t, prosody, "in", m.theirs("ejabberd"), m.ours("prosody"), m.in)
				wantProof(t, ejabberd, "in", m.ours("prosody"), m.theirs("ejabberd"), m.out)
			})
		}
		for _, p := range []*program{prosody, ejabberd} {
			t.Run(p.name+", "+m.kind, func(t *testing.T) {
				ours, theirs, out := m.ours("xmppd"), m.theirs(p.name), m.out
				if out == "" {
					// ejabberd wants such certificates of servers that connect to be good for clients: there is another way.
					out = map[string]string{"prosody": "EXTERNAL", "ejabberd": "dialback"}[p.name]
				}
				alice, carol := online(t, x, fmt.Sprintf("to-%s-%d", p.name, i), ours), p.client(t, "carol", theirs)
				if m.out == m.in {
					befriend(t, alice, carol)
				} else {
					befriend(t, carol, alice) // their server opens the first stream
				}
				wantProof(t, p, "in", ours, theirs, out)
				wantProof(t, p, "out", theirs, ours, m.in)
				for direction, want := range map[string]string{"in": m.in, "out": out} {
					// ejabberd comes a second time where it asks about a dialback key.
					if got := slices.Compact(proofs(x, direction, ours, theirs)); len(got) != 1 || got[0] != want {
						t.Errorf("the %s streams of %s and %s were proved by %q, want %s", direction, ours, theirs, got, want)
					}
				}
			})
		}
	}
	t.Run("prosody, one stream for both ways", func(t *testing.T) {
		carol := prosody.client(t, "carol", bidi("prosody"))
		for host, opened := range map[string]string{good("xmppd"): "out", server("xmppd"): "in"} {
			alice := online(t, x, "bidi", host)
			if opened == "out" {
				befriend(t, alice, carol)
			} else {
				befriend(t, carol, alice)
			}
			for _, direction := range []string{"in", "out"} {
				if got := len(proofs(x, direction, host, bidi("prosody"))); got != map[bool]int{true: 1}[direction == opened] {
					t.Errorf("%s and %s have %d %s streams", host, bidi("prosody"), got, direction)
				}
			}
		}
	})
	for _, p := range []*program{prosody, ejabberd} {
		t.Run(p.name+", refused", func(t *testing.T) {
			ours, theirs := good("xmppd"), bad(p.name)
			alice, carol := online(t, x, "no-"+p.name, ours), p.client(t, "carol", theirs)
			alice.Barrier()
			alice.Send("<message to='%s' type='chat' id='out'><body>x</body></message>", bare(carol))
			await(alice, "<message type='error' id='out' from='"+bare(carol)+"'><error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
			carol.Send("<message to='%s' type='chat' id='in'><body>x</body></message>", bare(alice))
			await(carol, "<message type='error' id='in' from='"+bare(alice)+"'><error/></message>")
			alice.Quiet()
			if got := append(proofs(x, "in", ours, theirs), proofs(x, "out", ours, theirs)...); len(got) > 0 {
				t.Errorf("it was let in by %q", got)
			}
		})
	}
}

// online makes an account at xmppd and logs in with initial presence.
func online(t *testing.T, x *xtest.Server, user, host string) *xtest.Client {
	t.Helper()
	x.AddUsers(user + "@" + host)
	return enter(t, x.C2S, user, host)
}

// proofs are the ways in which streams between two hosts were authenticated, by xmppd's log.
func proofs(x *xtest.Server, direction, host, peer string) (list []string) {
	for line := range strings.SplitSeq(x.Log(), "\n") {
		var l struct{ Msg, Direction, Host, Peer, Method, TLS string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "server authenticated" && l.Direction == direction && l.Host == host && l.Peer == peer {
			list = append(list, l.Method)
		}
	}
	return list
}

// wantProof fails the test unless a peer's log says that streams from one host to the other were proved so, and no other way.
func wantProof(t *testing.T, p *program, direction, from, to, method string) {
	t.Helper()
	log := p.read()
	var external, dialback bool
	switch {
	case p.name == "ejabberd":
		says := func(how string) bool {
			return strings.Contains(log, "Accepted "+direction+"bound s2s "+how+" authentication "+from+" -> "+to+" ")
		}
		external, dialback = says("EXTERNAL"), says("dialback")
	case direction == "in":
		external = strings.Contains(log, " "+to+":saslauth\tinfo\tAccepting SASL EXTERNAL identity from "+from+"\n")
		dialback = !external && strings.Contains(log, "connection "+from+"->"+to+" is now authenticated for "+from+"\n")
	default:
		external = strings.Contains(log, " "+from+":saslauth\tdebug\tSASL EXTERNAL with "+to+" succeeded\n")
		dialback = !external && strings.Contains(log, "connection "+from+"->"+to+" is now authenticated for "+to+"\n")
	}
	if external != (method == "EXTERNAL") || dialback != (method == "dialback") {
		t.Errorf("%s's log: from %s to %s EXTERNAL %t, dialback %t, want %s", p.name, from, to, external, dialback, method)
	}
}

// login makes an account where there is none yet, and logs in with initial presence.
func login(t *testing.T, addr, user, host string) *xtest.Client {
	t.Helper()
	c := secure(t, addr, user, host)
	c.Send("<iq type='set' id='reg' to='%s'><query xmlns='jabber:iq:register'><username>%s</username><password>%s</password></query></iq>", host, user, xtest.Password)
	if n := c.Must(); n.Attr("type") != "result" && n.Find("conflict") == nil {
		t.Fatalf("%s: no account: %s", c.Name, n)
	}
	c.Conn.Close()
	return enter(t, addr, user, host)
}

// enter logs in with initial presence.
func enter(t *testing.T, addr, user, host string) *xtest.Client {
	t.Helper()
	c := secure(t, addr, user, host)
	c.Auth(sasl.Plain, user, xtest.Password)
	c.Bind("lab")
	appear(c)
	return c
}

// secure connects up to the features under TLS. The certificate may be anybody's: it is other servers who have to look at it.
func secure(t *testing.T, addr, user, host string) *xtest.Client {
	t.Helper()
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
