package muc

import (
	"testing"

	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// TestAbsentees says who learns that somebody who is not in the room is something else to it now: those who may have the list, and
// nobody by a ban of whom he never heard.
func TestAbsentees(t *testing.T) {
	for name, tt := range map[string]struct {
		whois string
		was   Affiliation
		item  string
		want  map[string]bool // who learns of it: the owner, an admin, a member, one who is none of it
	}{
		"member where addresses are shown":  {whoisAnyone, None, "affiliation='member'", map[string]bool{"olga": true, "adam": true, "mary": true}},
		"no member where they are shown":    {whoisAnyone, Member, "affiliation='none'", map[string]bool{"olga": true, "adam": true, "mary": true}},
		"member who is banned":              {whoisAnyone, Member, "affiliation='outcast'", map[string]bool{"olga": true, "adam": true, "mary": true}},
		"stranger who is banned":            {whoisAnyone, None, "affiliation='outcast'", map[string]bool{"olga": true, "adam": true}},
		"member where addresses are secret": {whoisModerators, None, "affiliation='member'", map[string]bool{"olga": true, "adam": true}},
		"owner where addresses are secret":  {whoisModerators, None, "affiliation='owner'", map[string]bool{"olga": true}},
		"the same that he was":              {whoisAnyone, Member, "affiliation='member'", nil},
		"another reason to be what he was":  {whoisAnyone, Outcast, "affiliation='outcast'", nil},
		"none that he was":                  {whoisAnyone, None, "affiliation='none'", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRoom(t, "")
			d.settings(func(s *Settings) { s.Whois = tt.whois })
			d.affiliate("adam@a.test", Admin)
			d.affiliate("mary@a.test", Member)
			d.affiliate("dave@a.test", tt.was)
			in := map[string]*modtest.Session{"olga": d.olga}
			for _, who := range []string{"adam", "mary", "nick"} {
				in[who] = d.join(who+"@a.test/x", who)
			}
			dave := d.Session("dave@a.test/x")
			for _, s := range in {
				s.Sent()
			}
			if got := query(d.olga, "set", "<item jid='dave@a.test' "+tt.item+"><reason>r</reason></item>"); got != "" {
				t.Fatal(got)
			}
			for who, s := range in {
				sent := s.Sent()
				if tt.want[who] != (len(sent) == 1) || len(sent) > 1 {
					t.Errorf("%s got %s", who, modtest.XML(sent))
					continue
				}
				if len(sent) == 1 {
					have(t, modtest.XML(sent), "<message", "from='"+denJID+"'", tt.item, "jid='dave@a.test'", "role='none'")
					if fate.Archived(sent[0]) || fate.Offline(sent[0]) == fate.Store {
						t.Errorf("kept for %s: %s", who, modtest.XML(sent))
					}
					if sent[0].Type != stanza.TypeNone || sent[0].ID() == "" { // as the examples of §10.3 and §10.7 have it
						t.Errorf("%s got %s", who, modtest.XML(sent))
					}
				}
			}
			if got := dave.Sent(); len(got) != 0 {
				t.Errorf("he himself got %s", modtest.XML(got))
			}
		})
	}
}

// TestAbsenteeOnce says that who is in the room is shown by presence alone, and that a domain's affiliation is nobody's.
func TestAbsenteeOnce(t *testing.T) {
	d := newRoom(t, "")
	d.join("bob@a.test/x", "Bob")
	if got := query(d.olga, "set", "<item jid='bob@a.test' affiliation='member'/><item jid='b.test' affiliation='member'/>"); got != "" {
		t.Fatal(got)
	}
	if sent := d.olga.Sent(); len(sent) != 1 || sent[0].Kind != stanza.KindPresence {
		t.Errorf("got %s", modtest.XML(sent))
	}
}

// TestAbsenteeDeleted says that the owner learns that a member's account is no more.
func TestAbsenteeDeleted(t *testing.T) {
	d := newRoom(t, "")
	d.Session("dave@a.test/x")
	d.affiliate("dave@a.test", Member)
	d.olga.Sent()
	if err := d.Users.Delete(t.Context(), "dave"); err != nil {
		t.Fatal(err)
	}
	have(t, modtest.XML(d.olga.Sent()), "<item affiliation='none' jid='dave@a.test' role='none'/>")
}

// TestInvitedAbsentee: who becomes a member by an invitation is one of them, too.
func TestInvitedAbsentee(t *testing.T) {
	d := newRoom(t, "")
	d.settings(func(s *Settings) { s.MembersOnly, s.Whois = true, whoisAnyone })
	d.affiliate("bob@a.test", Member)
	bob := d.join("bob@a.test/x", "Bob")
	bob.Sent()
	if got, _ := d.tell(d.olga, inviteXML("carol@b.test")); got != "" {
		t.Fatal(got)
	}
	have(t, modtest.XML(bob.Sent()), "<item affiliation='member' jid='carol@b.test' role='none'/>", "<no-store")
}
