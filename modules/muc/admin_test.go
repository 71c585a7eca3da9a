package muc

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// TestKick tells who hears what of a kick (§8.2).
func TestKick(t *testing.T) {
	d := newRoom(t, "")
	bob, carol := d.join("bob@a.test/x", "Bob"), d.join("carol@a.test/x", "Carol")
	bob2 := d.join("bob@a.test/y", "Bob")
	bob.Sent()
	carol.Sent()
	long := strings.Repeat("é", maxReason)
	if got := query(d.olga, "set", "<item nick='Bob' role='none'><reason>"+long+"</reason></item>"); got != "" {
		t.Fatalf("not kicked: %s", got)
	}
	for _, s := range []*modtest.Session{bob, bob2} {
		got := modtest.XML(s.Sent())
		have(t, got, "type='unavailable'", "code='307'", "code='110'", "role='none'", "<actor nick='Olga'/>", "<reason>é")
		if n := strings.Count(got, "é"); n != maxReason/2 {
			t.Errorf("reason of %d characters", n)
		}
	}
	got := modtest.XML(carol.Sent())
	have(t, got, "from='den@conference.a.test/Bob'", "code='307'", "type='unavailable'")
	lack(t, got, "bob@a.test")
	if got := query(d.olga, "set", "<item nick='Bob' role='none'/>"); got != "item-not-found" {
		t.Errorf("kicked again: %q", got)
	}
	if got := query(d.olga, "set", "<item nick='Olga' role='none'/>"); got != "conflict" {
		t.Errorf("kicks herself: %q", got)
	}
}

// TestLockedLists says that a room that is not configured yet has lists for its maker, and is not there for anybody else (§10.1.3).
func TestLockedLists(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	enter(t, alice, "den", "Alice")
	if got := query(alice, "get", "<item affiliation='member'/>"); got != "" {
		t.Errorf("its maker has no list: %s", got)
	}
	for _, items := range []string{"<item affiliation='member'/>", ""} {
		if got := query(bob, "get", items); got != "item-not-found" {
			t.Errorf("bob asks for %q: %q", items, got)
		}
	}
	for _, s := range []*modtest.Session{alice, bob} {
		if got := query(s, "set", "<item jid='bob@a.test' affiliation='member'/>"); got != "item-not-found" {
			t.Errorf("%s changes a list: %q", s.JID(), got)
		}
	}
}

// TestAnswerFirst says that who asks for a change has the answer before its consequences (§8.3 and on).
func TestAnswerFirst(t *testing.T) {
	d := newRoom(t, "")
	d.join("bob@a.test/x", "Bob")
	for _, item := range []string{"<item nick='Bob' role='visitor'/>", "<item jid='bob@a.test' affiliation='member'/>"} {
		d.olga.Say("<iq type='set' id='1' to='" + denJID + "'><query xmlns='" + nsAdmin + "'>" + item + "</query></iq>")
		if sent := d.olga.Sent(); len(sent) != 2 || sent[0].Kind != stanza.KindIQ || sent[1].Kind != stanza.KindPresence {
			t.Errorf("%s: got %s", item, modtest.XML(sent))
		}
	}
}

// TestModeratorSees says that who becomes a moderator learns who the others are, and who does not, does not (§4.2).
func TestModeratorSees(t *testing.T) {
	d := newRoom(t, "")
	bob, carol := d.join("bob@a.test/x", "Bob"), d.join("carol@a.test/x", "Carol")
	bob.Sent()
	carol.Sent()
	if got := query(d.olga, "set", "<item nick='Bob' role='moderator'/>"); got != "" {
		t.Fatal(got)
	}
	have(t, modtest.XML(bob.Sent()), "role='moderator'", "carol@a.test/x", "olga@a.test/desk")
	got := modtest.XML(carol.Sent())
	have(t, got, "role='moderator'")
	lack(t, got, "bob@a.test")
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='member'/>") // he knows them already
	if got := bob.Sent(); len(got) != 1 {
		t.Errorf("got %s", modtest.XML(got))
	}
}

