package test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// The attacks on logins. An attack's name begins with the line of the list that it stands for; see doc/testing.md. What
// needs crafted messages of a mechanism stands in auth's own tests as well, in more variants.

const (
	nsSASL  = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsSASLP = "xmlns='" + nsSASL + "'"
)

// refusedWith fails the test unless an answer is a SASL failure with one of the conditions, which tells nothing of the
// server's insides.
func refusedWith(t testing.TB, n *xtest.Node, conditions string) {
	t.Helper()
	if got := xtest.Condition(n); n.Name.Local != "failure" || !slices.Contains(strings.Fields(conditions), got) {
		t.Errorf("wanted <failure> with %s, got %s", conditions, n)
	}
	if found := xtest.Insides(n); found != "" {
		t.Errorf("%q in %s", found, n)
	}
}

// stillWorks logs in on a stream on which an attempt failed.
func stillWorks(t testing.TB, c *xtest.Client, user string) {
	t.Helper()
	if n := c.TryPlain("\x00" + user + "\x00" + xtest.Password); n.Name.Local != "success" {
		t.Errorf("a good login after the failure: %s", n)
	}
}

// features lists the names that stream features offer: mechanisms, or bindings.
func offered(f *xtest.Node, list, item, attr string) []string {
	var out []string
	for _, c := range f.Find(list).Children {
		if c.Name.Local != item {
			continue
		}
		if attr != "" {
			out = append(out, c.Attr(attr))
		} else {
			out = append(out, c.Text)
		}
	}
	return out
}

var allMechanisms = []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"}

