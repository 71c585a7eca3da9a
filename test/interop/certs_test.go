package interop

import (
	"os"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestExternal lets slixmpp log in with a self-made certificate and without a password (XEP-0178, XEP-0257), over STARTTLS
// and direct TLS, and see its sessions end when the certificate is revoked.
func TestExternal(t *testing.T) {
	python := os.Getenv("XMPPD_PYTHON")
	if python == "" {
		python = "python3"
	}
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost")
	owner := s.Online(t, "alice@localhost/owner")
	cc := xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}, Common: "slixmpp"})
	crt, key := cc.Save(t)
	answer := owner.IQ("set", "", "<append xmlns='urn:xmpp:saslcert:1'><name>Bot</name><x509cert>"+cc.Base64()+"</x509cert></append>")
	if answer.Attr("type") != "result" {
		t.Fatal(answer)
	}
	var bots []*user
	for _, direct := range []bool{false, true} {
		a := account{jid: "alice@localhost/bot-starttls", host: "localhost", addr: s.C2S, ca: s.CertFile("localhost"), mech: "EXTERNAL", direct: direct}
		if direct {
			a.jid, a.addr = "alice@localhost/bot-direct", s.C2STLS
		}
		u := &user{t: t, name: "slixmpp " + a.mode(), a: a, events: make(chan []string, 1000)}
		b, err := startProcess(func(words ...string) { u.events <- words }, []string{"XMPPD_CERT=" + crt, "XMPPD_KEY=" + key},
			python, "bot.py", a.jid, "", a.addr, a.mode(), a.ca, a.mech)
		if err != nil {
			t.Fatal(err)
		}
		u.b = b
		t.Cleanup(func() { b.Do("quit") })
		u.want("ready", a.jid, "EXTERNAL")
		bots = append(bots, u)
	}
	bots[0].do("chat", "alice@localhost/owner", "hello")
	for n := owner.Must(); n.Name.Local != "message" || n.Find("body") == nil; n = owner.Must() {
	}
	list := owner.IQ("get", "", "<items xmlns='urn:xmpp:saslcert:1'/>").String()
	for _, u := range bots {
		if _, resource, _ := strings.Cut(u.a.jid, "/"); !strings.Contains(list, resource) {
			t.Errorf("the list does not say that %s is in: %s", resource, list)
		}
	}
	owner.IQ("set", "", "<revoke xmlns='urn:xmpp:saslcert:1'><name>Bot</name></revoke>")
	for _, u := range bots {
		u.want("end")
	}
}
