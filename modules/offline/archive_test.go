package offline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/mam"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

// Clients with and without archives, and what they get of three messages that came while they were away: m0 to m2, all
// archived, and p3, which must not be kept for good.
func away(t *testing.T) *modtest.Host {
	t.Helper()
	h := modtest.New(t, "a.test", roster.Info, mam.Info, carbons.Info, Info)
	h.User("carol")
	alice := h.Session("alice@a.test/r")
	for i := range 3 {
		alice.Say(chat(i))
	}
	alice.Say("<message to='carol@a.test' type='chat' id='p3'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>")
	if sent := alice.Sent(); len(sent) != 0 {
		t.Fatalf("alice got %s", modtest.XML(sent))
	}
	return h
}

// fromArchive asks for a page and returns the messages' own IDs and those that the archive gave.
func fromArchive(s *modtest.Session, set string) (names, ids string) {
	before := s.Sent()
	if len(before) > 0 {
		panic(modtest.XML(before))
	}
	s.IQ("set", "", "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"+set+"</set></query>")
	var n, i []string
	for _, st := range s.Sent() {
		r := st.Element(st.Find("urn:xmpp:mam:2", "result"))
		n = append(n, r.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message").Attr("id"))
		i = append(i, r.Attr("id"))
	}
	return strings.Join(n, " "), strings.Join(i, " ")
}

// stanzaIDs are the IDs that the account's archive gave to messages that came.
func stanzaIDs(list []*stanza.Stanza) string {
	var out []string
	for _, st := range list {
		if id := st.StanzaID(stanza.MustJID("carol@a.test")); id != "" {
			out = append(out, id)
		}
	}
	return strings.Join(out, " ")
}

// A client without archives gets everything, once.
func TestWithoutArchive(t *testing.T) {
	h := away(t)
	carol := h.Session("carol@a.test/r")
	carol.Available(0, "")
	if got := bodies(carol.Sent()); got != "m0 m1 m2 p3" {
		t.Errorf("got %s", got)
	}
	carol.Close(nil)
	again := h.Session("carol@a.test/r")
	again.Available(0, "")
	if got := bodies(again.Sent()); got != "" {
		t.Errorf("and again %s", got)
	}
}

// A client that asks its archive when it has got what was kept sees by the IDs that it has them.
func TestArchiveAfterwards(t *testing.T) {
	h := away(t)
	carol := h.Session("carol@a.test/r")
	carol.Available(0, "")
	live := stanzaIDs(carol.Sent())
	names, ids := fromArchive(carol, "")
	if names != "m0 m1 m2" || ids != live || live == "" {
		t.Errorf("live %s, archive %s: %s", live, names, ids)
	}
}

// A client that asks its archive before it is available gets nothing twice, and what it did not ask for all the same.
func TestArchiveFirst(t *testing.T) {
	for set, want := range map[string][2]string{
		"":                      {"m0 m1 m2", "p3"},
		"<max>2</max>":          {"m0 m1", "m2 p3"},
		"<max>1</max><before/>": {"m2", "m0 m1 p3"},
		"<max>0</max>":          {"", "m0 m1 m2 p3"},
	} {
		h := away(t)
		carol := h.Session("carol@a.test/r")
		names, _ := fromArchive(carol, set)
		carol.Available(0, "")
		if live := bodies(carol.Sent()); names != want[0] || live != want[1] {
			t.Errorf("%s: archive %s, live %s", set, names, live)
		}
		if n, _ := stat(t, h, "carol"); n != 0 {
			t.Errorf("%s: %d remain", set, n)
		}
	}
}

// bind2 opens a session as Bind 2 does, and returns what <bound/> says.
func bind2(t *testing.T, h *modtest.Host, full string) (*modtest.Session, string) {
	t.Helper()
	var bound []byte
	for _, f := range h.Table().Binding {
		if f.Bound != nil {
			bound = append(bound, f.Bound(t.Context(), nil, stanza.MustJID(full))...)
		}
	}
	return h.Session(full), string(bound)
}

// Bind 2: what the client was told is in the archive is not kept for it any more (XEP-0386 §3.2); what came since, or is not
// there, comes when it is available.
func TestBind2(t *testing.T) {
	for _, copies := range []bool{false, true} {
		h := away(t)
		carol, bound := bind2(t, h, "carol@a.test/r")
		if copies {
			carol.IQ("set", "", "<enable xmlns='urn:xmpp:carbons:2'/>")
		}
		if n, _ := stat(t, h, "carol"); n != 1 {
			t.Errorf("%d are kept", n)
		}
		names, ids := fromArchive(carol, "")
		first, last := strings.Fields(ids)[0], strings.Fields(ids)[2]
		if names != "m0 m1 m2" || !strings.Contains(bound, "<start id='"+first+"'") || !strings.Contains(bound, "<end id='"+last+"'") {
			t.Errorf("archive: %s: %s; bound: %s", names, ids, bound)
		}
		alice := h.Session("alice@a.test/again")
		alice.Say(chat(4))
		copied := 0
		for _, st := range carol.Sent() {
			if st.Has("urn:xmpp:carbons:2", "received") {
				copied++
			}
		}
		carol.Available(0, "")
		alice.Say(chat(5))
		live := bodies(carol.Sent())
		want, wantCopied := "p3 m4 m5", 0
		if copies {
			want, wantCopied = "p3 m5", 1
		}
		if live != want || copied != wantCopied {
			t.Errorf("copies %v: live %s, %d copied", copies, live, copied)
		}
	}
}

// Another account's messages are not touched, nor is one whose archive is empty told of anything.
func TestBind2OfNobodyElse(t *testing.T) {
	h := away(t)
	h.User("carola")
	h.Session("alice@a.test/again").Say(strings.Replace(chat(9), "carol", "carola", 1))
	dave, bound := bind2(t, h, "dave@a.test/r")
	if bound != "<metadata xmlns='urn:xmpp:mam:2'/>" {
		t.Errorf("bound: %s", bound)
	}
	dave.Available(0, "")
	bind2(t, h, "carol@a.test/r")
	if n, _ := stat(t, h, "carola"); n != 1 {
		t.Errorf("carola has %d", n)
	}
}

// What the account's archive has lost meanwhile is not discarded.
func TestBind2ArchiveLost(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_mam]\nquota_messages = 2\n", roster.Info, mam.Info, carbons.Info, Info)
	h.User("carol")
	alice := h.Session("alice@a.test/r")
	for i := range 4 {
		alice.Say(chat(i))
	}
	carol, _ := bind2(t, h, "carol@a.test/r")
	names, _ := fromArchive(carol, "")
	carol.Available(0, "")
	if live := bodies(carol.Sent()); names != "m2 m3" || live != "m0 m1" {
		t.Errorf("archive %s, live %s", names, live)
	}
}