// TestBan says that a ban throws out and lasts (§9.1, §9.2), that of a whole domain too.
func TestBan(t *testing.T) {
	d := newRoom(t, "")
	bob, carol := d.join("bob@a.test/x", "Bob"), d.join("carol@a.test/x", "Carol")
	d.affiliate("carol@a.test", Member)
	for _, nick := range []string{"Dave", "Erin"} {
		d.Send("<presence from='" + nick + "@b.test/x' to='" + denJID + "/" + nick + "'><x xmlns='" + nsMUC + "'/></presence>")
	}
	bob.Sent()
	carol.Sent()
	d.olga.Sent()
	d.Host.Sent()
	// A full JID means the bare one (§10.3).
	got := query(d.olga, "set", "<item jid='bob@a.test/other' affiliation='outcast'><reason>noise</reason></item><item jid='b.test' affiliation='outcast'><reason>spam</reason></item>")
	if got != "" {
		t.Fatal(got)
	}
	have(t, modtest.XML(bob.Sent()), "code='301'", "affiliation='outcast'", "<reason>noise</reason>", "<actor nick='Olga'/>")
	away := d.Host.Sent()
	if len(away) != 2 { // not of each other
		t.Errorf("those of the domain got %s", modtest.XML(away))
	}
	have(t, modtest.XML(away), "to='dave@b.test/x'", "to='erin@b.test/x'", "code='301'", "affiliation='outcast'", "<reason>spam</reason>")
	have(t, modtest.XML(carol.Sent()), "from='den@conference.a.test/Bob'", "from='den@conference.a.test/Dave'", "code='301'")
	have(t, enter(t, bob, "den", "Robert"), "<forbidden")
	list := string(d.olga.IQ("get", denJID, "<query xmlns='"+nsAdmin+"'><item affiliation='outcast'/></query>").AppendTo(nil))
	have(t, list, "<item affiliation='outcast' jid='b.test'><reason>spam</reason></item>", "<item affiliation='outcast' jid='bob@a.test'><reason>noise</reason></item>")

	// Banning one's own domain leaves those who have an affiliation of their own.
	if got := query(d.olga, "set", "<item jid='a.test' affiliation='outcast'/>"); got != "" {
		t.Fatal(got)
	}
	if _, roles := d.state(); len(roles) != 2 || roles["Carol"] != Participant {
		t.Errorf("in the room: %v", roles)
	}
	if got := query(d.olga, "set", "<item jid='olga@a.test' affiliation='outcast'/>"); got != "conflict" {
		t.Errorf("bans herself: %q", got)
	}
	if got := query(d.olga, "set", "<item jid='c.test' affiliation='owner'/>"); got != "not-acceptable" {
		t.Errorf("a domain owns: %q", got)
	}
}

// TestMembership says what a change of affiliation does to roles and to who may stay (§9.3, §9.4).
func TestMembership(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	d.settings(func(s *Settings) { s.Moderated = true })
	query(d.olga, "set", "<item nick='Bob' role='visitor'/>")
	bob.Sent()
	if got := query(d.olga, "set", "<item nick='Bob' affiliation='member'><reason>worthy</reason></item>"); got != "" {
		t.Fatal(got)
	}
	have(t, modtest.XML(bob.Sent()), "affiliation='member'", "role='participant'", "<reason>worthy</reason>")
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='none'/>")
	have(t, modtest.XML(bob.Sent()), "affiliation='none'", "role='visitor'")

	query(d.olga, "set", "<item nick='Bob' role='moderator'/>") // who gains an affiliation loses nothing, who loses one does
	bob.Sent()
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='member'/>")
	have(t, modtest.XML(bob.Sent()), "affiliation='member'", "role='moderator'")
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='none'/>")
	have(t, modtest.XML(bob.Sent()), "affiliation='none'", "role='visitor'")

	d.affiliate("bob@a.test", Admin)
	d.settings(func(s *Settings) { s.MembersOnly = true })
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='member'/>")
	bob.Sent()
	d.olga.Sent()
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='none'/>")
	got := modtest.XML(bob.Sent())
	have(t, got, "type='unavailable'", "code='321'", "affiliation='none'", "role='none'")
	if got := modtest.XML(d.olga.Sent()); strings.Count(got, "<presence") != 1 { // §9.4: not two
		t.Errorf("the others got %s", got)
	}
	have(t, enter(t, bob, "den", "Bob"), "<registration-required")
}

