package mam

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Both sides have a message, each with an ID of its own that its clients see, and no other.
func TestBothSides(t *testing.T) {
	h, _ := host(t, "")
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	for _, s := range []*modtest.Session{alice, bob} {
		s.Available(0, "")
		s.Sent()
	}
	alice.Say(chat("bob@a.test", body("1")+"<origin-id xmlns='urn:xmpp:sid:0' id='o'/>"))
	bob.Say(chat("alice@a.test/x", body("2")))
	alice.Say(chat("carol@b.test", body("3")))
	h.Send("<message from='carol@b.test/y' to='alice@a.test' type='chat'>" + body("4") + "</message>")
	bob.Say(chat("bob@a.test", body("5"))) // to himself

	left := h.Sent()
	if len(left) != 1 || left[0].Has(stanza.NSSID, "") {
		t.Errorf("left the host: %s", modtest.XML(left))
	}
	live := map[string]string{} // IDs by body
	for _, s := range []*modtest.Session{alice, bob} {
		for _, st := range s.Sent() {
			by := s.JID().Bare()
			live[by.Local()+st.Text("body")] = st.StanzaID(by)
			if n := strings.Count(string(st.AppendTo(nil)), "<stanza-id"); n != 1 {
				t.Errorf("%d IDs: %s", n, st.AppendTo(nil))
			}
			if st.Text("body") == "1" && st.Find(stanza.NSSID, "origin-id") < 0 {
				t.Error("the origin-id is gone")
			}
		}
	}
	for s, want := range map[*modtest.Session]string{alice: "1 2 3 4", bob: "1 2 5"} {
		a := ask(t, s)
		if a.bodies() != want || a.fin().Attr("complete") != "true" || a.rsm().ChildText("count") != fmt.Sprint(len(a.messages)) {
			t.Errorf("%s: %s, %s", s.JID(), a.bodies(), a.iq.AppendTo(nil))
		}
		for _, r := range a.messages {
			f := r.Child(stanza.NSForward, "forwarded")
			msg := f.Child(stanza.NSClient, "message")
			if d := f.Child(stanza.NSDelay, "delay"); d.Attr("stamp") == "" || msg.Attr("from") == "" || msg.Attr("to") == "" {
				t.Errorf("%v", f.AppendTo(nil, ""))
			}
			if id := live[s.JID().Local()+msg.ChildText("body")]; id != "" && id != r.Attr("id") {
				t.Errorf("live %q, archived %q", id, r.Attr("id"))
			}
		}
		if first, last := a.rsm().ChildText("first"), a.rsm().ChildText("last"); first != a.ids()[0] || last != a.ids()[len(a.ids())-1] {
			t.Errorf("first %s, last %s of %v", first, last, a.ids())
		}
	}
	if live["bob1"] == "" || live["alice2"] == "" || live["alice4"] == "" || live["bob5"] == "" {
		t.Errorf("IDs: %v", live)
	}
}

// What the recipient's side refuses at once is in no archive; the sender has the error.
func TestRefused(t *testing.T) {
	no := modules.Define(modules.Info{Name: "mod_no"}, struct{}{}, func(struct{}) modules.Module { return refuser{} })
	h, _ := host(t, "", no)
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	bob.Available(0, "")
	alice.Available(0, "")
	for _, m := range []string{
		chat("bob@a.test", body("no")),
		chat("nobody@a.test", body("x")),
		"<message to='bob@a.test/gone'>" + body("x") + "</message>",
		"<message to='bob@a.test' type='groupchat'>" + body("x") + "</message>",
	} {
		alice.Say(m)
	}
	errs := 0
	for _, st := range alice.Sent() {
		if st.Type == stanza.TypeError {
			errs++
		}
	}
	if errs != 4 {
		t.Errorf("%d errors", errs)
	}
	for _, s := range []*modtest.Session{alice, bob} {
		if a := ask(t, s); len(a.messages) != 0 {
			t.Errorf("%s has %s", s.JID(), a.bodies())
		}
	}
}

type refuser struct{}

