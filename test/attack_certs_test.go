package test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

const nsCerts = "urn:xmpp:saslcert:1"

func appendCert(name string, cc *xtest.ClientCert, more ...string) string {
	return "<append xmlns='" + nsCerts + "'><name>" + name + "</name>" + strings.Join(more, "") + "<x509cert>" + cc.Base64() + "</x509cert></append>"
}

func namedCert(what, name string) string {
	return "<" + what + " xmlns='" + nsCerts + "'><name>" + name + "</name></" + what + ">"
}

const listCerts = "<items xmlns='" + nsCerts + "'/>"

// done fails the test unless a request was carried out.
func done(t testing.TB, n *xtest.Node) *xtest.Node {
	t.Helper()
	if n.Attr("type") != "result" {
		t.Fatalf("refused: %s", n)
	}
	return n
}

// denied fails the test unless an answer is an error of that type and condition.
func denied(t testing.TB, n *xtest.Node, typ, condition string) {
	t.Helper()
	e := n.Find("error")
	if n.Attr("type") != "error" || e == nil || e.Attr("type") != typ || e.Find(condition) == nil {
		t.Errorf("want %s %s, got %s", typ, condition, n)
	}
}

// mechanisms are those that features offer.
func mechanisms(f *xtest.Node) []string { return offered(f, "mechanisms", "mechanism", "") }

// certTarget is a server whose users alice, bob and carol each have a client that is logged in with the password.
type certTarget struct {
	*xtest.Target
	alice *xtest.Client
}

func newCertTarget(t *testing.T, extra string) *certTarget {
	g := xtest.NewTarget(t, xtest.Options{Extra: extra})
	return &certTarget{g, g.Login(t, "alice@localhost/owner")}
}

// upload makes a certificate for alice and lets her upload it.
func (g *certTarget) upload(t *testing.T, name string, what xtest.Login, more ...string) *xtest.ClientCert {
	t.Helper()
	if what.Names == nil {
		what.Names = []string{"alice@localhost"}
	}
	cc := xtest.NewClientCert(t, what)
	done(t, g.alice.IQ("set", "", appendCert(name, cc, more...)))
	return cc
}

// refused connects with a certificate and fails the test if it lets the client in.
func (g *certTarget) refused(t *testing.T, cc *xtest.ClientCert, authzid, conditions string) {
	t.Helper()
	c, _ := g.Show(t, "localhost", cc)
	refusedWith(t, c.External(authzid), conditions)
}

// enters connects with a certificate, and fails the test unless that lets the client in.
func (g *certTarget) enters(t *testing.T, cc *xtest.ClientCert) {
	t.Helper()
	c, _ := g.Show(t, "localhost", cc)
	if n := c.External(""); n.Name.Local != "success" {
		t.Fatalf("login: %s", n)
	}
}