func TestAttackSASL(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{
		Hosts: []string{"a.test", "b.test"}, Limits: "profile = \"off\"\nresources_per_account = 1000\nauth_tries = 100",
		Extra: "[auth]\nscram_hashes = [\"SHA-1\", \"SHA-256\", \"SHA-512\"]\n",
	})
	conn := func(t *testing.T) *xtest.Client {
		c := g.Secure(t, "a.test")
		c.T = t
		return c
	}
	// each runs one attempt on a fresh stream, and wants it refused and the stream usable.
	each := func(t *testing.T, conditions string, attempts map[string]func(c *xtest.Client) *xtest.Node) {
		for name, attempt := range attempts {
			t.Run(name, func(t *testing.T) {
				c := conn(t)
				refusedWith(t, attempt(c), conditions)
				stillWorks(t, c, "alice")
			})
		}
	}
	plain := func(message string) func(*xtest.Client) *xtest.Node {
		return func(c *xtest.Client) *xtest.Node { return c.TryPlain(message) }
	}
	scram := func(s xtest.Scram) func(*xtest.Client) *xtest.Node {
		return func(c *xtest.Client) *xtest.Node {
			try := s
			if try.Mechanism == "" {
				try.Mechanism = "SCRAM-SHA-256"
			}
			if try.User == "" {
				try.User = "mallory"
			}
			if try.Password == "" {
				try.Password = xtest.Password
			}
			return c.TryScram(&try)
		}
	}
	raw := func(mechanism, data string) func(*xtest.Client) *xtest.Node {
		return func(c *xtest.Client) *xtest.Node {
			c.Send("<auth %s mechanism='%s'>%s</auth>", nsSASLP, mechanism, data)
			return c.Must()
		}
	}
	const pw = "\x00" + xtest.Password

	g.Run(t, "A01 every mechanism", func(t *testing.T) {
		f := g.Dial(t)
		f.Host = "a.test"
		f.Open()
		got := offered(f.StartTLS(), "mechanisms", "mechanism", "")
		slices.Sort(got)
		if !slices.Equal(got, allMechanisms) {
			t.Errorf("offered %v, wanted %v", got, allMechanisms)
		}
		for _, m := range allMechanisms[1:] {
			for _, kind := range []string{"tls-exporter", "tls-server-end-point"} {
				if !strings.HasSuffix(m, "-PLUS") && kind != "tls-exporter" {
					continue
				}
				c := conn(t)
				gs2 := ""
				if strings.HasSuffix(m, "-PLUS") {
					gs2 = "p=" + kind + ",,"
				}
				// TryScram verifies the server's signature.
				if n := scram(xtest.Scram{Mechanism: m, GS2: gs2})(c); n.Name.Local != "success" {
					t.Errorf("%s %s: %s", m, gs2, n)
					continue
				}
				c.Restart()
				c.Open()
				c.Bind("x")
				if !strings.HasPrefix(c.JID, "mallory@a.test/") {
					t.Errorf("%s bound %s", m, c.JID)
				}
			}
		}
		// And with a library that others wrote; auth's TestInterop has it with -PLUS.
		for _, m := range []sasl.Mechanism{sasl.Plain, sasl.ScramSha1, sasl.ScramSha256} {
			c := conn(t)
			c.Auth(m, "mallory", xtest.Password)
			c.Bind("")
		}
		c := g.Dial(t)
		c.Host = "a.test"
		c.Open()
		cfg := c.TLSConfig()
		cfg.MaxVersion = tls.VersionTLS12
		f2 := c.StartTLS(cfg)
		if kinds := offered(f2, "sasl-channel-binding", "channel-binding", "type"); !slices.Equal(kinds, []string{"tls-server-end-point"}) {
			t.Errorf("on TLS 1.2 the channel bindings %v", kinds)
		}
		if n := scram(xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-server-end-point,,"})(c); n.Name.Local != "success" {
			t.Errorf("TLS 1.2: %s", n)
		}
	})

	g.Run(t, "A02 PLAIN for somebody else", func(t *testing.T) {
		each(t, "invalid-authzid", map[string]func(*xtest.Client) *xtest.Node{
			"bare JID": plain("bob@a.test\x00mallory" + pw), "localpart": plain("bob\x00mallory" + pw),
			"host": plain("a.test\x00mallory" + pw), "full JID": plain("mallory@a.test/x\x00mallory" + pw),
		})
	})
	g.Run(t, "A03 SCRAM for somebody else", func(t *testing.T) {
		each(t, "invalid-authzid", map[string]func(*xtest.Client) *xtest.Node{
			"plain": scram(xtest.Scram{GS2: "n,a=bob@a.test,"}), "PLUS": scram(xtest.Scram{Mechanism: "SCRAM-SHA-1-PLUS", GS2: "p=tls-exporter,a=bob@a.test,"}),
			"escaped": scram(xtest.Scram{GS2: "n,a=bob=2C@a.test,"}),
		})
		c := conn(t)
		if n := scram(xtest.Scram{GS2: "n,a=mallory@a.test,"})(c); n.Name.Local != "success" {
			t.Errorf("for oneself: %s", n)
		}
	})
	g.Run(t, "A04 other host", func(t *testing.T) {
		each(t, "invalid-authzid", map[string]func(*xtest.Client) *xtest.Node{
			"PLAIN": plain("alice@b.test\x00alice" + pw), "SCRAM": scram(xtest.Scram{User: "alice", GS2: "n,a=alice@b.test,"}),
		})
		each(t, "not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"user of the other host": plain("\x00alice@b.test" + pw), "SCRAM user of the other host": scram(xtest.Scram{User: "alice@b.test"}),
		})
	})
	g.Run(t, "A05 names are prepared", func(t *testing.T) {
		for _, name := range []string{"ALICE", "ａlice", "Alice", "alice@a.test", "ALICE@A.TEST"} {
			for _, attempt := range []func(*xtest.Client) *xtest.Node{plain("\x00" + name + pw), scram(xtest.Scram{User: name})} {
				c := conn(t)
				if n := attempt(c); n.Name.Local != "success" {
					t.Errorf("%q: %s", name, n)
					continue
				}
				c.Restart()
				c.Open()
				c.Bind("Ⅷ")
				if c.JID != "alice@a.test/VIII" && c.JID != "alice@a.test/Ⅷ" {
					t.Errorf("%q is %s", name, c.JID)
				}
				c.Send("<message to='carol@a.test' type='chat'><body>%s</body></message>", xtest.Marker)
				if n := g.Bystander.Must(); n.Attr("from") != c.JID {
					t.Errorf("%q writes as %s, is %s", name, n.Attr("from"), c.JID)
				}
			}
		}
		g.AddUser("zo\u00eb@a.test", xtest.Password)
		for _, name := range []string{"zo\u00eb", "zoe\u0308", "ZOE\u0308"} {
			c := conn(t)
			c.Auth(sasl.Plain, name, xtest.Password)
			c.Bind("x")
			if c.JID != "zo\u00eb@a.test/x" {
				t.Errorf("%+q is %+q", name, c.JID)
			}
		}
		each(t, "malformed-request", map[string]func(*xtest.Client) *xtest.Node{
			"space": plain("\x00al ice" + pw), "slash": plain("\x00alice/x" + pw), "SCRAM": scram(xtest.Scram{User: "al ice"}),
			"unassigned": plain("\x00al\U000e0fffice" + pw), "invisible": plain("\x00al\u200bice" + pw),
		})
	})
	g.Run(t, "A06 A07 base64", func(t *testing.T) {
		each(t, "incorrect-encoding", map[string]func(*xtest.Client) *xtest.Node{
			"A06 none": raw("PLAIN", "!!!!"), "A06 truncated": raw("PLAIN", "AGFsaWN"), "A06 stray bits": raw("PLAIN", "AB=="),
			"A06 URL alphabet": raw("PLAIN", "__--"), "A06 padding inside": raw("PLAIN", "AA==AGFs"),
			"A07 CR": raw("PLAIN", "AGFs&#13;aWNl"), "A07 LF": raw("PLAIN", "AGFs\naWNl"), "A07 space": raw("PLAIN", "AGFs aWNl"), "A07 tab": raw("PLAIN", "\tAGFs"),
			"A07 in SCRAM": raw("SCRAM-SHA-1", "biws\nbj1hbGljZSxyPXg="),
		})
		each(t, "incorrect-encoding malformed-request", map[string]func(*xtest.Client) *xtest.Node{
			"A06 second step": func(c *xtest.Client) *xtest.Node {
				raw("SCRAM-SHA-1", xtest.B64("n,,n=alice,r=x"))(c)
				c.Send("<response %s>!</response>", nsSASLP)
				return c.Must()
			},
		})
	})
	g.Run(t, "A08 malformed messages", func(t *testing.T) {
		each(t, "malformed-request", map[string]func(*xtest.Client) *xtest.Node{
			"empty": raw("PLAIN", "="), "no NUL": plain("alice"), "one NUL": plain("alice" + pw), "three NULs": plain("\x00alice" + pw + "\x00"),
			"empty password": plain("\x00alice\x00"), "empty name": plain("\x00" + pw), "invalid UTF-8": plain("\x00alice\x00\xff\xfe"),
			"elements": raw("PLAIN", "<x/>"), "SCRAM empty": raw("SCRAM-SHA-1", "="), "SCRAM nonsense": raw("SCRAM-SHA-1", xtest.B64("hello")),
			"SCRAM NUL": raw("SCRAM-SHA-1", xtest.B64("n,,n=alice\x00,r=x")),
		})
		t.Run("1 MiB", func(t *testing.T) { // more than a stanza before login may have
			c := conn(t)
			c.TrySend(fmt.Sprintf("<auth %s mechanism='PLAIN'>%s</auth>", nsSASLP, strings.Repeat("QUFB", 1<<18)))
			c.WantStreamError("policy-violation")
		})
	})
	g.Run(t, "A09 not offered", func(t *testing.T) {
		attempts := map[string]func(*xtest.Client) *xtest.Node{"none": func(c *xtest.Client) *xtest.Node {
			c.Send("<auth %s>=</auth>", nsSASLP)
			return c.Must()
		}}
		for _, m := range []string{"FOO", "ANONYMOUS", "DIGEST-MD5", "CRAM-MD5", "LOGIN", "EXTERNAL", "plain", "PLAIN ", "SCRAM-SHA-384", "X-TOKEN", "X-OAUTH", "HT-SHA-256-NONE", ""} {
			attempts["mechanism "+m] = raw(m, "=")
		}
		each(t, "invalid-mechanism", attempts)
	})
	g.Run(t, "A12 A13 channel binding denied", func(t *testing.T) {
		each(t, "not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"A12 y while PLUS is offered": scram(xtest.Scram{GS2: "y,,"}),
			"A12 y on PLUS":               scram(xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "y,,"}),
			"A12 n on PLUS":               scram(xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "n,,"}),
			"A13 p without PLUS":          raw("SCRAM-SHA-256", xtest.B64("p=tls-exporter,,n=mallory,r=x")),
		})
	})
	g.Run(t, "A15 wrong channel binding", func(t *testing.T) {
		other := conn(t)
		plus := func(gs2 string, data []byte) func(*xtest.Client) *xtest.Node {
			return scram(xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", GS2: gs2, Binding: data})
		}
		each(t, "not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"wrong data": plus("p=tls-exporter,,", bytes.Repeat([]byte{7}, 32)), "no data": plus("p=tls-exporter,,", []byte{}),
			"of another connection":   plus("p=tls-exporter,,", other.ChannelBinding("tls-exporter")),
			"of another type":         plus("p=tls-exporter,,", other.ChannelBinding("tls-server-end-point")),
			"unknown type":            plus("p=tls-nothing,,", []byte("x")),
			"tls-unique on TLS 1.3":   plus("p=tls-unique,,", []byte("0123456789ab")),
			"data without PLUS":       scram(xtest.Scram{GS2: "n,,", Binding: []byte("x")}),
			"type in capital letters": plus("p=TLS-EXPORTER,,", other.ChannelBinding("tls-exporter")),
		})
	})
	g.Run(t, "A16 SCRAM's last message", func(t *testing.T) {
		final := func(fn func(bare, proof string) string) func(*xtest.Client) *xtest.Node {
			return scram(xtest.Scram{Final: fn})
		}
		bare := func(fn func(string) string) func(*xtest.Client) *xtest.Node { return scram(xtest.Scram{Bare: fn}) }
		each(t, "not-authorized malformed-request", map[string]func(*xtest.Client) *xtest.Node{
			"c= of another header": bare(func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) }),
			"c= empty":             bare(func(s string) string { return strings.Replace(s, "c=biws", "c=", 1) }),
			"no c=":                bare(func(s string) string { return strings.Replace(s, "c=biws,", "", 1) }),
			"nonce cut":            bare(func(s string) string { return s[:len(s)-1] }),
			"nonce longer":         bare(func(s string) string { return s + "x" }),
			"nonce changed":        bare(func(s string) string { return s[:len(s)-1] + "-" }),
			"mandatory extension":  bare(func(s string) string { return s + ",m=x" }),
			"no proof":             final(func(b, p string) string { return b }),
			"empty proof":          final(func(b, p string) string { return b + ",p=" }),
			"short proof":          final(func(b, p string) string { return b + ",p=" + p[:8] }),
			"proof of zeros":       final(func(b, p string) string { return b + ",p=" + xtest.B64(strings.Repeat("\x00", 32)) }),
			"long proof":           final(func(b, p string) string { return b + ",p=" + p[:40] + p }),
			"two proofs":           final(func(b, p string) string { return b + ",p=" + p + ",p=" + p }),
			"attribute behind":     final(func(b, p string) string { return b + ",p=" + p + ",x=1" }),
			"comma behind":         final(func(b, p string) string { return b + ",p=" + p + "," }),
			"nothing":              final(func(b, p string) string { return "" }),
			"first message again":  final(func(b, p string) string { return "n,,n=bob,r=x" }),
			"wrong password":       scram(xtest.Scram{Password: "wrong"}),
		})
	})
	g.Run(t, "A19 escaped names", func(t *testing.T) {
		each(t, "malformed-request", map[string]func(*xtest.Client) *xtest.Node{
			"=ZZ": raw("SCRAM-SHA-1", xtest.B64("n,,n=al=ZZice,r=x")), "lower case": raw("SCRAM-SHA-1", xtest.B64("n,,n=al=2cice,r=x")),
			"cut": raw("SCRAM-SHA-1", xtest.B64("n,,n=alice=2,r=x")), "bare": raw("SCRAM-SHA-1", xtest.B64("n,,n=alice=,r=x")),
		})
		for _, name := range []string{"al,ice", "al=ice"} {
			g.AddUser(name+"@a.test", xtest.Password)
			c := conn(t)
			if n := scram(xtest.Scram{User: name})(c); n.Name.Local != "success" { // TryScram escapes it
				t.Errorf("%s: %s", name, n)
				continue
			}
			c.Restart()
			c.Open()
			c.Bind("x")
			if c.JID != name+"@a.test/x" {
				t.Errorf("%s is %s", name, c.JID)
			}
		}
	})
	g.Run(t, "A21 order of messages", func(t *testing.T) {
		first := raw("SCRAM-SHA-1", xtest.B64("n,,n=alice,r=x"))
		each(t, "aborted", map[string]func(*xtest.Client) *xtest.Node{
			"abort": func(c *xtest.Client) *xtest.Node {
				first(c)
				c.Send("<abort %s/>", nsSASLP)
				return c.Must()
			},
			"abort of nothing": func(c *xtest.Client) *xtest.Node {
				c.Send("<abort %s/>", nsSASLP)
				return c.Must()
			},
		})
		each(t, "malformed-request not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"response to nothing": func(c *xtest.Client) *xtest.Node {
				c.Send("<response %s>=</response>", nsSASLP)
				return c.Must()
			},
			"second auth for another": func(c *xtest.Client) *xtest.Node {
				first(c)
				return c.TryPlain("\x00bob" + pw)
			},
			"response after the failure": func(c *xtest.Client) *xtest.Node {
				first(c)
				c.TryPlain("\x00bob" + pw)
				c.Send("<response %s>%s</response>", nsSASLP, xtest.B64("c=biws,r=x,p=AAAA"))
				return c.Must()
			},
		})
	})
	g.Run(t, "A22 auth after login", func(t *testing.T) {
		c := conn(t)
		c.Auth(sasl.Plain, "mallory", xtest.Password)
		c.Send("<auth %s mechanism='PLAIN'>%s</auth>", nsSASLP, xtest.B64("\x00bob"+pw))
		c.WantStreamError("policy-violation", "unsupported-stanza-type")
		c = g.Attacker(t, "ok")
		c.Send("<auth %s mechanism='PLAIN'>%s</auth>", nsSASLP, xtest.B64("\x00bob"+pw))
		c.WantStreamError("policy-violation", "unsupported-stanza-type")
	})
	g.Run(t, "A25 disabled account", func(t *testing.T) {
		g.AddUser("dora@a.test", xtest.Password)
		if _, errs, code := g.Server.Run("", "user", "disable", "dora@a.test"); code != 0 {
			t.Fatal(errs)
		}
		each(t, "account-disabled", map[string]func(*xtest.Client) *xtest.Node{
			"PLAIN": plain("\x00dora" + pw), "SCRAM": scram(xtest.Scram{User: "dora"}),
		})
		each(t, "not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"PLAIN, wrong": plain("\x00dora\x00wrong"), "SCRAM, wrong": scram(xtest.Scram{User: "dora", Password: "wrong"}),
		})
		if _, errs, code := g.Server.Run("", "user", "enable", "dora@a.test"); code != 0 {
			t.Fatal(errs)
		}
		g.Login(t, "dora@a.test/x")
	})
	g.Run(t, "A28 SASL2", func(t *testing.T) { attackSASL2(t, g) })
	g.Run(t, "A29 what was announced", func(t *testing.T) {
		for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := g.Dial(t)
			c.Host = "a.test"
			c.Open()
			cfg := c.TLSConfig()
			cfg.MaxVersion = max
			f := c.StartTLS(cfg)
			mechanisms, kinds := offered(f, "mechanisms", "mechanism", ""), offered(f, "sasl-channel-binding", "channel-binding", "type")
			slices.Sort(mechanisms)
			slices.Sort(kinds)
			// XEP-0474 §2.1
			list := strings.Join(mechanisms, "\x1e") + "\x1f" + strings.Join(kinds, "\x1e")
			for _, m := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
				s := &xtest.Scram{Mechanism: m, User: "alice", Stop: func(string) bool { return true }}
				refusedWith(t, c.TryScram(s), "aborted")
				h := s.Hash()()
				h.Write([]byte(list))
				if want := base64.StdEncoding.EncodeToString(h.Sum(nil)); s.Announced != want {
					t.Errorf("%s: h=%s, the list that arrived has %s", m, s.Announced, want)
				}
				h.Reset()
				h.Write([]byte(strings.Replace(list, "SCRAM-SHA-512-PLUS\x1e", "", 1))) // as a man in the middle leaves it
				if tampered := base64.StdEncoding.EncodeToString(h.Sum(nil)); strings.Contains(list, "SCRAM-SHA-512-PLUS\x1e") && s.Announced == tampered {
					t.Errorf("%s: a shortened list goes unnoticed", m)
				}
			}
		}
	})
	g.Run(t, "A31 passwords are prepared", func(t *testing.T) {
		g.AddUser("pia@a.test", "caf\u00e9\u00a0au lait")
		for _, p := range []string{"caf\u00e9 au lait", "cafe\u0301\u3000au lait", "caf\u00e9\u00a0au\u2003lait"} {
			if n := conn(t).TryPlain("\x00pia\x00" + p); n.Name.Local != "success" {
				t.Errorf("%+q: %s", p, n)
			}
		}
		each(t, "not-authorized", map[string]func(*xtest.Client) *xtest.Node{
			"other case": plain("\x00pia\x00CAF\u00c9 au lait"), "control character": plain("\x00pia\x00caf\u00e9 au\x01lait"),
		})
		for _, p := range []string{"a\x01b", "a\u0085b", "a\tb"} {
			_, errs, code := g.Server.Run(p+"\n", "user", "passwd", "pia@a.test")
			if code != 1 || strings.Contains(errs, p) || !strings.Contains(errs, "password") {
				t.Errorf("%+q: exit %d, %s", p, code, errs)
			}
		}
	})
	g.Run(t, "A32 registration is off", func(t *testing.T) {
		c := g.Dial(t)
		c.Host = "a.test"
		for _, f := range []*xtest.Node{c.Open(), c.StartTLS()} {
			if openToAll(f) {
				t.Errorf("offered: %s", f)
			}
		}
		c.Send("<iq type='set' id='r' to='a.test'><query xmlns='jabber:iq:register'><username>eve</username><password>x</password></query></iq>")
		if n := c.Must(); n.Attr("type") != "error" && n.Name.Local != "error" {
			t.Errorf("got %s", n)
		}
		if out, _, _ := g.Server.Run("", "user", "list", "eve@a.test"); strings.Contains(out, "eve@") {
			t.Error("the account was made")
		}
	})
}

