package mam

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// conversation gives alice an archive of ten messages, a second apart: 0 to 9, in turn with bob, carol, herself, and a room's
// occupants.
func conversation(t *testing.T) (*modtest.Session, answer) {
	h, _ := host(t, "")
	alice := h.Session("alice@a.test/x")
	alice.Available(-1, "")
	for i := range 10 {
		b := body(fmt.Sprint(i))
		switch i % 5 {
		case 0:
			alice.Say(chat("bob@b.test", b))
		case 1:
			h.Send("<message type='chat' from='bob@b.test/phone' to='alice@a.test'>" + b + "</message>")
		case 2:
			alice.Say(chat("alice@a.test", b))
		case 3:
			alice.Say(chat("room@muc.test/"+[]string{"Bob", "Carol"}[i/5], b))
		case 4:
			alice.Say(chat("carol@a.test", b)) // who does not exist
			h.Send("<message from='carol@b.test' to='alice@a.test/x'>" + b + "</message>")
		}
		time.Sleep(time.Second)
	}
	return alice, ask(t, alice)
}

func TestQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, all := conversation(t)
		if all.bodies() != "0 1 2 3 4 5 6 7 8 9" {
			t.Fatal(all.bodies())
		}
		id := all.ids()
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // synctest's
		at := func(s float64) string {
			return start.Add(time.Duration(s * float64(time.Second))).Format("2006-01-02T15:04:05.999Z")
		}
		const flip = "<flip-page/>"
		for _, tt := range []struct {
			name, query, bodies string
			complete            bool
			count               string
		}{
			{"all", "", "0 1 2 3 4 5 6 7 8 9", true, "10"},
			{"an empty form", fields(), "0 1 2 3 4 5 6 7 8 9", true, "10"},
			{"fields without values", fields("with", "", "start", "", "after-id", ""), "0 1 2 3 4 5 6 7 8 9", true, "10"},
			{"with a bare JID", fields("with", "bob@b.test"), "0 1 5 6", true, "4"},
			{"with a bare JID, another spelling", fields("with", "BOB@B.test"), "0 1 5 6", true, "4"},
			{"with a full JID", fields("with", "bob@b.test/phone"), "1 6", true, "2"},
			{"with an occupant", fields("with", "room@muc.test/Bob"), "3", true, "1"},
			{"with a room", fields("with", "room@muc.test"), "3 8", true, "2"},
			{"with oneself", fields("with", "alice@a.test"), "2 7", true, "2"},
			{"with oneself, a resource", fields("with", "alice@a.test/other"), "2 7", true, "2"},
			{"with a stranger", fields("with", "dave@b.test"), "", true, "0"},
			{"with a domain", fields("with", "b.test"), "", true, "0"},
			{"start", fields("start", at(7)), "7 8 9", true, "3"},
			{"start, a little later", fields("start", at(7.001)), "8 9", true, "2"},
			{"end", fields("end", at(2)), "0 1 2", true, "3"},
			{"between", fields("start", at(2), "end", at(4.5)), "2 3 4", true, "3"},
			{"between, of bob", fields("start", at(1), "end", at(5), "with", "bob@b.test"), "1 5", true, "2"},
			{"another zone", fields("start", start.Add(8*time.Second).In(time.FixedZone("", 3600)).Format(time.RFC3339)), "8 9", true, "2"},
			{"after", rsm("<max>3</max><after>" + id[1] + "</after>"), "2 3 4", false, "10"},
			{"after, to the end", rsm("<max>3</max><after>" + id[6] + "</after>"), "7 8 9", true, "10"},
			{"after the end", rsm("<after>" + id[9] + "</after>"), "", true, "10"},
			{"before", rsm("<max>3</max><before>" + id[6] + "</before>"), "3 4 5", false, "10"},
			{"before, to the start", rsm("<max>6</max><before>" + id[6] + "</before>"), "0 1 2 3 4 5", true, "10"},
			{"the last page", rsm("<max>3</max><before/>"), "7 8 9", false, "10"},
			{"the last page, flipped", rsm("<max>3</max><before/>") + flip, "9 8 7", false, "10"},
			{"flipped", flip, "9 8 7 6 5 4 3 2 1 0", true, "10"},
			{"after and before", rsm("<after>" + id[1] + "</after><before>" + id[4] + "</before>"), "2 3", true, "10"},
			{"the last page of bob", fields("with", "bob@b.test") + rsm("<max>2</max><before/>"), "5 6", false, ""},
			{"after, of bob", fields("with", "bob@b.test") + rsm("<max>2</max><after>"+id[0]+"</after>"), "1 5", false, ""},
			{"after another's", fields("with", "bob@b.test") + rsm("<after>"+id[3]+"</after>"), "5 6", true, ""},
			{"after-id", fields("after-id", id[7]), "8 9", true, ""},
			{"before-id", fields("before-id", id[2]), "0 1", true, ""},
			{"between IDs", fields("after-id", id[2], "before-id", id[7]) + rsm("<max>2</max>"), "3 4", false, ""},
			{"between IDs, on", fields("after-id", id[2], "before-id", id[7]) + rsm("<max>2</max><after>"+id[4]+"</after>"), "5 6", true, ""},
			{"between IDs, from the end", fields("after-id", id[2], "before-id", id[7]) + rsm("<max>2</max><before/>"), "5 6", false, ""},
			{"between IDs, the wrong way", fields("after-id", id[7], "before-id", id[2]), "", true, ""},
			{"ids", fields("ids", id[8]+" "+id[3]+" "+id[8]), "3 8", true, "2"},
			{"ids, flipped", fields("ids", id[8]+" "+id[3]) + flip, "8 3", true, "2"},
			{"ids, of bob", fields("ids", id[8]+" "+id[1], "with", "bob@b.test"), "1", true, "1"},
			{"ids, a page", fields("ids", id[1]+" "+id[2]+" "+id[3]) + rsm("<max>2</max>"), "1 2", false, "3"},
			{"ids, the last page", fields("ids", id[1]+" "+id[2]+" "+id[3]) + rsm("<max>2</max><before/>"), "2 3", false, "3"},
			{"ids, between", fields("ids", id[1]+" "+id[5]+" "+id[9], "start", at(2), "end", at(8)), "5", true, "1"},
			{"include-groupchat", fields("include-groupchat", "true"), "0 1 2 3 4 5 6 7 8 9", true, "10"},
			{"none", rsm("<max>0</max>"), "", false, "10"},
			{"none of none", fields("with", "dave@b.test") + rsm("<max>0</max>"), "", true, "0"},
			{"huge", rsm("<max>99999999999999999999999</max>"), "0 1 2 3 4 5 6 7 8 9", true, "10"},
			{"zeros", rsm("<max> 0002 </max>"), "0 1", false, "10"},
			{"unknown elements", "<x xmlns='urn:x'/>" + rsm("<y xmlns='urn:y'/>"), "0 1 2 3 4 5 6 7 8 9", true, "10"},
		} {
			a := ask(t, alice, tt.query)
			if a.condition() != "" {
				t.Errorf("%s: %s", tt.name, a.iq.AppendTo(nil))
				continue
			}
			if a.bodies() != tt.bodies || (a.fin().Attr("complete") == "true") != tt.complete || a.rsm().ChildText("count") != tt.count {
				t.Errorf("%s: got %s, %s", tt.name, a.bodies(), a.iq.AppendTo(nil))
			}
			ids := a.ids()
			if strings.Contains(tt.query, flip) {
				slices.Reverse(ids)
			}
			first, last := "", ""
			if len(ids) > 0 {
				first, last = ids[0], ids[len(ids)-1]
			}
			if a.rsm().ChildText("first") != first || a.rsm().ChildText("last") != last {
				t.Errorf("%s: %s", tt.name, a.iq.AppendTo(nil))
			}
		}
	})
}

