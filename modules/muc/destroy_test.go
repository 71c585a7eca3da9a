package muc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const ownerQuery = "<query xmlns='http://jabber.org/protocol/muc#owner'>"

// stored returns all keys of the module's KVs that are about a room, and how many messages its archive has.
func stored(t testing.TB, h *modtest.Host, room string) (keys []string, messages int) {
	t.Helper()
	m, ctx := moduleOf(t, h), context.Background()
	for _, kv := range []string{kvRooms, kvAffiliations, kvCreators, kvPublic} {
		err := m.store.KV(kv).Scan(ctx, nil, nil, func(key, _ []byte) bool {
			if strings.Contains(string(key), room) {
				keys = append(keys, kv+" "+string(key))
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	messages, _, err := m.reader.Archive.Stat(ctx, room)
	if err != nil {
		t.Fatal(err)
	}
	return keys, messages
}

// A destroyed room is gone from disk when that is told, and all who were in it are told of themselves alone (§10.9).
func TestDestroy(t *testing.T) {
	for _, persistent := range []string{"0", "1"} {
		h := modtest.New(t, "a.test", Info)
		alice, bob, bob2 := h.Session("alice@a.test/x"), h.Session("bob@a.test/x"), h.Session("bob@a.test/y")
		carol := h.Session("carol@a.test/x")
		open(t, alice, "den", "Alice")
		open(t, carol, "denser", "Carol")
		configure(t, alice, "den", "muc#roomconfig_persistentroom", persistent, "muc#roomconfig_membersonly", "0")
		for _, s := range []*modtest.Session{bob, bob2} {
			enter(t, s, "den", "Bob")
		}
		m := moduleOf(t, h)
		if _, err := m.reader.Archive.Append(context.Background(), "den", storage.Item{At: time.Now(), Data: []byte("<message/>")}); err != nil {
			t.Fatal(err)
		}
		if keys, n := stored(t, h, "den"); n != 1 || len(keys) != 8 {
			t.Fatalf("stored: %q, %d messages", keys, n)
		}
		alice.Sent()
		bob.Sent()
		bob2.Sent()
		st := alice.IQ("set", "den@"+service, ownerQuery+"<destroy jid='cave@"+service+"'><password>p</password><reason>It &lt; rains</reason></destroy></query>")
		if st.Type != stanza.TypeResult {
			t.Fatalf("got %s", wire(st))
		}
		if keys, n := stored(t, h, "den"); n != 0 || strings.Join(keys, " ") != "rooms denser affiliations denser\x00carol@a.test creators carol@a.test\x00denser public denser" {
			t.Errorf("still stored: %q, %d messages", keys, n)
		}
		for s, nick := range map[*modtest.Session]string{alice: "Alice", bob: "Bob", bob2: "Bob"} {
			list := s.Sent()
			if len(list) != 1 {
				t.Fatalf("%s got %s", s.JID(), modtest.XML(list))
			}
			got := list[0]
			x := got.Element(got.Find(nsUser, "x"))
			item, d := x.Child(nsUser, "item"), x.Child(nsUser, "destroy")
			if got.Type != stanza.TypeUnavailable || got.From().String() != "den@"+service+"/"+nick || item.Attr("affiliation") != "none" || item.Attr("role") != "none" {
				t.Errorf("%s got %s", s.JID(), got)
			}
			if d.Attr("jid") != "cave@"+service || d.ChildText("reason") != "It < rains" || d.ChildText("password") != "p" {
				t.Errorf("%s got %s", s.JID(), got)
			}
		}
		bob.Say("<message type='groupchat' to='den@" + service + "'><body>?</body></message>")
		if got := modtest.XML(bob.Sent()); !strings.Contains(got, "item-not-found") {
			t.Errorf("bob speaks: %s", got)
		}
		if got := enter(t, bob, "den", "Bob"); !strings.Contains(got, "code='201'") || !strings.Contains(got, "affiliation='owner'") {
			t.Errorf("the name is not free: %s", got)
		}
		restarted(t, h, "")
		if got := disco(t, alice, "den"); !strings.Contains(got, "item-not-found") {
			t.Errorf("after a restart: %s", got)
		}
	}
}

// An owner need not be in the room, and an empty room can be destroyed.
func TestDestroyFromOutside(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/x")
	open(t, alice, "den", "Alice")
	configure(t, alice, "den", "muc#roomconfig_persistentroom", "1")
	alice.Say("<presence type='unavailable' to='den@" + service + "/Alice'/>")
	alice.Sent()
	if st := alice.IQ("set", "den@"+service, ownerQuery+"<destroy/></query>"); st.Type != stanza.TypeResult || len(alice.Sent()) > 0 {
		t.Errorf("got %s", wire(st))
	}
	if keys, _ := stored(t, h, "den"); len(keys) > 0 {
		t.Errorf("still stored: %q", keys)
	}
}

// The admin's service lists all rooms, and destroys any.
func TestRooms(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	ctx := context.Background()
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	open(t, alice, "b", "Alice")
	configure(t, alice, "b", "muc#roomconfig_roomname", "Bee", "muc#roomconfig_persistentroom", "1", "muc#roomconfig_publicroom", "0")
	restarted(t, h, "")
	open(t, alice, "a", "Alice")
	enter(t, bob, "a", "Bob")
	enter(t, bob, "c", "Bob")
	m := moduleOf(t, h)
	list, err := m.Rooms(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []RoomInfo
	for _, r := range list {
		if time.Since(r.Created) > time.Minute {
			t.Errorf("made at %v", r.Created)
		}
		r.Created = time.Time{}
		got = append(got, r)
	}
	want := []RoomInfo{
		{JID: "a@" + service, Occupants: 2, Public: true, Creator: "alice@a.test"},
		{JID: "b@" + service, Name: "Bee", Persistent: true, Creator: "alice@a.test"},
		{JID: "c@" + service, Occupants: 1, Public: true, Locked: true, Creator: "bob@a.test"},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %+v", got)
	}
	bob.Sent()
	for _, local := range []string{"a", "b", "c"} {
		if err := m.DestroyRoom(ctx, local, "spam"); err != nil {
			t.Errorf("%s: %v", local, err)
		}
		if keys, _ := stored(t, h, local); local == "b" && len(keys) > 0 {
			t.Errorf("still stored: %q", keys)
		}
	}
	if got := modtest.XML(bob.Sent()); strings.Count(got, "<destroy><reason>spam</reason></destroy>") != 2 {
		t.Errorf("bob got %s", got)
	}
	for _, local := range []string{"a", "none", "", "@"} {
		if err := m.DestroyRoom(ctx, local, ""); !errors.Is(err, ErrNoRoom) {
			t.Errorf("%q: %v", local, err)
		}
	}
	if list, err := m.Rooms(ctx); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
