package roster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// Each row of RFC 6121 §A.2, through the server: what the contact's server gets, what is stored, what is pushed.
func TestOutbound(t *testing.T) {
	for _, r := range outboundRows {
		t.Run(r.name(), func(t *testing.T) {
			h := newHost(t)
			a := h.login(alice + "/one")
			b := h.login(alice + "/two")
			uninterested := h.Session(alice + "/three")
			h.put(alice, romeo, states[r.before])
			a.Sent()
			b.Sent()

			a.Say("<presence id='x' type='" + typeName[r.stanza] + "' to='" + romeo + "/orchard'/>")

			before, after := states[r.before], states[r.after]
			if got := h.state(alice, romeo); got != after {
				t.Errorf("state is %q, want %q", got, after)
			}
			var sent []string
			if before&subFrom != 0 && after&subFrom == 0 { // §3.2.2: before the unsubscribed
				sent = append(sent, "unavailable alice@a.test/one > romeo@b.test", "unavailable alice@a.test/two > romeo@b.test")
			}
			if r.passes {
				sent = append(sent, typeName[r.stanza]+" alice@a.test > romeo@b.test")
			}
			if before&subFrom == 0 && after&subFrom != 0 { // §3.1.5: after the subscribed
				sent = append(sent, "none alice@a.test/one > romeo@b.test", "none alice@a.test/two > romeo@b.test")
			}
			equal(t, "sent", presences(h.Sent()), sent...)
			if r.after == "None" && r.before == "None + Pending In" {
				after = before // refused, and never in the roster: nothing to see
			}
			checkPush(t, a, before, after)
			checkPush(t, b, before, after)
			if got := uninterested.Sent(); len(got) > 0 {
				t.Errorf("a resource that did not ask for the roster got %s", modtest.XML(got))
			}
		})
	}
}

// checkPush wants one push of romeo's item where what its owner sees has changed, else none.
func checkPush(t *testing.T, s *modtest.Session, before, after state) {
	t.Helper()
	var want []string
	if before&^pendingIn != after&^pendingIn {
		it := item{jid: stanza.MustJID(romeo), state: after, listed: true}
		var x stanza.XML
		it.write(&x)
		el, err := stanza.ParseElement(x.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, show(el))
	}
	sts := s.Sent()
	equal(t, "pushed to "+s.JID().String(), pushes(t, sts), want...)
}

// Each row of RFC 6121 §A.3, through the server: who hears of it, what is stored, what is answered.
func TestInbound(t *testing.T) {
	for _, r := range inboundRows {
		t.Run(r.name(), func(t *testing.T) {
			h := newHost(t)
			a := h.login(alice + "/one")
			available := h.Session(alice + "/two")
			available.Available(-1, "")
			interested := h.Session(alice + "/three")
			interested.IQ("get", "", "<query xmlns='jabber:iq:roster'/>")
			h.put(alice, romeo, states[r.before])
			for _, s := range []*modtest.Session{a, available, interested} {
				s.Sent()
			}

			h.Send("<presence id='x' from='romeo@b.test/orchard' to='alice@a.test' type='" + typeName[r.stanza] + "'><status>hi</status></presence>")

			before, after := states[r.before], states[r.after]
			if got := h.state(alice, romeo); got != after {
				t.Errorf("state is %q, want %q", got, after)
			}
			var sent []string
			if before&subFrom != 0 && after&subFrom == 0 { // §3.3.3
				sent = append(sent, "unavailable alice@a.test/one > romeo@b.test", "unavailable alice@a.test/two > romeo@b.test")
			}
			if r.reply != stanza.TypeNone {
				sent = append(sent, typeName[r.reply]+" alice@a.test > romeo@b.test")
			}
			if r.reply == subscribed {
				sent = append(sent, "none alice@a.test/one > romeo@b.test", "none alice@a.test/two > romeo@b.test")
			}
			equal(t, "sent", presences(h.Sent()), sent...)

			heard := typeName[r.stanza] + " romeo@b.test > alice@a.test"
			for _, s := range []struct {
				*modtest.Session
				hears, pushed bool
			}{{a, true, true}, {available, r.stanza == subscribe, false}, {interested, r.stanza != subscribe, true}} {
				sts := s.Sent()
				var want []string
				if r.passes && s.hears {
					want = append(want, heard)
					if !slices.ContainsFunc(sts, func(st *stanza.Stanza) bool { return st.Text("status") == "hi" && st.ID() == "x" }) {
						t.Error("the stanza came without what was in it")
					}
				}
				equal(t, "delivered to "+s.JID().String(), presences(sts), want...)
				n := len(pushes(t, sts))
				changed := before&^pendingIn != after&^pendingIn
				if want := changed && s.pushed; n != 0 && !want || n != 1 && want {
					t.Errorf("%d pushes to %s, want one: %v", n, s.JID(), want)
				}
				if n == 1 && r.passes && sts[0].Kind != stanza.KindPresence {
					t.Error("pushed before it was delivered") // §3.1.6, §3.2.3, §3.3.3
				}
			}
		})
	}
}