// TestNewMember says that a new member of a room for members is invited (§9.5), and one of another room is not.
func TestNewMember(t *testing.T) {
	d := newRoom(t, "")
	query(d.olga, "set", "<item jid='carol@b.test' affiliation='member'/>")
	if got := modtest.XML(d.Host.Sent()); got != "" {
		t.Errorf("invited: %s", got)
	}
	d.settings(func(s *Settings) { s.MembersOnly, s.Password = true, "sesame" })
	query(d.olga, "set", "<item jid='carol@b.test' affiliation='member'><reason>x</reason></item><item jid='dave@b.test' affiliation='member'><reason>come</reason></item>")
	got := modtest.XML(d.Host.Sent())
	have(t, got, "to='dave@b.test'", "<invite from='olga@a.test'>", "<reason>come</reason>", "<password>sesame</password>")
	lack(t, got, "carol@b.test")
}

// TestAllOrNothing says that a request with one bad item changes nothing.
func TestAllOrNothing(t *testing.T) {
	const good, role = "<item jid='carol@b.test' affiliation='member'/>", "<item nick='Bob' role='visitor'/>"
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	affs, roles := d.state()
	for _, tt := range []struct{ items, want string }{
		{good + "<item jid='olga@a.test' affiliation='outcast'/>", "conflict"},
		{good + "<item jid='olga@a.test' affiliation='none'/>", "conflict"},
		{good + "<item jid='root@a.test' affiliation='outcast'/>", "not-allowed"},
		{good + "<item jid='@' affiliation='member'/>", "jid-malformed"},
		{good + "<item affiliation='member'/>", "bad-request"},
		{good + "<item jid='x@b.test' affiliation='king'/>", "bad-request"},
		{good + "<item nick='Nobody' affiliation='member'/>", "item-not-found"},
		{good + good, "bad-request"},
		{good + role, "bad-request"},
		{role + "<item nick='Olga' role='participant'/>", "not-allowed"},
		{role + "<item nick='Nobody' role='none'/>", "item-not-found"},
		{role + "<item nick='Bob' role='moderator'/>", "bad-request"},
		{role + "<item nick='Olga' role='king'/>", "bad-request"},
		{role + "<item role='none'/>", "bad-request"},
		{role + "<item nick='Olga' role='none'/>", "conflict"},
		{role + "<item nick='Olga' role='moderator' affiliation='owner'/>", "bad-request"},
		{strings.Repeat(good, maxItems+1), "not-acceptable"},
		{"<item/>", "bad-request"},
		{"", "bad-request"},
		{"<other/>", "bad-request"},
	} {
		if got := query(d.olga, "set", tt.items); got != tt.want {
			t.Errorf("%.200s: %q, must be %q", tt.items, got, tt.want)
		}
		if a, r := d.state(); !maps.Equal(a, affs) || !maps.Equal(r, roles) {
			t.Fatalf("%.200s: changed to %v, %v", tt.items, a, r)
		}
		if got := modtest.XML(bob.Sent()); strings.Contains(got, "visitor") {
			t.Fatalf("%.200s: told %s", tt.items, got)
		}
	}
	for _, items := range []string{"", "<item/>", "<item affiliation='none'/>", "<item role='none'/>", "<item role='x'/>", "<item affiliation='x'/>",
		"<item affiliation='owner' role='moderator'/>", "<item affiliation='owner'/><item affiliation='admin'/>"} {
		if got := query(d.olga, "get", items); got != "bad-request" {
			t.Errorf("list of %q: %q", items, got)
		}
	}
}

