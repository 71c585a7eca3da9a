package muc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const off = "[general]\nhosts = [\"a.test\"]\n[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_muc\"]\n"

// again stops the module and starts it anew, on what is stored.
func again(t testing.TB, h *modtest.Host, toml string) {
	t.Helper()
	for _, cfg := range []string{off, toml} {
		if err := h.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
}

// queryArchive asks for a room's archive, and returns the bodies of what comes, and the answer.
func queryArchive(t testing.TB, s *modtest.Session, form string) ([]string, *stanza.Stanza) {
	t.Helper()
	answer := s.IQ("set", "den@"+service, "<query xmlns='urn:xmpp:mam:2' queryid='q'>"+form+"</query>")
	var out []string
	for _, st := range s.Sent() {
		i := st.Find("urn:xmpp:mam:2", "result")
		if i < 0 {
			continue
		}
		if st.From().String() != "den@"+service {
			t.Errorf("from %s", st.From())
		}
		e := st.Element(i)
		msg := e.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message")
		out = append(out, msg.Attr("from")+" "+msg.ChildText("body")+" "+e.Attr("id"))
	}
	return out, answer
}

// TestArchive: what is said is in the archive under the ID that all see, before anybody sees it, and also after a restart (XEP-0313
// §6.1.2); what asks not to be kept, and what says nothing, is not.
func TestArchive(t *testing.T) {
	const toml = "[modules.mod_muc]\nroom_persistent = true\n"
	h, list := den(t, 2, toml)
	var ids []string
	for _, x := range []struct {
		xml  string
		kept bool
	}{
		{"<body>one</body>", true},
		{"<body>two</body><stanza-id xmlns='urn:xmpp:sid:0' by='den@" + service + "' id='forged'/>", true},
		{"<body>three</body><no-store xmlns='urn:xmpp:hints'/>", false},
		{"<body>four</body><no-permanent-store xmlns='urn:xmpp:hints'/>", false},
		{"<composing xmlns='http://jabber.org/protocol/chatstates'/>", false},
		{"<body>five</body><delay xmlns='urn:xmpp:delay' from='den@" + service + "' stamp='2001-01-01T00:00:00Z'/>", true},
	} {
		list[1].Say("<message type='groupchat' id='x' to='den@" + service + "'>" + x.xml + "</message>")
		got := list[0].Sent()
		if len(got) != 1 {
			t.Fatalf("%s: %s", x.xml, modtest.XML(got))
		}
		id := got[0].StanzaID(stanza.MustJID("den@" + service))
		if (id != "") != x.kept || id == "forged" || got[0].Has(stanza.NSDelay, "delay") {
			t.Errorf("%s: %s", x.xml, modtest.XML(got))
		}
		if x.kept {
			ids = append(ids, id)
		}
	}
	want := fmt.Sprintf("[den@%s/u1 one %s den@%s/u1 two %s den@%s/u1 five %s]", service, ids[0], service, ids[1], service, ids[2])
	for i := range 2 {
		list[1].Sent()
		got, answer := queryArchive(t, list[1], "")
		if fmt.Sprint(got) != want || answer.Type != stanza.TypeResult {
			t.Errorf("got %v, want %s", got, want)
		}
		got, _ = queryArchive(t, list[1], "<set xmlns='http://jabber.org/protocol/rsm'><after>"+ids[0]+"</after><max>1</max></set>")
		if len(got) != 1 || !strings.Contains(got[0], "two") {
			t.Errorf("got %v", got)
		}
		again(t, h, toml)
		if i == 0 {
			wants(t, list[0], "type='unavailable'", "code='332'", "code='110'")
		}
	}
	got := enter(t, list[0], "den", "u0")
	for _, word := range []string{"<body>one</body>", "<body>two</body>", "<body>five</body>", ids[2], "affiliation='owner'"} {
		if !strings.Contains(got, word) {
			t.Errorf("no %s in %s", word, got)
		}
	}
	if strings.Contains(got, "<body>three</body>") || strings.Contains(got, "code='201'") {
		t.Errorf("got %s", got)
	}
}

// TestSubjectArchived: changes of the subject are in the archive under the ID that all see (XEP-0313 §6.1.2); who enters is told the subject
// once, after the history, before a restart as well as after it.
func TestSubjectArchived(t *testing.T) {
	const toml = "[modules.mod_muc]\nroom_persistent = true\n"
	h, list := den(t, 2, toml)
	list[0].Say("<message type='groupchat' id='x' to='den@" + service + "'><body>before</body></message>")
	list[0].Say("<message type='groupchat' id='s' to='den@" + service + "'><subject>weather</subject></message>")
	list[0].Say("<message type='groupchat' id='y' to='den@" + service + "'><body>after</body></message>")
	id := list[1].Sent()[1].StanzaID(stanza.MustJID("den@" + service))
	if got, _ := queryArchive(t, list[1], ""); len(got) != 3 || id == "" || !strings.HasSuffix(got[1], "/u0  "+id) {
		t.Errorf("got %v, %s", got, id)
	}
	for range 2 {
		guest := h.Session("guest@a.test/x")
		got := enter(t, guest, "den", "guest")
		if strings.Count(got, "<subject>") != 1 || !strings.Contains(got, "<body>before") || strings.LastIndex(got, "<body>") > strings.Index(got, "<subject>") {
			t.Errorf("got %s", got)
		}
		h.Router.Remove(guest)
		again(t, h, toml)
	}
}

// TestArchiveReaders: who may not enter may not read (XEP-0313 §6.1.2).
func TestArchiveReaders(t *testing.T) {
	h, list := den(t, 2, "")
	out := h.Session("carol@a.test/x")
	list[1].Say("<message type='groupchat' id='x' to='den@" + service + "'><body>secret</body></message>")
	in := func(fn func(r *room)) {
		moduleOf(t, h).in(context.Background(), nil, stanza.MustJID("den@"+service), func(r *room, _ context.Context, _ *modules.Packet) { fn(r) })
	}
	carol := stanza.MustJID("carol@a.test")
	for name, c := range map[string]struct {
		set func(r *room)
		may bool
	}{
		"open":             {func(*room) {}, true},
		"members only":     {func(r *room) { r.rec.Settings.MembersOnly = true }, false},
		"member":           {func(r *room) { r.rec.Settings.MembersOnly = true; r.affs[carol] = affiliated{Member, ""} }, true},
		"password":         {func(r *room) { r.rec.Settings.Password = "x" }, false},
		"banned":           {func(r *room) { r.affs[carol] = affiliated{Outcast, ""} }, false},
		"without archive":  {func(r *room) { r.rec.Settings.Archive = false }, false},
		"not yet for all":  {func(r *room) { r.locked = true }, false},
		"nothing is there": {func(r *room) { r.exists = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var was record
			in(func(r *room) { was = r.rec; c.set(r) })
			defer in(func(r *room) { r.rec, r.exists, r.locked = was, true, false; delete(r.affs, carol) })
			got, answer := queryArchive(t, out, "")
			if c.may != (len(got) == 1) || c.may != (answer.Type == stanza.TypeResult) {
				t.Errorf("got %v, %s", got, answer.AppendTo(nil))
			}
		})
	}
}

// TestRoomEnds: nothing remains of a room that ended, for who makes another one of its name.
func TestRoomEnds(t *testing.T) {
	h, list := den(t, 1, "")
	list[0].Say("<message type='groupchat' id='x' to='den@" + service + "'><body>secret</body></message>")
	list[0].Say("<presence type='unavailable' to='den@" + service + "/u0'/>")
	bob := h.Session("bob@a.test/x")
	open(t, bob, "den", "b")
	if got := enter(t, bob, "den", "b"); strings.Contains(got, "secret") || strings.Contains(got, "affiliation='none'") {
		t.Errorf("got %s", got)
	}
	if got, _ := queryArchive(t, bob, ""); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := enter(t, list[0], "den", "u0"); !strings.Contains(got, "affiliation='none'") {
		t.Errorf("still its owner: %s", got)
	}
}

// TestVanish: a room that is not persistent is there after a restart, for an hour; one that is, for good.
func TestVanish(t *testing.T) {
	h, list := den(t, 1, "")
	again(t, h, "")
	m := moduleOf(t, h)
	m.tidy(context.Background())
	exists := func() (ok bool) {
		m.in(context.Background(), nil, stanza.MustJID("den@"+service), func(r *room, _ context.Context, _ *modules.Packet) { ok = r.exists })
		return ok
	}
	if !exists() {
		t.Fatal("gone at once")
	}
	m.started = time.Now().Add(-2 * emptyFor)
	list[0].Sent()
	enter(t, list[0], "den", "u0")
	m.tidy(context.Background())
	if !exists() {
		t.Fatal("gone with somebody in it")
	}
	again(t, h, "")
	m = moduleOf(t, h)
	m.started = time.Now().Add(-2 * emptyFor)
	m.tidy(context.Background())
	if exists() {
		t.Error("still there")
	}
}

// TestAccountDeleted: a deleted account owns nothing, and is nowhere.
func TestAccountDeleted(t *testing.T) {
	const toml = "[modules.mod_muc]\nroom_persistent = true\n"
	h, list := den(t, 2, toml)
	if err := h.Users.Delete(context.Background(), "u0"); err != nil {
		t.Fatal(err)
	}
	wants(t, list[1], "/u0'", "type='unavailable'", "role='none'")
	for range 2 {
		if got := enter(t, list[0], "den", "u0"); !strings.Contains(got, "affiliation='none'") {
			t.Errorf("still its owner: %s", got)
		}
		again(t, h, toml)
	}
	rooms, err := moduleOf(t, h).store.roomsOf(context.Background(), stanza.MustJID("u0@a.test"))
	if n, err2 := moduleOf(t, h).store.made(context.Background(), "u0@a.test", 10); len(rooms) != 0 || n != 0 || err != nil || err2 != nil {
		t.Errorf("%v, %d, %v, %v", rooms, n, err, err2)
	}
}

// TestMakerDeleted: that a deleted account made a room which is others' by now is forgotten, for good.
func TestMakerDeleted(t *testing.T) {
	const toml = "[modules.mod_muc]\nroom_persistent = true\n"
	h, list := den(t, 2, toml)
	for i, item := range []string{"affiliation='owner' jid='u1@a.test'", "affiliation='none' jid='u0@a.test'"} {
		if got := query(list[i], "set", "<item "+item+"/>"); got != "" {
			t.Fatal(got)
		}
	}
	again(t, h, toml) // nobody has it in memory
	if err := h.Users.Delete(context.Background(), "u0"); err != nil {
		t.Fatal(err)
	}
	list[1].Sent()
	enter(t, list[1], "den", "u1")
	form := "<query xmlns='" + nsOwner + "'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsConfig + "</value></field><field var='muc#roomconfig_roomname'><value>x</value></field></x></query>"
	if c := condition(list[1].IQ("set", denJID, form)); c != "" {
		t.Fatal(c)
	}
	m := moduleOf(t, h)
	n, err := m.store.made(context.Background(), "u0@a.test", 10)
	rooms, err2 := m.Rooms(context.Background())
	if n != 0 || err != nil || err2 != nil || len(rooms) != 1 || rooms[0].Creator != "" {
		t.Errorf("%d, %v, %v, %v", n, err, rooms, err2)
	}
}
