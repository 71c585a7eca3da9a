package test

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// capsVer is XEP-0115 §5.1, written down independently of the server.
func capsVer(t *testing.T, query *xtest.Node) string {
	t.Helper()
	const end = "\x00" // stands for < until all is sorted: "urn:a" comes before "urn:a+notify", which "urn:a<" does not
	var ids, features, forms []string
	for _, c := range query.Children {
		switch c.Name.Local {
		case "identity":
			lang := ""
			for _, a := range c.Attrs {
				if a.Name.Space == "http://www.w3.org/XML/1998/namespace" {
					lang = a.Value
				}
			}
			ids = append(ids, c.Attr("category")+"/"+c.Attr("type")+"/"+lang+"/"+c.Attr("name")+end)
		case "feature":
			features = append(features, c.Attr("var")+end)
		case "x":
			formType, fields := "", []string(nil)
			for _, f := range c.Children {
				var values []string
				for _, v := range f.Children {
					values = append(values, v.Text+end)
				}
				slices.Sort(values)
				if f.Attr("var") == "FORM_TYPE" {
					formType = strings.Join(values, "")
				} else {
					fields = append(fields, f.Attr("var")+end+strings.Join(values, ""))
				}
			}
			slices.Sort(fields)
			forms = append(forms, formType+strings.Join(fields, ""))
		default:
			t.Errorf("disco#info has %s", c)
		}
	}
	for _, l := range [][]string{ids, features, forms} {
		slices.Sort(l)
		if d := slices.Compact(slices.Clone(l)); len(d) != len(l) {
			t.Errorf("something stands there twice, so no client trusts the hash (XEP-0115 §5.4): %q", l)
		}
	}
	sum := sha1.Sum([]byte(strings.ReplaceAll(strings.Join(slices.Concat(ids, features, forms), ""), end, "<")))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestServices is what scenarios/services cannot compute: hashes, times, limits.
func TestServices(t *testing.T) {
	s := xtest.New(t, xtest.Options{
		Limits: "profile = \"off\"\nstanza_size_c2s = \"20 KiB\"\nidle_timeout_c2s = \"7m\"",
		Extra: weakKeys + `
[modules.mod_contacts]
abuse = ["mailto:abuse@example.com", "xmpp:abuse@example.com"]
admin = ["mailto:admin@example.com?subject=a&body=<b>"]
[modules.mod_version]
show_os = true
`,
	})
	s.AddUsers("alice@localhost", "bob@localhost")
	c := s.Dial(t)
	clear := c.Open()
	secured := c.StartTLS()
	features := c.Auth(sasl.Plain, "alice", xtest.Password)
	c.Bind("r")
	ask := func(t *testing.T, xml string, args ...any) *xtest.Node {
		t.Helper()
		c.Send("<iq type='get' id='q' to='localhost'>%s</iq>", fmt.Sprintf(xml, args...))
		return c.Want("<iq type='result' id='q' from='localhost' to='%s'/>", c.JID).Children[0]
	}
	t.Run("stream features", func(t *testing.T) {
		for _, f := range []string{
			"<ver xmlns='urn:xmpp:features:rosterver'/>",       // RFC 6121 §2.6.1
			"<sub xmlns='urn:xmpp:features:pre-approval'/>",    // RFC 6121 §3.4.1
			"<sm xmlns='urn:xmpp:sm:3'/>",                      // XEP-0198 §3
			"<csi xmlns='urn:xmpp:csi:0'/>",                    // XEP-0352 §4.1
			"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>", // RFC 6120 §7.2
			"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>",
		} {
			want, err := xtest.Parse("<stream:features>" + f + "</stream:features>")
			if err != nil {
				t.Fatal(err)
			}
			if why := xtest.Match(want, features); why != "" {
				t.Errorf("after login: %s", why)
			}
			for when, early := range map[string]*xtest.Node{"in clear": clear, "before login": secured} {
				if xtest.Match(want, early) == "" {
					t.Errorf("%s is offered %s", f, when)
				}
			}
		}
		for _, f := range []*xtest.Node{clear, secured, features} {
			if openToAll(f) {
				t.Errorf("registration is offered: %s", f) // XEP-0077 §8: it is off by default
			}
		}
	})
	t.Run("0115 capabilities", func(t *testing.T) {
		caps := features.Find("c")
		if caps == nil || caps.Name.Space != "http://jabber.org/protocol/caps" || caps.Attr("hash") != "sha-1" || caps.Attr("node") == "" {
			t.Fatalf("no capabilities among %s", features) // XEP-0115 §6.3
		}
		query := ask(t, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		if ver := capsVer(t, query); ver != caps.Attr("ver") {
			t.Errorf("the feature says %s, the answer %s comes to %s", caps.Attr("ver"), query, ver)
		}
		node := caps.Attr("node") + "#" + caps.Attr("ver") // XEP-0115 §6.2
		byNode := ask(t, "<query xmlns='http://jabber.org/protocol/disco#info' node='%s'/>", node)
		if byNode.Attr("node") != node || capsVer(t, byNode) != caps.Attr("ver") {
			t.Errorf("asked for the node: %s", byNode)
		}
	})
	t.Run("0157 contact addresses", func(t *testing.T) {
		query := ask(t, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		want, err := xtest.Parse(`<x xmlns='jabber:x:data' type='result'>
			<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>
			<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@example.com</value><value>xmpp:abuse@example.com</value></field>
			<field var='admin-addresses'><value>mailto:admin@example.com?subject=a&amp;body=&lt;b&gt;</value></field></x>`)
		if err != nil {
			t.Fatal(err)
		}
		x := query.Find("x")
		if why := xtest.Match(want, x); why != "" {
			t.Errorf("%s in %s", why, x)
		}
		if len(x.Children) != 3 {
			t.Errorf("what is not set is told: %s", x)
		}
	})
	t.Run("0202 time", func(t *testing.T) {
		before := time.Now().Truncate(time.Second)
		n := ask(t, "<time xmlns='urn:xmpp:time'/>")
		utc, err := time.Parse("2006-01-02T15:04:05Z", n.Find("utc").Text)
		if err != nil || utc.Before(before) || utc.After(time.Now()) {
			t.Errorf("%s is not now (%v)", n, err)
		}
		if _, err := time.Parse("-07:00", n.Find("tzo").Text); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	})
	t.Run("0092 operating system", func(t *testing.T) {
		if n := ask(t, "<query xmlns='jabber:iq:version'/>"); n.Child("os") == nil || n.Child("os").Text == "" {
			t.Errorf("the admin wants it told: %s", n)
		}
	})
	t.Run("0012 uptime", func(t *testing.T) {
		n := ask(t, "<query xmlns='jabber:iq:last'/>")
		if sec, err := strconv.Atoi(n.Attr("seconds")); err != nil || sec < 0 || sec > 3600 {
			t.Errorf("got %s", n)
		}
	})
	t.Run("0478 limits", func(t *testing.T) {
		for _, f := range []struct {
			when        string
			n           *xtest.Node
			bytes, idle string
		}{{"in clear", clear, "10000", "60"}, {"before login", secured, "10000", "60"}, {"after login", features, "20480", "420"}} {
			l := f.n.Child("limits")
			if l == nil || l.Name.Space != "urn:xmpp:stream-limits:0" || l.Child("max-bytes").Text != f.bytes || l.Child("idle-seconds").Text != f.idle {
				t.Errorf("%s: %s", f.when, l)
			}
		}
		// A stanza of exactly that size is taken, a longer one is not.
		head, tail := "<message to='bob@localhost' type='chat' id='big'><body>", "</body></message>"
		bob := s.Online(t, "bob@localhost/r")
		c.Send("%s", head+strings.Repeat("x", 20480-len(head)-len(tail))+tail)
		bob.Want("<message id='big'/>")
		c.Send("%s", head+strings.Repeat("x", 20480-len(head)-len(tail)+1)+tail)
		c.WantStreamError("policy-violation")
		bob.Quiet()
	})
}

// openToAll tells whether stream features offer registration to everybody (XEP-0077 §8). Who is invited may register in any
// case (XEP-0445 §2).
func openToAll(features *xtest.Node) bool {
	return slices.ContainsFunc(features.Children, func(f *xtest.Node) bool { return f.Name.Space == "http://jabber.org/features/iq-register" })
}

// TestRegistration is XEP-0077 before login and for the password. What it must refuse is in TestAttackRegistration.
func TestRegistration(t *testing.T) {
	s := xtest.New(t, xtest.Options{
		Limits: `profile = "off"`,
		Extra:  weakKeys + "[modules.mod_register]\nallow_registration = true\ninstructions = \"Be brief.\"\n",
	})
	s.AddUsers("taken@localhost")
	set := func(c *xtest.Client, query string) {
		t.Helper()
		c.Send("<iq type='set' id='set'><query xmlns='jabber:iq:register'>%s</query></iq>", query)
	}
	refused := func(t *testing.T, c *xtest.Client, typ, condition string) {
		t.Helper()
		c.Want("<iq type='error' id='set'><error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error><none name='query'/></iq>", typ, condition)
	}
	t.Run("account", func(t *testing.T) {
		c := s.Dial(t)
		c.Open()
		if f := c.StartTLS(); !openToAll(f) {
			t.Errorf("not offered: %s", f)
		}
		c.Send("<iq type='get' id='get' to='localhost'><query xmlns='jabber:iq:register'/></iq>")
		c.Want("<iq type='result' id='get'><query xmlns='jabber:iq:register'><instructions>Be brief.</instructions><username/><password/><none name='registered'/></query></iq>")
		set(c, "<username>taken</username><password>x y z 1</password>")
		refused(t, c, "cancel", "conflict")
		set(c, "<username>TAKEN</username><password>x y z 1</password>")
		refused(t, c, "cancel", "conflict")
		for _, incomplete := range []string{
			"", "<username>new</username>", "<username>new</username><password/>", "<password>x y z 1</password>",
			"<username>n@w</username><password>x y z 1</password>", "<username>n w</username><password>x y z 1</password>",
			"<username>" + strings.Repeat("n", 1024) + "</username><password>x y z 1</password>",
		} {
			set(c, incomplete)
			refused(t, c, "modify", "not-acceptable")
		}
		set(c, "<remove/>")
		refused(t, c, "wait", "unexpected-request") // XEP-0077 §3.2: whose?
		set(c, "<username>New</username><password>"+xtest.Password+"</password>")
		c.Want("<iq type='result' id='set'/>")
		c.Auth(sasl.Plain, "new", xtest.Password) // on the same stream
		c.Bind("r")
		if c.JID != "new@localhost/r" {
			t.Errorf("bound as %s", c.JID)
		}
		set(c, "<username>second</username><password>x y z 1</password>")
		refused(t, c, "auth", "forbidden")
	})
	t.Run("password", func(t *testing.T) {
		own, other := s.Login(t, "taken@localhost/own"), s.Login(t, "taken@localhost/other")
		set(own, "<username>Taken</username><password>another one</password>")
		own.Want("<iq type='result' id='set'/>")
		other.WantStreamError("reset")
		own.Barrier()
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00taken\x00"+xtest.Password), "not-authorized")
		s.Secure(t, "localhost").Auth(sasl.Plain, "taken", "another one")
	})
}
