package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func body(text string) string { return "<body>" + text + "</body>" }

// A room's messages come from the room, to who asked, wherever that is; before the answer.
func TestRoom(t *testing.T) {
	h, r := newRoom(t, "")
	var ids []string
	for i := range 5 {
		ids = append(ids, r.say(t, "den", "Bob", body(fmt.Sprint(i))))
	}
	r.say(t, "other", "Bob", body("other"))
	alice := h.Session("alice@a.test/x")
	for from, s := range map[string]*modtest.Session{"alice@a.test/x": alice, "dave@b.test/y": nil} {
		a := ask(t, h, s, from, "den", rsm("<max>3</max><before/>")+"<flip-page/>")
		if a.bodies != "4 3 2" || a.fin().Attr("complete") == "true" || a.fin().Child(nsRSM, "set").ChildText("first") != ids[2] {
			t.Errorf("%s got %s, %s", from, a.bodies, a.iq.AppendTo(nil))
		}
		if !slices.Equal(r.sent, ids[2:]) {
			t.Errorf("sent %v of %v", r.sent, ids)
		}
		for i, e := range a.results {
			msg := e.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message")
			if e.Attr("id") != ids[4-i] || e.Attr("queryid") != "1" || msg.Attr("to") != "" || msg.Attr("from") != "den@rooms.a.test/Bob" {
				t.Errorf("%s", e.AppendTo(nil, ""))
			}
		}
	}
	if a := ask(t, h, alice, "alice@a.test/x", "other", rsm("<after>"+ids[0]+"</after>")); a.iq.StanzaError().Condition != stanza.ItemNotFound {
		t.Errorf("an ID of another room: %s", a.iq.AppendTo(nil))
	}
	if a := ask(t, h, alice, "alice@a.test/x", "other", ""); a.bodies != "other" {
		t.Errorf("of the other room: %s", a.bodies)
	}
}

// Who wrote a message is found as those in the room see him, by nothing else, and without a walk through what others have said.
func TestWith(t *testing.T) {
	h, r := newRoom(t, "")
	r.say(t, "den", "Carol", body("0"))
	id := r.say(t, "den", "Dave", body("1"))
	r.say(t, "den", "Carol", body("2"))
	alice := h.Session("alice@a.test/x")
	for with, want := range map[string]string{
		"den@rooms.a.test/Dave": "1", "DEN@Rooms.A.Test/Carol": "0 2", "den@rooms.a.test/Bob": "", "den@rooms.a.test": "0 1 2",
		"carol@b.test": "", "carol@b.test/phone": "", "rooms.a.test": "", "other@rooms.a.test/Dave": "", "other@rooms.a.test": "",
	} {
		if a := ask(t, h, alice, "alice@a.test/x", "den", fields("with", with)); a.bodies != want || a.iq.StanzaError() != nil {
			t.Errorf("with %s: %q, %s", with, a.bodies, a.iq.AppendTo(nil))
		}
	}
	if it, err := r.Find(t.Context(), "den", id); err != nil || it.With != "den@rooms.a.test/Dave" || it.Resource != "" {
		t.Errorf("%+v, %v: looking for him looks through what all have said", it, err)
	}
}

