package caps

import (
	"testing"

	"github.com/xmppd/xmppd/modules/contacts"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// The feature names the hash of what disco#info answers, also after a reload changed it.
func TestFeature(t *testing.T) {
	h := modtest.New(t, "a.test", disco.Info, Info, contacts.Info)
	alice := h.Session("alice@a.test/r")
	check := func() string {
		f := h.Table().Features
		if len(f) != 1 || f[0].Need != stream.Authenticated {
			t.Fatalf("features %v", f)
		}
		c, err := stanza.ParseElement(f[0].Append(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		if c.NS != ns || c.Name != "c" || c.Attr("hash") != "sha-1" || c.Attr("node") != disco.Node {
			t.Errorf("%+v", c)
		}
		answer := alice.IQ("get", "a.test", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+disco.Node+"#"+c.Attr("ver")+"'/>")
		if answer.Type != stanza.TypeResult || disco.Ver(answer.Payload()) != c.Attr("ver") {
			t.Errorf("%s", answer.AppendTo(nil))
		}
		return c.Attr("ver")
	}
	before := check()
	if err := h.Reload("[modules.mod_contacts]\nadmin = [\"xmpp:admin@a.test\"]\n"); err != nil {
		t.Fatal(err)
	}
	if check() == before {
		t.Error("the form changed nothing")
	}
}