// A box that is full refuses a message: it is in no archive then.
func TestWithdrawn(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[limits]\noffline_messages = 1\n", roster.Info, mam.Info, carbons.Info, Info)
	h.User("carol")
	alice := h.Session("alice@a.test/r")
	alice.Say(chat(0))
	alice.Say(chat(1))
	if sent := alice.Sent(); len(sent) != 1 || sent[0].StanzaError().Condition != stanza.ServiceUnavailable {
		t.Errorf("alice got %s", modtest.XML(sent))
	}
	for _, s := range []*modtest.Session{alice, h.Session("carol@a.test/r")} {
		if names, _ := fromArchive(s, ""); names != "m0" {
			t.Errorf("%s has %s", s.JID(), names)
		}
	}
}

// Messages of the first format, from before there were archives, are delivered and counted as ever.
func TestFirstFormat(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	h.Session("alice@a.test/r").Say(chat(0))
	b := box{h.Store.Bucket("modules", "a.test", "mod_offline")}
	list, _, err := b.page(t.Context(), "carol", 1, 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d, %v", len(list), err)
	}
	if err := b.b.KV("messages").Put(t.Context(), list[0].key, append([]byte{format}, list[0].data...)); err != nil {
		t.Fatal(err)
	}
	if n, size := stat(t, h, "carol"); n != 1 || size != int64(len(list[0].data)) {
		t.Errorf("%d messages of %d bytes", n, size)
	}
	carol := h.Session("carol@a.test/r")
	carol.Available(0, "")
	if got := bodies(carol.Sent()); got != "m0" {
		t.Errorf("got %s", got)
	}
	if n, _ := stat(t, h, "carol"); n != 0 {
		t.Errorf("%d remain", n)
	}
	for _, bad := range []string{"", "\x02", "\x02\x05abc", "\x03x"} {
		if _, _, ok := split([]byte(bad)); ok {
			t.Errorf("%q is taken", bad)
		}
	}
	if id, data, ok := split([]byte(fmt.Sprintf("\x02%cidx", 2))); !ok || string(id) != "id" || string(data) != "x" {
		t.Errorf("%q %q %v", id, data, ok)
	}
}