// Large messages make short pages: a client that acknowledges what it gets has room for so much, and reads on.
func TestLargeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			toml, page string
		}{{"", "0 1 2"}, {"[limits]\nsm_queue_size = \"1MiB\"\n", "0"}} {
			h, _ := host(t, tt.toml)
			alice := h.Session("alice@a.test/x")
			for i := range 5 {
				h.Send("<message type='chat' from='mallory@b.test/x' to='alice@a.test/x'>" + body(fmt.Sprint(i)) +
					"<x xmlns='urn:x'>" + strings.Repeat("x", 300<<10) + "</x></message>")
			}
			first := ask(t, alice)
			if first.bodies() != tt.page || first.fin().Attr("complete") != "" || first.rsm().ChildText("last") != first.ids()[len(first.ids())-1] {
				t.Errorf("got %s, %s", first.bodies(), first.iq.AppendTo(nil))
			}
			for _, dir := range []struct{ cursor, edge, bodies string }{{"after", "last", "0 1 2 3 4"}, {"before", "first", "4 3 2 1 0"}} {
				var all []string
				for cursor, done := "", false; !done; {
					at := ""
					if cursor != "" || dir.cursor == "before" {
						at = "<" + dir.cursor + ">" + cursor + "</" + dir.cursor + ">"
					}
					a := ask(t, alice, rsm(at))
					list := strings.Fields(a.bodies())
					if dir.cursor == "before" {
						slices.Reverse(list)
					}
					all = append(all, list...)
					cursor, done = a.rsm().ChildText(dir.edge), a.fin().Attr("complete") == "true" || len(all) > 5
				}
				if got := strings.Join(all, " "); got != dir.bodies {
					t.Errorf("%s: %s", dir.cursor, got)
				}
			}
			known := ask(t, alice, rsm("<max>1</max>")).ids()[0]
			last := ask(t, alice, rsm("<max>1</max><before/>")).ids()[0]
			ids := append(first.ids(), last, known)
			page := ask(t, alice, fields("ids", strings.Join(ids, " ")))
			back := ask(t, alice, fields("ids", strings.Join(ids, " "))+rsm("<before/>"))
			if page.bodies() != tt.page || page.fin().Attr("complete") == "true" && len(first.ids()) > 1 || !strings.HasSuffix(back.bodies(), "4") {
				t.Errorf("by ID: %s, %s", page.bodies(), back.bodies())
			}
		}
	})
}

