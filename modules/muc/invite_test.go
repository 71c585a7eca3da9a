package muc

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func inviteXML(to ...string) string {
	return "<x xmlns='" + nsUser + "'><invite to='" + strings.Join(to, "'/><invite to='") + "'/></x>"
}

func declineXML(to string) string {
	return "<x xmlns='" + nsUser + "'><decline to='" + to + "'><reason>busy</reason></decline></x>"
}

// TestInvite is a mediated invitation, its refusal, and what each of the two learns of the other (§7.8.2).
func TestInvite(t *testing.T) {
	const from = "bob@a.test" // wherever: who is invited is to know by whom
	for _, whois := range []string{whoisModerators, whoisAnyone} {
		d := newRoom(t, "")
		d.settings(func(s *Settings) { s.Whois, s.Password = whois, "sesame" })
		d.affiliate("bob@a.test", Owner) // no password
		bob := d.join("bob@a.test/x", "Bob")
		d.affiliate("bob@a.test", None)
		carol := d.Session("carol@a.test/x")
		carol.Available(0, "")
		carol.Sent()
		bob.Sent()
		got, _ := d.tell(bob, "<x xmlns='"+nsUser+"'><invite to='carol@a.test'><reason>it&lt;s fun</reason><continue thread='t1'/></invite></x>")
		if got != "" {
			t.Fatal(got)
		}
		sent := carol.Sent()
		if len(sent) != 1 || sent[0].ID() != "m1" || sent[0].Type != stanza.TypeNone {
			t.Fatalf("got %s", modtest.XML(sent))
		}
		xml := modtest.XML(sent)
		have(t, xml, "from='den@conference.a.test'", "<invite from='"+from+"'><reason>it&lt;s fun</reason><continue thread='t1'/></invite><password>sesame</password></x>",
			"<x xmlns='jabber:x:conference' jid='den@conference.a.test' password='sesame' reason='it&lt;s fun' continue='true' thread='t1'/>", "<body>")
		if body := sent[0].Text("body"); strings.Contains(body, "sesame") || !strings.Contains(body, "den@conference.a.test") {
			t.Errorf("text is %s", body)
		}
		lack(t, xml, "bob@a.test/x")
		if got, _ := d.tell(carol, declineXML(from)); got != "" {
			t.Fatal(got)
		}
		xml = modtest.XML(bob.Sent())
		have(t, xml, "from='den@conference.a.test'", "<decline from='carol@a.test'><reason>busy</reason></decline>")
		lack(t, modtest.XML(d.olga.Sent()), "decline")
		if got, _ := d.tell(carol, declineXML(from)); got != "item-not-found" { // once
			t.Errorf("declined again: %q", got)
		}
	}
}

