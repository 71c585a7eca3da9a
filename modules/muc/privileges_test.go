package muc

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// What a letter of the tables means.
var verdicts = map[byte]string{'y': "", 'f': "forbidden", 'n': "not-allowed"}

// who is somebody in the tables.
type who struct {
	aff  Affiliation
	role Role
}

// TestRoles goes through all that anybody can ask for with roles, and compares it with the tables of §5.1.1 and §5.1.3, written
// out: for each actor and target, whether the role may become none, visitor, participant and moderator.
func TestRoles(t *testing.T) {
	targets := []who{
		{None, Visitor}, {None, Participant}, {None, Moderator}, {Member, Visitor}, {Member, Participant}, {Member, Moderator},
		{Admin, Moderator}, {Owner, Moderator},
	}
	for _, row := range []struct {
		actor who
		want  string
	}{
		{who{None, Visitor}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
		{who{None, Participant}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
		{who{Member, Visitor}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
		{who{Member, Participant}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
		{who{None, Moderator}, "yyyf yyyf fffy nyyf nnyf nnny nnny nnny"},
		{who{Member, Moderator}, "yyyf yyyf fffy yyyf ynyf fffy nnny nnny"},
		{who{Admin, Moderator}, "yyyy yyyy yyyy yyyy yyyy yyyy ynny nnny"},
		{who{Owner, Moderator}, "yyyy yyyy yyyy yyyy yyyy yyyy ynny ynny"},
		{who{Admin, NoRole}, "yyyy yyyy yyyy yyyy yyyy yyyy ynny nnny"}, // not in the room
		{who{None, NoRole}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
		{who{Outcast, NoRole}, "ffff ffff ffff ffff ffff ffff ffff ffff"},
	} {
		d := newRoom(t, "")
		alice, bob := d.Session("alice@a.test/x"), d.Session("bob@a.test/x")
		for i, cell := range strings.Fields(row.want) {
			for to := NoRole; to <= Moderator; to++ {
				name := fmt.Sprintf("%v/%v makes %v/%v %v", row.actor.aff, row.actor.role, targets[i].aff, targets[i].role, to)
				d.stand(alice, "Alice", row.actor)
				d.stand(bob, "Bob", targets[i])
				affs, _ := d.state()
				got := query(alice, "set", "<item nick='Bob' role='"+to.String()+"'/>")
				if got != verdicts[cell[to]] {
					t.Errorf("%s: %q, must be %q", name, got, verdicts[cell[to]])
				}
				now, roles := d.state()
				want := targets[i].role
				if got == "" {
					want = to
				}
				if roles["Bob"] != want || !maps.Equal(affs, now) {
					t.Errorf("%s: he is %v; affiliations %v, were %v", name, roles["Bob"], now, affs)
				}
			}
		}
	}
}

// TestAffiliations does the same with affiliations, §5.2.1 and §5.2.3: whether one may become outcast, none, member, admin and
// owner. The target is in the room, and is not.
func TestAffiliations(t *testing.T) {
	for _, row := range []struct {
		actor who
		want  string // for outcast, none, member, admin, owner
	}{
		{who{Outcast, NoRole}, "fffff fffff fffff fffff fffff"},
		{who{None, NoRole}, "fffff fffff fffff fffff fffff"},
		{who{None, Participant}, "fffff fffff fffff fffff fffff"},
		{who{None, Moderator}, "fffff fffff fffff fffff fffff"},
		{who{Member, Visitor}, "fffff fffff fffff fffff fffff"},
		{who{Member, Moderator}, "fffff fffff fffff fffff fffff"},
		{who{Admin, NoRole}, "yyyff yyyff yyyff nffff nffff"},
		{who{Admin, Moderator}, "yyyff yyyff yyyff nffff nffff"},
		{who{Owner, NoRole}, "yyyyy yyyyy yyyyy yyyyy yyyyy"},
		{who{Owner, Moderator}, "yyyyy yyyyy yyyyy yyyyy yyyyy"},
	} {
		d := newRoom(t, "")
		alice, bob := d.Session("alice@a.test/x"), d.Session("bob@a.test/x")
		for i, cell := range strings.Fields(row.want) {
			for to := Outcast; to <= Owner; to++ {
				for _, inside := range []bool{true, false} {
					was := Outcast + Affiliation(i)
					if inside && was == Outcast {
						continue
					}
					name := fmt.Sprintf("%v/%v makes %v %v, inside %v", row.actor.aff, row.actor.role, was, to, inside)
					target := who{was, NoRole}
					if inside {
						d.settings(func(s *Settings) { target.role = s.roleOf(was) })
					}
					d.stand(alice, "Alice", row.actor)
					d.stand(bob, "Bob", target)
					before, _ := d.state()
					got := query(alice, "set", "<item jid='bob@a.test' affiliation='"+to.String()+"'/>")
					if got != verdicts[cell[to-Outcast]] {
						t.Errorf("%s: %q, must be %q", name, got, verdicts[cell[to-Outcast]])
					}
					want := maps.Clone(before)
					if got == "" {
						if want[bob.JID().Bare()] = (affiliated{Affiliation: to}); to == None {
							delete(want, bob.JID().Bare())
						}
					}
					after, roles := d.state()
					if !maps.Equal(want, after) {
						t.Errorf("%s: affiliations are %v, must be %v", name, after, want)
					}
					if _, there := roles["Bob"]; there != (inside && (to != Outcast || got != "")) {
						t.Errorf("%s: in the room: %v", name, there)
					}
					if r := roles["Bob"]; got == "" && inside && to != Outcast && (r == Moderator) != (to >= Admin) {
						t.Errorf("%s: role is %v", name, r)
					}
				}
			}
		}
	}
}

// stand makes somebody what a table says.
func (d *testRoom) stand(s *modtest.Session, nick string, w who) {
	d.t.Helper()
	bare := s.JID().Bare().String()
	d.affiliate(bare, None)
	if w.role == NoRole {
		s.Say("<presence type='unavailable' to='" + denJID + "/" + nick + "'/>")
	} else {
		enter(d.t, s, "den", nick)
	}
	d.affiliate(bare, w.aff)
	d.do(func(r *room) {
		if o := r.nicks[nick]; o != nil {
			o.role = w.role
		}
	})
	s.Sent()
	d.olga.Sent()
}

// TestLists says who may have which list.
func TestLists(t *testing.T) {
	for _, tt := range []struct {
		actor who
		whois string
		want  string // outcast, member, admin, owner; visitor, participant, moderator
	}{
		{who{None, NoRole}, whoisAnyone, "ffff fff"},
		{who{None, Participant}, whoisAnyone, "ffff fff"},
		{who{None, Moderator}, whoisAnyone, "ffff yyf"},
		{who{Member, NoRole}, whoisAnyone, "fyyy fff"},
		{who{Member, Participant}, whoisAnyone, "fyyy fff"},
		{who{Member, Participant}, whoisModerators, "ffff fff"},
		{who{Member, Moderator}, whoisModerators, "ffff yyf"},
		{who{Admin, NoRole}, whoisModerators, "yyff yyy"},
		{who{Admin, Moderator}, whoisAnyone, "yyyy yyy"},
		{who{Owner, NoRole}, whoisModerators, "yyyy yyy"},
		{who{Outcast, NoRole}, whoisAnyone, "ffff fff"},
	} {
		d := newRoom(t, "")
		d.settings(func(s *Settings) { s.Whois = tt.whois })
		alice := d.Session("alice@a.test/x")
		d.stand(alice, "Alice", tt.actor)
		i := 0
		for _, attr := range []string{"affiliation='outcast'", "affiliation='member'", "affiliation='admin'", "affiliation='owner'",
			"role='visitor'", "role='participant'", "role='moderator'"} {
			if tt.want[i] == ' ' {
				i++
			}
			if got := query(alice, "get", "<item "+attr+"/>"); got != verdicts[tt.want[i]] {
				t.Errorf("%v/%v in a room with %s asks for %s: %q", tt.actor.aff, tt.actor.role, tt.whois, attr, got)
			}
			i++
		}
	}
}

// TestHostAdmin says that an admin of the host owns the room, and cannot be banned from it.
func TestHostAdmin(t *testing.T) {
	d := newRoom(t, "")
	root := d.Session("root@a.test/x")
	if got := query(d.olga, "set", "<item jid='root@a.test' affiliation='outcast'/>"); got != "not-allowed" {
		t.Errorf("banned: %q", got)
	}
	if got := query(root, "set", "<item jid='carol@b.test' affiliation='admin'/>"); got != "" {
		t.Errorf("no owner: %q", got)
	}
	if got := query(root, "set", "<item jid='olga@a.test' affiliation='none'/>"); got != "conflict" {
		t.Errorf("the last owner goes: %q", got)
	}
	if affs, _ := d.state(); affs[stanza.MustJID("carol@b.test")].Affiliation != Admin {
		t.Errorf("affiliations are %v", affs)
	}
}
