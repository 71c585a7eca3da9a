package muc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// with returns what a session is sent, one a line, that has all of the words.
func with(s *modtest.Session, words ...string) (n int, all string) {
	for _, st := range s.Sent() {
		line := string(st.AppendTo(nil))
		all += line + "\n"
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	return n, all
}

// wants fails unless a session was sent one stanza with all of the words, since it was last asked.
func wants(t testing.TB, s *modtest.Session, words ...string) {
	t.Helper()
	if n, all := with(s, words...); n != 1 {
		t.Errorf("%s was sent %d times %q, of\n%s", s.JID(), n, words, all)
	}
}

// TestRefused: who may not enter is told why (§7.2.1, §7.2.5 to §7.2.10, §10.1.1).
func TestRefused(t *testing.T) {
	h, list := den(t, 2, "[modules.mod_muc]\nmax_occupants = 3\nnick_size = 10\n")
	alice, bob := list[0], list[1]
	m := moduleOf(t, h)
	set := func(fn func(r *room)) {
		m.in(t.Context(), nil, stanza.MustJID("den@"+service), func(r *room, _ context.Context, _ *modules.Packet) { fn(r) })
	}
	out := h.Session("carol@a.test/x")
	for name, c := range map[string]struct {
		set  func(r *room)
		to   string
		x    string
		want string
	}{
		"no nickname":          {nil, "den@" + service, "", "jid-malformed"},
		"nickname in use":      {nil, "den@" + service + "/u1", "", "conflict"},
		"nickname of blanks":   {nil, "den@" + service + "/  ", "", "not-acceptable"},
		"nickname begins with": {nil, "den@" + service + "/ u1", "", "not-acceptable"},
		"nickname too long":    {nil, "den@" + service + "/12345678901", "", "not-acceptable"},
		"banned":               {func(r *room) { r.affs[stanza.MustJID("carol@a.test")] = affiliated{Outcast, ""} }, "den@" + service + "/c", "", "forbidden"},
		"banned by domain":     {func(r *room) { r.affs[stanza.MustJID("a.test")] = affiliated{Outcast, ""} }, "den@" + service + "/c", "", "forbidden"},
		"members only":         {func(r *room) { r.rec.Settings.MembersOnly = true }, "den@" + service + "/c", "", "registration-required"},
		"no password":          {func(r *room) { r.rec.Settings.Password = "cauldron" }, "den@" + service + "/c", "", "not-authorized"},
		"wrong password":       {func(r *room) { r.rec.Settings.Password = "cauldron" }, "den@" + service + "/c", "<password>cauldro</password>", "not-authorized"},
		"full":                 {func(r *room) { r.rec.Settings.MaxUsers = 2 }, "den@" + service + "/c", "", "service-unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			var was record
			set(func(r *room) {
				was = r.rec
				if c.set != nil {
					c.set(r)
				}
			})
			defer set(func(r *room) {
				r.rec = was
				delete(r.affs, stanza.MustJID("carol@a.test"))
				delete(r.affs, stanza.MustJID("a.test"))
			})
			out.Say("<presence to='" + c.to + "'><x xmlns='http://jabber.org/protocol/muc'>" + c.x + "</x></presence>")
			wants(t, out, "type='error'", "<"+c.want+" ")
			for _, s := range []*modtest.Session{alice, bob} {
				if n, all := with(s); n != 0 {
					t.Errorf("%s heard of it: %s", s.JID(), all)
				}
			}
		})
	}
	set(func(r *room) {
		r.rec.Settings.Password = "cauldron"
		r.rec.Settings.MembersOnly = true
		r.affs[stanza.MustJID("carol@a.test")] = affiliated{Member, ""}
	})
	out.Say("<presence to='den@" + service + "/c'><x xmlns='http://jabber.org/protocol/muc'><password>cauldron</password></x></presence>")
	wants(t, out, "code='110'", "affiliation='member'")
}

