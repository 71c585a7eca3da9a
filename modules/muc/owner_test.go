package muc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const formType = "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"

// fields writes fields of a form from pairs of name and value.
func fields(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "<field var='%s'><value>%s</value></field>", pairs[i], stanza.AppendEscaped(nil, pairs[i+1]))
	}
	return b.String()
}

// submit has a session configure a room, and returns the answer.
func submit(t testing.TB, s *modtest.Session, room, fields string) *stanza.Stanza {
	t.Helper()
	return s.IQ("set", room+"@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"+
		fields+"</x></query>")
}

// configure has an owner configure a room, and fails where he cannot.
func configure(t testing.TB, s *modtest.Session, room string, pairs ...string) {
	t.Helper()
	if st := submit(t, s, room, formType+fields(pairs...)); st.Type != stanza.TypeResult {
		t.Fatalf("not configured: %s", wire(st))
	}
}

// roomForm returns the form that an owner gets.
func roomForm(t testing.TB, s *modtest.Session, room string) *stanza.Form {
	t.Helper()
	st := s.IQ("get", room+"@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'/>")
	if st.Type != stanza.TypeResult {
		t.Fatalf("no form: %s", wire(st))
	}
	f, err := stanza.ParseForm(st.Payload().Child(stanza.NSData, "x"))
	if err != nil || f.Kind != "form" || f.Type != nsConfig {
		t.Fatalf("form: %v, %s", err, wire(st))
	}
	return f
}

// disco asks a room or the service (room is "") what it is.
func disco(t testing.TB, s *modtest.Session, room string) string {
	t.Helper()
	to := service
	if room != "" {
		to = room + "@" + service
	}
	return wire(s.IQ("get", to, "<query xmlns='http://jabber.org/protocol/disco#info'/>"))
}

// wire writes a stanza out.
func wire(st *stanza.Stanza) string { return strings.TrimSpace(modtest.XML([]*stanza.Stanza{st})) }

// restarted starts the module anew on the same store, with another configuration: the rooms are those on disk, and empty.
func restarted(t testing.TB, h *modtest.Host, toml string) {
	t.Helper()
	off := "[general]\nhosts = [\"a.test\"]\n[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_muc\"]\n"
	if err := errors.Join(h.Reload(off), h.Reload(toml)); err != nil {
		t.Fatal(err)
	}
}

