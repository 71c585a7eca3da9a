package test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// provocation does what a stream error is the answer to, and returns the client that gets it.
type provocation func(t *testing.T, g *xtest.Target) *xtest.Client

// streamErrors are the conditions of RFC 6120 §4.9.3, in its order: what brings them about, or why the server never sends
// them to a client. on "tight" they run on a server with low limits.
var streamErrors = []struct {
	condition string
	never     string
	on        string
	by        map[string]provocation
}{
	{condition: "bad-format", by: map[string]provocation{
		"text between stanzas": says("ok", "hello"),
		"h that is no number":  says("ok", "<enable xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='many'/>"),
		"stanza for a header":  says("raw", toVictim),
	}},
	{condition: "bad-namespace-prefix", by: map[string]provocation{
		"another prefix for streams": says("raw", strings.NewReplacer("stream:stream", "s:stream", "xmlns:stream", "xmlns:s").Replace(streamHeader)),
		"a prefix on a stanza":       says("ok", "<c:message xmlns:c='jabber:client' to='bob@a.test'/>"),
	}},
	{condition: "conflict", by: map[string]provocation{
		"the resource bound again": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "mallory@a.test/same")
			g.Login(t, "mallory@a.test/same")
			return c
		},
		"the session resumed elsewhere": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "mallory@a.test/moving")
			c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			id := c.Want("<enabled xmlns='urn:xmpp:sm:3' id='*' resume='true'/>").Attr("id")
			next := g.Secure(t, "a.test")
			next.Auth(sasl.Plain, "mallory", xtest.Password)
			next.Send("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", id)
			next.Want("<resumed xmlns='urn:xmpp:sm:3' previd='%s'/>", id)
			return c
		},
	}},
	{condition: "connection-timeout", on: "tight", by: map[string]provocation{
		"half a stanza, then silence": says("ok", "<message to='bob@a.test'><body>"),
	}},
	{condition: "host-gone", on: "tight", by: map[string]provocation{
		"the host taken out of the configuration": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "alice@b.test/r")
			reconfigure(t, g, `"a.test","b.test"`, `"a.test"`)
			return c
		},
	}},
	{condition: "host-unknown", by: map[string]provocation{
		"another host": says("raw", strings.Replace(streamHeader, "a.test", "nobody.test", 1)),
	}},
	{condition: "improper-addressing", by: map[string]provocation{
		"no to":    says("raw", strings.Replace(streamHeader, " to='a.test'", "", 1)),
		"a user's": says("raw", strings.Replace(streamHeader, "a.test", "bob@a.test", 1)),
	}},
	{condition: "internal-server-error", never: "a mistake of the server's own, which no client can ask for; c2s has a test with a module that panics"},
	{condition: "invalid-from", by: map[string]provocation{
		"another user":     says("ok", "<message from='bob@a.test' to='bob@a.test'/>"),
		"another resource": says("ok", "<message from='mallory@a.test/other' to='bob@a.test'/>"),
		"no address":       says("ok", "<message from='@' to='bob@a.test'/>"),
		"another user's stream": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Secure(t, "a.test")
			c.TryAuth(sasl.Plain, "mallory", xtest.Password)
			c.Restart()
			c.Send("%s", strings.Replace(streamHeader, "to=", "from='bob@a.test' to=", 1))
			return c
		},
	}},
	{condition: "invalid-namespace", by: map[string]provocation{
		"of the stream":  says("raw", strings.Replace(streamHeader, "http://etherx.jabber.org/streams", "urn:wrong", 1)),
		"of the content": says("raw", strings.Replace(streamHeader, "jabber:client", "jabber:server", 1)),
	}},
	{condition: "invalid-xml", never: "the server validates nothing against a schema (RFC 6120 §11.3)"},
	{condition: "not-authorized", by: map[string]provocation{
		"stanza before login": says("tls", toVictim),
		"stanza before bind": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Secure(t, "a.test")
			c.Auth(sasl.Plain, "mallory", xtest.Password)
			c.Send("%s", toVictim)
			return c
		},
		"another host after login": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Secure(t, "a.test")
			c.TryAuth(sasl.Plain, "alice", xtest.Password)
			c.Restart()
			c.Send("%s", strings.Replace(streamHeader, "a.test", "b.test", 1))
			return c
		},
		"the account deleted": func(t *testing.T, g *xtest.Target) *xtest.Client {
			g.AddUser("gone@a.test", xtest.Password)
			c := g.Login(t, "gone@a.test/r")
			command(t, g, "", "user", "delete", "gone@a.test")
			return c
		},
		"the account disabled": func(t *testing.T, g *xtest.Target) *xtest.Client {
			g.AddUser("off@a.test", xtest.Password)
			c := g.Login(t, "off@a.test/r")
			command(t, g, "", "user", "disable", "off@a.test")
			return c
		},
	}},
	{condition: "not-well-formed", by: map[string]provocation{
		"end tags crossed": says("ok", "<message to='bob@a.test'><a></b></message>"),
		"not UTF-8":        says("ok", "<message to='bob@a.test'><body>\xff</body></message>"),
		"in the header":    says("raw", "GET / HTTP/1.1\r\n\r\n"),
	}},
	{condition: "policy-violation", by: map[string]provocation{
		"a stanza too big":             says("ok", "<message to='bob@a.test'><body>"+strings.Repeat("x", 256<<10)+"</body></message>"),
		"nested too deep":              says("ok", "<message to='bob@a.test'>"+strings.Repeat("<a>", 70)+strings.Repeat("</a>", 70)+"</message>"),
		"login twice":                  says("ok", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>"),
		"element too big before login": says("tls", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+strings.Repeat("A", 20000)+"</auth>"),
		"a header without end":         says("raw", strings.TrimSuffix(streamHeader, ">")+" a='"+strings.Repeat("x", 20000)),
	}},
	{condition: "policy-violation", on: "tight", by: map[string]provocation{
		"too many failed logins": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Secure(t, "a.test")
			for range 3 {
				c.TryAuth(sasl.Plain, "mallory", "wrong")
			}
			return c
		},
	}},
	{condition: "remote-connection-failed", never: "the server is no proxy for clients: a peer that cannot be reached is a stanza error"},
	{condition: "reset", by: map[string]provocation{
		"the password changed": func(t *testing.T, g *xtest.Target) *xtest.Client {
			g.AddUser("new@a.test", xtest.Password)
			c := g.Login(t, "new@a.test/r")
			command(t, g, xtest.Password+" 2\n", "user", "passwd", "new@a.test")
			return c
		},
		"the admin closes the session": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "mallory@a.test/closed")
			command(t, g, "", "session", "close", c.JID)
			return c
		},
	}},
	{condition: "resource-constraint", on: "tight", by: map[string]provocation{
		"too much unacknowledged": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "mallory@a.test/mute")
			c.Send("<enable xmlns='urn:xmpp:sm:3'/>")
			c.Want("<enabled xmlns='urn:xmpp:sm:3'/>")
			g.Victim.Send("%s", strings.Repeat("<message to='"+c.JID+"' type='headline'><body>"+strings.Repeat("x", 1000)+"</body></message>", 12))
			return c
		},
	}},
	{condition: "restricted-xml", by: map[string]provocation{
		"comment":                says("ok", "<!-- x -->"),
		"document type":          says("ok", "<!DOCTYPE x>"),
		"processing instruction": says("ok", "<?php x?>"),
		"entity":                 says("ok", "<message to='bob@a.test'><body>&foo;</body></message>"),
		"in front of the header": says("raw", "<!DOCTYPE x>"+streamHeader),
	}},
	{condition: "see-other-host", never: "one server has no other host to name"},
	{condition: "undefined-condition", by: map[string]provocation{
		"h beyond what was sent (XEP-0198 §6)": says("ok", "<enable xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='7'/>"),
	}},
	{condition: "unsupported-encoding", by: map[string]provocation{
		"ISO-8859-1": says("raw", strings.Replace(streamHeader, "?>", " encoding='ISO-8859-1'?>", 1)),
	}},
	{condition: "unsupported-feature", never: "the client's to send, when a mandatory feature is beyond it"},
	{condition: "unsupported-stanza-type", by: map[string]provocation{
		"another namespace":   says("ok", "<foo xmlns='urn:foo'/>"),
		"another name":        says("ok", "<foo/>"),
		"a stanza of servers": says("ok", "<message xmlns='jabber:server' to='bob@a.test'/>"),
		"before bind": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Secure(t, "a.test")
			c.Auth(sasl.Plain, "mallory", xtest.Password)
			c.Send("<foo xmlns='urn:foo'/>")
			return c
		},
	}},
	{condition: "unsupported-version", by: map[string]provocation{
		"none": says("raw", strings.Replace(streamHeader, "' version='1.0'>", "'>", 1)),
		"0.9":  says("raw", strings.Replace(streamHeader, "' version='1.0'>", "' version='0.9'>", 1)),
	}},
	{condition: "system-shutdown", on: "tight", by: map[string]provocation{ // the last: nobody is alive behind it
		"SIGTERM": func(t *testing.T, g *xtest.Target) *xtest.Client {
			c := g.Login(t, "mallory@a.test")
			g.Signal(syscall.SIGTERM)
			return c
		},
	}},
}