// R14 and its like: what is wrong is said.
func TestBadQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, all := conversation(t)
		id := all.ids()[0]
		field := func(v, value string) string { return "<field var='" + v + "'><value>" + value + "</value></field>" }
		form := func(typ, inner string) string {
			return "<x xmlns='" + nsData + "' type='" + typ + "'>" + inner + "</x>"
		}
		for _, tt := range []struct {
			query string
			want  stanza.Condition
		}{
			{rsm("<max>-1</max>"), stanza.BadRequest},
			{rsm("<max>x</max>"), stanza.BadRequest},
			{rsm("<max/>"), stanza.BadRequest},
			{rsm("<max>1e3</max>"), stanza.BadRequest},
			{rsm("<index>3</index>"), stanza.FeatureNotImplemented},
			{rsm("<before>junk</before>"), stanza.ItemNotFound},
			{rsm("<after>junk</after>"), stanza.ItemNotFound},
			{rsm("<after>" + strings.Repeat("A", 22) + "</after>"), stanza.ItemNotFound},
			{rsm("<after>" + id + " </after>"), stanza.ItemNotFound},
			{rsm("<after>" + strings.ToUpper(id) + "</after>"), stanza.ItemNotFound},
			{rsm("") + rsm(""), stanza.BadRequest},
			{fields("before-id", "junk"), stanza.ItemNotFound},
			{fields("after-id", strings.Repeat("x", 10_000)), stanza.ItemNotFound},
			{fields("ids", id+" junk"), stanza.ItemNotFound},
			{fields("ids", strings.TrimSpace(strings.Repeat(id+" ", 101))), stanza.PolicyViolation},
			{fields("with", "@"), stanza.JIDMalformed},
			{fields("start", "yesterday"), stanza.BadRequest},
			{fields("end", "2002-02-30T00:00:00Z"), stanza.BadRequest},
			{fields("start", "20020210T00:00:00"), stanza.BadRequest},
			{fields("include-groupchat", "maybe"), stanza.BadRequest},
			{fields("{http://example.com/}free-text-search", "x"), stanza.FeatureNotImplemented},
			{fields("with", "a@b") + fields(), stanza.BadRequest},
			{form("form", field("FORM_TYPE", ns)), stanza.BadRequest},
			{form("cancel", ""), stanza.BadRequest},
			{form("submit", field("with", "bob@b.test")), stanza.BadRequest},
			{form("submit", field("FORM_TYPE", "urn:xmpp:mam:1")), stanza.BadRequest},
			{form("submit", field("FORM_TYPE", ns)+field("with", "a@b")+field("with", "c@d")), stanza.BadRequest},
			{form("submit", field("FORM_TYPE", ns)+"<field var='with'><value>a@b</value><value>c@d</value></field>"), stanza.BadRequest},
		} {
			if a := ask(t, alice, tt.query); a.condition() != tt.want || len(a.messages) > 0 {
				t.Errorf("%.200s: %s", tt.query, a.iq.AppendTo(nil))
			}
		}
		st := alice.IQ("set", "", "<query xmlns='"+ns+"' node='x'/>")
		if e := st.StanzaError(); e == nil || e.Condition != stanza.ItemNotFound {
			t.Errorf("a node: %s", st.AppendTo(nil))
		}
		for _, payload := range []string{"<other xmlns='" + ns + "'/>", "<metadata xmlns='" + ns + "'/>"} {
			if e := alice.IQ("set", "", payload).StanzaError(); e == nil || e.Condition != stanza.FeatureNotImplemented {
				t.Errorf("%s: %v", payload, e)
			}
		}
	})
}