// What is said to a full JID is said to the account: no resource is shown a subscription that does not exist.
func TestInboundFullJID(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	for _, typ := range []string{"subscribed", "unsubscribed", "unsubscribe"} {
		h.Send("<presence from='romeo@b.test' to='alice@a.test/one' type='" + typ + "'/>")
	}
	if got := a.Sent(); len(got) > 0 {
		t.Errorf("delivered %s", modtest.XML(got))
	}
	h.Send("<presence from='romeo@b.test' to='alice@a.test/one' type='subscribe'/>")
	equal(t, "delivered", presences(a.Sent()), "subscribe romeo@b.test > alice@a.test")
	if st := h.state(alice, romeo); st != pendingIn {
		t.Errorf("state is %q", st)
	}
}

// RFC 6121 §8.5.1: nobody learns whether there is such an account.
func TestUnknownUserIsSilent(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	for _, typ := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"} {
		for _, to := range []string{"nobody@a.test", "nobody@a.test/x"} {
			h.Send("<presence from='romeo@b.test/orchard' to='" + to + "' type='" + typ + "'/>")
			if got := h.Sent(); len(got) > 0 {
				t.Errorf("%s to %s was answered: %s", typ, to, modtest.XML(got))
			}
		}
	}
	if l, _ := h.m.load(context.Background(), "nobody"); len(l.items) > 0 {
		t.Error("an account that does not exist has a roster")
	}
	a.Say("<presence type='subscribe' to='nobody@a.test'/>")
	equal(t, "to the asker", presences(a.Sent()))
	if st := h.state(alice, "nobody@a.test"); st != pendingOut {
		t.Errorf("state is %q", st)
	}
}

// The whole handshake between two accounts of one host, as clients see it.
func TestHandshake(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.login(bob+"/two")

	a.Say("<presence type='subscribe' to='bob@a.test' id='s1'/>")
	sts := a.Sent()
	equal(t, "alice's pushes", pushes(t, sts), "bob@a.test none ask=subscribe")
	equal(t, "alice hears", presences(sts))
	sts = b.Sent()
	equal(t, "bob's pushes", pushes(t, sts))
	equal(t, "bob hears", presences(sts), "subscribe alice@a.test > bob@a.test")

	b.Say("<presence type='subscribed' to='alice@a.test'/>")
	sts = b.Sent()
	equal(t, "bob's pushes", pushes(t, sts), "alice@a.test from")
	sts = a.Sent()
	equal(t, "alice hears", presences(sts), "subscribed bob@a.test > alice@a.test", "none bob@a.test/two > alice@a.test")
	equal(t, "alice's pushes", pushes(t, sts), "bob@a.test to")

	b.Say("<presence type='subscribe' to='alice@a.test'/>")
	equal(t, "alice hears", presences(a.Sent()), "subscribe bob@a.test > alice@a.test")
	a.Say("<presence type='subscribed' to='bob@a.test'/>")
	sts = b.Sent()
	equal(t, "bob's pushes", pushes(t, sts), "alice@a.test from ask=subscribe", "alice@a.test both")
	equal(t, "bob hears", presences(sts), "subscribed alice@a.test > bob@a.test", "none alice@a.test/one > bob@a.test")
	equal(t, "alice's pushes", pushes(t, a.Sent()), "bob@a.test both")

	// §3.3: bob no longer wants to see alice.
	b.Say("<presence type='unsubscribe' to='alice@a.test'/>")
	sts = b.Sent()
	equal(t, "bob's pushes", pushes(t, sts), "alice@a.test from")
	equal(t, "bob hears", presences(sts), "unavailable alice@a.test/one > bob@a.test")
	sts = a.Sent()
	equal(t, "alice hears", presences(sts), "unsubscribe bob@a.test > alice@a.test")
	equal(t, "alice's pushes", pushes(t, sts), "bob@a.test to")

	// §3.2: nor to be seen.
	b.Say("<presence type='unsubscribed' to='alice@a.test'/>")
	equal(t, "bob's pushes", pushes(t, b.Sent()), "alice@a.test none")
	sts = a.Sent()
	equal(t, "alice hears", presences(sts), "unavailable bob@a.test/two > alice@a.test", "unsubscribed bob@a.test > alice@a.test")
	equal(t, "alice's pushes", pushes(t, sts), "bob@a.test none")
}

