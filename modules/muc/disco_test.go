package muc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// serviceItems asks the service for rooms, and returns their localparts and names, and the <set/>.
func serviceItems(t testing.TB, s *modtest.Session, set string) (rooms []string, rsm *stanza.Element) {
	t.Helper()
	st := s.IQ("get", service, "<query xmlns='http://jabber.org/protocol/disco#items'>"+set+"</query>")
	if st.Type != stanza.TypeResult {
		t.Fatalf("%s: got %s", set, wire(st))
	}
	for _, e := range st.Payload().Children {
		if e.Name == "set" {
			rsm = e
			continue
		}
		rooms = append(rooms, strings.TrimSuffix(e.Attr("jid"), "@"+service)+" "+e.Attr("name"))
	}
	return rooms, rsm
}

func rsmSet(inner string) string {
	return "<set xmlns='http://jabber.org/protocol/rsm'>" + inner + "</set>"
}

// The service says what it is, answers pings, and nothing else (§6.2).
func TestServiceInfo(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	got := disco(t, alice, "")
	for _, want := range []string{
		"<identity category='conference' type='text' name='Rooms'/>", "<feature var='http://jabber.org/protocol/muc'/>",
		"<feature var='http://jabber.org/protocol/disco#items'/>", "<feature var='http://jabber.org/protocol/rsm'/>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if st := alice.IQ("get", service, "<ping xmlns='urn:xmpp:ping'/>"); st.Type != stanza.TypeResult {
		t.Errorf("ping: %s", wire(st))
	}
	for _, c := range []struct{ typ, payload, want string }{
		{"get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "item-not-found"},
		{"get", "<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>", "item-not-found"},
		{"set", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "feature-not-implemented"},
		{"set", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "feature-not-implemented"},
		{"set", "<ping xmlns='urn:xmpp:ping'/>", "feature-not-implemented"},
		{"get", "<query xmlns='jabber:iq:version'/>", "service-unavailable"},
	} {
		if e := alice.IQ(c.typ, service, c.payload).StanzaError(); e == nil || string(e.Condition) != c.want {
			t.Errorf("%s: %v, want %s", c.payload, e, c.want)
		}
	}
	alice.Say("<iq type='result' id='x' to='" + service + "'/>")
	if sent := alice.Sent(); len(sent) > 0 {
		t.Errorf("a result is answered: %s", modtest.XML(sent))
	}
}

// Public rooms are listed as they are now, hidden and locked ones to nobody (§6.3).
func TestRoomList(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	want := func(rooms ...string) {
		t.Helper()
		got, set := serviceItems(t, alice, "")
		if !slices.Equal(got, rooms) || set != nil {
			t.Errorf("got %q %v, want %q", got, set, rooms)
		}
		if _, set := serviceItems(t, alice, rsmSet("<max>0</max>")); set.ChildText("count") != fmt.Sprint(len(rooms)) || set.Child(nsPages, "first") != nil {
			t.Errorf("set: %+v", set)
		}
	}
	want()
	enter(t, alice, "b", "Alice")
	want() // locked
	open(t, alice, "b", "Alice")
	want("b b")
	open(t, alice, "a", "Alice")
	configure(t, alice, "b", "muc#roomconfig_roomname", "Bee", "muc#roomconfig_persistentroom", "1")
	want("a a", "b Bee")
	configure(t, alice, "a", "muc#roomconfig_publicroom", "0")
	want("b Bee")
	configure(t, alice, "a", "muc#roomconfig_roomname", "still hidden")
	want("b Bee")
	alice.Say("<message type='groupchat' to='b@" + service + "'><subject>changes nothing</subject></message>")
	want("b Bee")
	restarted(t, h, "")
	want("b Bee")
	configure(t, alice, "a", "muc#roomconfig_publicroom", "1")
	want("a still hidden", "b Bee")
	alice.IQ("set", "b@"+service, ownerQuery+"<destroy/></query>")
	want("a still hidden")
}

// A list that is long is had in pages (XEP-0059).
func TestRoomPages(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	m, ctx := moduleOf(t, h), context.Background()
	const total = 250
	for i := range 2 * total {
		rec := &record{Creator: "x@a.test", Settings: Settings{Public: i%2 == 0}}
		if err := m.store.save(ctx, fmt.Sprintf("r%03d", i/2)+strings.Repeat("h", i%2), change{rec: rec}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		set   string
		pages []int
	}{
		{"", []int{100, 100, 50}},
		{"<max>1000</max>", []int{100, 100, 50}},
		{"<max>99999999999999999999999</max>", []int{100, 100, 50}},
		{"<max>90</max>", []int{90, 90, 70}},
		{"<max>125</max>", []int{100, 100, 50}},
	} {
		set, n := c.set, 0
		if set != "" {
			set = rsmSet(set)
		}
		for i, size := range c.pages {
			rooms, rsm := serviceItems(t, alice, set)
			if len(rooms) != size || rsm == nil || rsm.ChildText("count") != fmt.Sprint(total) {
				t.Fatalf("%s: page %d has %d, %+v", c.set, i, len(rooms), rsm)
			}
			for _, r := range rooms {
				if want := fmt.Sprintf("r%03d r%03d", n, n); r != want {
					t.Fatalf("got %s, want %s", r, want)
				}
				n++
			}
			if first := rsm.Child(nsPages, "first"); first.Attr("index") == "0" != (i == 0) || first.Text != fmt.Sprintf("r%03d@%s", n-size, service) {
				t.Errorf("first: %+v", first)
			}
			set = rsmSet(c.set + "<after>" + rsm.ChildText("last") + "</after>")
		}
		if rooms, rsm := serviceItems(t, alice, set); len(rooms) > 0 || rsm.Child(nsPages, "last") != nil {
			t.Errorf("behind the last: %q", rooms)
		}
	}
	if rooms, _ := serviceItems(t, alice, rsmSet("<max>1</max><after>r0005@"+service+"</after>")); !slices.Equal(rooms, []string{"r001 r001"}) {
		t.Errorf("behind one that is gone: %q", rooms)
	}
	for _, c := range []struct{ set, want string }{
		{"<max>-1</max>", "bad-request"}, {"<max/>", "bad-request"}, {"<before/>", "feature-not-implemented"},
		{"<index>3</index>", "feature-not-implemented"}, {"<after>r001@elsewhere</after>", "item-not-found"}, {"<after>" + service + "</after>", "item-not-found"},
	} {
		st := alice.IQ("get", service, "<query xmlns='http://jabber.org/protocol/disco#items'>"+rsmSet(c.set)+"</query>")
		if e := st.StanzaError(); e == nil || string(e.Condition) != c.want {
			t.Errorf("%s: %s, want %s", c.set, wire(st), c.want)
		}
	}
}

// A page has no more bytes than fit in a stanza.
func TestRoomPageSize(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	m, ctx := moduleOf(t, h), context.Background()
	for i := range 100 {
		rec := &record{Creator: "x@a.test", Settings: Settings{Public: true, Name: strings.Repeat("&", maxName)}}
		if err := m.store.save(ctx, fmt.Sprintf("%03d", i)+strings.Repeat("x", 900), change{rec: rec}); err != nil {
			t.Fatal(err)
		}
	}
	seen, set := 0, ""
	for seen < 100 {
		rooms, rsm := serviceItems(t, alice, set)
		if len(rooms) == 0 || len(rooms) > maxPageBytes/1000 {
			t.Fatalf("a page of %d behind %d", len(rooms), seen)
		}
		seen += len(rooms)
		set = rsmSet("<after>" + rsm.ChildText("last") + "</after>")
	}
	if seen != 100 {
		t.Errorf("seen %d", seen)
	}
}

// A damaged count is found out anew with the next change, and a list is there without it.
func TestCountDamaged(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	m, ctx := moduleOf(t, h), context.Background()
	save := func(local string, public bool) {
		t.Helper()
		if err := m.store.save(ctx, local, change{rec: &record{Creator: "x@a.test", Settings: Settings{Public: public}}}); err != nil {
			t.Fatal(err)
		}
	}
	save("a", true)
	save("b", true)
	for _, c := range []struct {
		local  string
		public bool
		want   int
	}{{"c", true, 3}, {"a", false, 2}, {"d", false, 2}} {
		if c.local != "d" {
			if err := m.store.KV(kvCounts).Put(ctx, []byte(kvPublic), []byte("-1x")); err != nil {
				t.Fatal(err)
			}
			if rooms, _, _, err := m.store.page(ctx, "", 100, maxPageBytes); err != nil || len(rooms) == 0 {
				t.Errorf("page: %v %v", rooms, err)
			}
		}
		save(c.local, c.public)
		if rooms, n, _, err := m.store.page(ctx, "", 100, maxPageBytes); err != nil || n != c.want || len(rooms) != n {
			t.Errorf("%s: %d of %v, %v", c.local, n, rooms, err)
		}
	}
	err := m.store.View(ctx, func(tx storage.Tx) error { _, err := listLength(tx); return err })
	if err != nil {
		t.Error(err)
	}
}

// A room says what it is to all who know its address (§6.4); what goes on inside only to those who could see it.
func TestRoomInfo(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob, carol := h.Session("alice@a.test/x"), h.Session("bob@a.test/x"), h.Session("carol@a.test/x")
	const (
		subject   = "<field type='text-single' var='muc#roominfo_subject'><value>Tea</value></field>"
		occupants = "<field type='text-single' var='muc#roominfo_occupants'><value>2</value></field>"
	)
	open(t, alice, "den", "Alice")
	enter(t, bob, "den", "Bob")
	alice.Say("<message type='groupchat' to='den@" + service + "'><subject>Tea</subject></message>")
	for _, c := range []struct {
		set     string // name=value
		want    string
		outside bool // outsiders learn of what goes on
	}{
		{"", "muc_public muc_open muc_unmoderated muc_semianonymous muc_unsecured muc_temporary urn:xmpp:mam:2 urn:xmpp:sid:0", true},
		{"muc#roomconfig_moderatedroom=1", "muc_moderated", true},
		{"muc#roomconfig_whois=anyone", "muc_nonanonymous", true},
		{"muc#roomconfig_persistentroom=1", "muc_persistent", true},
		{"muc#roomconfig_roomname=Our Den", "", true},
		{"muc#roomconfig_publicroom=0", "muc_hidden", false},
		{"muc#roomconfig_publicroom=1", "muc_public", true},
		{"muc#roomconfig_roomsecret=s", "muc_passwordprotected", false},
		{"muc#roomconfig_passwordprotectedroom=0", "muc_unsecured", true},
	} {
		if name, value, ok := strings.Cut(c.set, "="); ok {
			configure(t, alice, "den", name, value)
		}
		for _, s := range []*modtest.Session{alice, bob, carol} {
			got := disco(t, s, "den")
			for _, f := range append(strings.Fields(c.want), "http://jabber.org/protocol/muc", "http://jabber.org/protocol/muc#stable_id",
				"urn:xmpp:occupant-id:0", "urn:xmpp:ping", "http://jabber.org/protocol/muc#self-ping-optimization", "http://jabber.org/protocol/muc#request") {
				if !strings.Contains(got, "<feature var='"+f+"'/>") {
					t.Errorf("%s, %s: no %s in %s", c.set, s.JID(), f, got)
				}
			}
			if knows := s != carol || c.outside; strings.Contains(got, subject) != knows || strings.Contains(got, occupants) != knows {
				t.Errorf("%s, %s: got %s", c.set, s.JID(), got)
			}
			if strings.Contains(got, "secret") {
				t.Errorf("%s learns the password: %s", s.JID(), got)
			}
		}
	}
	configure(t, alice, "den", "muc#roomconfig_roomdesc", "Tea & cake", "muc#roomconfig_lang", "en", "muc#roomconfig_changesubject", "1",
		"muc#maxhistoryfetch", "7", "muc#roomconfig_enablearchiving", "0", "muc#roomconfig_membersonly", "1")
	got := disco(t, carol, "den")
	for _, want := range []string{
		"<identity category='conference' type='text' name='Our Den'/>", "<feature var='muc_membersonly'/>",
		"var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roominfo</value>",
		"var='muc#roominfo_description'><value>Tea &amp; cake</value>", "var='muc#roominfo_lang'><value>en</value>",
		"var='muc#roomconfig_changesubject'><value>1</value>", "var='muc#roominfo_subjectmod'><value>1</value>",
		"var='muc#maxhistoryfetch'><value>7</value>", "var='muc#roomconfig_allowpm'><value>anyone</value>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "mam:2") || strings.Contains(got, "Tea<") || strings.Contains(got, "occupants") {
		t.Errorf("got %s", got)
	}
}

// Requests of service discovery to rooms, and which are refused.
func TestRoomDisco(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	const info, items = "<query xmlns='http://jabber.org/protocol/disco#info'", "<query xmlns='http://jabber.org/protocol/disco#items'"
	try := func(s *modtest.Session, typ, payload, want string) {
		t.Helper()
		st := s.IQ(typ, "den@"+service, payload)
		got := "result"
		if e := st.StanzaError(); e != nil {
			got = string(e.Condition)
		}
		if got != want {
			t.Errorf("%s %s: %s, want %s", s.JID(), payload, wire(st), want)
		}
	}
	both := func(s *modtest.Session, want string) {
		t.Helper()
		try(s, "get", info+"/>", want)
		try(s, "get", items+"/>", want)
	}
	both(alice, "item-not-found")
	enter(t, alice, "den", "Alice")
	both(alice, "result") // it is locked, and hers
	both(bob, "item-not-found")
	open(t, alice, "den", "Alice")
	both(bob, "result")
	for _, s := range []*modtest.Session{alice, bob} {
		try(s, "get", info+" node='x'/>", "item-not-found")
		try(s, "get", items+" node='x'/>", "item-not-found")
		try(s, "set", info+"/>", "feature-not-implemented")
		try(s, "set", items+"/>", "feature-not-implemented")
		st := s.IQ("get", "den@"+service, info+" node='x-roomuser-item'/>") // §7.12
		if got := wire(st); !strings.Contains(got, "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'></query>") {
			t.Errorf("reserved nickname: %s", got)
		}
		if st := s.IQ("get", "den@"+service, items+"/>"); len(st.Payload().Children) > 0 {
			t.Errorf("who is there is told: %s", wire(st))
		}
	}
}
