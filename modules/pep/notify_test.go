package pep

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
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

// XEP-0163 §3, §4.3: an event goes to the own devices and to contacts, as far as they want to hear of the node, from the
// bare JID, as a headline.
func TestPublishNotifies(t *testing.T) {
	h := newHost(t)
	a, b, e := h.Session(alice+"/one"), h.Session(bob+"/b"), h.Session(eve+"/e")
	deaf, away := h.Session(bob+"/deaf"), h.Session(bob+"/away")
	befriend(a, b)
	listen(t, a, tune)
	listen(t, b, tune, "urn:other")
	listen(t, e, tune)
	listen(t, deaf, "urn:other")
	listen(t, away, tune)
	away.Unavailable()
	away.Sent()
	b.Sent()
	a.Sent()
	publish(t, a, tune, "x", song)
	for _, s := range []struct {
		who  string
		got  []*stanza.Stanza
		want int
	}{{"alice", a.Sent(), 1}, {"bob", b.Sent(), 1}, {"eve", e.Sent(), 0}, {"deaf", deaf.Sent(), 0}, {"away", away.Sent(), 0}} {
		n := 0
		for _, st := range s.got {
			if st.Kind == stanza.KindMessage {
				n++
				if st.Type != stanza.TypeHeadline || st.From().String() != alice || st.ID() == "" || !strings.HasPrefix(items(st), "x=<tune") {
					t.Errorf("%s got %s", s.who, st.AppendTo(nil))
				}
			}
		}
		if n != s.want {
			t.Errorf("%s got %d events", s.who, n)
		}
	}
}

// XEP-0060 §4.5: who gets what of a node, by its access model, both told and asked; and again after it was changed.
func TestAccessModels(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	who := map[string]*modtest.Session{}
	for _, name := range []string{"friend", "colleague", "member", "outcast", "stranger"} {
		who[name] = h.Session(name + "@a.test/x")
		if name != "stranger" {
			befriend(a, who[name])
		}
		listen(t, who[name], "urn:n")
	}
	ok(t, a.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='colleague@a.test'><group>Work</group></item></query>"))
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+ns+"'><create node='urn:n'/></pubsub>"))
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><affiliations node='urn:n'>"+
		"<affiliation jid='member@a.test' affiliation='member'/><affiliation jid='outcast@a.test' affiliation='outcast'/></affiliations></pubsub>"))
	for _, tt := range []struct {
		model, told, reads string
		c                  stanza.Condition
		app                string
	}{
		{"open", "colleague friend member", "colleague friend member stranger", "", ""},
		{"presence", "colleague friend member", "colleague friend member", stanza.NotAuthorized, "presence-subscription-required"},
		{"roster", "colleague member", "colleague member", stanza.NotAuthorized, "not-in-roster-group"},
		{"whitelist", "member", "member", stanza.NotAllowed, "closed-node"},
		{"open", "colleague friend member", "colleague friend member stranger", "", ""},
	} {
		t.Run(tt.model, func(t *testing.T) {
			ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><configure node='urn:n'>"+
				form(formConfig, "access_model", tt.model, "roster_groups_allowed", "Work")+"</configure></pubsub>"))
			publish(t, a, "urn:n", "x", "<secret xmlns='urn:n'/>")
			var told, reads []string
			for name, s := range who {
				if events(s.Sent()) != "" {
					told = append(told, name)
				}
				for _, xml := range []string{
					get("urn:n", ""), get("urn:n", "<item id='x'/>"),
					"<query xmlns='http://jabber.org/protocol/disco#items' node='urn:n'/>", "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:n'/>",
				} {
					st := s.IQ("get", alice, xml)
					switch {
					case st.Type == stanza.TypeResult && xml == get("urn:n", ""):
						reads = append(reads, name)
					case st.Type == stanza.TypeResult:
					case strings.Contains(string(st.AppendTo(nil)), "secret"):
						t.Errorf("%s reads in an error: %s", name, st.AppendTo(nil))
					case name == "outcast" && strings.Contains(xml, ns):
						refused(t, st, stanza.Forbidden, "")
					case name == "stranger" && !strings.Contains(xml, ns):
						refused(t, st, stanza.ServiceUnavailable, "") // as for an account that does not exist
					case !strings.Contains(xml, ns):
						refused(t, st, stanza.ItemNotFound, "")
					default:
						refused(t, st, tt.c, tt.app)
					}
				}
			}
			slices.Sort(told)
			slices.Sort(reads)
			if got := strings.Join(told, " "); got != tt.told {
				t.Errorf("told: %s", got)
			}
			if got := strings.Join(reads, " "); got != tt.reads {
				t.Errorf("read by: %s", got)
			}
		})
	}
}