// RFC 6121 §3.1.3: a request waits for its answer, complete, over logins and restarts, once.
func TestRequestWaits(t *testing.T) {
	h := newHost(t)
	h.User("alice")
	for range 3 {
		h.Send("<presence from='romeo@b.test/x' to='alice@a.test' type='subscribe' id='q1'><status>let me in</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>")
	}
	equal(t, "presence leak", presences(h.Sent()))
	for i := range 3 {
		h.restart()
		s := h.Session(fmt.Sprintf("%s/%d", alice, i))
		if r := s.IQ("get", "", "<query xmlns='jabber:iq:roster'/>"); len(r.Payload().Children) != 0 {
			t.Error("a mere request is in the roster")
		}
		equal(t, "before presence", presences(s.Sent()))
		s.Available(0, "")
		sts := slices.DeleteFunc(s.Sent(), func(st *stanza.Stanza) bool { return st.Type != subscribe })
		equal(t, "at login", presences(sts), "subscribe romeo@b.test > alice@a.test")
		if st := sts[0]; st.ID() != "q1" || st.Text("status") != "let me in" || !st.Has("http://jabber.org/protocol/nick", "nick") {
			t.Errorf("not the stanza that came: %s", st.AppendTo(nil))
		}
		s.Available(5, "")
		for _, st := range s.Sent() {
			if st.Type == subscribe {
				t.Error("delivered again without a new login")
			}
		}
	}
	s := h.Session(alice + "/last")
	s.Say("<presence type='unsubscribed' to='romeo@b.test'/>")
	equal(t, "refused", presences(h.Sent()), "unsubscribed alice@a.test > romeo@b.test")
	s.Available(0, "")
	for _, st := range s.Sent() {
		if st.Type == subscribe {
			t.Error("delivered after it was refused")
		}
	}
	if l, _ := h.m.load(context.Background(), "alice"); len(l.items) > 0 || l.ver != 0 {
		t.Errorf("something is left of a refused request: %v", l)
	}
}

// Of a request that is too large only the request is kept.
func TestLargeRequest(t *testing.T) {
	h := newHost(t)
	h.User("alice")
	h.Send("<presence from='romeo@b.test' to='alice@a.test' type='subscribe' id='q1'><status>" + strings.Repeat("x", requestSize) + "</status></presence>")
	s := h.login(alice + "/one")
	s.Unavailable()
	s.Sent()
	s.Available(0, "")
	for _, st := range s.Sent() {
		if st.Type == subscribe {
			if st.ID() != "q1" || st.Text("status") != "" {
				t.Errorf("kept as %s", st.AppendTo(nil))
			}
			return
		}
	}
	t.Error("the request is lost")
}

// A flood of requests is bounded, and the account stays usable.
func TestRequestFlood(t *testing.T) {
	h := newHostConfig(t, "[limits]\nroster_items = 5\n")
	h.User("alice")
	for i := range 9 {
		h.Send(fmt.Sprintf("<presence from='m%d@b.test' to='alice@a.test' type='subscribe'/>", i))
	}
	if got := h.Sent(); len(got) > 0 {
		t.Errorf("answered: %s", modtest.XML(got))
	}
	l, err := h.m.load(context.Background(), "alice")
	if err != nil || l.pending != 5 || len(l.items) != 5 {
		t.Errorf("%d requests kept in %d items, %v; want 5", l.pending, len(l.items), err)
	}
	a := h.login(alice + "/one")
	a.Say("<presence type='subscribed' to='m1@b.test'/>")
	if st := h.state(alice, "m1@b.test"); st != subFrom {
		t.Errorf("state is %q", st)
	}
}

