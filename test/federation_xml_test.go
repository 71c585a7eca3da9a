package test

import (
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestFederationFidelity: what goes to another server, and comes from one, has the tree that was sent. What is in the
// default namespace of one stream is in that of the other (RFC 6120 §4.8.3); all else is where it was, also where only the
// header of a stream says what a prefix stands for.
func TestFederationFidelity(t *testing.T) {
	g := newPeerTarget(t, "")
	peer := g.peer(t, "b.test", xtest.PeerOptions{})
	in := g.DialPeer(t, "b.test", "a.test")
	const prefixes = " xmlns:mine='urn:mine' xmlns:db='urn:not-dialback' xmlns:q='urn:quote&apos;'"
	in.Secure(g.cert(t, "b.test"))
	if n := in.External(""); n.Name.Local != "success" {
		t.Fatal(n)
	}
	in.Send("%s", "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='b.test' to='a.test' version='1.0' xml:lang='fr'"+prefixes+">")
	in.ReadOpen()

	alice := g.Secure(t, "a.test")
	alice.Host = "a.test"
	alice.TryAuth(sasl.Plain, "alice", xtest.Password)
	alice.Restart()
	alice.OpenWith(" xml:lang='fr'" + prefixes)
	alice.Bind("x")

	for name, inner := range map[string]string{
		"body":                 "<body>hello</body><subject xml:lang='de'>Grüße 🙂</subject>",
		"nested":               "<x xmlns='urn:x'><y><z xmlns=''><w/></z></y></x>",
		"default inside":       "<x:a xmlns:x='urn:x'><b x:c='d'><x:e/></b></x:a>",
		"forwarded":            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='x@y'><body>t</body></message></forwarded>",
		"forwarded of servers": "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server' from='x@y'><body>t</body></message></forwarded>",
		"prefix of the header": "<mine:a mine:b='c'><d/></mine:a><q:a/>",
		"prefix that we use":   "<db:result from='b.test' to='a.test'>key</db:result>",
		"prefix bound anew":    "<mine:a xmlns:mine='urn:other'/><stream:a xmlns:stream='urn:s'/><db:a xmlns:db='urn:d'/>",
		"streams":              "<stream:error/><stream:features/>",
		"characters":           "<a b='&#10;&#9;&#13;&lt;&quot;&apos;'>&amp;&lt;]]&gt;&#13;<![CDATA[<evil/>&amp;]]>\t</a>",
		"stanza inside":        "<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>",
		"errors":               "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
		"language of its own":  "<body xml:lang='en'>x</body>",
		"no language":          "<body xml:lang=''>x</body>",
	} {
		t.Run(name, func(t *testing.T) {
			expect := func(ns string) string {
				n, err := xtest.ParseIn(ns, prefixes, "<message from='FROM' to='TO' id='f' xml:lang='fr'>"+inner+"</message>")
				if err != nil {
					t.Fatal(err)
				}
				return n.String()
			}
			// Once on a stream that stands, once on one that has to be opened first.
			for _, p := range []*xtest.Peer{peer, g.peer(t, strings.ReplaceAll(name, " ", "-")+".test", xtest.PeerOptions{})} {
				alice.Send("%s", "<message from='alice@a.test/x' to='eve@"+p.Domain+"/y' id='f'>"+inner+"</message>")
				if got, want := addressless(p.Next(t).Node), expect("jabber:server"); got != want {
					t.Errorf("out\nwant %s\ngot  %s", want, got)
				}
			}
			in.Send("%s", "<message from='eve@b.test/y' to='bob@a.test/desk' id='f'>"+inner+"</message>")
			if got, want := addressless(g.Victim.Must()), expect("jabber:client"); got != want {
				t.Errorf("in\nwant %s\ngot  %s", want, got)
			}
		})
	}
}

// addressless writes a stanza without its addresses and what the archive adds (XEP-0359), and its attributes in one order.
func addressless(n *xtest.Node) string {
	attrs := n.Attrs[:0:0]
	for _, name := range []string{"from", "to", "id", "lang"} {
		for _, a := range n.Attrs {
			if a.Name.Local == name {
				switch name {
				case "from", "to":
					a.Value = map[string]string{"from": "FROM", "to": "TO"}[name]
				}
				attrs = append(attrs, a)
			}
		}
	}
	c := *n
	c.Attrs, c.Children = attrs, nil
	for _, child := range n.Children {
		if child.Name.Local != "stanza-id" {
			c.Children = append(c.Children, child)
		}
	}
	return c.String()
}
