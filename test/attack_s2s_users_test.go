package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// foreign is somebody at another server, which is honest and may say whatever it likes of its own users.
type foreign struct {
	in    *xtest.PeerStream
	peer  *xtest.Peer
	asked int
}

// says sends stanzas and returns all that comes back.
func (f *foreign) says(t *testing.T, text string) (got []*xtest.Node) {
	t.Helper()
	f.asked++
	id := fmt.Sprintf("asked-%d", f.asked)
	f.in.Send("%s<iq type='get' id='%s' from='barrier@b.test/x' to='a.test'><ping xmlns='urn:xmpp:ping'/></iq>", text, id)
	for {
		n := f.peer.Next(t)
		if n.Attr("id") == id {
			return got
		}
		got = append(got, n.Node)
	}
}

// TestAttackPeersUsers: what the tables say of users who are strangers holds for those of other servers.
func TestAttackPeersUsers(t *testing.T) {
	g := newPeerTarget(t, "")
	f := &foreign{peer: g.peer(t, "b.test", xtest.PeerOptions{}), in: g.Authenticated(t, "b.test", "a.test", g.cert(t, "b.test"))}
	const eve, bob = "eve@b.test/x", "bob@a.test"
	roster := func(t *testing.T) string {
		g.Victim.Send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>")
		return g.Victim.Want("<iq type='result' id='look'/>").String()
	}

	g.run(t, "Z02 roster of somebody here", func(t *testing.T) {
		before := roster(t)
		for _, typ := range []string{"get", "set"} {
			got := f.says(t, "<iq type='"+typ+"' id='q' from='"+eve+"' to='"+bob+"'><query xmlns='jabber:iq:roster'><item jid='eve@b.test'/></query></iq>")
			if len(got) != 1 || got[0].Attr("type") != "error" || got[0].Attr("from") != bob {
				t.Errorf("%s: %s", typ, got)
			}
		}
		if after := roster(t); after != before {
			t.Errorf("it was %s, and is %s", before, after)
		}
	})
	g.Run(t, "Z03 forged roster push", func(t *testing.T) {
		before := roster(t)
		f.in.Send("<iq type='set' id='q' from='%s' to='%s/desk'><query xmlns='jabber:iq:roster'><item jid='x@y' subscription='both'/></query></iq>", eve, bob)
		g.Victim.Want("<iq type='set' id='q' from='%s'><query xmlns='jabber:iq:roster'/></iq>", eve)
		if after := roster(t); after != before {
			t.Errorf("it was %s, and is %s", before, after)
		}
	})
	g.run(t, "Z15 presence to and from strangers", func(t *testing.T) {
		before := roster(t)
		for _, typ := range []string{"probe", "subscribed", "unsubscribed", "unsubscribe"} {
			for _, to := range []string{bob, bob + "/desk", bob + "/none", "nobody@a.test", "a.test"} {
				for _, n := range f.says(t, "<presence type='"+typ+"' from='eve@b.test' to='"+to+"'/>") {
					if typ != "probe" || n.Name.Local != "presence" || n.Attr("type") != "unsubscribed" { // RFC 6121 §4.3.2
						t.Errorf("%s to %s is answered %s", typ, to, n)
					}
				}
			}
		}
		if after := roster(t); after != before {
			t.Errorf("it was %s, and is %s", before, after)
		}
		g.Victim.Send("<presence><status>only for friends</status></presence>")
		g.Victim.Want("<presence from='bob@a.test/desk'/>")
		if got := f.says(t, ""); len(got) > 0 {
			t.Errorf("a stranger hears %s", got)
		}
	})
	g.Run(t, "Z16 who exists", func(t *testing.T) {
		// alice is an account that nobody is connected to, bob one with a session; there is no nobody.
		answer := func(t *testing.T, name, resource, format string) string {
			t.Helper()
			var all strings.Builder
			for _, n := range f.says(t, fmt.Sprintf(format, name+"@a.test"+resource)) {
				all.WriteString(n.String())
			}
			return strings.ReplaceAll(all.String(), name+"@", "NAME@")
		}
		for _, resource := range []string{"", "/gone"} {
			for _, ns := range []string{
				"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "jabber:iq:last", "jabber:iq:version",
				"jabber:iq:register", "jabber:iq:roster", "vcard-temp", "urn:xmpp:blocking", "urn:xmpp:mam:2", "urn:example:x", "urn:xmpp:saslcert:1",
			} {
				for _, typ := range []string{"get", "set"} {
					same(t, answer, resource, "<iq type='"+typ+"' id='q' from='"+eve+"' to='%s'><query xmlns='"+ns+"'/></iq>")
				}
			}
			same(t, answer, resource, "<iq type='get' id='q' from='"+eve+"' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>")
			for _, typ := range []string{"groupchat", "error"} {
				same(t, answer, resource, "<message type='"+typ+"' id='q' from='"+eve+"' to='%s'><subject>x</subject></message>")
			}
			for _, typ := range []string{"probe", "unavailable", "unsubscribe", "unsubscribed", "error"} {
				same(t, answer, resource, "<presence type='"+typ+"' from='"+eve+"' to='%s'/>")
			}
		}
		g.Victim.Barrier() // presence has reached him; that is what it is for
	})
	g.run(t, "Z19 errors and results end", func(t *testing.T) {
		for _, to := range []string{"nobody@a.test", "nobody@a.test/x", "alice@a.test", "a.test", bob + "/none"} {
			got := f.says(t, fmt.Sprintf("<iq type='result' id='q' from='%s' to='%s'/><iq type='error' id='q' from='%[1]s' to='%s'/>"+
				"<message type='error' id='q' from='%[1]s' to='%[2]s'/><presence type='error' id='q' from='%[1]s' to='%[2]s'/>", eve, to, to))
			if len(got) > 0 {
				t.Errorf("%s answers %s", to, got)
			}
		}
		// Nor do they come back from where nobody is.
		for _, to := range []string{"eve@no-such.test", "eve@x.shunned.test"} {
			g.Victim.Send("<message type='error' id='q' to='%s'><error type='cancel'><gone xmlns='%s'/></error></message><iq type='result' id='q' to='%[1]s'/>"+
				"<presence type='error' to='%[1]s'/><iq type='error' id='q' to='%[1]s'/>", to, stanzasNS)
			g.Victim.Send("<iq type='get' id='last' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", to)
			g.Victim.Want("<iq type='error' id='last' from='%s'/>", to)
		}
	})
	g.run(t, "X31 iq that is none", func(t *testing.T) {
		for _, iq := range []string{
			"<iq type='get' from='" + eve + "' to='a.test'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='foo' id='q' from='" + eve + "' to='a.test'/>",
			"<iq type='get' id='q' from='" + eve + "' to='a.test'/>", "<iq type='set' id='q' from='" + eve + "' to='" + bob + "/desk'><a/><b/></iq>",
		} {
			if got := f.says(t, iq); len(got) != 1 || got[0].Attr("type") != "error" || got[0].Find("bad-request") == nil {
				t.Errorf("%s is answered %s", iq, got)
			}
		}
	})
	g.run(t, "A03 registration from elsewhere", func(t *testing.T) {
		got := f.says(t, "<iq type='set' id='q' from='"+eve+"' to='a.test'><query xmlns='jabber:iq:register'><username>eve</username><password>x</password></query></iq>"+
			"<iq type='set' id='r' from='"+eve+"' to='a.test'><query xmlns='jabber:iq:register'><remove/></query></iq>"+
			"<iq type='get' id='s' from='"+eve+"' to='a.test'><query xmlns='jabber:iq:register'/></iq>")
		for _, n := range got {
			if n.Attr("type") != "error" {
				t.Errorf("answered %s", n)
			}
		}
		if len(got) != 3 {
			t.Errorf("answered %s", got)
		}
	})
}