// TestMayInvite says who may invite, and whom, and that in a room for members the invitee is one before he is invited.
func TestMayInvite(t *testing.T) {
	open := func(*Settings) {}
	moderated := func(s *Settings) { s.Moderated = true }
	members := func(s *Settings) { s.MembersOnly = true }
	free := func(s *Settings) { s.MembersOnly, s.AllowInvites = true, true }
	const c = "carol@b.test"
	twenty := make([]string, maxInvitees)
	for i := range twenty {
		twenty[i] = "u" + strconv.Itoa(i) + "@b.test"
	}
	for name, tt := range map[string]struct {
		by     who
		set    func(*Settings)
		to     []string
		want   string
		member bool
	}{
		"stranger":                {who{None, NoRole}, open, []string{c}, "not-acceptable", false},
		"owner outside":           {who{Owner, NoRole}, open, []string{c}, "not-acceptable", false},
		"visitor, open":           {who{None, Visitor}, open, []string{c}, "", false},
		"visitor, moderated":      {who{None, Visitor}, moderated, []string{c}, "forbidden", false},
		"participant, moderated":  {who{None, Participant}, moderated, []string{c}, "", false},
		"member, members only":    {who{Member, Participant}, members, []string{c}, "forbidden", false},
		"moderator, members only": {who{Member, Moderator}, members, []string{c}, "forbidden", false},
		"member, invites allowed": {who{Member, Participant}, free, []string{c}, "", true},
		"admin, members only":     {who{Admin, Moderator}, members, []string{c, "dave@b.test"}, "", true},
		"no address":              {who{Admin, Moderator}, open, []string{""}, "jid-malformed", false},
		"one bad":                 {who{Admin, Moderator}, members, []string{c, "@"}, "jid-malformed", false},
		"domain":                  {who{Admin, Moderator}, members, []string{"b.test"}, "not-acceptable", false},
		"another room":            {who{Admin, Moderator}, members, []string{"x@" + service}, "not-acceptable", false},
		"banned":                  {who{Admin, Moderator}, members, []string{c, "out@b.test"}, "forbidden", false},
		"twenty":                  {who{None, Participant}, open, twenty, "", false},
		"twenty-one":              {who{None, Participant}, open, append(twenty[:maxInvitees:maxInvitees], c), "not-acceptable", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRoom(t, "")
			d.affiliate("out@b.test", Outcast)
			bob := d.Session("bob@a.test/x")
			d.stand(bob, "Bob", tt.by)
			d.settings(tt.set)
			got, _ := d.tell(bob, inviteXML(tt.to...))
			if got != tt.want {
				t.Errorf("%q, must be %q", got, tt.want)
			}
			sent := d.Host.Sent()
			if n := len(sent); tt.want == "" && n != len(tt.to) || tt.want != "" && n != 0 {
				t.Errorf("sent %s", modtest.XML(sent))
			}
			affs, _ := d.state()
			for _, to := range tt.to {
				j, err := stanza.ParseJID(to)
				if is := affs[j].Affiliation == Member; err == nil && is != tt.member {
					t.Errorf("%s is a member: %v", to, is)
				}
			}
		})
	}
}

// TestDeclineByStrangers says that nothing gets into a room as the refusal of an invitation that there was not.
func TestDeclineByStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRoom(t, "")
		eve, carol := d.Session("eve@a.test/x"), d.Session("carol@a.test/x")
		carol.Available(0, "")
		d.tell(d.olga, inviteXML("carol@a.test"))
		for _, to := range []string{"olga@a.test", "olga@a.test/desk", denJID + "/Olga", denJID} {
			if got, _ := d.tell(eve, declineXML(to)); got != "item-not-found" {
				t.Errorf("to %s: %q", to, got)
			}
		}
		if got, _ := d.tell(carol, declineXML("")); got != "jid-malformed" {
			t.Errorf("to nobody: %q", got)
		}
		if got, _ := d.tell(carol, declineXML(denJID+"/Olga")); got != "item-not-found" { // it was she, not who has that nickname
			t.Errorf("to a nickname: %q", got)
		}
		if got, _ := d.tell(carol, declineXML("olga@a.test")); got != "" {
			t.Errorf("in time: %q", got)
		}
		have(t, modtest.XML(d.olga.Sent()), "<decline ")
		d.tell(d.olga, inviteXML("carol@a.test"))
		time.Sleep(invitedFor + time.Second)
		if got, _ := d.tell(carol, declineXML("olga@a.test")); got != "item-not-found" {
			t.Errorf("late: %q", got)
		}
		lack(t, modtest.XML(d.olga.Sent()), "decline")
	})
}

// TestInvitedBound says that a room remembers a bounded number of invitations, the newest.
func TestInvitedBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRoom(t, "")
		for i := range maxInvited + 5 {
			d.tell(d.olga, inviteXML("u"+strconv.Itoa(i)+"@b.test"))
			time.Sleep(paceEvery)
		}
		d.do(func(r *room) {
			if len(r.invited) != maxInvited {
				t.Errorf("remembers %d", len(r.invited))
			}
			for i, want := range map[int]bool{4: false, 5: true, maxInvited + 4: true} {
				if _, ok := r.invited[invitedKey{stanza.MustJID("u" + strconv.Itoa(i) + "@b.test"), r.nicks["Olga"].bare}]; ok != want {
					t.Errorf("invitation %d is remembered: %v", i, ok)
				}
			}
		})
	})
}

