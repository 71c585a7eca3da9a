package test

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestBind2Archive: a client that logs in with Bind 2 is told where its archive begins and ends, has copies of its account's
// messages from that moment on, and gets nothing twice (XEP-0386 §3.2).
func TestBind2Archive(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n"})
	s.AddUsers("alice@localhost", "bob@localhost")
	alice := s.Online(t, "alice@localhost/x")
	for _, id := range []string{"m1", "m2"} {
		alice.Send("<message to='bob@localhost' type='chat' id='%s'><body>x</body></message>", id)
	}
	alice.Send("<message to='bob@localhost' type='chat' id='p3'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>")
	alice.Barrier()

	bob, _ := direct13(t, s)
	n := open2(bob, "bob", withPassword("bob", strings.Replace(bind2, "</bind>", "<enable xmlns='urn:xmpp:carbons:2'/></bind>", 1)))
	bob.Must() // features
	meta := n.Find("bound").Find("metadata")
	if meta == nil || meta.Name.Space != "urn:xmpp:mam:2" || meta.Find("start") == nil || meta.Find("end") == nil {
		t.Fatalf("bound: %s", n)
	}
	first, last := meta.Find("start").Attr("id"), meta.Find("end").Attr("id")
	messages := func(nodes []*xtest.Node) (out []string) {
		for _, n := range nodes {
			if n.Name.Local != "message" {
				continue
			}
			what := n.Attr("id")
			for _, kind := range []string{"received", "sent"} {
				if c := n.Find(kind); c != nil {
					what = kind + " " + c.Find("message").Attr("id")
				}
			}
			out = append(out, what)
		}
		return out
	}
	want := func(c *xtest.Client, ids ...string) {
		t.Helper()
		if got := messages(append(c.Barrier(), c.Barrier()...)); strings.Join(got, ", ") != strings.Join(ids, ", ") {
			t.Errorf("%s got %q, wants %q", c.Name, got, ids)
		}
	}
	// Before it is available: a copy, since nobody takes it.
	alice.Send("<message to='bob@localhost' type='chat' id='m4'><body>x</body></message>")
	alice.Barrier()
	want(bob, "received m4")
	// The archive has what the client was told of.
	bob.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>2</max></set></query></iq>")
	bob.Want("<message><result xmlns='urn:xmpp:mam:2' id='%s'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' id='m1'/></forwarded></result></message>", first)
	bob.Want("<message><result xmlns='urn:xmpp:mam:2' id='%s'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' id='m2'/></forwarded></result></message>", last)
	bob.Want("<iq type='result' id='q'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><last>%s</last><count>3</count></set></fin></iq>", last)
	// When it is available, only what the archive has not.
	bob.Send("<presence/>")
	want(bob, "p3")
	alice.Send("<message to='bob@localhost' type='chat' id='m5'><body>x</body></message>")
	alice.Barrier()
	want(bob, "m5")

	// Another device, which knows nothing of archives, has got nothing of its own so far.
	desk := s.Online(t, "bob@localhost/desk")
	alice.Send("<message to='bob@localhost/desk' type='chat' id='m6'><body>x</body></message>")
	alice.Barrier()
	desk.Send("<message to='alice@localhost' type='chat' id='m7'><body>x</body></message>")
	want(desk, "m6")
	want(bob, "received m6", "sent m7")
}