// RFC 6121 §3.1.2: a request to a contact creates an item; it keeps name and groups, and the limit holds.
func TestSubscribeAndTheRoster(t *testing.T) {
	h := newHostConfig(t, "[limits]\nroster_items = 1\n")
	a := h.login(alice + "/one")
	a.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='romeo@b.test' name='Romeo'><group>Friends</group></item></query>")
	a.Sent()
	a.Say("<presence type='subscribe' to='romeo@b.test'/>")
	equal(t, "pushed", pushes(t, a.Sent()), "romeo@b.test none ask=subscribe name=Romeo [Friends]")
	h.Sent()
	a.Say("<presence type='subscribe' to='juliet@b.test'/>")
	a.Say("<presence type='subscribed' to='juliet@b.test'/>")
	if got := h.Sent(); len(got) > 0 {
		t.Errorf("sent beyond the limit: %s", modtest.XML(got))
	}
	if it := h.item(alice, "juliet@b.test"); it.listed || it.state != 0 {
		t.Errorf("kept beyond the limit: %+v", it)
	}
}

// RFC 6121 §3.4: an approval in advance is shown, kept, used once.
func TestPreApproval(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.login(bob+"/two")
	a.Say("<presence type='subscribed' to='bob@a.test'/>")
	equal(t, "alice's pushes", pushes(t, a.Sent()), "bob@a.test none approved=true")
	if got := b.Sent(); len(got) > 0 {
		t.Errorf("bob got %s", modtest.XML(got))
	}
	h.restart()
	b.Say("<presence type='subscribe' to='alice@a.test'/>")
	sts := a.Sent()
	equal(t, "alice hears", presences(sts))
	equal(t, "alice's pushes", pushes(t, sts), "bob@a.test from")
	sts = b.Sent()
	equal(t, "bob hears", presences(sts), "subscribed alice@a.test > bob@a.test", "none alice@a.test/one > bob@a.test")
	equal(t, "bob's pushes", pushes(t, sts), "alice@a.test none ask=subscribe", "alice@a.test to")

	b.Say("<presence type='unsubscribe' to='alice@a.test'/>")
	a.Sent()
	b.Say("<presence type='subscribe' to='alice@a.test'/>")
	equal(t, "asked again", presences(a.Sent()), "subscribe bob@a.test > alice@a.test")
}

// Z15: an approval that nobody asked for changes nothing; a probe does not end a pre-approval.
func TestUnsolicited(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	h.Send("<presence from='romeo@b.test' to='alice@a.test' type='subscribed'/>")
	if it := h.item(alice, romeo); it.state != 0 || it.listed {
		t.Errorf("roster changed: %+v", it)
	}
	a.Say("<presence type='subscribed' to='romeo@b.test'/>")
	h.Send("<presence from='romeo@b.test' to='alice@a.test' type='probe'/>")
	if st := h.state(alice, romeo); st != approved {
		t.Errorf("state is %q after a probe", st)
	}
	if got := h.Sent(); len(got) > 0 {
		t.Errorf("answered: %s", modtest.XML(got))
	}
}

// A subscription to oneself, or to nobody, is nothing.
func TestSubscribeToSelf(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	for _, typ := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"} {
		a.Say("<presence to='alice@a.test' type='" + typ + "'/>")
		h.Send("<presence from='alice@a.test' to='alice@a.test' type='" + typ + "'/>")
	}
	if got := a.Sent(); len(got) > 0 {
		t.Errorf("got %s", modtest.XML(got))
	}
	if l, _ := h.m.load(context.Background(), "alice"); len(l.items) > 0 {
		t.Error("alice is her own contact")
	}
}

