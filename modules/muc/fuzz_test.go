package muc

import (
	"maps"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// actors are who the fuzzers send as.
var actors = []who{
	{Outcast, NoRole}, {None, NoRole}, {None, Visitor}, {None, Participant}, {None, Moderator}, {Member, NoRole}, {Member, Participant},
	{Member, Moderator}, {Admin, NoRole}, {Admin, Moderator}, {Owner, NoRole}, {Owner, Moderator},
}

// people returns a room with people of all kinds.
func people(t testing.TB, by who) (*testRoom, *modtest.Session) {
	d := newRoom(t, "")
	for _, p := range []struct {
		nick string
		w    who
	}{{"Ann", who{Admin, Moderator}}, {"Mel", who{Member, Participant}}, {"Max", who{Member, Moderator}}, {"Nil", who{None, Visitor}}, {"Ned", who{None, Moderator}}} {
		d.stand(d.Session(strings.ToLower(p.nick)+"@a.test/x"), p.nick, p.w)
	}
	d.affiliate("out@b.test", Outcast)
	alice := d.Session("alice@a.test/x")
	d.stand(alice, "Alice", by)
	return d, alice
}

// FuzzAdmin sends requests of administration as people of all kinds. What nobody of that kind may change stays.
func FuzzAdmin(f *testing.F) {
	for _, items := range []string{
		"<item nick='Nil' role='none'/>", "<item nick='Nil' role='participant'><reason>x</reason></item>", "<item nick='Max' role='visitor'/>",
		"<item nick='Ann' role='none'/>", "<item nick='Nil' role='moderator'/><item nick='Mel' role='visitor'/>",
		"<item jid='mel@a.test' affiliation='none'/><item jid='x@b.test/r' affiliation='owner'/>", "<item jid='b.test' affiliation='outcast'/>",
		"<item jid='olga@a.test' affiliation='outcast'/>", "<item jid='alice@a.test' affiliation='owner'/>", "<item nick='Alice' role='moderator'/>",
		"<item affiliation='outcast'/>", "<item role='moderator'/>",
	} {
		for i := range actors {
			f.Add(items, true, uint8(i))
		}
		f.Add(items, false, uint8(len(actors)-1))
	}
	f.Fuzz(func(t *testing.T, items string, set bool, actor uint8) {
		typ := "get"
		if set {
			typ = "set"
		}
		xml := "<iq type='" + typ + "' id='1' to='" + denJID + "'><query xmlns='" + nsAdmin + "'>" + items + "</query></iq>"
		if st, err := stanza.Parse([]byte(xml)); err != nil || len(st.Children) != 1 {
			return
		}
		by := actors[int(actor)%len(actors)]
		d, alice := people(t, by)
		affs, roles := d.state()
		alice.Say(xml)
		now, nowRoles := d.state()
		if log := d.Log(); strings.Contains(log, "panic") {
			t.Fatal(log)
		}
		if (!set || by.aff < Admin) && !maps.Equal(affs, now) || (!set || by.aff < Admin && by.role < Moderator) && !maps.Equal(roles, nowRoles) {
			t.Fatalf("changed to %v, %v", now, nowRoles)
		}
		owners := 0
		for who, a := range now {
			if a.Affiliation == Owner {
				owners++
			}
			if by.aff < Owner && a.Affiliation >= Admin && affs[who].Affiliation != a.Affiliation {
				t.Errorf("%v made %s %v", by, who, a.Affiliation)
			}
		}
		for who, a := range affs {
			if by.aff < Owner && a.Affiliation >= Admin && now[who].Affiliation != a.Affiliation {
				t.Errorf("%v made %s, who was %v, %v", by, who, a.Affiliation, now[who].Affiliation)
			}
		}
		if owners == 0 {
			t.Error("no owner is left")
		}
		for nick, was := range roles {
			is := nowRoles[nick]
			if by.aff < Admin && is != was && (is == Moderator || was == Moderator) {
				t.Errorf("%v made %s, who was %v, %v", by, nick, was, is)
			}
		}
	})
}

// FuzzRequest sends messages to the room itself as people of all kinds: nobody gets rights by them that the sender could not give,
// and strangers reach nobody.
func FuzzRequest(f *testing.F) {
	for _, payload := range []string{
		inviteXML("x@b.test"), inviteXML("x@b.test", "y@b.test/z"), inviteXML("b.test"), inviteXML("out@b.test"), declineXML("olga@a.test"), declineXML(denJID + "/Olga"),
		"<x xmlns='" + nsUser + "'><invite to='x@b.test'><reason>r</reason><continue thread='t'/></invite></x>", "<body>x</body>",
		voiceForm("muc#role", "participant"), voiceForm("muc#roomnick", "Nil", "muc#request_allow", "1"),
		voiceForm("muc#role", "moderator", "muc#roomnick", "Nil", "muc#request_allow", "1"), moderateXML("x"),
	} {
		for i := range actors {
			f.Add(payload, false, uint8(i))
		}
		f.Add(payload, true, uint8(6))
	}
	f.Fuzz(func(t *testing.T, payload string, members bool, actor uint8) {
		xml := "<message id='1' to='" + denJID + "'>" + payload + "</message>"
		if _, err := stanza.Parse([]byte(xml)); err != nil {
			return
		}
		by := actors[int(actor)%len(actors)]
		d, alice := people(t, by)
		d.settings(func(s *Settings) { s.Moderated, s.MembersOnly = true, members })
		affs, roles := d.state()
		alice.Say(xml)
		now, nowRoles := d.state()
		if log := d.Log(); strings.Contains(log, "panic") {
			t.Fatal(log)
		}
		invited, told := modtest.XML(d.Host.Sent()), modtest.XML(d.olga.Sent())
		if by.role == NoRole && (invited != "" || told != "") {
			t.Errorf("%v reached %s, %s", by, invited, told)
		}
		if by.role == Visitor && invited != "" {
			t.Errorf("a visitor invited: %s", invited)
		}
		for who, a := range now {
			was, ok := affs[who]
			if !ok && (!members || by.aff < Admin || a.Affiliation != Member || who.Local() == "") || ok && was != a {
				t.Errorf("%v made %s %v", by, who, a.Affiliation)
			}
		}
		for nick, was := range roles {
			if is := nowRoles[nick]; is != was && (by.role != Moderator || was != Visitor || is != Participant) {
				t.Errorf("%v made %s, who was %v, %v", by, nick, was, is)
			}
		}
	})
}