func (refuser) Start(_ context.Context, h *modules.Host) error {
	h.Hooks.ToBare.On(modules.Check, func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Text("body") == "no" {
			return stanza.Err(stanza.ServiceUnavailable, "")
		}
		return nil
	})
	return nil
}
func (refuser) Stop(context.Context) error { return nil }

// Z06: what claims to be an ID of the recipient's or the sender's archive is removed, others' stay.
func TestForgedIDs(t *testing.T) {
	h, _ := host(t, "")
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	bob.Available(0, "")
	bob.Sent()
	const id = " xmlns='urn:xmpp:sid:0'"
	forged := "<stanza-id" + id + " by='bob@a.test' id='f'/><stanza-id" + id + " by='BOB@a.test' id='f'/><s:stanza-id xmlns:s='urn:xmpp:sid:0' id='f' by='b&#x6f;b@A.TEST'/>" +
		"<stanza-id" + id + " by='alice@a.test' id='f'/>"
	foreign := "<stanza-id" + id + " by='room@b.test' id='r'/><origin-id" + id + " id='o'/>"
	for _, typ := range []string{"chat", "normal", "headline"} {
		alice.Say("<message to='bob@a.test' type='" + typ + "'>" + body("x") + forged + foreign + "</message>")
		st := bob.Sent()[0]
		xml := string(st.AppendTo(nil))
		if strings.Contains(xml, "id='f'") || strings.Count(xml, "id='r'") != 1 || strings.Count(xml, "id='o'") != 1 {
			t.Errorf("%s: %s", typ, xml)
		}
		if got := st.StanzaID(bob.JID().Bare()); (got != "") != (typ != "headline") {
			t.Errorf("%s: ID %q", typ, got)
		}
	}
	h.Send("<message from='mallory@b.test/x' to='bob@a.test/x'>" + body("x") + forged + "</message>")
	st := bob.Sent()[0]
	if xml := string(st.AppendTo(nil)); strings.Count(xml, "by='bob@a.test'") != 1 || strings.Contains(xml, "BOB") {
		t.Error(xml)
	}
	alice.Say(chat("carol@b.test", body("x")+forged))
	if xml := modtest.XML(h.Sent()); strings.Contains(xml, "alice@a.test' id='f'") || strings.Count(xml, "id='f'") != 3 {
		t.Error(xml)
	}
	a := ask(t, bob)
	for _, r := range a.messages {
		if strings.Contains(string(r.AppendTo(nil, "")), "bob@a.test' id='f'") {
			t.Error("a forged ID is in the archive")
		}
	}
}

// Z10: nobody but the account's clients may ask, and the answer does not tell who exists.
func TestForeign(t *testing.T) {
	h, _ := host(t, "")
	alice := h.Session("alice@a.test/x")
	h.Session("bob@a.test/x").Available(0, "")
	alice.Say(chat("bob@a.test", body("secret")))
	for _, payload := range []string{
		"<query xmlns='" + ns + "'/>", "<prefs xmlns='" + ns + "' default='never'/>", "<metadata xmlns='" + ns + "'/>",
	} {
		for _, typ := range []string{"get", "set"} {
			for _, to := range []string{"bob@a.test", "nobody@a.test"} {
				st := alice.IQ(typ, to, payload)
				if e := st.StanzaError(); e == nil || e.Condition != stanza.Forbidden {
					t.Errorf("%s %s to %s: %s", typ, payload, to, st.AppendTo(nil))
				}
			}
		}
		h.Send("<iq type='set' id='1' from='bob@b.test/x' to='bob@a.test'>" + payload + "</iq>")
		if sent := h.Sent(); len(sent) != 1 || sent[0].StanzaError() == nil || sent[0].StanzaError().Condition != stanza.Forbidden {
			t.Errorf("from elsewhere: %s", modtest.XML(sent))
		}
	}
	if xml := modtest.XML(alice.Sent()); strings.Contains(xml, "secret") {
		t.Error(xml)
	}
}

