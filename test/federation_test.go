package test

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// federation is two servers that find each other by DNS, a.test and b.test, with alice and bob.
type federation struct {
	a, b *xtest.Server
	dns  *xtest.DNS
}

// federate starts them. more are lines of [s2s] of both; direct: by direct TLS (XEP-0368); certified: with certificates that
// both trust.
func federate(t *testing.T, more string, direct, certified bool) *federation {
	t.Helper()
	f := &federation{dns: xtest.NewDNS(t)}
	ca := xtest.NewCA(t)
	start := func(host, user string) *xtest.Server {
		o := xtest.Options{
			Hosts: []string{host},
			S2S:   fmt.Sprintf("listen = ['127.0.0.1:0']\nlisten_tls = ['127.0.0.1:0']\ndns_server = %q\n%s", f.dns.Addr, more),
			TLS:   fmt.Sprintf("trusted_ca_file = %q", ca.File(t)),
			CA:    ca,
		}
		if certified {
			o.Certs = map[string]*xtest.Pair{host: ca.Issue(t, xtest.Issue{Names: []string{host}})}
		}
		s := xtest.New(t, o)
		s.AddUser(user+"@"+host, xtest.Password)
		service, addr := "_xmpp-server._tcp.", s.S2S
		if direct {
			service, addr = "_xmpps-server._tcp.", s.S2STLS
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(port)
		f.dns.SRV(service+host, 0, 0, uint16(n), "xmpp."+host)
		f.dns.Address("xmpp."+host, "127.0.0.1")
		return s
	}
	f.a, f.b = start("a.test", "alice"), start("b.test", "bob")
	return f
}

// Messages go both ways, in order, whatever proves the servers to each other, and the log says which.
func TestFederation(t *testing.T) {
	for name, c := range map[string]struct {
		more              string
		direct, certified bool
		method            string
	}{
		"certificates": {"", false, true, "EXTERNAL"},
		"direct TLS":   {"", true, true, "EXTERNAL"},
		"dialback":     {"secure_auth = false", false, false, "dialback"},
		"in clear":     {"secure_auth = false\nrequire_encryption = false", false, false, "dialback"},
	} {
		t.Run(name, func(t *testing.T) {
			f := federate(t, c.more, c.direct, c.certified)
			alice, bob := f.a.Online(t, "alice@a.test/x"), f.b.Online(t, "bob@b.test/y")
			for i := range 20 {
				alice.Send("<message to='bob@b.test/y' type='chat' id='m%d'><body>hello</body></message>", i)
			}
			for i := range 20 {
				bob.Want("<message type='chat' from='alice@a.test/x' id='m%d'><body>hello</body></message>", i)
			}
			bob.Send("<message to='alice@a.test' type='chat' id='n'><body>you too</body></message>")
			alice.Want("<message type='chat' from='bob@b.test/y' id='n'><body>you too</body></message>")
			alice.Send("<iq type='get' to='b.test' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
			alice.Want("<iq type='result' from='b.test' id='p'/>")
			alice.Send("<message to='nobody@b.test' type='chat' id='e'><body>?</body></message>")
			alice.Want("<message type='error' from='nobody@b.test' id='e'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
			checkSessions(t, f, c.method)
			if log := f.b.Log(); !strings.Contains(log, fmt.Sprintf(`"peer":"a.test","method":%q`, c.method)) {
				t.Errorf("b.test does not say that a.test has proved who it is by %s", c.method)
			}
		})
	}
}

// checkSessions looks at a.test's streams with the command of the admin, and ends them with it.
func checkSessions(t *testing.T, f *federation, method string) {
	t.Helper()
	out, _, _ := f.a.Run("", "session", "list", "b.test")
	if !regexp.MustCompile(`(?m)^s2s-out-\w+ +b\.test +127\.0\.0\.1:\d+ +(TLS 1\.3|none) +` + method + ` +\w+ +out: a\.test <-> b\.test$`).MatchString(out) {
		t.Errorf("session list:\n%s", out)
	}
	var list []struct {
		ID   string
		JID  string
		Peer *struct {
			Direction string
			BothWays  bool `json:"both_ways"`
			Pairs     []struct{ Local, Remote, Method string }
		}
	}
	out, _, _ = f.a.Run("", "session", "-json", "list")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	clients, peers := 0, 0
	for _, s := range list {
		if s.Peer == nil {
			clients++
		} else if p := s.Peer; len(p.Pairs) == 1 && p.Pairs[0].Local == "a.test" && p.Pairs[0].Remote == "b.test" && p.Pairs[0].Method == method {
			peers++
		}
	}
	if clients != 1 || peers == 0 {
		t.Errorf("session list:\n%s", out)
	}
	if out, errs, code := f.a.Run("", "session", "close", "b.test"); code != 0 || !strings.Contains(out, "1 closed") {
		t.Errorf("session close: %d %s %s", code, out, errs)
	}
}

// Contacts on two servers see each other come and go, and a server that stops tells the other one that its people have left.
func TestFederatedPresence(t *testing.T) {
	f := federate(t, "", false, true)
	alice, bob := f.a.Online(t, "alice@a.test/x"), f.b.Online(t, "bob@b.test/y")
	alice.Send("<presence type='subscribe' to='bob@b.test'/>")
	until(bob, "presence", "subscribe")
	bob.Send("<presence type='subscribed' to='alice@a.test'/><presence type='subscribe' to='alice@a.test'/>")
	until(alice, "presence", "subscribe")
	alice.Send("<presence type='subscribed' to='bob@b.test'/>")
	if n := until(bob, "presence", ""); n.Attr("from") != "alice@a.test/x" {
		t.Errorf("bob got %s", n)
	}
	if err := f.a.Stop(); err != nil {
		t.Error(err)
	}
	if n := until(bob, "presence", "unavailable"); n.Attr("from") != "alice@a.test/x" {
		t.Errorf("bob got %s", n)
	}
	bob.Send("<message to='alice@a.test' type='chat' id='m'><body>still there?</body></message>")
	bob.Want("<message type='error' from='alice@a.test' id='m'><error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
}

// until reads until a stanza of a kind and type comes.
func until(c *xtest.Client, name, typ string) *xtest.Node {
	c.T.Helper()
	for {
		if n := c.Must(); n.Name.Local == name && n.Attr("type") == typ && n.Attr("from") != "" && !strings.HasPrefix(n.Attr("from"), c.Name) {
			return n
		}
	}
}

// Contacts on another server hear of what is published, and of the last item when they come, whether the publisher is there or
// not; who may not see it is told so (XEP-0163 §4.3).
func TestFederatedPublish(t *testing.T) {
	const node, ns = "urn:example:n", "http://jabber.org/protocol/pubsub"
	f := federate(t, "", false, true)
	f.b.AddUsers("eve@b.test")
	alice, bob := f.a.Online(t, "alice@a.test/x"), f.b.Online(t, "bob@b.test/y")
	bob.Send("<presence type='subscribe' to='alice@a.test'/>")
	until(alice, "presence", "subscribe")
	alice.Send("<presence type='subscribed' to='bob@b.test'/><presence type='subscribe' to='bob@b.test'/>")
	until(bob, "presence", "subscribe")
	bob.Send("<presence type='subscribed' to='alice@a.test'/>")
	until(alice, "presence", "")
	listen := func(c *xtest.Client) {
		t.Helper()
		c.Send("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='of no hash'/></presence>")
		for asked := map[string]bool{}; !asked["alice@a.test"] || !asked["bob@b.test"]; {
			if n := c.Must(); n.Name.Local == "iq" && n.Attr("type") == "get" {
				asked[n.Attr("from")] = true
				c.Send("<iq type='result' id='%s' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='%s+notify'/></query></iq>", n.Attr("id"), n.Attr("from"), node)
			}
		}
	}
	publish := func(id string) {
		t.Helper()
		n := alice.IQ("set", "", "<pubsub xmlns='"+ns+"'><publish node='"+node+"'><item id='"+id+"'><a xmlns='urn:example:a'>b<c/>d</a></item></publish></pubsub>")
		if n.Attr("type") != "result" {
			t.Fatal(n)
		}
	}
	hears := func(c *xtest.Client, id string) *xtest.Node {
		t.Helper()
		n := until(c, "message", "headline")
		if it := n.Find("item"); n.Attr("from") != "alice@a.test" || it == nil || it.Attr("id") != id {
			t.Fatalf("got %s, wanted item %s", n, id)
		}
		return n
	}
	listen(bob)
	bob.IQ("get", "a.test", "<ping xmlns='urn:xmpp:ping'/>") // a.test has his answer, too
	publish("x")
	hears(bob, "x")
	alice.Quit()
	bob.Quit()
	bob = f.b.Login(t, "bob@b.test/z")
	listen(bob)
	if n := hears(bob, "x"); n.Find("delay") == nil {
		t.Errorf("the last item has no time: %s", n)
	}
	if n := bob.IQ("get", "alice@a.test", "<pubsub xmlns='"+ns+"'><items node='"+node+"'/></pubsub>"); n.Find("item") == nil {
		t.Errorf("bob reads %s", n)
	}
	eve := f.b.Login(t, "eve@b.test/x")
	if n := eve.IQ("get", "alice@a.test", "<pubsub xmlns='"+ns+"'><items node='"+node+"'/></pubsub>"); n.Find("presence-subscription-required") == nil {
		t.Errorf("eve reads %s", n)
	}
	if n := eve.IQ("set", "alice@a.test", "<pubsub xmlns='"+ns+"'><publish node='"+node+"'><item/></publish></pubsub>"); n.Find("forbidden") == nil {
		t.Errorf("eve publishes: %s", n)
	}
}