// TestLimits: nobody makes more rooms than he may, whether they are configured or not; admins may (§10.1.1).
func TestRoomsPerAccount(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[general]\nhosts = [\"a.test\"]\nadmins = [\"admin@a.test\"]\n[modules.mod_muc]\nrooms_per_account = 3\nroom_persistent = true\n", Info)
	bob := h.Session("bob@a.test/x")
	open(t, bob, "one", "b")
	bob.Say("<presence type='unavailable' to='one@" + service + "/b'/>")
	open(t, bob, "two", "b")
	if got := enter(t, bob, "three", "b"); !strings.Contains(got, "code='201'") {
		t.Fatal(got)
	}
	if got := enter(t, bob, "four", "b"); !strings.Contains(got, "resource-constraint") {
		t.Errorf("a fourth room: %s", got)
	}
	bob.Say("<presence type='unavailable' to='three@" + service + "/b'/>") // never configured: it ends
	if got := enter(t, bob, "four", "b"); !strings.Contains(got, "code='201'") {
		t.Errorf("no third room: %s", got)
	}
	admin := h.Session("admin@a.test/x")
	for i := range 5 {
		open(t, admin, fmt.Sprintf("admin%d", i), "a")
	}
	h.Send("<presence from='eve@b.test/x' to='five@" + service + "/e'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	if got := modtest.XML(h.Sent()); !strings.Contains(got, "not-allowed") {
		t.Errorf("a stranger made a room: %s", got)
	}
}

// TestWelcome: who enters learns who is there, then that he is in, then what was said, then the subject (§7.2.2 to §7.2.15).
func TestWelcome(t *testing.T) {
	h, list := den(t, 2, "")
	list[1].Say("<message type='groupchat' to='den@" + service + "'><body>hello</body></message>")
	list[0].Say("<message type='groupchat' to='den@" + service + "'><subject>Fire Burn and Cauldron Bubble!</subject></message>")
	carol := h.Session("carol@a.test/x")
	carol.Say("<presence to='den@" + service + "/c'><x xmlns='http://jabber.org/protocol/muc'/><show>away</show><x xmlns='" + nsUser + "'><status code='100'/></x><occupant-id xmlns='" + nsOccID + "' id='forged'/></presence>")
	var order []string
	for _, st := range carol.Sent() {
		order = append(order, st.Kind.String()+" "+st.From().Resource())
		xml := string(st.AppendTo(nil))
		switch {
		case st.Kind == stanza.KindPresence && st.From().Resource() == "c":
			for _, word := range []string{"code='110'", "code='170'", "<show>away</show>"} {
				if !strings.Contains(xml, word) {
					t.Errorf("no %s in %s", word, xml)
				}
			}
			for _, word := range []string{"forged", "code='100'", nsMUC + "'"} {
				if strings.Contains(xml, word) {
					t.Errorf("%s in %s", word, xml)
				}
			}
		case st.Kind == stanza.KindPresence && strings.Contains(xml, "jid="):
			t.Errorf("real address shown: %s", xml)
		case st.Has("", "body") && (!strings.Contains(xml, "<delay ") || st.StanzaID(stanza.MustJID("den@"+service)) == ""):
			t.Errorf("history without time or ID: %s", xml)
		}
	}
	want := []string{"presence u0", "presence u1", "presence c", "message u1", "message u0"}
	if strings.Join(order, ", ") != strings.Join(want, ", ") {
		t.Errorf("came %q, want %q", order, want)
	}
	wants(t, list[0], "/c'", "jid='carol@a.test/x'") // a moderator sees it
	if _, all := with(list[1]); strings.Contains(all, "jid='carol") {
		t.Errorf("real address shown: %s", all)
	}
}

