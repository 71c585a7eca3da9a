package test

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// attackPeersSM is XEP-0198 and XEP-0288 of other servers.
func attackPeersSM(t *testing.T, g *peerTarget, good *tls.Certificate) {
	g.run(t, "R20 XEP-0198 of another server", func(t *testing.T) {
		p := g.DialPeer(t, "b.test", "a.test")
		p.Secure(good)
		p.Send("<enable %s resume='true'/>", smNS)
		p.WantStreamError("not-authorized")

		p = g.Authenticated(t, "b.test", "a.test", good)
		p.Send("<resume %s previd='x' h='0'/>", smNS)
		p.Want("<failed %s><item-not-found xmlns='%s'/></failed>", smNS, stanzasNS)
		p.Send("<enable %s resume='true'/>", smNS)
		if n := p.Want("<enabled %s/>", smNS); n.Attr("resume") == "true" || n.Attr("id") != "" {
			t.Errorf("it may be resumed: %s", n)
		}
		p.Send("<enable %s/>", smNS)
		p.Want("<failed %s><unexpected-request xmlns='%s'/></failed>", smNS, stanzasNS)
		for i := range 3 {
			arrives(t, p, "eve@b.test", "bob@a.test/desk", g.Victim, "eve@b.test")
			p.Send("<r %s/>", smNS)
			p.Want("<a %s h='%d'/>", smNS, i+1)
		}
		p.Send("<a %s h='1'/>", smNS)
		n := p.WantStreamError("undefined-condition")
		if h := n.Child("handled-count-too-high"); h == nil || h.Attr("send-count") != "0" {
			t.Error(n)
		}
		for _, text := range []string{"<a " + smNS + " h='0'/>", "<r " + smNS + "/>", "<enabled " + smNS + "/>"} {
			p := g.Authenticated(t, "b.test", "a.test", good)
			p.Send("%s", text)
			p.WantStreamError("unsupported-stanza-type")
		}
		for _, h := range []string{"x", "-1", "4294967296", ""} {
			p := g.Authenticated(t, "b.test", "a.test", good)
			p.Send("<enable %s/><a %[1]s h='%s'/>", smNS, h)
			p.WantStreamError("bad-format")
		}
	})
	g.Run(t, "R20 stream for both ways that ends unacknowledged", func(t *testing.T) {
		// All that the other server has not acknowledged comes again, in order, on a stream that leads to it.
		peer := g.peer(t, "both.test", xtest.PeerOptions{})
		p := g.DialPeer(t, "both.test", "a.test")
		p.Secure(g.cert(t, "both.test"))
		p.Send("<bidi xmlns='urn:xmpp:bidi'/>")
		if n := p.External(""); n.Name.Local != "success" {
			t.Fatal(n)
		}
		p.Open()
		p.Send("<enable %s/>", smNS)
		p.Want("<enabled %s/>", smNS)
		const all, acknowledged = 10, 4
		for i := range all {
			g.Victim.Send("<message to='eve@both.test' type='chat' id='%d'><body>%d</body></message>", i, i)
		}
		for i := 0; i < all; {
			n := p.Must()
			if n.Name.Local == "r" {
				p.Send("<a %s h='%d'/>", smNS, min(i, acknowledged))
				continue
			}
			if n.Name.Local != "message" || n.Attr("id") != fmt.Sprint(i) {
				t.Fatalf("%s where %d is due", n, i)
			}
			i++
		}
		p.Ping()
		if n := peer.Connections(); n > 0 {
			t.Errorf("%d connections, where one stream is for both ways", n)
		}
		p.Conn.Close()
		first := -1
		for i := 0; i < all; i++ {
			_, body := peer.Message(t)
			if first < 0 { // as many as it had acknowledged
				fmt.Sscan(body, &i)
				first = i
				if i > acknowledged {
					t.Fatalf("%d comes first", i)
				}
			}
			if body != fmt.Sprint(i) {
				t.Fatalf("%s comes where %d is due", body, i)
			}
		}
		// That one knows no XEP-0198, and answers no ping: when it breaks, too, they are not sent a third time.
		peer.Hangup()
		for i := first; i < all; i++ {
			g.Victim.Want("<message type='error' id='%d' from='eve@both.test'><error><remote-server-timeout xmlns='%s'/></error></message>", i, stanzasNS)
		}
	})
	g.run(t, "R10 streams of one domain", func(t *testing.T) {
		var all []*xtest.PeerStream
		for range 32 {
			all = append(all, g.Authenticated(t, "many.test", "a.test", g.cert(t, "many.test")))
		}
		p := g.DialPeer(t, "many.test", "a.test")
		p.Secure(g.cert(t, "many.test"))
		p.Send("<auth xmlns='%s' mechanism='EXTERNAL'>=</auth>", saslNS)
		p.WantStreamError("resource-constraint")
		g.Authenticated(t, "b.test", "a.test", good)
		for _, p := range all {
			p.Conn.Close()
		}
	})
}