// What is of accounts alone, or of nodes, rooms do not have, and say so.
func TestKinds(t *testing.T) {
	h, _ := newRoom(t, "")
	alice := h.Session("alice@a.test/x")
	form := string(alice.IQ("get", "den@rooms.a.test", "<query xmlns='"+ns+"'/>").AppendTo(nil))
	for _, v := range []string{"with", "start", "end", "before-id", "after-id", "ids", "FORM_TYPE"} {
		if !strings.Contains(form, "var='"+v+"'") {
			t.Errorf("no field %s in %s", v, form)
		}
	}
	if strings.Contains(form, "groupchat") {
		t.Errorf("a field of accounts: %s", form)
	}
	a := ask(t, h, alice, "alice@a.test/x", "den", fields("include-groupchat", "true"))
	if e := a.iq.StanzaError(); e == nil || e.Condition != stanza.FeatureNotImplemented {
		t.Errorf("include-groupchat: %s", a.iq.AppendTo(nil))
	}
	e := alice.IQ("set", "den@rooms.a.test", "<query xmlns='"+ns+"' node='x'/>").StanzaError()
	if e == nil || e.Condition != stanza.ItemNotFound || !strings.Contains(e.Text, "room") {
		t.Errorf("a node: %v", e)
	}
	for _, payload := range []string{"<prefs xmlns='" + ns + "'/>", "<query xmlns='" + ns + "'/>", "<metadata xmlns='" + ns + "'/>"} {
		for _, typ := range []string{"get", "set"} {
			st := alice.IQ(typ, "den@rooms.a.test", payload)
			known := typ == "get" && !strings.HasPrefix(payload, "<prefs") || strings.HasPrefix(payload, "<query")
			if e := st.StanzaError(); (e == nil) != known || e != nil && e.Condition != stanza.FeatureNotImplemented {
				t.Errorf("%s %s: %s", typ, payload, st.AppendTo(nil))
			}
		}
	}
	if f := Rooms.Features(); !slices.Equal(f, []string{"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"}) {
		t.Errorf("a room announces %v", f)
	}
}

func TestMetadata(t *testing.T) {
	h, r := newRoom(t, "")
	alice := h.Session("alice@a.test/x")
	metadata := func() *stanza.Element {
		return alice.IQ("get", "den@rooms.a.test", "<metadata xmlns='"+ns+"'/>").Payload()
	}
	if e := metadata(); e.Name != "metadata" || len(e.Children) != 0 {
		t.Errorf("of an empty archive: %s", e.AppendTo(nil, ""))
	}
	first, _, last := r.say(t, "den", "Bob", ""), r.say(t, "den", "Bob", ""), r.say(t, "den", "Bob", "")
	if e := metadata(); e.Child("", "start").Attr("id") != first || e.Child("", "end").Attr("id") != last {
		t.Errorf("%s", e.AppendTo(nil, ""))
	}
}