// Every setting goes through the form, comes back in it, and stays through a restart.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		set  []string // as it is submitted
		want []string // as the form says it then
	}{
		{[]string{"muc#roomconfig_roomname", " The Den "}, []string{"muc#roomconfig_roomname", "The Den"}},
		{[]string{"muc#roomconfig_roomdesc", "a <den> & more"}, nil},
		{[]string{"muc#roomconfig_lang", "pt-BR"}, nil},
		{[]string{"muc#roomconfig_publicroom", "0"}, nil},
		{[]string{"muc#roomconfig_publicroom", "false"}, []string{"muc#roomconfig_publicroom", "0"}},
		{[]string{"muc#roomconfig_membersonly", "1"}, nil},
		{[]string{"muc#roomconfig_membersonly", "true"}, []string{"muc#roomconfig_membersonly", "1"}},
		{[]string{"muc#roomconfig_allowinvites", "1"}, nil},
		{[]string{"{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites", "1"}, []string{"muc#roomconfig_allowinvites", "1"}},
		{[]string{"muc#roomconfig_moderatedroom", "1"}, nil},
		{[]string{"muc#roomconfig_changesubject", "1"}, nil},
		{[]string{"muc#roomconfig_passwordprotectedroom", "1", "muc#roomconfig_roomsecret", "open & shut"}, nil},
		{[]string{"muc#roomconfig_roomsecret", "x"}, []string{"muc#roomconfig_passwordprotectedroom", "1", "muc#roomconfig_roomsecret", "x"}},
		{[]string{"muc#roomconfig_passwordprotectedroom", "0", "muc#roomconfig_roomsecret", "x"},
			[]string{"muc#roomconfig_passwordprotectedroom", "0", "muc#roomconfig_roomsecret", ""}},
		{[]string{"muc#roomconfig_whois", "anyone"}, nil},
		{[]string{"muc#roomconfig_allowpm", "anyone"}, nil},
		{[]string{"muc#roomconfig_allowpm", "participants"}, nil},
		{[]string{"muc#roomconfig_allowpm", "moderators"}, nil},
		{[]string{"muc#roomconfig_allowpm", "none"}, nil},
		{[]string{"muc#roomconfig_maxusers", "7"}, nil},
		{[]string{"muc#roomconfig_maxusers", "none"}, []string{"muc#roomconfig_maxusers", "1000"}},
		{[]string{"muc#roomconfig_enablearchiving", "0"}, nil},
		{[]string{"mam", "0"}, []string{"muc#roomconfig_enablearchiving", "0"}},
		{[]string{"muc#roomconfig_mam", "0"}, []string{"muc#roomconfig_enablearchiving", "0"}},
		{[]string{"muc#roomconfig_enablelogging", "0"}, []string{"muc#roomconfig_enablearchiving", "0"}},
		{[]string{"muc#roomconfig_enablelogging", "0", "muc#roomconfig_enablearchiving", "1"}, []string{"muc#roomconfig_enablearchiving", "1"}},
		{[]string{"muc#maxhistoryfetch", "0"}, nil},
		{[]string{"muc#roomconfig_historylength", "50"}, []string{"muc#maxhistoryfetch", "50"}},
	} {
		t.Run(strings.Join(c.set, " "), func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			alice := h.Session("alice@a.test/x")
			open(t, alice, "den", "Alice")
			before := roomForm(t, alice, "den")
			configure(t, alice, "den", append([]string{"muc#roomconfig_persistentroom", "1", "x-unknown", "y"}, c.set...)...)
			want := c.want
			if want == nil {
				want = c.set
			}
			changed := map[string]string{"muc#roomconfig_persistentroom": "1"}
			for i := 0; i < len(want); i += 2 {
				changed[want[i]] = want[i+1]
			}
			check := func(when string) {
				t.Helper()
				for _, fd := range roomForm(t, alice, "den").Fields {
					v, ok := changed[fd.Var]
					if !ok {
						v = before.Value(fd.Var)
					}
					if got := strings.Join(fd.Values, "|"); got != v {
						t.Errorf("%s: %s is %q, want %q", when, fd.Var, got, v)
					}
				}
			}
			check("at once")
			restarted(t, h, "")
			check("after a restart")
		})
	}
}

// What the form shows can be sent back as it is, also where the service allows less than it did, and changes nothing.
func TestFormEcho(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	open(t, alice, "den", "Alice")
	configure(t, alice, "den", "muc#roomconfig_persistentroom", "1", "muc#roomconfig_roomname", "Den", "muc#roomconfig_roomsecret", "s")
	for _, toml := range []string{"", "[modules.mod_muc]\nmax_occupants = 5\nhistory_max = 3\nroom_history = 3\n"} {
		restarted(t, h, toml)
		enter(t, alice, "den", "Alice")
		f := roomForm(t, alice, "den")
		for _, fd := range f.Fields {
			if fd.Type == "list-single" && !slices.ContainsFunc(fd.Options, func(o stanza.FormOption) bool { return o.Value == fd.Values[0] }) {
				t.Errorf("%s is %q, which is none of the choices", fd.Var, fd.Values)
			}
		}
		f.Kind = "submit"
		st := alice.IQ("set", "den@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'>"+string(f.Bytes())+"</query>")
		if sent := alice.Sent(); st.Type != stanza.TypeResult || len(sent) > 0 {
			t.Errorf("%s: %s, and %s", toml, wire(st), modtest.XML(sent))
		}
	}
}