// TestSeveralClients: one person is one occupant, with however many clients.
func TestSeveralClients(t *testing.T) {
	h, list := den(t, 2, "")
	second := h.Session("u1@a.test/phone")
	enter(t, second, "den", "u1")
	wants(t, list[0], "/u1'", "affiliation='none'")
	list[0].Say("<message type='chat' to='den@" + service + "/u1'><body>psst</body></message>")
	wants(t, second, "psst")
	wants(t, list[1], "psst")
	second.Say("<presence to='den@" + service + "/other'/>")
	wants(t, list[1], "code='303'", "nick='other'")
	_, all := with(second)
	if !strings.Contains(all, "code='303'") || strings.Count(all, "code='110'") != 2 {
		t.Errorf("got %s", all)
	}
	if n, all := with(list[0], "type='unavailable'", "code='303'"); n != 1 {
		t.Error(all)
	}
	list[1].Say("<presence type='unavailable' to='den@" + service + "/other'/>")
	wants(t, list[1], "type='unavailable'", "code='110'")
	if n, all := with(list[0], "unavailable"); n != 0 {
		t.Errorf("he is still there: %s", all)
	}
	second.Say("<presence type='unavailable' to='den@" + service + "/other'><status>bye</status></presence>")
	wants(t, list[0], "type='unavailable'", "role='none'", "<status>bye</status>")
	if got := enter(t, second, "den", "u0"); !strings.Contains(got, "conflict") {
		t.Error(got)
	}
}

// TestGhost: a client that thinks it is in learns that it is not (§7.2.1), and one that thinks it is out is told all again.
func TestGhost(t *testing.T) {
	h, list := den(t, 2, "")
	out := h.Session("carol@a.test/x")
	out.Say("<presence to='den@" + service + "/c'/>")
	wants(t, out, "type='unavailable'", "code='110'", "code='307'", "code='333'")
	if got := enter(t, list[1], "den", "u1"); strings.Count(got, "<presence ") != 2 || !strings.Contains(got, "<subject/>") {
		t.Errorf("got %s", got)
	}
	ping := "<iq type='get' id='p' to='den@" + service + "/%s'><ping xmlns='urn:xmpp:ping'/></iq>" // XEP-0410 §3
	list[1].Say(fmt.Sprintf(ping, "u1"))
	wants(t, list[1], "type='result'", "id='p'")
	out.Say(fmt.Sprintf(ping, "u1"))
	wants(t, out, "type='error'", "not-acceptable")
}

// TestRelay: occupants' clients ask each other, without learning addresses.
func TestRelay(t *testing.T) {
	h, list := den(t, 3, "")
	list[1].Say("<iq type='get' id='v1' to='den@" + service + "/u2'><query xmlns='jabber:iq:version'/></iq>")
	got := list[2].Sent()
	if len(got) != 1 || got[0].From().String() != "den@"+service+"/u1" || got[0].ID() == "v1" || !got[0].Has("jabber:iq:version", "query") {
		t.Fatalf("got %s", modtest.XML(got))
	}
	answer := func(from string) {
		h.Send("<iq type='result' from='" + from + "' to='den@" + service + "/u1' id='" + got[0].ID() + "'><query xmlns='jabber:iq:version'><name>x</name></query></iq>")
	}
	answer("u0@a.test/x") // who was not asked
	if n, all := with(list[1]); n != 0 {
		t.Errorf("got %s", all)
	}
	answer("u2@a.test/x")
	wants(t, list[1], "id='v1'", "from='den@"+service+"/u2'", "<name>x</name>")
	answer("u2@a.test/x")
	if n, all := with(list[1]); n != 0 {
		t.Errorf("answered twice: %s", all)
	}
	list[1].Say("<iq type='get' id='v2' to='den@" + service + "/nobody'><query xmlns='jabber:iq:version'/></iq>")
	wants(t, list[1], "type='error'", "item-not-found")
}

// moduleOf is the module of a host.
func moduleOf(t testing.TB, h *modtest.Host) *module {
	t.Helper()
	for _, svc := range modules.ServicesOf[modules.Portable](h.Loader, h.Name) {
		if m, ok := svc.(*module); ok {
			return m
		}
	}
	t.Fatal("no module")
	return nil
}
