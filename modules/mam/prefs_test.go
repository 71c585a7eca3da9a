package mam

import (
	"reflect"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func setPrefs(policy, always, never string) string {
	list := func(s string) (xml string) {
		for _, j := range strings.Fields(s) {
			xml += "<jid>" + j + "</jid>"
		}
		return xml
	}
	return "<prefs xmlns='" + ns + "' default='" + policy + "'><always>" + list(always) + "</always><never>" + list(never) + "</never></prefs>"
}

// What each setting archives of what comes from and goes to four people, of whom carol is a contact.
func TestPreferences(t *testing.T) {
	for _, tt := range []struct{ file, policy, always, never, want string }{
		{"", "", "", "", "bob/x carol/x dave/x erin/x"},
		{"", "always", "", "", "bob/x carol/x dave/x erin/x"},
		{"", "always", "", "bob@b.test", "carol/x dave/x erin/x"},
		{"", "always", "", "bob@b.test/x dave@b.test/y", "carol/x dave/x erin/x"},
		{"", "never", "", "", ""},
		{"", "never", "dave@b.test", "", "dave/x"},
		{"", "never", "dave@b.test/x", "dave@b.test", "dave/x"},
		{"", "roster", "", "", "carol/x"},
		{"", "roster", "bob@b.test", "carol@b.test", "bob/x"},
		{"never", "", "", "", ""},
		{"roster", "", "", "", "carol/x"},
		{"never", "always", "", "", "bob/x carol/x dave/x erin/x"},
	} {
		toml := ""
		if tt.file != "" {
			toml = "[modules.mod_mam]\ndefault_prefs = \"" + tt.file + "\"\n"
		}
		h, _ := host(t, toml)
		alice := h.Session("alice@a.test/x")
		alice.Available(0, "")
		alice.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='carol@b.test'/></query>")
		if tt.policy != "" {
			set := setPrefs(tt.policy, tt.always, tt.never)
			answer := alice.IQ("set", "", set)
			again := alice.IQ("get", "", "<prefs xmlns='"+ns+"'/>")
			want, _ := stanza.ParseElement([]byte(set))
			for _, st := range []*stanza.Stanza{answer, again} {
				if st.Type != stanza.TypeResult || !reflect.DeepEqual(st.Payload(), want) {
					t.Errorf("%+v: %s", tt, st.AppendTo(nil))
				}
			}
		}
		for _, who := range strings.Fields("bob carol dave erin") {
			alice.Say(chat(who+"@b.test/x", body(who+"/x")))
			h.Send("<message type='chat' from='" + who + "@b.test/x' to='alice@a.test'>" + body(who+"/x") + "</message>")
		}
		var both []string
		for _, w := range strings.Fields(tt.want) {
			both = append(both, w, w)
		}
		if a := ask(t, alice); a.bodies() != strings.Join(both, " ") {
			t.Errorf("%+v: %s", tt, a.bodies())
		}
	}
}

// Each side decides for itself: between two accounts of the host one may have what the other has not, and no ID is shown to
// who has no archive for it.
func TestOneSide(t *testing.T) {
	h, _ := host(t, "")
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	other := h.Session("alice@a.test/y")
	other.IQ("set", "", "<enable xmlns='urn:xmpp:carbons:2'/>")
	bob.Available(0, "")
	for _, tt := range []struct {
		s    *modtest.Session
		want [2]int // of alice, bob
	}{{alice, [2]int{0, 1}}, {bob, [2]int{0, 0}}} {
		tt.s.IQ("set", "", setPrefs("never", "", ""))
		bob.Sent()
		other.Sent()
		alice.Say(chat("bob@a.test", body("x")))
		live, copied := bob.Sent(), other.Sent()
		if len(live) != 1 || (live[0].StanzaID(bob.JID().Bare()) != "") != (tt.want[1] == 1) {
			t.Errorf("bob got %s", modtest.XML(live))
		}
		if len(copied) != 1 || strings.Contains(string(copied[0].AppendTo(nil)), "stanza-id") {
			t.Errorf("alice's other device got %s", modtest.XML(copied))
		}
		if n := len(ask(t, alice).messages); n != tt.want[0] {
			t.Errorf("alice has %d", n)
		}
	}
	if n := len(ask(t, bob).messages); n != 1 {
		t.Errorf("bob has %d", n)
	}
}

func TestBadPreferences(t *testing.T) {
	h, m := host(t, "[modules.mod_mam]\nprefs_jids = 3\n")
	alice := h.Session("alice@a.test/x")
	for _, tt := range []struct {
		xml  string
		want stanza.Condition
	}{
		{"<prefs xmlns='" + ns + "'/>", stanza.BadRequest},
		{setPrefs("sometimes", "", ""), stanza.BadRequest},
		{setPrefs("always", "a@b a@b", ""), stanza.BadRequest},
		{setPrefs("always", "a@b", "A@B"), stanza.BadRequest},
		{setPrefs("always", "@", ""), stanza.JIDMalformed},
		{setPrefs("always", "a@b c@d", "e@f g@h"), stanza.PolicyViolation},
		{"<prefs xmlns='" + ns + "' default='always'><always><x/></always></prefs>", stanza.BadRequest},
	} {
		if e := alice.IQ("set", "", tt.xml).StanzaError(); e == nil || e.Condition != tt.want {
			t.Errorf("%s: %v", tt.xml, e)
		}
	}
	if st := alice.IQ("set", "", setPrefs("always", "a@b c@d", "e@f")); st.Type != stanza.TypeResult {
		t.Errorf("as many as allowed: %s", st.AppendTo(nil))
	}
	if err := m.prefs.kv.Put(t.Context(), []byte("carol"), []byte{99}); err != nil {
		t.Fatal(err)
	}
	carol := h.Session("carol@a.test/x")
	if err := m.prefs.kv.Put(t.Context(), []byte("carol"), []byte{99}); err != nil {
		t.Fatal(err)
	}
	carol.Say(chat("bob@b.test", body("x")))
	if sent := carol.Sent(); len(sent) != 1 || sent[0].StanzaError().Condition != stanza.InternalServerError {
		t.Errorf("a record of an unknown format: %s", modtest.XML(sent))
	}
}

func TestPrefsRecord(t *testing.T) {
	p := &prefs{"roster", []stanza.JID{stanza.MustJID("a@b"), stanza.MustJID("c@d/e f")}, []stanza.JID{stanza.MustJID("g.h")}}
	got, err := decodePrefs(p.encode())
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "\x01", "\x02always", "\x01always\n", "\x01always\n+", "\x01always\n*a@b", "\x01often"} {
		if _, err := decodePrefs([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What was changed last holds at once.
func TestPrefsCache(t *testing.T) {
	h, m := host(t, "")
	alice := h.Session("alice@a.test/x")
	for i := range 20 {
		policy := [...]string{"always", "never"}[i%2]
		alice.IQ("set", "", setPrefs(policy, "", ""))
		p, err := m.prefs.get(t.Context(), "alice")
		if err != nil || p.policy != policy {
			t.Fatalf("%d: %+v, %v", i, p, err)
		}
	}
	// Of an account that has none it is known that it has none: every message asks.
	if n := testing.AllocsPerRun(100, func() { m.prefs.get(t.Context(), "nobody") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