// The quota: the oldest go. Retention: what is older goes in the background.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := host(t, "[modules.mod_mam]\nretention = \"2d\"\nquota_messages = 3\n")
		alice := h.Session("alice@a.test/x")
		h.User("bob")
		for i := range 5 {
			alice.Say(chat("bob@a.test", body(fmt.Sprint(i))))
			time.Sleep(time.Second)
		}
		if a := ask(t, alice); a.bodies() != "2 3 4" {
			t.Errorf("quota: %s", a.bodies())
		}
		time.Sleep(47 * time.Hour)
		alice.Say(chat("bob@a.test", body("new")))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if a := ask(t, alice); a.bodies() != "new" {
			t.Errorf("retention: %s", a.bodies())
		}
		if err := h.Reload("[modules.mod_mam]\nretention = 0\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1000 * 24 * time.Hour)
		synctest.Wait()
		if a := ask(t, alice); a.bodies() != "new" {
			t.Errorf("for ever: %s", a.bodies())
		}
	})
}

func TestConfig(t *testing.T) {
	for toml, want := range map[string]string{
		"page_max = 101":               "page_max",
		"page_max = 0":                 "page_max",
		"quota_messages = -1":          "quota_messages",
		"default_prefs = \"some\"":     "default_prefs",
		"retention = \"1m\"":           "retention",
		"prefs_jids = -1":              "prefs_jids",
		"quota_size = \"1KiB\"\nx = 1": "x",
	} {
		_, err := modtest.TryConfig(t, "a.test", "[modules.mod_mam]\n"+toml+"\n", Info)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", toml, err)
		}
	}
}