// A message is found by the ID that its stamp says, and gone when it was removed by it.
func TestFind(t *testing.T) {
	h, r := newRoom(t, "")
	den := stanza.MustJID("den@rooms.a.test")
	said := stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "m", stanza.MustJID("den@rooms.a.test/Bob"), stanza.JID{}, []byte(body("x")))
	id, err := r.Archive.Append(t.Context(), "den", NewRoomItem(time.Now(), said.From(), Encode(said)))
	if err != nil {
		t.Fatal(err)
	}
	public := r.IDs.Stamp(said, den, "den", id).Retain().StanzaID(den)
	if said.Has(stanza.NSSID, "") {
		t.Error("the message itself was changed")
	}
	it, err := r.Find(t.Context(), "den", public)
	if err != nil || it.ID != id || it.With != "den@rooms.a.test/Bob" {
		t.Fatalf("found %+v, %v", it, err)
	}
	st, err := Decode(&it)
	if err != nil || string(st.AppendTo(nil)) != string(said.AppendTo(nil)) {
		t.Errorf("read %v, %v", st, err)
	}
	for _, other := range [][2]string{{"other", public}, {"den", id}, {"den", ""}, {"den", r.IDs.Public("den", "0000000000000")}} {
		if _, err := r.Find(t.Context(), other[0], other[1]); err != error(ErrNotFound) {
			t.Errorf("%s in %s: %v", other[1], other[0], err)
		}
	}
	if err := r.Archive.Remove(t.Context(), "den", it.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Find(t.Context(), "den", public); err != error(ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	alice := h.Session("alice@a.test/x")
	if a := ask(t, h, alice, "alice@a.test/x", "den", ""); a.bodies != "" || a.fin().Attr("complete") != "true" {
		t.Errorf("of what was removed: %s", a.iq.AppendTo(nil))
	}
}

// A damaged message marks its place, and cannot be had itself.
func TestDamaged(t *testing.T) {
	h, r := newRoom(t, "")
	id := r.say(t, "den", "Bob", body("0"))
	r.say(t, "den", "Bob", body("1"))
	r.Archive = damaged{r.Archive}
	alice := h.Session("alice@a.test/x")
	if a := ask(t, h, alice, "alice@a.test/x", "den", rsm("<after>"+id+"</after>")); a.bodies != "1" {
		t.Errorf("after it: %q, %s", a.bodies, a.iq.AppendTo(nil))
	}
	a := ask(t, h, alice, "alice@a.test/x", "den", fields("ids", id))
	if e := a.iq.StanzaError(); e == nil || e.Condition != stanza.InternalServerError {
		t.Errorf("itself: %s", a.iq.AppendTo(nil))
	}
}

// damaged is an archive of whose items none can be read alone.
type damaged struct{ storage.Archive }

func (damaged) Get(context.Context, string, string) (storage.Item, error) {
	return storage.Item{}, storage.ErrCorrupt
}

// What is not understood is not passed on.
func TestForwarded(t *testing.T) {
	for data, want := range map[string]string{
		"\x01<message/>":                           "<message xmlns='jabber:client'/>",
		"\x01<message id='1' />":                   "<message xmlns='jabber:client' id='1' />",
		"\x01<message></message >":                 "<message xmlns='jabber:client'></message >",
		"\x01<message><a></a><b/>&gt;</message\n>": "<message xmlns='jabber:client'><a></a><b/>&gt;</message\n>",
		"\x02<message/>":                           "",
		"\x01<iq/>":                                "",
		"\x01<message":                             "",
		"":                                         "",
	} {
		it := &storage.Item{Data: []byte(data)}
		got, ok := AppendForwarded([]byte("-"), it)
		if want == "" {
			if ok || string(got) != "-" {
				t.Errorf("%q: %q", data, got)
			}
			if _, err := Decode(it); err == nil {
				t.Errorf("%q is read", data)
			}
			continue
		}
		if _, msg, _ := strings.Cut(string(got), "/>"); !ok || msg != want+"</forwarded>" {
			t.Errorf("%q: %q", data, got)
		}
	}
}

// A page fits into what may wait for another server.
func TestPageSize(t *testing.T) {
	h, r := newRoom(t, "[limits]\ns2s_queue_size = \"512KiB\"\n")
	for i := range 4 {
		r.say(t, "den", "Bob", body(fmt.Sprint(i))+"<x xmlns='urn:x'>"+strings.Repeat("x", 100<<10)+"</x>")
	}
	a := ask(t, h, nil, "dave@b.test/y", "den", "")
	if a.bodies != "0 1" || a.fin().Attr("complete") == "true" {
		t.Errorf("got %s, %s", a.bodies, a.iq.AppendTo(nil))
	}
}

// Who takes no more gets no answer either.
func TestSendFails(t *testing.T) {
	_, r := newRoom(t, "")
	r.say(t, "den", "Bob", body("0"))
	st, err := stanza.Parse([]byte("<iq type='set' id='q' from='alice@a.test/x' to='den@rooms.a.test'><query xmlns='" + ns + "'/></iq>"))
	if err != nil {
		t.Fatal(err)
	}
	q := &modules.IQ{Packet: modules.NewPacket(st), Payload: st.Payload()}
	if _, sent, err := r.Answer(t.Context(), q, View{Owner: "den", JID: st.To()}, refuser{}); err != modules.Done || sent != nil {
		t.Errorf("%v, %v", sent, err)
	}
}

// refuser is a session at its end.
type refuser struct{}

func (refuser) Send(context.Context, *stanza.Stanza) error { return errors.New("gone") }
