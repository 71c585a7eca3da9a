package test

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestRoomCommand: the admin sees all rooms and ends any, and what he ended does not come back.
func TestRoomCommand(t *testing.T) {
	s := xtest.New(t, xtest.Options{})
	c := cli{t, s}
	const service = "conference.localhost"
	s.AddUsers("ann@localhost", "bob@localhost")
	ann, bob := s.Online(t, "ann@localhost/x"), s.Online(t, "bob@localhost/x")
	enter := func(who *xtest.Client, room, nick string) {
		t.Helper()
		who.Send("<presence to='%s@%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>", room, service, nick)
		who.Barrier()
	}
	configure := func(room, name, public string) {
		t.Helper()
		enter(ann, room, "Ann")
		field := func(name, value string) string {
			return "<field var='" + name + "'><value>" + value + "</value></field>"
		}
		n := ann.IQ("set", room+"@"+service, "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"+
			field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig")+field("muc#roomconfig_roomname", name)+
			field("muc#roomconfig_persistentroom", "1")+field("muc#roomconfig_publicroom", public)+"</x></query>")
		if n.Attr("type") != "result" {
			t.Fatalf("not configured: %s", n)
		}
	}
	if out := c.ok("", "room", "list"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "ROOM ") {
		t.Errorf("no rooms:\n%s", out)
	}
	configure("den", "The &#x202e;Den", "0")
	configure("hall", "Hall", "1")
	enter(bob, "den", "Bob")
	enter(bob, "new", "Bob")
	type room struct {
		JID, Name, Creator         string
		Occupants                  int
		Public, Persistent, Locked bool
	}
	var list []room
	c.json(&list, "", "room", "list", "localhost")
	want := []room{
		{"den@" + service, "The \u202eDen", "ann@localhost", 2, false, true, false},
		{"hall@" + service, "Hall", "ann@localhost", 1, true, true, false},
		{"new@" + service, "", "bob@localhost", 1, true, false, true},
	}
	if len(list) != 3 || list[0] != want[0] || list[1] != want[1] || list[2] != want[2] {
		t.Errorf("list: %+v", list)
	}
	out := c.ok("", "room", "list")
	for _, w := range []string{"hidden, persistent ", "public, persistent ", "public, not configured yet ", `"The \u202eDen"`} {
		if !strings.Contains(out, w) {
			t.Errorf("list does not say %s:\n%s", w, out)
		}
	}
	c.fails("", []string{"room", "list", "elsewhere.test"}, "elsewhere.test", "localhost")
	c.fails("", []string{"room", "destroy", "none@" + service}, "no room none@"+service)
	c.fails("", []string{"room", "destroy", "den@elsewhere.test"}, "elsewhere.test")
	c.fails("", []string{"room", "destroy", service}, "is no room")
	for _, args := range [][]string{{"room"}, {"room", "make"}, {"room", "destroy"}, {"room", "list", "a", "b"}} {
		if _, errs, code := s.Run("", args...); code != 2 || !strings.Contains(errs, "usage: xmppd room") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
	if out := c.ok("", "room", "destroy", "Den@"+service); out != "destroyed den@"+service+"\n" {
		t.Errorf("destroy: %s", out)
	}
	var told bool
	for _, n := range bob.Barrier() {
		told = told || n.Attr("type") == "unavailable" && strings.Contains(n.String(), "ended by the administrator")
	}
	if !told {
		t.Error("bob is not told")
	}
	must(t, s.Stop())
	c.fails("", []string{"room", "list"}, "no server is running")
	s.Start(xtest.Options{})
	if c.json(&list, "", "room", "list"); len(list) != 1 || list[0].JID != "hall@"+service || list[0].Occupants != 0 {
		t.Errorf("after a restart: %+v", list)
	}
}