// Whoever has much to say at once says part of it: the session of who hears it must not end of that.
func TestLargeLastItems(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	befriend(a, b)
	var all []string
	for i := range 5 {
		node := fmt.Sprint("urn:n:", i)
		publish(t, a, node, "x", "<n xmlns='urn:n'>"+strings.Repeat("x", 60<<10)+"</n>")
		all = append(all, node)
	}
	publish(t, a, tune, "x", song)
	got := listen(t, b, append(all, tune)...)
	size := 0
	for _, st := range got {
		size += len(st.AppendTo(nil))
	}
	if len(got) != 4 || size > pageSize+4096 || !strings.Contains(modtest.XML(got), "Moon") {
		t.Errorf("%d events of %d bytes", len(got), size)
	}
}

// XEP-0163 §4.3.3, §4.3.4: who becomes available gets the last items, with the time; further presence brings nothing again, news
// that the client wants more does.
func TestLastItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
		befriend(a, b)
		publish(t, a, tune, "x", song)
		publish(t, a, "urn:n", "y", "<n xmlns='urn:n'/>")
		publish(t, a, "urn:never", "z", song, "send_last_published_item", "never")
		publish(t, a, "urn:sub", "z", song, "send_last_published_item", "on_sub")
		publish(t, a, "urn:closed", "z", song, "access_model", "whitelist")
		publish(t, a, "urn:empty", "z", song)
		ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><purge node='urn:empty'/></pubsub>"))
		time.Sleep(time.Hour)
		all := []string{tune, "urn:never", "urn:sub", "urn:closed", "urn:empty"}
		got := listen(t, b, all...)
		if len(got) != 1 || items(got[0]) != "x="+song || !strings.Contains(modtest.XML(got), "<delay xmlns='urn:xmpp:delay' stamp='2000-01-01T00:00:00") {
			t.Errorf("got %s", modtest.XML(got))
		}
		if got := listen(t, b, all...); len(got) > 0 {
			t.Errorf("again: %s", modtest.XML(got))
		}
		if got := listen(t, b, tune, "urn:n"); events(got) != "y=<n xmlns='urn:n'/>" {
			t.Errorf("wants more: %s", modtest.XML(got))
		}
		b.Unavailable()
		b.Sent()
		if got := listen(t, b, tune, "urn:n"); events(got) != "x="+song+"|y=<n xmlns='urn:n'/>" {
			t.Errorf("back again: %s", modtest.XML(got))
		}
		// The account itself, also what is closed.
		if got := listen(t, a, "urn:closed"); events(got) != "z="+song {
			t.Errorf("the account itself: %s", modtest.XML(got))
		}
		a.Close(nil)
		// Publisher offline: that changes nothing.
		b2 := h.Session(bob + "/b2")
		if got := listen(t, b2, tune); events(got) != "x="+song {
			t.Errorf("from who is offline: %s", modtest.XML(got))
		}
	})
}