// TestInvitePace says that nobody has the room send invitations without end.
func TestInvitePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRoom(t, "")
		n := 0
		for range 2 * paceBurst {
			if got, _ := d.tell(d.olga, inviteXML("carol@b.test")); got == "" {
				n++
			} else if got != "resource-constraint" {
				t.Fatal(got)
			}
		}
		if n == 0 || n > paceBurst || len(d.Host.Sent()) != n {
			t.Errorf("%d invitations at once", n)
		}
		time.Sleep(paceEvery)
		if got, _ := d.tell(d.olga, inviteXML("carol@b.test")); got != "" {
			t.Errorf("later: %q", got)
		}
	})
}

// TestInvitePaceOfEach: several invitations in one message are several.
func TestInvitePaceOfEach(t *testing.T) {
	d := newRoom(t, "")
	var many []string
	for i := range maxInvitees {
		many = append(many, fmt.Sprintf("u%d@b.test", i))
	}
	for i, want := range []string{"", "resource-constraint"} {
		if got, _ := d.tell(d.olga, inviteXML(many...)); got != want {
			t.Errorf("%d: %q", i, got)
		}
	}
	if n := len(d.Host.Sent()); n != maxInvitees {
		t.Errorf("%d invitations", n)
	}
}

// TestNotDelivered tells the inviter of an address that does not exist, once, and not in the words of a stranger (§7.8.2).
func TestNotDelivered(t *testing.T) {
	d := newRoom(t, "")
	d.tell(d.olga, inviteXML("carol@b.test", "nobody@a.test"))
	d.olga.Sent()
	const bounce = "<message type='error' id='m1' from='carol@b.test' to='" + denJID + "'><error type='cancel'>" +
		"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>buy</text></error></message>"
	d.Send(strings.Replace(bounce, "m1", "m2", 1))
	d.Send(strings.Replace(bounce, "carol", "eve", 1))
	lack(t, modtest.XML(d.olga.Sent()), "item-not-found")
	d.Send(bounce)
	got := modtest.XML(d.olga.Sent())
	have(t, got, "type='error'", "id='m1'", "<invite to='carol@b.test'/>", "<item-not-found")
	lack(t, got, "buy")
	d.Send(bounce)
	lack(t, modtest.XML(d.olga.Sent()), "item-not-found")
}

// TestRequests is what a room answers to messages that mean nothing to it.
func TestRequests(t *testing.T) {
	d := newRoom(t, "")
	eve := d.Session("eve@a.test/x")
	for _, tt := range []struct {
		by      *modtest.Session
		payload string
		want    string
	}{
		{eve, "<body>hi</body>", "not-acceptable"},
		{d.olga, "<body>hi</body>", "bad-request"},
		{d.olga, "<x xmlns='" + nsUser + "'/>", "bad-request"},
		{d.olga, "<x xmlns='jabber:x:data' type='cancel'/>", ""},
		{d.olga, "<x xmlns='jabber:x:data' type='submit'/>", "bad-request"},
	} {
		if got, _ := d.tell(tt.by, tt.payload); got != tt.want {
			t.Errorf("%s: %q, must be %q", tt.payload, got, tt.want)
		}
	}
	eve.Say("<message type='error' to='" + denJID + "'>" + inviteXML("carol@b.test") + "</message>")
	eve.Say("<message to='none@" + service + "' id='2'>" + inviteXML("carol@b.test") + "</message>")
	if got := eve.Sent(); len(got) != 1 || condition(got[0]) != "item-not-found" || len(d.Host.Sent()) > 0 {
		t.Errorf("got %s", modtest.XML(got))
	}
}
