package test

import (
	"encoding/base64"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// otherProtocols is X19: who speaks something else is told so, in few words, and is not worth a line of the log each.
func otherProtocols(t *testing.T, g *xtest.Target) {
	for name, text := range map[string]string{
		"HTTP":            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"HTTP POST":       "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300\r\n\r\n" + streamHeader + toVictim, // cross-protocol scripting
		"SSH":             "SSH-2.0-OpenSSH_9.9\r\n",
		"SMTP":            "EHLO a.test\r\n",
		"TLS":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x5a", 505),
		"zeros":           strings.Repeat("\x00", 1<<20),
		"NetBIOS, binary": "\x81\x00\x00\x44\x20\x43\x4b",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.Log())
			c := g.Attacker(t, "raw")
			c.TrySend(text)
			sent := 0
			c.Conn.SetReadDeadline(time.Now().Add(xtest.Wait))
			buf := make([]byte, 4096)
			for {
				n, err := c.Conn.Read(buf)
				sent += n
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Fatal("the server keeps the connection")
				} else if err != nil {
					break
				}
			}
			if sent > 1024 {
				t.Errorf("the server said %d bytes to a stranger", sent)
			}
			g.Untouched(t)
			if lines := strings.Count(g.Log()[before:], "\n"); lines > 3 {
				t.Errorf("%d lines in the log:\n%s", lines, g.Log()[before:])
			}
		})
	}
}

// streamIDs is X34 (RFC 6120 §4.7.3).
func streamIDs(t *testing.T, g *xtest.Target) {
	seen := map[string]string{}
	var ids []string
	note := func(c *xtest.Client, when string) {
		id := c.Header.Attr("id")
		if was, ok := seen[id]; ok {
			t.Fatalf("id %q of %s had been used: %s", id, when, was)
		}
		seen[id] = when
		ids = append(ids, id)
	}
	for range 2000 {
		c := g.Dial(t)
		c.Open()
		note(c, "a new stream")
		c.Conn.Close()
	}
	for range 10 {
		c := g.Dial(t)
		c.Open()
		note(c, "a stream before TLS")
		c.StartTLS()
		note(c, "a stream after TLS")
		c.Auth(sasl.Plain, "mallory", xtest.Password)
		note(c, "a stream after login")
		c.Conn.Close()
	}
	// What the characters could carry at most, going by what they were seen to be.
	bits, length := 0.0, len(ids[0])
	for i := range length {
		chars := map[byte]int{}
		for _, id := range ids {
			if len(id) != length {
				t.Fatalf("ids of different lengths: %q, %q", ids[0], id)
			}
			chars[id[i]]++
		}
		h := 0.0
		for _, n := range chars {
			p := float64(n) / float64(len(ids))
			h -= p * math.Log2(p)
		}
		bits += h
	}
	if bits < 64 {
		t.Errorf("ids such as %q hold %.0f bits at most", ids[0], bits)
	}
}

// texts is X35. Every text that any test of this folder receives is looked at by xtest.Client; here are those that no
// other test provokes, and the proof that looking finds something.
func texts(t *testing.T, g *xtest.Target) {
	for text, bad := range map[string]bool{
		"open /var/lib/xmppd/xmppd.db: no such file": true,
		"runtime error: index out of range":          true,
		"auth: no such user":                         true,
		"strconv.ParseInt: parsing: EOF":             true,
		"xmppd 0.9.1":                                true,
		"SELECT * FROM users":                        true,
		"version 1.0 of XMPP is needed":              false,
		"too many failed logins, try again later":    false,
	} {
		n, err := xtest.Parse("<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>" + text + "</text></stream:error>")
		if err != nil {
			t.Fatal(err)
		}
		if found := xtest.Insides(n); (found != "") != bad {
			t.Errorf("%q: found %q", text, found)
		}
	}
	c := g.Attacker(t, "tls")
	for _, auth := range []string{
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>!!!!</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xtest.B64("\x00mallory\x00wrong") + "</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xtest.B64("bob@a.test\x00mallory\x00"+xtest.Password) + "</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NOPE'>AA==</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>" + xtest.B64("x") + "</auth>",
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>" + base64.StdEncoding.EncodeToString([]byte("n,,n=\xff\xfe,r=x")) + "</auth>",
		"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</response>",
		"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
	} {
		c.Send("%s", auth)
		c.Want("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
	}
	c = g.Attacker(t, "ok")
	for _, bad := range []string{
		"<message to='@'/>", "<message to='a@b@c'/>", "<presence to='bob@a.test' type='nope'/>", "<presence><priority>high</priority></presence>",
		"<presence><priority>99999999999999999999</priority></presence>",
		"<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='@@'/></query></iq>",
		"<iq type='set' id='3'><query xmlns='jabber:iq:roster'><item/></query></iq>",
		"<iq type='set' id='4'><query xmlns='jabber:iq:register'><username>x</username></query></iq>",
		"<iq type='get' id='5' to='a.test'><query xmlns='http://jabber.org/protocol/disco#info' node='\"/etc/passwd\"'/></iq>",
		"<iq type='get' id='6'><nonsense xmlns='urn:nonsense'/></iq>",
	} {
		c.Send("%s", bad)
		got := c.Barrier()
		if len(got) != 1 || got[0].Attr("type") != "error" {
			t.Errorf("%s was answered %s", bad, got)
		}
	}
	c.Send("<message to='x@nowhere.invalid' id='1'/>") // after a look-up in DNS, however that ends here
	c.Want("<message type='error' id='1' from='x@nowhere.invalid'><error/></message>")
}

// otherHost is X36: who was let in at a.test is nobody at b.test (CVE-2018-10847).
func otherHost(t *testing.T, g *xtest.Target) {
	c := g.Secure(t, "a.test")
	if n := c.TryAuth(sasl.Plain, "alice", xtest.Password); n.Name.Local != "success" {
		t.Fatal(n)
	}
	c.Restart()
	c.Send("%s", strings.Replace(streamHeader, "a.test", "b.test", 1)+
		"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq><message to='bob@a.test'/>")
	c.WantStreamError("not-authorized", "host-unknown")
	g.Untouched(t)

	// The same before login: what was offered and said to one host does not count for another.
	c = g.Dial(t)
	c.Open()
	c.Host = "b.test"
	cfg := c.TLSConfig()
	cfg.ServerName, cfg.InsecureSkipVerify = "", true // no SNI
	c.Handshake(cfg)
	c.Send("%s", strings.Replace(streamHeader, "a.test", "b.test", 1))
	c.WantStreamError("not-authorized", "host-unknown")
}