// What a client wants may be learnt late: an answer about what it said before does not undo what it said since.
func TestAnswersOutOfTurn(t *testing.T) {
	h := newHost(t)
	a, other := h.Session(alice+"/one"), h.Session(bob+"/known")
	listen(t, other, tune) // so that these capabilities are known
	old, oldCaps := client("urn:other")
	_, c := client(tune)
	a.Available(0, oldCaps)
	a.Available(0, c)
	answer(a, old)
	publish(t, a, tune, "x", song)
	if got := events(a.Sent()); got != "x="+song {
		t.Errorf("alice heard %q", got)
	}
	a.Say("<presence type='subscribed' to='" + romeo + "'/>")
	h.Send("<presence type='subscribe' from='" + romeo + "' to='" + alice + "'/>")
	a.Say("<presence type='subscribed' to='" + romeo + "'/>")
	h.Sent()
	older, olderCaps := client("urn:older")
	h.Send("<presence from='" + romeo + "/o' to='" + alice + "'>" + olderCaps + "</presence>")
	asked := h.Sent()
	h.Send("<presence from='" + romeo + "/o' to='" + alice + "'>" + c + "</presence>")
	if got := events(h.Sent()); got != "x="+song {
		t.Errorf("romeo got %q", got)
	}
	h.Send("<iq type='result' from='" + romeo + "/o' to='" + alice + "' id='" + asked[0].ID() + "'>" + older + "</iq>")
	publish(t, a, tune, "y", song)
	if got := events(h.Sent()); got != "y="+song {
		t.Errorf("romeo heard %q", got)
	}
}

// XEP-0163 §4.1: who is let see the presence of an account hears the last of it at once.
func TestLastItemsOnApproval(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	publish(t, a, tune, "x", song)
	if got := listen(t, b, tune); len(got) > 0 {
		t.Errorf("a stranger got %s", modtest.XML(got))
	}
	b.Say("<presence type='subscribe' to='" + alice + "'/>")
	a.Say("<presence type='subscribed' to='" + bob + "'/>")
	if got := events(b.Sent()); got != "x="+song {
		t.Errorf("got %s", got)
	}
	a.Say("<presence type='unsubscribed' to='" + bob + "'/>")
	b.Sent()
	publish(t, a, tune, "y", song)
	if got := events(b.Sent()); got != "" {
		t.Errorf("after the end got %s", got)
	}
	b.Say("<presence type='subscribed' to='" + alice + "'/>") // alice is no contact that sees bob: nothing of his, nothing of hers
	if got := events(b.Sent()); got != "" {
		t.Errorf("got %s", got)
	}
}

// Contacts elsewhere: their presence says what they want to hear; they are asked by the account, and told at the resources
// that are there (XEP-0163 §4.3.1).
func TestContactsElsewhere(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	publish(t, a, tune, "x", song)
	query, c := client(tune)
	send := func(from, xml string) { h.Send(strings.Replace(xml, " ", " from='"+from+"' to='"+alice+"' ", 1)) }
	presence := "<presence >" + c + "</presence>"
	send("mallory@b.test/x", presence)
	if got := h.Sent(); len(got) > 0 {
		t.Fatalf("a stranger got %s", modtest.XML(got))
	}
	send(romeo, "<presence type='subscribe'/>")
	a.Say("<presence type='subscribed' to='" + romeo + "'/>")
	h.Sent()
	send(romeo+"/o", presence)
	asked := h.Sent()
	if len(asked) != 1 || asked[0].Type != stanza.TypeGet || asked[0].From().String() != alice || asked[0].To().String() != romeo+"/o" {
		t.Fatalf("asked %s", modtest.XML(asked))
	}
	send(romeo+"/o", "<iq type='result' id='"+asked[0].ID()+"'>"+query+"</iq>")
	if got := h.Sent(); len(got) != 1 || items(got[0]) != "x="+song || got[0].To().String() != romeo+"/o" {
		t.Fatalf("got %s", modtest.XML(got))
	}
	send(romeo+"/o", presence)
	send(romeo+"/p", presence) // of the same kind: nobody is asked again
	if got := h.Sent(); len(got) != 1 || got[0].To().String() != romeo+"/p" || got[0].Kind != stanza.KindMessage {
		t.Fatalf("got %s", modtest.XML(got))
	}
	to := func() string {
		var out []string
		publish(t, a, tune, "y", song)
		for _, st := range h.Sent() {
			out = append(out, st.To().Resource())
		}
		return strings.Join(out, " ")
	}
	if got := to(); got != "o p" {
		t.Errorf("told %s", got)
	}
	send(romeo+"/o", "<presence type='unavailable'/>")
	if got := to(); got != "p" {
		t.Errorf("o is gone; told %s", got)
	}
	send(romeo+"/p", "<message type='error' id='x'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	if got := to(); got != "" {
		t.Errorf("p is gone without a word; told %s", got)
	}
	for i := range 12 {
		send(fmt.Sprint(romeo, "/", i), presence)
	}
	h.Sent()
	if got := to(); got != "2 3 4 5 6 7 8 9 10 11" {
		t.Errorf("told %s", got)
	}
	send(romeo, "<presence type='unavailable'/>")
	if got := to(); got != "" {
		t.Errorf("all are gone; told %s", got)
	}
	// Whose subscription has ended hears nothing, though his presence is there.
	send(romeo+"/o", presence)
	h.Sent()
	a.Say("<presence type='unsubscribed' to='" + romeo + "'/>")
	h.Sent()
	if got := to(); got != "" {
		t.Errorf("not a contact any more; told %s", got)
	}
}