// TestAttackSASLLimits runs with the limits that a server has by default.
func TestAttackSASLLimits(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "auth_delay = \"10ms\"\nauth_delay_max = \"20ms\""})
	s.AddUsers("alice@localhost", "bob@localhost", "carol@localhost")
	t.Run("A10 wrong passwords on one stream", func(t *testing.T) {
		c := s.Secure(t, "localhost", "127.0.0.9")
		for i := 1; ; i++ {
			refusedWith(t, c.TryPlain("\x00bob\x00wrong"), "not-authorized")
			if i == 4 {
				break
			}
		}
		c.WantStreamError("policy-violation")
	})
	t.Run("A11 guessing", func(t *testing.T) {
		guess := func(from string, n int) (tried, refused int) {
			for tried < n {
				c := s.Secure(t, "localhost", from)
				for range 4 {
					tried++
					switch got := xtest.Condition(c.TryPlain("\x00alice\x00guess")); got {
					case "not-authorized":
					case "temporary-auth-failure":
						refused++
					default:
						t.Fatalf("got %s", got)
					}
				}
				c.Conn.Close()
			}
			return
		}
		tried, refused := guess("127.0.0.2", 40)
		if looked := tried - refused; looked > 10 {
			t.Errorf("%d of %d guesses were looked at in a minute", looked, tried)
		}
		// Not even the right password is looked at from there.
		refusedWith(t, s.Secure(t, "localhost", "127.0.0.2").TryPlain("\x00alice\x00"+xtest.Password), "temporary-auth-failure")
		// Nobody is locked out: not alice elsewhere, not others there who have been there before.
		s.Login(t, "alice@localhost/x", "127.0.0.3")
		s.Login(t, "carol@localhost/x", "127.0.0.4")
		guess("127.0.0.4", 12)
		s.Login(t, "carol@localhost/y", "127.0.0.4")
	})
	first := func(t *testing.T, user, mechanism string) *xtest.Scram {
		t.Helper()
		c := s.Secure(t, "localhost", "127.0.0.5")
		a := &xtest.Scram{Mechanism: mechanism, User: user, Stop: func(string) bool { return true }}
		refusedWith(t, c.TryScram(a), "aborted")
		c.Conn.Close()
		return a
	}
	t.Run("A30 iterations", func(t *testing.T) {
		for _, user := range []string{"alice", "bob", "nobody"} {
			for _, m := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
				if got := first(t, user, m); got.Iterations < 10000 {
					t.Errorf("%s of %s: %d iterations", m, user, got.Iterations)
				}
			}
		}
	})
	t.Run("A23 unknown users look like others", func(t *testing.T) {
		salts := map[string]string{}
		seen := map[string]string{}
		look := func() {
			for _, m := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
				known := first(t, "alice", m)
				for _, user := range []string{"nobody", "somebody"} {
					got := first(t, user, m)
					if len(got.Salt) != len(known.Salt) || got.Iterations != known.Iterations || len(got.Nonce) != len(known.Nonce) {
						t.Errorf("%s: %s, of a known user %s", user, got.ServerFirst, known.ServerFirst)
					}
					key := user + " " + m
					if was := salts[key]; was != "" && was != got.Salt {
						t.Errorf("%s had salt %s, now %s", key, was, got.Salt)
					}
					salts[key] = got.Salt
					if who := seen[got.Salt]; who != "" && who != key {
						t.Errorf("%s and %s have one salt", who, key)
					}
					seen[got.Salt] = key
				}
			}
		}
		for range 3 {
			look()
		}
		s.Stop()
		s.Start(xtest.Options{})
		look()
		// And in the end unknown users and wrong passwords are refused alike.
		c := s.Secure(t, "localhost", "127.0.0.6")
		unknown := c.TryScram(&xtest.Scram{Mechanism: "SCRAM-SHA-256", User: "nobody", Password: "x"})
		wrong := c.TryScram(&xtest.Scram{Mechanism: "SCRAM-SHA-256", User: "alice", Password: "x"})
		if unknown.String() != wrong.String() || xtest.Condition(wrong) != "not-authorized" {
			t.Errorf("unknown: %s, wrong: %s", unknown, wrong)
		}
		if a, b := c.TryPlain("\x00nobody\x00x"), s.Secure(t, "localhost", "127.0.0.7").TryPlain("\x00alice\x00x"); a.String() != b.String() {
			t.Errorf("unknown: %s, wrong: %s", a, b)
		}
	})
}
