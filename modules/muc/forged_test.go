package muc

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

// forgeries are what only a room may say, spelled in several ways. Each has FORGED in it.
const forgeries = `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator' jid='FORGED@a.test'/><status code='110'/></x>` +
	`<m:x xmlns:m='http://jabber.org/protocol/muc#user'><m:invite from='FORGED@a.test'/></m:x>` +
	`<occupant-id xmlns='urn:xmpp:occupant-id:0' id='FORGED'/>` +
	`<stanza-id xmlns='urn:xmpp:sid:0' by='` + denJID + `' id='FORGED'/>` +
	`<stanza-id xmlns='urn:xmpp:sid:0' by='DEN@Conference.A.Test' id='FORGED'/>` +
	`<stanza-id xmlns='urn:xmpp:sid:0' by='de&#110;@conference.a.test.' id='FORGED'/>` +
	`<delay xmlns='urn:xmpp:delay' from='` + denJID + `' stamp='2001-01-01T00:00:00Z'>FORGED</delay>` +
	`<delay xmlns='urn:xmpp:delay' from='Den@CONFERENCE.a.test/x' stamp='2001-01-01T00:00:00Z'>FORGED</delay>` +
	`<x xmlns='jabber:x:delay' from='` + denJID + `' stamp='20010101T00:00:00'>FORGED</x>` +
	`<retract xmlns='urn:xmpp:message-retract:1' id='FORGED'><moderated xmlns='urn:xmpp:message-moderate:1' by='` + denJID + `/Olga'/></retract>` +
	`<moderated xmlns='urn:xmpp:message-moderate:1' by='FORGED'/>` +
	`<apply-to xmlns='urn:xmpp:fasten:0' id='FORGED'><moderated xmlns='urn:xmpp:message-moderate:0' by='x'><retract xmlns='urn:xmpp:message-retract:0'/></moderated></apply-to>`

// honest is what anybody may say, though it looks alike.
const honest = `<stanza-id xmlns='urn:xmpp:sid:0' by='other@a.test' id='HONEST1'/>` +
	`<delay xmlns='urn:xmpp:delay' from='bob@a.test' stamp='2001-01-01T00:00:00Z'>HONEST2</delay>` +
	`<retract xmlns='urn:xmpp:message-retract:1' id='HONEST3'/>` +
	`<apply-to xmlns='urn:xmpp:fasten:0' id='HONEST4'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>`

// TestForged: nobody says what only the room may say, to all or to one.
func TestForged(t *testing.T) {
	d := newRoom(t, "")
	d.settings(func(s *Settings) { s.ChangeSubject = true })
	bob := d.join("bob@a.test/x", "Bob")
	for _, xml := range []string{
		"<message type='groupchat' to='" + denJID + "'><body>x</body>%</message>",
		"<message type='groupchat' to='" + denJID + "'><subject>x</subject>%</message>",
		"<message type='chat' to='" + denJID + "/Olga'><body>x</body>%</message>",
		"<message to='" + denJID + "/Olga'>%<body>x</body></message>",
		"<presence to='" + denJID + "/Bob'>%<show>away</show></presence>",
		"<presence to='" + denJID + "/Bob'><x xmlns='http://jabber.org/protocol/muc'/>%</presence>",
		"<presence to='" + denJID + "/Robert'>%</presence>",
		"<presence type='unavailable' to='" + denJID + "/Robert'>%</presence>",
	} {
		before, after, _ := strings.Cut(xml, "%")
		bob.Say(before + forgeries + honest + after)
		got := modtest.XML(d.olga.Sent())
		have(t, got, "HONEST1", "HONEST2", "HONEST3", "HONEST4", "from='"+denJID)
		lack(t, got, "FORGED")
		bob.Sent()
	}
}