// Events leave in the order of the changes, whoever makes them and however many at once.
func TestOrder(t *testing.T) {
	h := newHost(t)
	b := h.Session(bob + "/b")
	var devices []*modtest.Session
	for i := range 4 {
		s := h.Session(fmt.Sprint(alice, "/", i))
		devices = append(devices, s)
	}
	befriend(devices[0], b)
	listen(t, b, "urn:n")
	var wg sync.WaitGroup
	for k, s := range devices {
		wg.Go(func() {
			for i := range 25 {
				tryPublish(s, "urn:n", "x", fmt.Sprintf("<n xmlns='urn:n'>%d-%d</n>", k, i))
			}
		})
	}
	wg.Wait()
	got := b.Sent()
	if len(got) != 100 {
		t.Fatalf("%d events", len(got))
	}
	if last := items(devices[0].IQ("get", "", get("urn:n", ""))); items(got[99]) != last {
		t.Errorf("the last event is %s, there is %s", items(got[99]), last)
	}
}

// What a hook does to one addressee's event is not done to the next one's, and one that it stops does not stop the others.
func TestHooksSeeEvents(t *testing.T) {
	blocker := modules.Define(modules.Info{Name: "mod_block"}, struct{}{}, func(struct{}) modules.Module { return block{} })
	h := modtest.New(t, "a.test", roster.Info, disco.Info, caps.Info, Info, blocker)
	a := h.Session(alice + "/one")
	var all []*modtest.Session
	for i := range 3 {
		s := h.Session(fmt.Sprintf("c%d@a.test/x", i))
		befriend(a, s)
		listen(t, s, tune)
		all = append(all, s)
	}
	publish(t, a, tune, "x", song)
	for i, s := range all {
		got := modtest.XML(s.Sent())
		if (i == 1) == strings.Contains(got, "<event") || strings.Count(got, "<mark") > 1 {
			t.Errorf("c%d got %s", i, got)
		}
	}
}

type block struct{}

func (block) Start(_ context.Context, h *modules.Host) error {
	h.Hooks.ToFull.On(modules.Check, func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Kind != stanza.KindMessage {
			return nil
		}
		p.Stanza.Add([]byte("<mark xmlns='urn:mark'/>"))
		if p.To.Local() == "c1" {
			return stanza.Err(stanza.NotAcceptable, "")
		}
		return nil
	})
	return nil
}
func (block) Stop(context.Context) error { return nil }