// TestLastOwner says that a room keeps an owner, and that ownership can be handed on (§10.4).
func TestLastOwner(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	for _, to := range []string{"none", "member", "admin"} {
		if got := query(d.olga, "set", "<item jid='olga@a.test' affiliation='"+to+"'/>"); got != "conflict" {
			t.Errorf("to %s: %q", to, got)
		}
	}
	if got := query(d.olga, "set", "<item jid='olga@a.test' affiliation='member'/><item nick='Bob' affiliation='owner'/>"); got != "" {
		t.Fatal(got)
	}
	_, roles := d.state()
	if roles["Olga"] != Participant || roles["Bob"] != Moderator {
		t.Errorf("roles are %v", roles)
	}
	if got := query(bob, "set", "<item jid='olga@a.test' affiliation='outcast'/>"); got != "" {
		t.Errorf("the new owner: %q", got)
	}
}

// TestFull says that a room has no more affiliations than it may, and that a full room can still be changed.
func TestFull(t *testing.T) {
	d := newRoom(t, "[modules.mod_muc]\nmax_affiliations = 3\n")
	item := func(i int, a string) string {
		return "<item jid='u" + strconv.Itoa(i) + "@b.test' affiliation='" + a + "'/>"
	}
	for _, tt := range []struct{ items, want string }{
		{item(1, "outcast") + item(2, "member") + item(3, "member"), "resource-constraint"},
		{item(1, "outcast") + item(2, "member"), ""},
		{item(3, "member"), "resource-constraint"},
		{item(1, "admin"), ""},
		{item(3, "member") + item(2, "none"), ""},
		{item(9, "none"), ""},
	} {
		if got := query(d.olga, "set", tt.items); got != tt.want {
			t.Errorf("%s: %q, must be %q", tt.items, got, tt.want)
		}
	}
	cfg := *d.m.cfg.Load()
	cfg.MaxAffiliations = 1 // fewer than there are
	d.m.cfg.Store(&cfg)
	if got := query(d.olga, "set", item(1, "none")); got != "" {
		t.Errorf("nobody can be taken out: %q", got)
	}
	d.settings(func(s *Settings) { s.MembersOnly = true })
	d.Host.Sent()
	if got, _ := d.tell(d.olga, "<x xmlns='"+nsUser+"'><invite to='new@b.test'/></x>"); got != "resource-constraint" || len(d.Host.Sent()) > 0 {
		t.Errorf("an invitation makes too many members: %q", got)
	}
}