// An ID of another account's archive is unknown, and so is one of a message that is gone.
func TestOthersIDs(t *testing.T) {
	h, m := host(t, "[modules.mod_mam]\npage_max = 2\n")
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	for i := range 5 {
		alice.Say(chat("bob@a.test", body(fmt.Sprint(i))))
	}
	page := ask(t, alice, rsm("<max>50</max>"))
	if page.bodies() != "0 1" {
		t.Errorf("page_max: %s", page.bodies())
	}
	id := page.ids()[0]
	if a := ask(t, bob, rsm("<after>"+id+"</after>")); a.condition() != stanza.ItemNotFound {
		t.Errorf("another's ID: %s", a.iq.AppendTo(nil))
	}
	if ask(t, bob).ids()[0] == id {
		t.Error("both archives have the same ID")
	}
	stored, ok := m.ids.Stored("alice", id)
	if !ok {
		t.Fatal("the ID is not understood")
	}
	if err := m.ar.Remove(t.Context(), "alice", stored); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{rsm("<after>" + id + "</after>"), rsm("<before>" + id + "</before>"), fields("ids", id), fields("after-id", id)} {
		if a := ask(t, alice, q); a.condition() != stanza.ItemNotFound {
			t.Errorf("an ID that is gone: %s", a.iq.AppendTo(nil))
		}
	}
}

func TestFormAndMetadata(t *testing.T) {
	h, _ := host(t, "")
	alice := h.Session("alice@a.test/x")
	st := alice.IQ("get", "", "<query xmlns='"+ns+"'/>")
	xml := string(st.AppendTo(nil))
	for _, v := range []string{"with", "start", "end", "before-id", "after-id", "ids", "include-groupchat", "FORM_TYPE"} {
		if !strings.Contains(xml, "var='"+v+"'") {
			t.Errorf("no field %s in %s", v, xml)
		}
	}
	if strings.Contains(xml, "required") {
		t.Error("a field is required")
	}
	metadata := func() *stanza.Element { return alice.IQ("get", "", "<metadata xmlns='"+ns+"'/>").Payload() }
	if e := metadata(); e.Name != "metadata" || len(e.Children) != 0 {
		t.Errorf("of an empty archive: %s", e.AppendTo(nil, ""))
	}
	for i := range 3 {
		alice.Say(chat("bob@b.test", body(fmt.Sprint(i))))
	}
	ids := ask(t, alice).ids()
	e := metadata()
	if e.Child("", "start").Attr("id") != ids[0] || e.Child("", "end").Attr("id") != ids[2] {
		t.Errorf("%s", e.AppendTo(nil, ""))
	}
	if _, err := time.Parse(time.RFC3339, e.Child("", "end").Attr("timestamp")); err != nil {
		t.Error(err)
	}
	_, account, _ := h.Table().Disco(modules.Account)
	_, server, _ := h.Table().Disco(modules.Server)
	for _, f := range []string{ns, ns + "#extended", ns + "#groupchat-field", "urn:xmpp:sid:0"} {
		if !slices.Contains(account, f) || !slices.Contains(server, f) {
			t.Errorf("%s is not announced", f)
		}
	}
}

// D06: the clock goes back; IDs rise all the same, and nothing is lost on the way through.
func TestClock(t *testing.T) {
	h, m := host(t, "")
	h.User("alice")
	at := time.Now()
	for i, d := range []time.Duration{0, -time.Hour, 366 * 24 * time.Hour, -time.Hour} {
		_, err := m.ar.AppendAll(t.Context(), entry(at.Add(d), fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	alice := h.Session("alice@a.test/x")
	var got []string
	for after := ""; ; {
		a := ask(t, alice, rsm("<max>1</max>"+after))
		got = append(got, a.bodies())
		if a.fin().Attr("complete") == "true" {
			break
		}
		after = "<after>" + a.ids()[0] + "</after>"
	}
	if s := strings.Join(got, " "); s != "0 1 2 3" {
		t.Error(s)
	}
}
