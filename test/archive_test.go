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

// TestLargePages: who fills an archive with large messages does not keep its owner from reading it: a page ends before what the
// client has not acknowledged (XEP-0198) ends the session.
func TestLargePages(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("mallory@localhost", "bob@localhost")
	mallory := s.Online(t, "mallory@localhost/x")
	const messages = 60 // of 5 MB together
	for range messages {
		mallory.Send("<message to='bob@localhost' type='chat'><body>%s</body></message>", strings.Repeat("x", 90_000))
	}
	mallory.Barrier()
	bob := s.Login(t, "bob@localhost/x")
	bob.Send("<enable xmlns='urn:xmpp:sm:3'/>")
	bob.Want("<enabled xmlns='urn:xmpp:sm:3'/>")
	got, acked, last := 0, 0, ""
	for complete := false; !complete; {
		bob.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>100</max><after>%s</after></set></query></iq>", last)
		for n := bob.Must(); ; n = bob.Must() {
			switch n.Name.Local {
			case "message":
				got++
				acked++
				continue
			case "r":
				continue // it is busy with the page
			case "iq":
				acked++
			default:
				t.Fatalf("got %s", n)
			}
			fin := n.Find("fin")
			if complete = fin.Attr("complete") == "true"; !complete {
				last = fin.Find("last").Text
			}
			break
		}
		bob.Send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", acked)
	}
	if got != messages {
		t.Errorf("%d messages", got)
	}
}

// TestFederatedArchive: a conversation across servers is in both archives, each with IDs of its own that the other side never
// sees, and each side's devices have copies.
func TestFederatedArchive(t *testing.T) {
	f := federate(t, "", false, true)
	alice, bob := f.a.Online(t, "alice@a.test/x"), f.b.Online(t, "bob@b.test/y")
	devices := []*xtest.Client{f.a.Login(t, "alice@a.test/other"), f.b.Login(t, "bob@b.test/other")}
	for _, c := range devices {
		c.Send("<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
		c.Want("<iq type='result' id='e'/>")
	}
	alice.Send("<message to='bob@b.test/y' type='chat' id='m1'><body>1</body><stanza-id xmlns='urn:xmpp:sid:0' by='bob@b.test' id='FORGED'/></message>")
	n := bob.Want("<message from='alice@a.test/x' id='m1'><stanza-id xmlns='urn:xmpp:sid:0' by='bob@b.test' id='*'/></message>")
	if text := n.String(); strings.Contains(text, "FORGED") || strings.Count(text, "<stanza-id") != 1 {
		t.Errorf("bob got %s", text)
	}
	ids := map[string]string{}
	for i, kind := range []string{"sent", "received"} {
		n := devices[i].Want("<message type='chat'><%s xmlns='urn:xmpp:carbons:2'/></message>", kind).Find(kind).Find("message")
		own := strings.Split(devices[i].JID, "/")[0]
		for _, c := range n.Children { // what alice says of bob's archive is for bob's server to remove
			if c.Name.Local == "stanza-id" && c.Attr("by") == own {
				ids[own] = c.Attr("id")
			} else if c.Name.Local == "stanza-id" && kind == "received" {
				t.Errorf("%s: %s", kind, n)
			}
		}
	}
	if ids["bob@b.test"] != n.Find("stanza-id").Attr("id") || ids["alice@a.test"] == "" {
		t.Errorf("IDs: %v", ids)
	}
	bob.Send("<message to='alice@a.test' type='chat' id='m2'><body>2</body></message>")
	alice.Want("<message from='bob@b.test/y' id='m2'/>")
	for _, c := range []*xtest.Client{alice, bob} {
		own := strings.Split(c.JID, "/")[0]
		c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		c.Want("<message><result xmlns='urn:xmpp:mam:2' id='%s'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@a.test/x' to='bob@b.test/y' id='m1'><body>1</body></message></forwarded></result></message>", ids[own])
		c.Want("<message><result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='bob@b.test/y' to='alice@a.test' id='m2'><body>2</body></message></forwarded></result></message>")
		c.Want("<iq type='result' id='q'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>")
	}
}