// TestListsOfRoles is what moderators see (§8.5, §9.8).
func TestListsOfRoles(t *testing.T) {
	d := newRoom(t, "")
	d.join("bob@a.test/x", "Bob")
	get := func(attr string) string {
		return string(d.olga.IQ("get", denJID, "<query xmlns='"+nsAdmin+"'><item "+attr+"/></query>").AppendTo(nil))
	}
	have(t, get("role='participant'"), "<item affiliation='none' jid='bob@a.test/x' nick='Bob' role='participant'/>")
	have(t, get("role='moderator'"), "<item affiliation='owner' jid='olga@a.test/desk' nick='Olga' role='moderator'/>")
	have(t, get("affiliation='owner'"), "<item affiliation='owner' jid='olga@a.test' nick='Olga' role='moderator'/>")
	lack(t, get("role='visitor'"), "<item")
	for i := range maxReasons/maxReason + 10 {
		d.do(func(r *room) {
			who := stanza.MustJID("u" + strconv.Itoa(i) + "@b.test")
			if err := r.save(r.ctx, change{affs: map[stanza.JID]affiliated{who: {Outcast, strings.Repeat("x", maxReason)}}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if list := get("affiliation='outcast'"); strings.Count(list, "<item") != maxReasons/maxReason+10 || strings.Count(list, "x") > maxReasons+1000 {
		t.Errorf("list of %d bytes, %d items", len(list), strings.Count(list, "<item"))
	}
}

// TestNothingLearnt says that who may change nothing does not learn either who is there, and members not why somebody is one.
func TestNothingLearnt(t *testing.T) {
	d := newRoom(t, "")
	d.settings(func(s *Settings) { s.Whois = whoisAnyone })
	bob := d.join("bob@a.test/x", "Bob")
	for _, item := range []string{"<item nick='Nobody' role='none'/>", "<item nick='Nobody' affiliation='member'/>", "<item jid='@' affiliation='x'/>"} {
		if got := query(bob, "set", item); got != "forbidden" {
			t.Errorf("%s: %q", item, got)
		}
	}
	query(d.olga, "set", "<item jid='bob@a.test' affiliation='member'/><item jid='carol@b.test' affiliation='member'><reason>secret</reason></item>")
	const members = "<query xmlns='" + nsAdmin + "'><item affiliation='member'/></query>"
	got := modtest.XML([]*stanza.Stanza{bob.IQ("get", denJID, members)})
	have(t, got, "jid='carol@b.test'")
	lack(t, got, "secret")
	have(t, modtest.XML([]*stanza.Stanza{d.olga.IQ("get", denJID, members)}), "secret")
}

// TestNotOnDisk says that what cannot be written does not happen, and is told to nobody.
func TestNotOnDisk(t *testing.T) {
	d := newRoom(t, "")
	bob := d.join("bob@a.test/x", "Bob")
	bob.Sent()
	d.settings(func(s *Settings) { s.MembersOnly, s.AllowInvites = true, true })
	if err := d.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"outcast", "member", "owner"} {
		if got := query(d.olga, "set", "<item nick='Bob' affiliation='"+to+"'/>"); got != "internal-server-error" {
			t.Errorf("%s: %q", to, got)
		}
	}
	if got, _ := d.tell(d.olga, "<x xmlns='"+nsUser+"'><invite to='new@b.test'/></x>"); got != "internal-server-error" {
		t.Errorf("invitation: %q", got)
	}
	if got := modtest.XML(bob.Sent()) + modtest.XML(d.Host.Sent()); got != "" {
		t.Errorf("told %s", got)
	}
	d.do(func(r *room) {
		if len(r.affs) != 1 || r.nicks["Bob"] == nil {
			t.Errorf("affiliations are %v", r.affs)
		}
	})
}

// TestLongAddresses: lists stay so short that they can be sent, however long the addresses in them are; those who are on them can still be
// taken off.
func TestLongAddresses(t *testing.T) {
	d := newRoom(t, "[modules.mod_muc]\nmax_affiliations = 1000\n")
	long := func(i int) string { return strings.Repeat("x", 900) + strconv.Itoa(i) + "@b.test" }
	refused, n := "", 0
	for ; refused == "" && n < 1000; n++ {
		refused = query(d.olga, "set", "<item affiliation='member' jid='"+long(n)+"'/>")
	}
	list := string(d.olga.IQ("get", denJID, "<query xmlns='"+nsAdmin+"'><item affiliation='member'/></query>").AppendTo(nil))
	if refused != "resource-constraint" || n < 50 || len(list) > 2*1000*meanAddress {
		t.Errorf("%q after %d, a list of %d bytes", refused, n, len(list))
	}
	if got := query(d.olga, "set", "<item affiliation='none' jid='"+long(0)+"'/>"); got != "" {
		t.Errorf("off the list: %q", got)
	}
	if got := query(d.olga, "set", "<item affiliation='member' jid='short@b.test'/>"); got != "" {
		t.Errorf("a short one: %q", got)
	}
}
