package test

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// attackSASL2 is the part of TestAttackSASL for the profile of XEP-0388.
func attackSASL2(t *testing.T, g *xtest.Target) {
	const pw = "\x00" + xtest.Password
	const ns = "xmlns='urn:xmpp:sasl:2'"
	begin := func(mechanism, message, more string) string {
		if message != "" {
			message = "<initial-response>" + xtest.B64(message) + "</initial-response>"
		}
		return "<authenticate " + ns + " mechanism='" + mechanism + "'>" + message + more + "</authenticate>"
	}
	good := begin("PLAIN", "\x00mallory"+pw, "")
	first := begin("SCRAM-SHA-256", "n,,n=mallory,r=x", "")
	for _, tc := range []struct{ name, send, want string }{ // each thing sent is answered, the last one with what is wanted
		{"login", good, "success"},
		{"no initial response", begin("PLAIN", "", ""), "challenge"},
		{"response first", "<response " + ns + "/>", "malformed-request"},
		{"abort first", "<abort " + ns + "/>", "aborted"},
		{"abort", first + "<abort " + ns + "/>", "aborted"},
		{"wrong password", begin("PLAIN", "\x00mallory\x00wrong", ""), "not-authorized"},
		{"wrong proof", first + "<response " + ns + ">" + xtest.B64("c=biws,r=x,p=AAAA") + "</response>", "not-authorized"},
		{"A02 for somebody else", begin("PLAIN", "bob@a.test\x00mallory"+pw, ""), "invalid-authzid"},
		{"A03 for somebody else", begin("SCRAM-SHA-256", "n,a=bob@a.test,n=mallory,r=x", ""), "invalid-authzid"},
		{"A04 other host", begin("PLAIN", "alice@b.test\x00alice"+pw, ""), "invalid-authzid"},
		{"A06 base64", "<authenticate " + ns + " mechanism='PLAIN'><initial-response>!!!!</initial-response></authenticate>", "incorrect-encoding"},
		{"A09 mechanism", begin("FOO", "x", ""), "invalid-mechanism"},
		{"A12 y while PLUS is offered", begin("SCRAM-SHA-256", "y,,n=mallory,r=x", ""), "not-authorized"},
		{"A13 p without PLUS", begin("SCRAM-SHA-256", "p=tls-exporter,,n=mallory,r=x", ""), "not-authorized"},
		{"unknown inline elements", begin("PLAIN", "\x00mallory"+pw, "<x xmlns='urn:unknown'><bind xmlns='urn:xmpp:bind:0'/></x>"), "success"},
		{"bind that fails", begin("PLAIN", "\x00mallory"+pw, "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' max='x'/><y xmlns='urn:unknown'/></bind>"), "success"},
		{"session of somebody else", begin("PLAIN", "\x00mallory"+pw, "<resume xmlns='urn:xmpp:sm:3' previd='nobody' h='0'/>"), "success"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := g.Secure(t, "a.test")
			var n *xtest.Node
			for _, part := range strings.SplitAfter(tc.send, "</authenticate>") {
				if part != "" {
					c.Send("%s", part)
					n = c.Must()
				}
			}
			got := n.Name.Local
			if got == "failure" {
				got = n.Children[0].Name.Local
				if n.Name.Space != "urn:xmpp:sasl:2" || n.Children[0].Name.Space != nsSASL || xtest.Insides(n) != "" {
					t.Errorf("got %s", n)
				}
				defer func() { // the stream can be used
					c.Send("%s", good)
					if n := c.Must(); n.Name.Local != "success" {
						t.Errorf("a good login after the failure: %s", n)
					}
				}()
			}
			if got != tc.want {
				t.Errorf("wanted %s, got %s", tc.want, n)
			}
			if got == "success" && tc.name == "session of somebody else" && n.Find("resumed") != nil {
				t.Errorf("resumed: %s", n)
			}
		})
	}
	for name, text := range map[string]string{
		"two authenticates": first + good, "the other profile inside": first + "<auth " + nsSASLP + " mechanism='PLAIN'>" + xtest.B64("\x00mallory"+pw) + "</auth>",
		"stanza inside": first + "<message to='bob@a.test'><body>" + xtest.Marker + "</body></message>", "task that nobody gave": first + "<next " + ns + " task='x'/>",
		"A22 after success": good + good,
	} {
		t.Run(name, func(t *testing.T) {
			c := g.Secure(t, "a.test")
			c.Send("%s", text)
			for n := c.Must(); n.Name.Local != "error"; n = c.Must() {
				if n.Name.Local == "success" && name != "A22 after success" {
					t.Fatalf("got %s", n)
				}
			}
			c.WantEnd()
			g.Untouched(t)
		})
	}
}