// TestAttackCerts: group C.
func TestAttackCerts(t *testing.T) {
	g := newCertTarget(t, "")
	run := func(name string, fn func(t *testing.T)) {
		g.Run(t, name, func(t *testing.T) {
			was := g.alice.T
			g.alice.T = t
			defer func() { g.alice.T = was }()
			fn(t)
		})
	}
	run("C01 append, list, log in", func(t *testing.T) {
		cc := g.upload(t, "Phone", xtest.Login{})
		c, f := g.Show(t, "localhost", cc)
		if m := mechanisms(f); len(m) == 0 || m[0] != "EXTERNAL" {
			t.Errorf("offered are %v", m)
		}
		if n := c.External(""); n.Name.Local != "success" {
			t.Fatalf("login: %s", n)
		}
		c.Restart()
		c.Open()
		c.Bind("pocket")
		if c.JID != "alice@localhost/pocket" {
			t.Errorf("in as %s", c.JID)
		}
		info := done(t, c.IQ("get", "localhost", "<query xmlns='http://jabber.org/protocol/disco#info'/>"))
		if !strings.Contains(info.String(), nsCerts) {
			t.Errorf("not announced: %s", info)
		}
		item := done(t, g.alice.IQ("get", "", listCerts)).Find("item")
		if item == nil || item.Find("name").Text != "Phone" || item.Find("x509cert").Text != cc.Base64() || item.Find("resource").Text != "pocket" {
			t.Errorf("the list has %s", item)
		}
		for _, authzid := range []string{"alice@localhost", "ALICE@localhost"} { // what clients send
			c, _ := g.Show(t, "localhost", cc)
			if n := c.External(authzid); n.Name.Local != "success" {
				t.Errorf("as %s: %s", authzid, n)
			}
		}
		// No initial response, then an empty one (RFC 6120 §6.4.2).
		c, _ = g.Show(t, "localhost", cc)
		c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>")
		c.Want("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		c.Send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		c.Want("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		for _, response := range []string{"", "<initial-response/>", "<initial-response>" + xtest.B64("alice@localhost") + "</initial-response>"} {
			c, _ = g.Show(t, "localhost", cc)
			c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='EXTERNAL'>%s</authenticate>", response)
			n := c.Must()
			if n.Name.Local == "challenge" {
				c.Send("<response xmlns='urn:xmpp:sasl:2'/>")
				n = c.Must()
			}
			if n.Name.Local != "success" || n.Find("authorization-identifier").Text != "alice@localhost" {
				t.Errorf("SASL2 with %q: %s", response, n)
			}
		}
	})
	run("C02 not uploaded", func(t *testing.T) {
		cc := xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}})
		c, f := g.Show(t, "localhost", cc)
		if slices.Contains(mechanisms(f), "EXTERNAL") {
			t.Error("EXTERNAL is offered")
		}
		refusedWith(t, c.External(""), "invalid-mechanism not-authorized")
		stillWorks(t, c, "alice")
	})
	run("C03 somebody else", func(t *testing.T) {
		cc := g.upload(t, "C03", xtest.Login{})
		both := g.upload(t, "C03 both", xtest.Login{Names: []string{"alice@localhost", "bob@localhost"}})
		for _, authzid := range []string{"bob@localhost", "alice@elsewhere.test", "localhost", "alice@localhost\x00", "\xff"} {
			g.refused(t, cc, authzid, "invalid-authzid")
		}
		g.refused(t, both, "", "invalid-authzid")
		g.refused(t, both, "carol@localhost", "invalid-authzid")
		g.refused(t, both, "bob@localhost", "not-authorized") // bob has not uploaded it
		c, _ := g.Show(t, "localhost", both, " from='alice@localhost'")
		if n := c.External(""); n.Name.Local != "success" {
			t.Errorf("with from: %s", n)
		}
		c, _ = g.Show(t, "localhost", cc)
		refusedWith(t, c.External("bob@localhost"), "invalid-authzid")
		stillWorks(t, c, "alice") // the stream stays open for another try
	})
	run("C04 not yet or no longer valid", func(t *testing.T) {
		for name, what := range map[string]xtest.Login{
			"expired":       {From: time.Now().Add(-time.Hour), To: time.Now().Add(-time.Minute)},
			"not yet valid": {From: time.Now().Add(time.Hour)},
		} {
			what.Names = []string{"alice@localhost"}
			cc := xtest.NewClientCert(t, what)
			denied(t, g.alice.IQ("set", "", appendCert(name, cc)), "modify", "not-acceptable")
			g.refused(t, cc, "", "invalid-mechanism")
		}
		// One that expires between the offer and the login, and is looked at again then. It must last until it is uploaded, on a
		// busy machine too, and certificates count in whole seconds.
		cc := g.upload(t, "C04", xtest.Login{To: time.Now().Add(4 * time.Second)})
		c, f := g.Show(t, "localhost", cc)
		if !slices.Contains(mechanisms(f), "EXTERNAL") {
			t.Skip("the machine was too slow to offer it in time")
		}
		live, _ := g.Show(t, "localhost", cc)
		in := live.External("").Name.Local == "success"
		leaf, err := x509.ParseCertificate(cc.DER)
		must(t, err)
		time.Sleep(time.Until(leaf.NotAfter.Add(time.Second)))
		refusedWith(t, c.External(""), "credentials-expired")
		g.refused(t, cc, "", "invalid-mechanism")
		if in { // who is in stays
			live.Restart()
			live.Open()
			live.Bind("C04")
			live.Barrier()
		}
	})
	run("C06 the resource of a full address", func(t *testing.T) {
		cc := g.upload(t, "C06", xtest.Login{Names: []string{"alice@localhost/pinned"}})
		first := g.Enter(t, "alice@localhost/pinned", cc)
		c, _ := g.Show(t, "localhost", cc)
		if n := c.External("alice@localhost"); n.Name.Local != "success" {
			t.Fatalf("login: %s", n)
		}
		c.Restart()
		c.Open()
		denied(t, c.IQ("set", "", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>other</resource></bind>"), "cancel", "not-allowed")
		c.Bind("")
		if c.JID != "alice@localhost/pinned" {
			t.Errorf("bound %s", c.JID)
		}
		first.WantStreamError("conflict")
		g.refused(t, cc, "alice@localhost/other", "invalid-authzid")
	})
	run("C07 disable and revoke", func(t *testing.T) {
		cc, other := g.upload(t, "C07", xtest.Login{}), g.upload(t, "C07 other", xtest.Login{})
		live, stays := g.Enter(t, "alice@localhost/C07", cc), g.Enter(t, "alice@localhost/C07-other", other)
		sleeper := g.Enter(t, "alice@localhost/C07-sleeper", cc)
		sleeper.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		id := sleeper.Want("<enabled xmlns='urn:xmpp:sm:3'/>").Attr("id")
		sleeper.Conn.Close()
		done(t, g.alice.IQ("set", "", namedCert("disable", "C07")))
		g.refused(t, cc, "", "invalid-mechanism not-authorized")
		live.Barrier()
		done(t, g.alice.IQ("set", "", namedCert("revoke", "C07")))
		live.WantStreamError("not-authorized")
		stays.Barrier()
		g.alice.Barrier()
		// What waited to be resumed is gone too.
		c := g.Secure(t, "localhost")
		stillWorks(t, c, "alice")
		c.Restart()
		c.Open()
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", id)
		c.Want("<failed xmlns='urn:xmpp:sm:3'/>")
		// Revoked at once, with a session that sleeps and one that revokes its own.
		sleeper = g.Enter(t, "alice@localhost/C07-other-sleeper", other)
		sleeper.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		id = sleeper.Want("<enabled xmlns='urn:xmpp:sm:3'/>").Attr("id")
		sleeper.Conn.Close()
		done(t, stays.IQ("set", "", namedCert("revoke", "C07 other")))
		stays.WantStreamError("not-authorized")
		c = g.Secure(t, "localhost")
		stillWorks(t, c, "alice")
		c.Restart()
		c.Open()
		c.Send("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", id)
		c.Want("<failed xmlns='urn:xmpp:sm:3'/>")
		for _, what := range []string{"revoke", "disable"} {
			denied(t, g.alice.IQ("set", "", namedCert(what, "C07")), "cancel", "item-not-found")
		}
	})
	run("C07 revoked between login and session", func(t *testing.T) {
		cc := g.upload(t, "C07 late", xtest.Login{})
		c, _ := g.Show(t, "localhost", cc)
		if n := c.External(""); n.Name.Local != "success" {
			t.Fatal(n)
		}
		c.Restart()
		c.Open()
		done(t, g.alice.IQ("set", "", namedCert("revoke", "C07 late")))
		c.Send("<iq type='set' id='late'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
		c.WantStreamError("not-authorized")
	})
	run("C08 name taken", func(t *testing.T) {
		g.upload(t, "C08", xtest.Login{})
		denied(t, g.alice.IQ("set", "", appendCert("C08", xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}}))), "cancel", "conflict")
	})
	run("C09 others' certificates, restricted sessions", func(t *testing.T) {
		cc := g.upload(t, "C09", xtest.Login{}, "<no-cert-management/>")
		mallory := g.Attacker(t, "ok")
		for _, payload := range []string{namedCert("revoke", "C09"), namedCert("disable", "C09"),
			appendCert("mine", xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}}))} {
			denied(t, mallory.IQ("set", "alice@localhost", payload), "auth", "forbidden")
		}
		denied(t, mallory.IQ("get", "alice@localhost", listCerts), "auth", "forbidden")
		bot := g.Enter(t, "alice@localhost/bot", cc)
		for _, payload := range []string{namedCert("revoke", "C08"), namedCert("disable", "C09"),
			appendCert("mine", xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}}))} {
			denied(t, bot.IQ("set", "", payload), "auth", "forbidden")
		}
		done(t, bot.IQ("get", "", listCerts))
		devices := done(t, g.alice.IQ("get", "", "<list xmlns='urn:xmpp:cam:0'/>"))
		denied(t, bot.IQ("set", "", "<revoke xmlns='urn:xmpp:cam:0' id='"+devices.Find("client").Attr("id")+"'/>"), "auth", "forbidden")
	})
	run("C10 what is no certificate for a login", func(t *testing.T) {
		names := []string{"alice@localhost"}
		_, ed, _ := ed25519.GenerateKey(rand.Reader)
		weak := func(args ...string) *xtest.ClientCert { return openssl(t, args...) }
		good := xtest.NewClientCert(t, xtest.Login{Names: names})
		for name, der := range map[string][]byte{
			"64 KiB":         slices.Concat(good.DER, make([]byte, 64<<10)),
			"trailing bytes": slices.Concat(good.DER, []byte{0}),
			"cut":            good.DER[:len(good.DER)-1],
			"not DER":        []byte("-----BEGIN CERTIFICATE-----"),
			"RSA 1024":       weak("-newkey", "rsa:1024", "-sha256").DER,
			"SHA-1":          weak("-newkey", "rsa:2048", "-sha1").DER,
			"MD5":            weak("-newkey", "rsa:2048", "-md5").DER,
			"Ed448":          weak("-newkey", "ed448").DER,
			"secp256k1":      weak("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1").DER,
			"no address":     xtest.NewClientCert(t, xtest.Login{Common: "alice@localhost"}).DER,
			"bob's address":  xtest.NewClientCert(t, xtest.Login{Names: []string{"bob@localhost"}}).DER,
			"no address either": xtest.NewClientCert(t, xtest.Login{Change: func(c *x509.Certificate) {
				c.EmailAddresses, c.DNSNames = names, []string{"localhost"}
			}}).DER,
		} {
			if der != nil { // where openssl makes no such thing, nobody can send it
				n := g.alice.IQ("set", "", appendCert("C10", &xtest.ClientCert{DER: der}))
				if n.Attr("type") != "error" || n.Find("not-acceptable") == nil {
					t.Errorf("%s: %s", name, n)
				}
			}
		}
		for _, text := range []string{"", "***", "=", "AAAA=AAAA"} {
			n := g.alice.IQ("set", "", "<append xmlns='"+nsCerts+"'><name>C10</name><x509cert>"+text+"</x509cert></append>")
			if n.Attr("type") != "error" {
				t.Errorf("%q: %s", text, n)
			}
		}
		for i, key := range []any{ed, rsaKey(t)} {
			what := xtest.Login{Names: names}
			if i == 0 {
				what.Key = ed
			} else {
				what.Key = key.(*rsa.PrivateKey)
			}
			cc := g.upload(t, "C10 good", what)
			g.enters(t, cc)
			done(t, g.alice.IQ("set", "", namedCert("revoke", "C10 good")))
		}
	})
	run("C10 too many", func(t *testing.T) {
		g.AddUsers("many@localhost")
		c := g.Login(t, "many@localhost/x")
		for i := range 21 {
			n := c.IQ("set", "", appendCert("n"+string(rune('a'+i)), xtest.NewClientCert(t, xtest.Login{Names: []string{"many@localhost"}})))
			if i < 16 {
				done(t, n)
			} else {
				denied(t, n, "wait", "resource-constraint")
			}
		}
	})
	run("C13 no new password", func(t *testing.T) {
		c := g.Enter(t, "alice@localhost/C13", g.upload(t, "C13", xtest.Login{}))
		n := c.IQ("set", "localhost", "<query xmlns='jabber:iq:register'><username>alice</username><password>taken over</password></query>")
		denied(t, n, "auth", "not-authorized")
		stillWorks(t, g.Secure(t, "localhost"), "alice")
	})
	run("T15 no resumption of TLS", func(t *testing.T) {
		cc := g.upload(t, "T15", xtest.Login{})
		cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
		connect := func() (*xtest.Client, *xtest.Node) {
			c := g.Dial(t)
			c.Open()
			cfg := c.TLSConfig()
			cfg.ClientSessionCache = cache
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cc.TLS, nil }
			c.Handshake(cfg)
			return c, c.Open()
		}
		c, _ := connect()
		if n := c.External(""); n.Name.Local != "success" {
			t.Fatal(n)
		}
		done(t, g.alice.IQ("set", "", namedCert("revoke", "T15")))
		c, f := connect()
		if c.Conn.(*tls.Conn).ConnectionState().DidResume || cache.puts > 0 {
			t.Error("TLS sessions are resumed")
		}
		if slices.Contains(mechanisms(f), "EXTERNAL") {
			t.Error("EXTERNAL is offered")
		}
		refusedWith(t, c.External(""), "invalid-mechanism not-authorized")
	})
	run("no TLS, no certificate", func(t *testing.T) {
		c := g.Dial(t)
		c.Open()
		refusedWith(t, c.External(""), "encryption-required")
		refusedWith(t, g.Secure(t, "localhost").External(""), "invalid-mechanism")
	})
	run("A26 certificates die with the password", func(t *testing.T) {
		g.AddUsers("dora@localhost")
		c := g.Login(t, "dora@localhost/x")
		cc := xtest.NewClientCert(t, xtest.Login{Names: []string{"dora@localhost"}})
		done(t, c.IQ("set", "", appendCert("Phone", cc)))
		live := g.Enter(t, "dora@localhost/live", cc)
		done(t, c.IQ("set", "localhost", "<query xmlns='jabber:iq:register'><username>dora</username><password>changed</password></query>"))
		live.WantStreamError("reset", "not-authorized")
		g.refused(t, cc, "", "invalid-mechanism not-authorized")
		if item := done(t, c.IQ("get", "", listCerts)).Find("item"); item != nil {
			t.Errorf("still there: %s", item)
		}
	})
	// What is in the log of all that: who, from where, which certificate; never a key.
	for _, want := range []string{`"msg":"certificate added"`, `"msg":"certificate disabled"`, `"msg":"certificate revoked"`, `"msg":"certificate removed"`,
		`"mechanism":"EXTERNAL"`, `"credential":"certificate:`, `"account":"alice@localhost"`, `"tls":"TLS 1.3"`} {
		if !strings.Contains(g.Log(), want) {
			t.Errorf("the log has no %s", want)
		}
	}
}