// says connects in a state and sends a text.
func says(state, text string) provocation {
	return func(t *testing.T, g *xtest.Target) *xtest.Client {
		c := g.Attacker(t, state)
		c.TrySend(text)
		return c
	}
}

func command(t *testing.T, g *xtest.Target, stdin string, args ...string) {
	t.Helper()
	if out, errs, code := g.Server.Run(stdin, args...); code != 0 {
		t.Fatalf("xmppd %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
}

// reconfigure changes the configuration's text and has it read.
func reconfigure(t *testing.T, g *xtest.Target, old, new string) {
	t.Helper()
	text, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("no %s in\n%s", old, text)
	}
	if err := os.WriteFile(g.Config, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, g, "", "reload")
}

// rfc6120 are all conditions that §4.9.3 defines.
const rfc6120 = "bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown improper-addressing internal-server-error " +
	"invalid-from invalid-namespace invalid-xml not-authorized not-well-formed policy-violation remote-connection-failed reset " +
	"resource-constraint restricted-xml see-other-host system-shutdown undefined-condition unsupported-encoding unsupported-feature " +
	"unsupported-stanza-type unsupported-version"

// TestStreamErrors brings about each stream error that a client can get (RFC 6120 §4.9), and looks at its shape, at the end of
// stream and connection, and at what became of the others.
func TestStreamErrors(t *testing.T) {
	hosts := []string{"a.test", "b.test"}
	targets := map[string]*xtest.Target{
		"": xtest.NewTarget(t, xtest.Options{Hosts: hosts}),
		"tight": xtest.NewTarget(t, xtest.Options{Hosts: hosts, Limits: "stanza_timeout = \"1s\"\nsm_queue_size = \"10kB\"\nauth_tries = 3\nauth_delay = \"1ms\"\n" +
			"auth_delay_max = \"1ms\"\nauth_failures_per_minute = 100"}),
	}
	seen := map[string]bool{}
	for _, e := range streamErrors {
		seen[e.condition] = true
		if (e.never == "") == (len(e.by) == 0) {
			t.Errorf("%s: wants a way to it, or a reason", e.condition)
		}
		g := targets[e.on]
		for how, provoke := range e.by {
			attack := func(t *testing.T) {
				c := provoke(t, g)
				n := c.WantStreamError(e.condition)
				wellShaped(t, n, e.condition)
				if e.condition == "undefined-condition" {
					c.T = t
					if n.Child("handled-count-too-high") == nil {
						t.Errorf("the application's condition is missing: %s", n)
					}
				}
				c.TrySend("</stream:stream>")
				dead(t, c)
			}
			if e.condition == "system-shutdown" {
				t.Run(e.condition+": "+how, func(t *testing.T) {
					attack(t)
					if err := g.Exited(); err != nil {
						t.Errorf("the server ended with %v", err)
					}
				})
				continue
			}
			g.Run(t, e.condition+": "+how, func(t *testing.T) {
				attack(t)
				g.Untouched(t)
			})
		}
	}
	for _, c := range strings.Fields(rfc6120) {
		if !seen[c] {
			t.Errorf("%s of RFC 6120 §4.9.3 is not in the table", c)
		}
	}
	targets[""].Run(t, "the connection ends though the client says nothing", func(t *testing.T) {
		c := says("ok", "<foo/>")(t, targets[""])
		c.WantStreamError("unsupported-stanza-type")
		dead(t, c)
	})
	targets[""].Run(t, "the connection ends though the client goes on", func(t *testing.T) {
		c := says("ok", "<foo/>")(t, targets[""])
		for c.TrySend(toVictim) == nil { // until the server has closed
		}
		targets[""].Untouched(t)
	})
}

// wellShaped checks what RFC 6120 §4.9.2 says of a stream error: one condition, perhaps a text, perhaps something of an
// application's.
func wellShaped(t *testing.T, n *xtest.Node, condition string) {
	t.Helper()
	const ns = "urn:ietf:params:xml:ns:xmpp-streams"
	for i, c := range n.Children {
		switch {
		case i == 0:
			if c.Name.Space != ns || c.Name.Local != condition || len(c.Children) > 0 || c.Text != "" {
				t.Errorf("the first child is not just the condition: %s", n)
			}
		case c.Name.Space != ns:
		case i != 1 || c.Name.Local != "text" || c.Text == "":
			t.Errorf("%s does not belong there: %s", c, n)
		}
	}
	if n.Text != "" || len(n.Attrs) > 0 {
		t.Errorf("more than children in %s", n)
	}
}