// Bad forms change nothing, and the error says which field is to blame.
func TestBadForms(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	long := strings.Repeat("x", 2000)
	ok := formType + fields("muc#roomconfig_roomname", "changed")
	two := "<field var='muc#roomconfig_lang'><value>de</value><value>en</value></field>"
	cases := []struct{ form, cond, text string }{
		{fields("muc#roomconfig_roomname", "x"), "bad-request", "FORM_TYPE"},
		{strings.Replace(ok, "#roomconfig<", "#request<", 1), "bad-request", "FORM_TYPE"},
		{"<field var='FORM_TYPE'><value>x</value></field>", "bad-request", "FORM_TYPE"},
		{ok + two, "bad-request", "muc#roomconfig_lang"},
		{ok + strings.Repeat("<field var='a'/>", 200), "bad-request", "too large"},
		{ok + fields("muc#roomconfig_roomdesc", long), "not-acceptable", "muc#roomconfig_roomdesc"},
		{formType + fields("muc#roomconfig_roomname", long), "not-acceptable", "muc#roomconfig_roomname"},
		{ok + fields("muc#roomconfig_lang", "e n"), "not-acceptable", "muc#roomconfig_lang"},
		{ok + fields("muc#roomconfig_lang", long), "not-acceptable", "muc#roomconfig_lang"},
		{ok + fields("muc#roomconfig_membersonly", "yes"), "bad-request", "muc#roomconfig_membersonly"},
		{ok + fields("mam", "2"), "bad-request", "muc#roomconfig_enablearchiving"},
		{ok + fields("muc#roomconfig_passwordprotectedroom", "maybe"), "bad-request", "muc#roomconfig_passwordprotectedroom"},
		{ok + fields("muc#roomconfig_passwordprotectedroom", "1"), "not-acceptable", "muc#roomconfig_roomsecret"},
		{ok + fields("muc#roomconfig_passwordprotectedroom", "1", "muc#roomconfig_roomsecret", " "), "not-acceptable", "muc#roomconfig_roomsecret"},
		{ok + fields("muc#roomconfig_roomsecret", " "), "not-acceptable", "muc#roomconfig_roomsecret"},
		{ok + fields("muc#roomconfig_roomsecret", long), "not-acceptable", "muc#roomconfig_roomsecret"},
		{ok + fields("muc#roomconfig_whois", "none"), "not-acceptable", "muc#roomconfig_whois"},
		{ok + fields("muc#roomconfig_allowpm", "x"), "not-acceptable", "muc#roomconfig_allowpm"},
		{ok + fields("muc#roomconfig_maxusers", "0"), "not-acceptable", "muc#roomconfig_maxusers"},
		{ok + fields("muc#roomconfig_maxusers", "1001"), "not-acceptable", "muc#roomconfig_maxusers"},
		{ok + fields("muc#roomconfig_maxusers", "many"), "bad-request", "muc#roomconfig_maxusers"},
		{ok + fields("muc#maxhistoryfetch", "-1"), "not-acceptable", "muc#maxhistoryfetch"},
		{ok + fields("muc#maxhistoryfetch", "51"), "not-acceptable", "muc#maxhistoryfetch"},
		{ok + fields("muc#maxhistoryfetch", "99999999999999999999"), "bad-request", "muc#maxhistoryfetch"},
	}
	for _, locked := range []bool{true, false} {
		enter(t, alice, "den", "Alice")
		if !locked {
			open(t, alice, "den", "Alice")
		}
		before := string(roomForm(t, alice, "den").Bytes())
		for _, c := range cases {
			st := submit(t, alice, "den", c.form)
			e := st.StanzaError()
			if e == nil || string(e.Condition) != c.cond || !strings.Contains(e.Text, c.text) {
				t.Errorf("%s: got %s", c.form, wire(st))
			}
			if now := string(roomForm(t, alice, "den").Bytes()); now != before {
				t.Fatalf("%s: changed\n%s\n%s", c.form, before, now)
			}
			if sent := alice.Sent(); len(sent) > 0 {
				t.Errorf("%s: told %s", c.form, modtest.XML(sent))
			}
		}
		bob := h.Session(fmt.Sprintf("bob@a.test/%v", locked))
		if in := !strings.Contains(enter(t, bob, "den", "Bob"), "item-not-found"); in == locked {
			t.Errorf("locked %v: bob is in: %v", locked, in)
		}
	}
}

// Requests that are none of the owners', and those of others, are refused.
func TestOwnerRefused(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	enter(t, alice, "den", "Alice")
	const query = "<query xmlns='http://jabber.org/protocol/muc#owner'"
	try := func(s *modtest.Session, typ, payload, want string) {
		t.Helper()
		if e := s.IQ(typ, "den@"+service, payload).StanzaError(); e == nil || string(e.Condition) != want {
			t.Errorf("%s %s: %v, want %s", typ, payload, e, want)
		}
	}
	for _, want := range []string{"item-not-found", "forbidden"} { // while it is locked, and then
		try(bob, "get", query+"/>", want)
		try(bob, "set", query+"><x xmlns='jabber:x:data' type='submit'/></query>", want)
		try(bob, "set", query+"><x xmlns='jabber:x:data' type='cancel'/></query>", want)
		try(bob, "set", query+"><destroy/></query>", want)
		open(t, alice, "den", "Alice")
		enter(t, bob, "den", "Bob")
	}
	for _, bad := range []string{
		"/>", "><x xmlns='jabber:x:data' type='result'/></query>", "><x xmlns='jabber:x:data'/></query>", "><x xmlns='a'/></query>",
		"><item affiliation='owner'/></query>", "><destroy xmlns='a'/></query>",
		"><x xmlns='jabber:x:data' type='submit'/><destroy/></query>",
	} {
		try(alice, "set", query+bad, "bad-request")
	}
	try(alice, "get", "<x xmlns='http://jabber.org/protocol/muc#owner'/>", "bad-request")
	try(alice, "set", query+"><destroy jid='@'/></query>", "jid-malformed")
	for _, name := range []string{"reason", "password"} {
		try(alice, "set", query+"><destroy><"+name+">"+strings.Repeat("x", 1025)+"</"+name+"></destroy></query>", "not-acceptable")
	}
	roomForm(t, alice, "den") // it is still there
}

