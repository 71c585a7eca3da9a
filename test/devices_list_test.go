package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestCertsAndDevicesByAdmin: `xmppd cert` and `xmppd device`, with a server and without.
func TestCertsAndDevicesByAdmin(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost")
	c := cli{t, s}
	owner := s.Login(t, "alice@localhost/owner")
	certs := map[string]*xtest.ClientCert{}
	for _, name := range []string{"Phone", "My bot", "Tablet"} {
		certs[name] = xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}})
		done(t, owner.IQ("set", "", appendCert(name, certs[name])))
	}
	phone, bot := s.Enter(t, "alice@localhost/phone", certs["Phone"]), s.Enter(t, "alice@localhost/bot", certs["My bot"])

	out := c.ok("", "cert", "list", "alice@localhost")
	for _, want := range []string{"Phone", "My bot", "Tablet", "enabled", "never", "phone"} {
		if !strings.Contains(out, want) {
			t.Errorf("cert list does not say %s:\n%s", want, out)
		}
	}
	out = c.ok("", "device", "list", "alice@localhost")
	for _, want := range []string{"Phone", "My bot", "Tablet", "owner", "certificate", "password"} {
		if !strings.Contains(out, want) {
			t.Errorf("device list does not say %s:\n%s", want, out)
		}
	}
	c.fails("", []string{"cert", "list", "nobody@localhost"}, "there is no account")
	c.fails("", []string{"cert", "list", "alice@elsewhere.test"}, "not one of this server's hosts")
	c.fails("", []string{"device", "list", "alice"}, "not an account")
	c.fails("", []string{"cert", "revoke", "alice@localhost", "Laptop"}, "no certificate of that name", "xmppd cert list")
	c.fails("", []string{"device", "revoke", "alice@localhost", "0000"}, "no device of that id", "xmppd device list")

	if out := c.ok("", "cert", "revoke", "alice@localhost", "Phone"); !strings.Contains(out, "revoked Phone of") && !strings.Contains(out, `revoked "Phone" of`) {
		t.Errorf("says %s", out)
	}
	phone.WantStreamError("not-authorized")
	var devices []struct {
		ID, Name string
		Auth     []string
		Sessions []string
	}
	id := func(name string) string {
		t.Helper()
		c.json(&devices, "", "device", "list", "alice@localhost")
		for _, d := range devices {
			if d.Name == name {
				return d.ID
			}
		}
		b, _ := json.Marshal(devices)
		t.Fatalf("no device %s: %s", name, b)
		return ""
	}
	if out := c.ok("", "device", "revoke", "alice@localhost", id("My bot")); !strings.Contains(out, "1 sessions ended") || strings.Contains(out, "password") {
		t.Errorf("says %s", out)
	}
	bot.WantStreamError("not-authorized")
	if out := c.ok("", "device", "revoke", "alice@localhost", id("owner")); !strings.Contains(out, "xmppd user passwd alice@localhost") {
		t.Errorf("says %s", out)
	}
	owner.WantStreamError("not-authorized")
	for name, cc := range certs {
		client, _ := s.Show(t, "localhost", cc)
		if ok := client.External("").Name.Local == "success"; ok != (name == "Tablet") {
			t.Errorf("%s: in %v", name, ok)
		}
	}
	if !strings.Contains(s.Log(), `"by":"admin"`) {
		t.Error("the log does not say who")
	}

	s.Stop()
	if out := c.ok("", "cert", "list", "alice@localhost"); !strings.Contains(out, "Tablet") || strings.Contains(out, "Phone") {
		t.Errorf("without a server:\n%s", out)
	}
	c.ok("", "device", "revoke", "alice@localhost", id("Tablet"))
	var list []any
	c.json(&list, "", "cert", "list", "alice@localhost")
	if len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// TestDevices: XEP-0494 on the wire.
func TestDevices(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost")
	own, other := s.Login(t, "alice@localhost/own"), s.Login(t, "alice@localhost/other")
	cc := xtest.NewClientCert(t, xtest.Login{Names: []string{"alice@localhost"}})
	done(t, own.IQ("set", "", appendCert("Phone", cc)))
	phone := s.Enter(t, "alice@localhost/phone", cc)
	const list = "<list xmlns='urn:xmpp:cam:0'/>"
	find := func(name string) *xtest.Node {
		t.Helper()
		for _, n := range done(t, own.IQ("get", "", list)).Find("clients").Children {
			if d := n.Find("device"); d != nil && d.Text == name {
				return n
			}
		}
		return nil
	}
	revoke := func(n *xtest.Node) *xtest.Node {
		t.Helper()
		return own.IQ("set", "", "<revoke xmlns='urn:xmpp:cam:0' id='"+n.Attr("id")+"'/>")
	}
	n := find("Phone")
	if n == nil || n.Attr("connected") != "true" || n.Attr("type") != "session" || n.Find("permission").Attr("status") != "normal" {
		t.Fatalf("got %s", n)
	}
	done(t, revoke(n))
	phone.WantStreamError("not-authorized")
	if n := find("Phone"); n != nil {
		t.Errorf("still there: %s", n)
	}
	n = find("other")
	if n == nil || n.Find("password") == nil || n.Find("permission").Attr("status") != "unrestricted" {
		t.Fatalf("got %s", n)
	}
	answer := revoke(n)
	denied(t, answer, "cancel", "service-unavailable")
	if p := answer.Find("password-reset-required"); p == nil || p.Name.Space != "urn:xmpp:cam:0" {
		t.Errorf("got %s", answer)
	}
	other.WantStreamError("not-authorized")
	denied(t, revoke(n), "cancel", "item-not-found")
	own.Barrier()
}