// TestAttackCertsAuthority: group C with an authority whose certificates need not be uploaded.
func TestAttackCertsAuthority(t *testing.T) {
	ca, stranger := xtest.NewCA(t), xtest.NewCA(t)
	g := newCertTarget(t, "[modules.mod_client_certs]\nexternal_without_upload = true\nclient_ca_file = '"+ca.File(t)+"'\n")
	g.AddUsers("admin@localhost")
	names := []string{"alice@localhost"}
	leaf := xtest.NewClientCert(t, xtest.Login{Names: names, CA: ca})
	g.Run(t, "C12 signed by the authority", func(t *testing.T) {
		g.enters(t, leaf)
		g.enters(t, xtest.NewClientCert(t, xtest.Login{Names: names, CA: ca, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
		g.refused(t, leaf, "admin@localhost", "invalid-authzid")
	})
	for name, what := range map[string]xtest.Login{
		"C02 another authority":   {Names: names, CA: stranger},
		"C02 self-signed":         {Names: names},
		"C12 CN=admin":            {Common: "admin", CA: ca},
		"C12 CN=admin@localhost":  {Common: "admin@localhost", CA: ca},
		"C12 OU=CN=admin,":        {CA: ca, Change: func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"CN=admin,"} }},
		"C12 no subjectAltName":   {CA: ca},
		"C12 wrong purpose":       {Names: names, CA: ca, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}},
		"C04 expired":             {Names: names, CA: ca, From: time.Now().Add(-time.Hour), To: time.Now().Add(-time.Minute)},
		"C12 the server's domain": {Names: []string{"localhost"}, CA: ca},
	} {
		g.Run(t, name, func(t *testing.T) {
			cc := xtest.NewClientCert(t, what)
			for _, authzid := range []string{"", "admin@localhost"} {
				g.refused(t, cc, authzid, "invalid-mechanism not-authorized invalid-authzid")
			}
		})
	}
	g.Run(t, "C12 signed by a certificate that is no authority", func(t *testing.T) {
		cc := xtest.NewClientCert(t, xtest.Login{Names: names, CA: ca.Below(t, leaf)})
		cc.TLS.Certificate = append(cc.TLS.Certificate, leaf.DER)
		g.refused(t, cc, "", "invalid-mechanism not-authorized")
	})
	g.Run(t, "C07 revoked, and not let in by the authority", func(t *testing.T) {
		g.alice.T = t
		cc := xtest.NewClientCert(t, xtest.Login{Names: names, CA: ca})
		done(t, g.alice.IQ("set", "", appendCert("C07", cc)))
		g.enters(t, cc)
		done(t, g.alice.IQ("set", "", namedCert("revoke", "C07")))
		g.refused(t, cc, "", "invalid-mechanism not-authorized")
	})
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return k
}

// openssl makes a self-signed certificate for alice that Go would not make; one without DER where openssl does not either.
func openssl(t *testing.T, args ...string) *xtest.ClientCert {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl")
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "c.cnf"), []byte("[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\nCN = x\n[ext]\n"+
		"subjectAltName = @san\n[san]\notherName.0 = 1.3.6.1.5.5.7.8.5;UTF8:alice@localhost\n"), 0o600)
	cmd := exec.Command("openssl", append([]string{"req", "-x509", "-nodes", "-days", "10", "-config", "c.cnf", "-keyout", "k", "-out", "c"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("openssl %v: %v %s", args, err, out)
		return &xtest.ClientCert{}
	}
	b, err := os.ReadFile(filepath.Join(dir, "c"))
	must(t, err)
	block, _ := pem.Decode(b)
	return &xtest.ClientCert{DER: block.Bytes}
}

// countingCache counts what a server gives for resumption.
type countingCache struct {
	tls.ClientSessionCache
	puts int
}

func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.puts++
	}
	c.ClientSessionCache.Put(key, s)
}