// All are told what has changed, and nothing where nothing has (§10.2.1).
func TestChangeCodes(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	open(t, alice, "den", "Alice")
	enter(t, bob, "den", "Bob")
	for _, c := range []struct {
		name, value string
		codes       string
	}{
		{"muc#roomconfig_roomname", "Den", "104"},
		{"muc#roomconfig_roomname", "Den", ""},
		{"muc#roomconfig_roomsecret", "s", "104"},
		{"muc#roomconfig_whois", "anyone", "104 172"},
		{"muc#roomconfig_whois", "anyone", ""},
		{"muc#roomconfig_whois", "moderators", "104 173"},
		{"muc#roomconfig_enablearchiving", "0", "104 171"},
		{"muc#roomconfig_enablearchiving", "1", "104 170"},
		{"x-unknown", "1", ""},
	} {
		alice.Sent()
		bob.Sent()
		configure(t, alice, "den", c.name, c.value)
		for _, s := range []*modtest.Session{alice, bob} {
			var got []string
			for _, st := range s.Sent() {
				if st.Kind != stanza.KindMessage || st.Type != stanza.TypeGroupchat || st.From().String() != "den@"+service {
					t.Errorf("%s: got %s", c.name, wire(st))
				}
				for _, e := range st.Element(st.Find(nsUser, "x")).Children {
					got = append(got, e.Attr("code"))
				}
			}
			if strings.Join(got, " ") != c.codes {
				t.Errorf("%s %s: codes %q, want %q", c.name, c.value, got, c.codes)
			}
		}
	}
}

// A room that is for members now throws out who is none (§10.2).
func TestMembersOnly(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	bob2 := h.Session("bob@a.test/y")
	open(t, alice, "den", "Alice")
	enter(t, bob, "den", "Bob")
	enter(t, bob2, "den", "Bob")
	alice.Sent()
	bob.Sent()
	configure(t, alice, "den", "muc#roomconfig_membersonly", "1")
	for _, s := range []*modtest.Session{alice, bob, bob2} {
		got := modtest.XML(s.Sent())
		if !strings.Contains(got, "type='unavailable'") || !strings.Contains(got, "code='322'") || strings.Contains(got, "role='participant'") ||
			strings.Count(got, "<presence") != 1 {
			t.Errorf("%s got %s", s.JID(), got)
		}
	}
	if got := enter(t, bob, "den", "Bob"); !strings.Contains(got, "registration-required") {
		t.Errorf("bob is in: %s", got)
	}
	alice.Sent()
	alice.Say("<message type='groupchat' to='den@" + service + "'><body>alone</body></message>")
	if len(alice.Sent()) != 1 || len(bob2.Sent()) != 0 {
		t.Error("alice is out, or bob is in")
	}
}