// An error that comes back for a request leaves the request standing, and nothing goes round in circles.
func TestRequestBounces(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	a.Say("<presence type='subscribe' to='romeo@b.test' id='q'/>")
	h.Sent()
	a.Sent()
	h.Send("<presence type='error' from='romeo@b.test' to='alice@a.test' id='q'><error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
	equal(t, "alice hears", presences(a.Sent()), "error romeo@b.test > alice@a.test")
	if st := h.state(alice, romeo); st != pendingOut {
		t.Errorf("state is %q", st)
	}
	if got := h.Sent(); len(got) > 0 {
		t.Errorf("answered: %s", modtest.XML(got))
	}
}

// XEP-0077 §3.2: those who knew a deleted account hear that it is gone, and nothing of it is left for the next of that name.
// TestUserDeletedWhileLeaving: a session that is on its way out when the account goes has its contacts told, once.
func TestUserDeletedWhileLeaving(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	gone := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", stanza.JID{}, stanza.JID{}, nil)
	leaving, here, b := h.login(alice+"/leaving"), h.login(alice+"/here"), h.login(bob+"/two")
	h.mutual(alice, bob)
	b.Sent()
	was := leaving.Presence()
	h.Router.Remove(leaving) // its last presence is still to come
	if err := h.Users.Delete(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	h.m.presence(ctx, modules.Presence{Session: leaving, Stanza: gone, Was: was})
	here.Close(nil)
	equal(t, "bob hears", presences(b.Sent()), "unsubscribe alice@a.test > bob@a.test", "unavailable alice@a.test/here > bob@a.test",
		"unsubscribed alice@a.test > bob@a.test", "unavailable alice@a.test/leaving > bob@a.test")
	// Who gets the name afterwards has nothing to do with it.
	if err := h.Users.Create(ctx, "alice", "correct horse"); err != nil {
		t.Fatal(err)
	}
	h.login(alice + "/new").Close(nil)
	equal(t, "bob hears", presences(b.Sent()))
}

// TestUserUndone: of an account that could not be made whole nobody hears, for its contacts know another of that name.
func TestUserUndone(t *testing.T) {
	h := newHost(t)
	h.Session(alice + "/none") // makes the account
	b := h.login(bob + "/two")
	h.mutual(alice, bob)
	h.put(alice, romeo, subFrom|subTo)
	h.put(alice, "juliet@b.test", pendingOut|pendingIn)
	b.Sent()
	if err := h.Users.Delete(modules.WithUndo(t.Context()), "alice"); err != nil {
		t.Fatal(err)
	}
	equal(t, "sent", presences(h.Sent()))
	equal(t, "bob hears", presences(b.Sent()))
	l, err := h.m.load(t.Context(), "alice")
	if err != nil || len(l.items) > 0 {
		t.Errorf("left: %v, %v", l.items, err)
	}
}

func TestUserDeleted(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	a, b := h.login(alice+"/one"), h.login(bob+"/two")
	h.mutual(alice, bob)
	h.put(alice, romeo, subFrom)
	h.put(alice, "juliet@b.test", pendingOut|pendingIn)
	h.put(alice, "paris@b.test", pendingIn)
	h.put(alice, "nurse@b.test", 0)
	a.Sent()
	b.Sent()
	if err := h.Users.Delete(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	got := presences(h.Sent())
	slices.Sort(got)
	equal(t, "sent", got, "unavailable alice@a.test/one > romeo@b.test", "unsubscribe alice@a.test > juliet@b.test",
		"unsubscribed alice@a.test > juliet@b.test", "unsubscribed alice@a.test > paris@b.test", "unsubscribed alice@a.test > romeo@b.test")
	sts := b.Sent()
	equal(t, "bob hears", presences(sts), "unsubscribe alice@a.test > bob@a.test", "unavailable alice@a.test/one > bob@a.test",
		"unsubscribed alice@a.test > bob@a.test")
	equal(t, "bob's pushes", pushes(t, sts), "alice@a.test to", "alice@a.test none")
	a.Close(nil)
	l, err := h.m.load(ctx, "alice")
	if err != nil || len(l.items) > 0 {
		t.Errorf("left: %v, %v", l.items, err)
	}
	if sts, err := h.m.requests(ctx, "alice"); len(sts) > 0 || err != nil {
		t.Errorf("requests left: %v, %v", sts, err)
	}
	// A client that still has the old roster gets the new one whole.
	s := h.Session(alice + "/new")
	r := s.IQ("get", "", "<query xmlns='jabber:iq:roster' ver='2'/>")
	if q := r.Payload(); q == nil || len(q.Children) != 0 || q.Attr("ver") == "" {
		t.Errorf("got %s", r.AppendTo(nil))
	}
}
