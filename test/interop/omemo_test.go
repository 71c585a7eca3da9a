package interop

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestOMEMOProfanity lets two profanities publish their keys (XEP-0384, as it is spoken today), find each other's, and talk.
func TestOMEMOProfanity(t *testing.T) {
	if out, err := exec.Command("profanity", "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "OMEMO support: Enabled") {
		t.Skipf("no profanity with OMEMO: %v", err)
	}
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost", "bob@localhost", "eve@localhost")
	profanityAt := len(clients) - 1
	alice, bob := start(t, s, profanityAt, "alice@localhost/one", false), start(t, s, profanityAt, "bob@localhost/two", true)
	alice.do("subscribe", "bob@localhost")
	alice.want("subscribed", "bob@localhost")
	bob.do("subscribe", "alice@localhost")
	bob.want("subscribed", "alice@localhost")
	for _, u := range []*user{alice, bob} {
		p := u.b.(*profanity)
		p.keys("/win 1")
		p.keys("/omemo trustmode blind")
		p.keys("/omemo gen")
		if err := p.wait("materials generated"); err != nil {
			t.Fatal(err)
		}
	}
	// Strangers can read the lists: that is how a first message gets encrypted.
	eve := s.Login(t, "eve@localhost/x")
	for _, who := range []string{"alice@localhost", "bob@localhost"} {
		n := eve.IQ("get", who, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='eu.siacs.conversations.axolotl.devicelist'/></pubsub>")
		if n.Find("device") == nil {
			t.Errorf("the device list of %s: %s", who, n)
			continue
		}
		id := n.Find("device").Attr("id")
		if n = eve.IQ("get", who, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='eu.siacs.conversations.axolotl.bundles:"+id+"'/></pubsub>"); n.Find("identityKey") == nil {
			t.Errorf("the bundle of %s: %.300s", who, n)
		}
	}
	carol := s.Online(t, "bob@localhost/watch") // a device that has no keys sees what travels
	a := alice.b.(*profanity)
	a.keys("/msg bob@localhost")
	a.keys("/omemo start bob@localhost")
	if err := a.wait("OMEMO session started|\\[OMEMO\\]"); err != nil {
		t.Fatal(err)
	}
	a.keys("a secret between us")
	if err := bob.b.(*profanity).wait("a secret between us"); err != nil {
		t.Fatalf("%v\n\nalice sees\n%s", err, strings.TrimSpace(a.screen()))
	}
	for {
		n := carol.Must()
		if n.Name.Local != "message" || n.Find("encrypted") == nil {
			continue
		}
		if strings.Contains(n.String(), "a secret between us") {
			t.Errorf("it travels in clear: %s", n)
		}
		return
	}
}
