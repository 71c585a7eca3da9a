package muc

import (
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// speak has Olga say something, and returns the ID that the room gives to it.
func (d *testRoom) speak(body string) string {
	d.t.Helper()
	d.olga.Say("<message type='groupchat' to='" + denJID + "'><body>" + body + "</body></message>")
	sent := d.olga.Sent()
	if len(sent) != 1 || sent[0].StanzaID(stanza.MustJID(denJID)) == "" {
		d.t.Fatalf("no ID: %s", modtest.XML(sent))
	}
	return sent[0].StanzaID(stanza.MustJID(denJID))
}

func moderateXML(id string) string {
	return "<moderate xmlns='urn:xmpp:message-moderate:1' id='" + id + "'><retract xmlns='urn:xmpp:message-retract:1'/><reason>rude</reason></moderate>"
}

func moderateXML0(id string) string {
	return "<apply-to xmlns='urn:xmpp:fasten:0' id='" + id + "'><moderate xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/><reason>rude</reason></moderate></apply-to>"
}

// TestModerate is XEP-0425 §3, in the words of today and of yesterday.
func TestModerate(t *testing.T) {
	for name, xml := range map[string]func(string) string{"1": moderateXML, "0": moderateXML0} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains(moderationFeatures, "urn:xmpp:message-moderate:"+name) {
				t.Error("is not announced")
			}
			d := newRoom(t, "")
			bob := d.join("bob@a.test/x", "Bob")
			id1, id2 := d.speak("first"), d.speak("second")
			bob.Sent()
			if got := condition(bob.IQ("set", denJID, xml(id1))); got != "forbidden" {
				t.Errorf("a participant: %q", got)
			}
			if got := condition(d.Session("eve@a.test/x").IQ("set", denJID, xml(id1))); got != "not-acceptable" {
				t.Errorf("a stranger: %q", got)
			}
			for bad, want := range map[string]string{
				xml("s3"): "item-not-found", xml(id2[:len(id2)-1] + "~"): "item-not-found", xml(""): "bad-request",
				strings.ReplaceAll(xml(id1), "retract", "edit"): "feature-not-implemented",
			} {
				if got := condition(d.olga.IQ("set", denJID, bad)); got != want {
					t.Errorf("%s: %q, must be %q", bad, got, want)
				}
			}
			if got := condition(d.olga.IQ("get", denJID, xml(id1))); got != "bad-request" {
				t.Errorf("a get: %q", got)
			}
			if got := modtest.XML(bob.Sent()); got != "" {
				t.Errorf("told %s", got)
			}
			if got := condition(d.olga.IQ("set", denJID, xml(id1))); got != "" {
				t.Fatal(got)
			}
			var id string
			d.do(func(r *room) { id = r.nicks["Olga"].id })
			by := " by='den@conference.a.test/Olga'>"
			want := "<retract xmlns='urn:xmpp:message-retract:1' id='" + id1 + "'><moderated xmlns='urn:xmpp:message-moderate:1'" + by +
				"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='" + id + "'/></moderated><reason>rude</reason></retract>" +
				"<apply-to xmlns='urn:xmpp:fasten:0' id='" + id1 + "'><moderated xmlns='urn:xmpp:message-moderate:0'" + by +
				"<retract xmlns='urn:xmpp:message-retract:0'/><reason>rude</reason></moderated></apply-to>"
			for _, s := range []*modtest.Session{bob, d.olga} {
				sent := s.Sent()
				have(t, modtest.XML(sent), want)
				if len(sent) != 1 || sent[0].From() != stanza.MustJID(denJID) || sent[0].Type != stanza.TypeGroupchat || sent[0].ID() == "" {
					t.Errorf("got %s", modtest.XML(sent))
				}
			}
			carol := d.Session("carol@a.test/x")
			got := enter(t, carol, "den", "Carol")
			have(t, got, "second", "<retract ")
			lack(t, got, "first")
			if answer := carol.IQ("set", denJID, "<query xmlns='urn:xmpp:mam:2'/>"); condition(answer) != "" {
				t.Fatal(answer)
			}
			got = modtest.XML(carol.Sent())
			have(t, got, "second", "<retract ", id1)
			lack(t, got, "first")
			d.do(func(r *room) {
				size := 0
				for _, s := range r.history.list {
					size += len(s.st.Raw)
				}
				if size != r.history.size {
					t.Errorf("history counts %d bytes, has %d", r.history.size, size)
				}
			})
			if got := condition(d.olga.IQ("set", denJID, xml(id1))); got != "item-not-found" {
				t.Errorf("again: %q", got)
			}
		})
	}
}