// Those thrown out together are not told of each other, and a room that nobody is left in ends as it would otherwise.
func TestMembersOnlyEmpties(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob, carol := h.Session("alice@a.test/x"), h.Session("bob@a.test/x"), h.Session("carol@a.test/x")
	open(t, alice, "den", "Alice")
	enter(t, bob, "den", "Bob")
	enter(t, carol, "den", "Carol")
	alice.Say("<presence type='unavailable' to='den@" + service + "/Alice'/>")
	bob.Sent()
	carol.Sent()
	configure(t, alice, "den", "muc#roomconfig_membersonly", "1")
	for s, nick := range map[*modtest.Session]string{bob: "Bob", carol: "Carol"} {
		got := s.Sent()
		if n := len(got); n != 2 || got[1].From().Resource() != nick || !strings.Contains(wire(got[1]), "code='110'") || !strings.Contains(wire(got[1]), "code='322'") {
			t.Errorf("%s got %s", nick, modtest.XML(got))
		}
	}
	if got := disco(t, alice, "den"); !strings.Contains(got, "item-not-found") {
		t.Errorf("a temporary room without anybody: %s", got)
	}
	open(t, alice, "den", "Alice")
	configure(t, alice, "den", "muc#roomconfig_persistentroom", "1")
	alice.Say("<presence type='unavailable' to='den@" + service + "/Alice'/>")
	configure(t, alice, "den", "muc#roomconfig_persistentroom", "0", "muc#roomconfig_membersonly", "1")
	roomForm(t, alice, "den") // it was empty before
}

// A cancelled form leaves a room as it was, or ends one that is new (§10.1.3, §10.2).
func TestCancel(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	const cancel = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='cancel'/></query>"
	open(t, alice, "old", "Alice")
	if st := alice.IQ("set", "old@"+service, cancel); st.Type != stanza.TypeResult || len(alice.Sent()) > 0 {
		t.Errorf("cancel: %s", wire(st))
	}
	roomForm(t, alice, "old")
	for range Defaults.RoomsPerAccount + 1 { // what is cancelled is not counted
		enter(t, alice, "new", "Alice")
		st := alice.IQ("set", "new@"+service, cancel)
		if got := modtest.XML(alice.Sent()); st.Type != stanza.TypeResult || !strings.Contains(got, "<destroy/>") || !strings.Contains(got, "type='unavailable'") {
			t.Fatalf("cancel: %s, %s", wire(st), got)
		}
	}
	if got := disco(t, alice, "new"); !strings.Contains(got, "item-not-found") {
		t.Errorf("the room is there: %s", got)
	}
}

// Settings are obeyed from then on.
func TestSettingsObeyed(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	try := func(room, want string, set ...string) {
		t.Helper()
		open(t, alice, room, "Alice")
		configure(t, alice, room, set...)
		got := enter(t, bob, room, "Bob")
		if want == "password" {
			if !strings.Contains(got, "not-authorized") {
				t.Errorf("without a password: %s", got)
			}
			bob.Say("<presence to='" + room + "@" + service + "/Bob'><x xmlns='http://jabber.org/protocol/muc'><password>s</password></x></presence>")
			got, want = modtest.XML(bob.Sent()), "code='110'"
		}
		if !strings.Contains(got, want) {
			t.Errorf("%v: got %s", set, got)
		}
	}
	try("a", "code='110'", "muc#roomconfig_roomname", "x")
	try("b", "registration-required", "muc#roomconfig_membersonly", "1")
	try("c", "password", "muc#roomconfig_passwordprotectedroom", "1", "muc#roomconfig_roomsecret", "s")
	try("d", "service-unavailable", "muc#roomconfig_maxusers", "1")
	try("e", "role='visitor'", "muc#roomconfig_moderatedroom", "1")
	try("f", "code='100'", "muc#roomconfig_whois", "anyone")
	try("g", "code='170'", "muc#roomconfig_whois", "anyone")
}

// Nothing is told or acknowledged of a change that could not be written.
func TestConfigureFails(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	open(t, alice, "den", "Alice")
	before := string(roomForm(t, alice, "den").Bytes())
	m := moduleOf(t, h)
	good := m.store
	m.store = store{brokenBucket(good)}
	for _, payload := range []string{
		"<x xmlns='jabber:x:data' type='submit'>" + formType + fields("muc#roomconfig_roomname", "x", "muc#roomconfig_membersonly", "1") + "</x>",
		"<destroy/>",
	} {
		st := alice.IQ("set", "den@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'>"+payload+"</query>")
		if e := st.StanzaError(); e == nil || e.Condition != stanza.InternalServerError {
			t.Errorf("got %s", wire(st))
		}
	}
	m.store = good
	if sent := alice.Sent(); len(sent) > 0 {
		t.Errorf("told %s", modtest.XML(sent))
	}
	if now := string(roomForm(t, alice, "den").Bytes()); now != before {
		t.Errorf("changed: %s", now)
	}
}

// brokenBucket is one to which nothing can be written.
type brokenBucket struct{ storage.Bucket }

func (brokenBucket) Update(context.Context, func(storage.Tx) error) error {
	return errors.New("no disk")
}