// An account that is deleted, also while it is used, leaves nothing to the next of its name.
func TestDeleted(t *testing.T) {
	h, m := host(t, "")
	alice, bob := h.Session("alice@a.test/x"), h.Session("bob@a.test/x")
	alice.Say(chat("bob@a.test", body("1")))
	alice.IQ("set", "", "<prefs xmlns='"+ns+"' default='always'><never><jid>x@b.test</jid></never></prefs>")
	if err := h.Users.Delete(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	// mod_accounts ends the session; here it goes on for a moment.
	bob.Say(chat("alice@a.test/x", body("2")))
	alice.Say(chat("bob@a.test", body("3")))
	alice.Say(chat("bob@b.test", body("4")))
	if st := alice.IQ("set", "", "<prefs xmlns='"+ns+"' default='never'/>"); st.StanzaError() == nil {
		t.Error("a deleted account has preferences")
	}
	if a := ask(t, bob); a.bodies() != "1 2 3" {
		t.Errorf("bob has %s", a.bodies())
	}
	alice.Close(nil)
	h.User("alice")
	again := h.Session("alice@a.test/y")
	if a := ask(t, again); len(a.messages) != 0 {
		t.Errorf("the new account has %s", a.bodies())
	}
	if st := again.IQ("get", "", "<prefs xmlns='"+ns+"'/>"); strings.Contains(string(st.AppendTo(nil)), "x@b.test") {
		t.Error("the new account has the old one's preferences")
	}
	again.Say(chat("bob@a.test", body("5")))
	if a := ask(t, again); a.bodies() != "5" {
		t.Errorf("the new account has %s", a.bodies())
	}
	m.graves.forget(time.Now().Add(time.Second))
	if m.graves.of("alice").n != 0 {
		t.Error("a grave is remembered")
	}
}

// An account is deleted while messages for it are stored: whoever is later takes them back.
func TestDeletedMeanwhile(t *testing.T) {
	h, m := host(t, "")
	h.User("bob")
	slow := &slowArchive{Archive: m.ar, begun: make(chan struct{}), go_: make(chan struct{})}
	m.ar = slow
	alice := h.Session("alice@a.test/x")
	done := make(chan struct{})
	go func() { defer close(done); alice.Say(chat("bob@a.test", body("1"))) }()
	<-slow.begun
	if err := h.Users.Delete(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	h.User("bob")
	close(slow.go_)
	<-done
	if n, _, err := m.ar.Stat(t.Context(), "bob"); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
	if n, _, _ := m.ar.Stat(t.Context(), "alice"); n != 1 {
		t.Errorf("alice has %d", n)
	}
}

type slowArchive struct {
	storage.Archive
	begun, go_ chan struct{}
}

func (a *slowArchive) AppendAll(ctx context.Context, e ...storage.Entry) ([]string, error) {
	close(a.begun)
	<-a.go_
	return a.Archive.AppendAll(ctx, e...)
}

// A client that asks while messages arrive sees each of them once, by its ID.
func TestLiveAndArchive(t *testing.T) {
	h, _ := host(t, "")
	bob := h.Session("bob@a.test/x")
	bob.Available(0, "")
	bob.Sent()
	const senders, each = 4, 50
	var wg sync.WaitGroup
	for s := range senders {
		from := h.Session(fmt.Sprintf("alice@a.test/%d", s))
		wg.Go(func() {
			for i := range each {
				from.Say(chat("bob@a.test", body(fmt.Sprintf("%d-%d", s, i))))
			}
		})
	}
	wait := make(chan struct{})
	go func() { wg.Wait(); close(wait) }()
	var last string
	var archived, seen []string
	for live := true; live; {
		select {
		case <-wait:
			live = false // and one last time
		default:
		}
		for {
			set := "<max>20</max>"
			if last != "" {
				set += "<after>" + last + "</after>"
			}
			bob.Say("<iq type='set' id='q'><query xmlns='" + ns + "'>" + rsm(set) + "</query></iq>")
			fin := split(bob.Sent(), &archived, &seen)
			if l := fin.Child(nsRSM, "set").ChildText("last"); l != "" {
				last = l
			}
			if fin.Attr("complete") == "true" {
				break
			}
		}
	}
	split(bob.Sent(), &archived, &seen)
	slices.Sort(archived)
	if n := len(archived); n != senders*each || len(slices.Compact(archived)) != n {
		t.Errorf("%d in the archive", n)
	}
	slices.Sort(seen)
	if n := len(seen); n != senders*each || len(slices.Compact(seen)) != n {
		t.Errorf("%d live", n)
	}
	if !slices.Equal(seen, archived) {
		t.Error("live and archived IDs are not the same")
	}
}

// split takes the IDs of results and of live messages from what a client got.
func split(list []*stanza.Stanza, archived, live *[]string) (fin *stanza.Element) {
	for _, st := range list {
		switch i := st.Find(ns, "result"); {
		case i >= 0:
			*archived = append(*archived, st.Element(i).Attr("id"))
		case st.Kind == stanza.KindIQ:
			fin = st.Payload()
		case st.Kind == stanza.KindMessage:
			*live = append(*live, st.StanzaID(stanza.MustJID("bob@a.test")))
		}
	}
	return fin
}

// Without anybody who keeps messages for the absent, the archive does.
func TestUnclaimed(t *testing.T) {
	h, _ := host(t, "")
	h.User("bob")
	alice := h.Session("alice@a.test/x")
	alice.Say(chat("bob@a.test", body("x")))
	alice.Say(chat("bob@a.test", body("y")+"<no-store xmlns='urn:xmpp:hints'/>"))
	if sent := alice.Sent(); len(sent) != 1 || sent[0].Type != stanza.TypeError {
		t.Errorf("alice got %s", modtest.XML(sent))
	}
	if a := ask(t, h.Session("bob@a.test/x")); a.bodies() != "x" {
		t.Errorf("bob has %s", a.bodies())
	}
}

// TestStripCost: a message of a room, which has the ID of the room's archive, is looked at and passed on as it is.
func TestStripCost(t *testing.T) {
	_, m := host(t, "")
	st, err := stanza.Parse([]byte("<message type='groupchat' from='room@muc.test/bob' to='alice@a.test/x'><body>hi</body>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' by='room@muc.test' id='1'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='2'/></message>"))
	if err != nil {
		t.Fatal(err)
	}
	p := &modules.Packet{Stanza: st, From: st.From(), To: st.To()}
	n := testing.AllocsPerRun(100, func() {
		if m.stripRecipient(t.Context(), p) != nil || p.Stanza != st {
			t.Error("the message was copied")
		}
	})
	if n > 1 { // the address that is compared
		t.Errorf("%v allocations", n)
	}
}
