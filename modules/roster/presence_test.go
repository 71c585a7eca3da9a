package roster

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// RFC 6121 §4.2.2: initial presence goes to those who may see it and to one's own resources; those whom one may see are
// asked for theirs.
func TestInitialPresence(t *testing.T) {
	h := newHost(t)
	h.User("alice")
	b, c := h.login(bob+"/b"), h.login("carol@a.test/c")
	stranger := h.login("mallory@a.test/m")
	h.put(alice, bob, subTo|subFrom)
	h.put(bob, alice, subTo|subFrom)
	h.put(alice, "carol@a.test", subFrom)
	h.put("carol@a.test", alice, subTo)
	h.put(alice, "offline@a.test", subTo|subFrom)
	h.put(alice, "from@b.test", subFrom)
	h.put(alice, "to@b.test", subTo)
	h.put(alice, "both@b.test", subTo|subFrom)
	h.put(alice, "asked@b.test", pendingOut)
	h.put(alice, "known@b.test", 0)
	other := h.Session(alice + "/other")
	other.Available(-5, "<show>away</show>")
	for _, s := range []*modtest.Session{b, c, other} {
		s.Sent()
	}
	h.Sent()

	a := h.Session(alice + "/one")
	a.Available(7, "<show>chat</show><status>here</status>")

	equal(t, "bob", presences(b.Sent()), "none alice@a.test/one > bob@a.test")
	sts := c.Sent()
	equal(t, "carol", presences(sts), "none alice@a.test/one > carol@a.test")
	if st := sts[0]; st.Text("show") != "chat" || st.Text("status") != "here" || st.Text("priority") != "7" {
		t.Errorf("presence came as %s", st.AppendTo(nil))
	}
	equal(t, "the other resource", presences(other.Sent()), "none alice@a.test/one > alice@a.test/other")
	sts = a.Sent()
	equal(t, "alice", presences(sts), "none alice@a.test/one > alice@a.test/one",
		"none alice@a.test/other > alice@a.test/one", "none bob@a.test/b > alice@a.test/one")
	if !sts[1].Has(stanza.NSDelay, "delay") || sts[1].Text("show") != "away" {
		t.Errorf("the other resource's presence is %s", sts[1].AppendTo(nil))
	}
	got := presences(h.Sent())
	slices.Sort(got)
	equal(t, "other servers", got,
		"none alice@a.test/one > both@b.test", "none alice@a.test/one > from@b.test",
		"probe alice@a.test/one > both@b.test", "probe alice@a.test/one > to@b.test")
	equal(t, "a stranger", presences(stranger.Sent()))
	if other.Presence().Stanza.Has(stanza.NSDelay, "delay") || !other.Presence().Stanza.To().IsZero() {
		t.Error("the session's own presence was changed")
	}
}

// RFC 6121 §4.4.2: a change goes to the same people, and asks nobody.
func TestPresenceUpdate(t *testing.T) {
	h := newHost(t)
	b := h.login(bob + "/b")
	a := h.login(alice + "/one")
	h.mutual(alice, bob)
	h.put(alice, romeo, subTo|subFrom)
	b.Sent()
	a.Sent()
	a.Available(0, "<show>dnd</show>")
	equal(t, "bob", presences(b.Sent()), "none alice@a.test/one > bob@a.test")
	equal(t, "romeo", presences(h.Sent()), "none alice@a.test/one > romeo@b.test")
	equal(t, "alice", presences(a.Sent()), "none alice@a.test/one > alice@a.test/one")
}

// RFC 6121 §4.5.2.
func TestUnavailable(t *testing.T) {
	h := newHost(t)
	b, a, other := h.login(bob+"/b"), h.login(alice+"/one"), h.login(alice+"/other")
	h.mutual(alice, bob)
	h.put(alice, romeo, subFrom)
	h.put(alice, "to@b.test", subTo)
	for _, s := range []*modtest.Session{a, b, other} {
		s.Sent()
	}
	a.Say("<presence type='unavailable'><status>bye</status></presence>")
	sts := b.Sent()
	equal(t, "bob", presences(sts), "unavailable alice@a.test/one > bob@a.test")
	if sts[0].Text("status") != "bye" {
		t.Errorf("came as %s", sts[0].AppendTo(nil))
	}
	equal(t, "romeo", presences(h.Sent()), "unavailable alice@a.test/one > romeo@b.test")
	equal(t, "the other resource", presences(other.Sent()), "unavailable alice@a.test/one > alice@a.test/other")
	equal(t, "itself", presences(a.Sent()), "unavailable alice@a.test/one > alice@a.test/one")
	// Once is enough, and a session that is not available has nothing to tell when it ends.
	a.Unavailable()
	a.Close(nil)
	equal(t, "bob", presences(b.Sent()))
	equal(t, "romeo", presences(h.Sent()))
	// Back again is as new: contacts are asked.
	other.Close(nil)
	h.Sent()
	a = h.Session(alice + "/one")
	a.Available(0, "")
	got := presences(h.Sent())
	slices.Sort(got)
	equal(t, "sent", got, "none alice@a.test/one > romeo@b.test", "probe alice@a.test/one > to@b.test")
}

// RFC 6121 §4.3.2.
func TestProbe(t *testing.T) {
	h := newHost(t)
	h.User("alice")
	h.put(alice, romeo, subFrom)
	h.put(alice, "both@b.test", subTo|subFrom|pendingOut)
	for _, st := range []string{"None", "To", "None + Pending In", "None + Pending Out+In", "To, approved"} {
		h.put(alice, "c"+fmt.Sprint(uint8(states[st]))+"@b.test", states[st])
	}
	probe := func(from, to string) []string {
		h.Send("<presence type='probe' from='" + from + "' to='" + to + "'/>")
		return presences(h.Sent())
	}
	equal(t, "offline", probe("romeo@b.test/x", alice), "unavailable alice@a.test > romeo@b.test/x")
	a, b := h.Session(alice+"/one"), h.Session(alice+"/two")
	equal(t, "connected, not available", probe(romeo, alice), "unavailable alice@a.test > romeo@b.test")
	a.Available(1, "<show>away</show>")
	b.Available(-1, "")
	h.Sent()
	b.Hibernate()
	equal(t, "two resources", probe("both@b.test/x", alice),
		"none alice@a.test/one > both@b.test/x", "none alice@a.test/two > both@b.test/x")
	h.Send("<presence type='probe' from='romeo@b.test' to='alice@a.test'/>")
	if st := h.Sent()[0]; st.Text("show") != "away" || !st.Has(stanza.NSDelay, "delay") {
		t.Errorf("answer is %s", st.AppendTo(nil))
	}
	equal(t, "one resource", probe(romeo, alice+"/two"), "none alice@a.test/two > romeo@b.test")
	equal(t, "a resource that is not there", probe(romeo, alice+"/three"), "unavailable alice@a.test/three > romeo@b.test")
	for _, st := range []string{"None", "To", "None + Pending In", "None + Pending Out+In", "To, approved"} {
		equal(t, st, probe("c"+fmt.Sprint(uint8(states[st]))+"@b.test", alice))
	}
	equal(t, "a stranger", probe("mallory@b.test/x", alice))
	equal(t, "a stranger to a resource", probe("mallory@b.test/x", alice+"/one"))
	equal(t, "nobody", probe(romeo, "nobody@a.test"))
	for _, s := range []*modtest.Session{a, b} {
		for _, st := range s.Sent() {
			if st.Type == stanza.TypeProbe {
				t.Error("a client was shown a probe")
			}
		}
	}
	// A client may probe, too.
	c := h.login(bob + "/c")
	h.put(alice, bob, subFrom)
	c.Say("<presence type='probe' to='alice@a.test'/>")
	equal(t, "a client", presences(c.Sent()), "none alice@a.test/one > bob@a.test/c", "none alice@a.test/two > bob@a.test/c")
}

// RFC 6121 §4.6: who got directed presence hears of the end, once; who is told anyway is not told twice.
func TestDirected(t *testing.T) {
	h := newHost(t)
	b := h.login(bob + "/b")
	a := h.login(alice + "/one")
	h.put(alice, romeo, subFrom)
	h.put(alice, bob, subTo) // bob does not see alice
	a.Sent()
	b.Sent()
	a.Say("<presence to='bob@a.test/b'/>")
	a.Say("<presence to='room@muc.test/nick'/>")
	a.Say("<presence to='left@muc.test/nick'/>")
	a.Say("<presence to='left@muc.test/nick' type='unavailable'/>")
	a.Say("<presence to='romeo@b.test/x'/>")
	equal(t, "bob", presences(b.Sent()), "none alice@a.test/one > bob@a.test/b")
	h.Sent()
	a.Available(1, "") // a change is no end
	h.Sent()
	equal(t, "bob after a change", presences(b.Sent()))
	a.Say("<presence type='unavailable'><status>bye</status></presence>")
	equal(t, "bob", presences(b.Sent()), "unavailable alice@a.test/one > bob@a.test/b")
	got := presences(h.Sent())
	slices.Sort(got)
	equal(t, "sent", got, "unavailable alice@a.test/one > romeo@b.test", "unavailable alice@a.test/one > room@muc.test/nick")
	a.Close(nil)
	equal(t, "afterwards", presences(h.Sent()))
}

// A module's subdomain of the host is no contact and no account: directed presence there is tracked as anywhere else.
func TestDirectedToService(t *testing.T) {
	for _, end := range []struct {
		name string
		say  func(s *modtest.Session)
	}{
		{"unavailable", func(s *modtest.Session) { s.Unavailable() }},
		{"gone", func(s *modtest.Session) { s.Close(nil) }},
	} {
		var got []string
		h := modtest.New(t, "a.test", Info, modules.Define(modules.Info{Name: "mod_rooms"}, struct{}{}, func(struct{}) modules.Module { return rooms{&got} }))
		for _, available := range []bool{true, false} {
			a := h.Session(alice + "/one")
			if available {
				a.Available(0, "")
			}
			got = nil
			a.Say("<presence to='room@rooms.a.test/nick'/>")
			a.Say("<presence to='left@rooms.a.test/nick'/>")
			a.Say("<presence to='left@rooms.a.test/nick' type='unavailable'/>")
			equal(t, "before", got, "none alice@a.test/one > room@rooms.a.test/nick", "none alice@a.test/one > left@rooms.a.test/nick",
				"unavailable alice@a.test/one > left@rooms.a.test/nick")
			got = nil
			end.say(a)
			equal(t, fmt.Sprintf("%s, available %v", end.name, available), got, "unavailable alice@a.test/one > room@rooms.a.test/nick")
			got = nil
			a.Close(nil)
			equal(t, "afterwards", got)
			equal(t, "other servers", presences(h.Sent()))
		}
	}
}

// rooms is a module that serves a subdomain and notes what comes.
type rooms struct{ got *[]string }

func (m rooms) Start(_ context.Context, h *modules.Host) error {
	h.Serve("rooms."+h.Name, func(_ context.Context, p *modules.Packet) {
		*m.got = append(*m.got, presences([]*stanza.Stanza{p.Stanza})...)
	})
	return nil
}

func (rooms) Stop(context.Context) error { return nil }

// Z15: a session that dies without a word is no different; neither is one that never was available.
func TestDirectedAndConnectionLost(t *testing.T) {
	for _, available := range []bool{true, false} {
		h := newHost(t)
		a := h.Session(alice + "/one")
		if available {
			a.Available(0, "")
		}
		a.Say("<presence to='room@muc.test/nick'/>")
		h.Sent()
		a.Close(nil)
		equal(t, fmt.Sprintf("available %v", available), presences(h.Sent()), "unavailable alice@a.test/one > room@muc.test/nick")
	}
}

func TestDirectedLimit(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	for i := range maxDirected + 5 {
		a.Say(fmt.Sprintf("<presence to='r%d@muc.test/n'/>", i))
	}
	a.Say("<presence to='r1@muc.test/n'><show>away</show></presence>") // one that is known may be told again
	if n := len(h.Sent()); n != maxDirected+1 {
		t.Errorf("%d sent", n)
	}
	a.Unavailable()
	if n := len(h.Sent()); n != maxDirected {
		t.Errorf("%d told of the end", n)
	}
}

// A roster that cannot be read is no reason to lose the session's own view, and shows presence to nobody.
func TestPresenceWithoutStore(t *testing.T) {
	h := newHost(t)
	b := h.login(bob + "/b")
	h.User("alice")
	h.mutual(alice, bob)
	b.Sent()
	if err := h.Store.Close(); err != nil {
		t.Fatal(err)
	}
	h.restart()
	a := h.Session(alice + "/one")
	a.Available(0, "")
	equal(t, "bob", presences(b.Sent()))
	equal(t, "alice", presences(a.Sent()), "none alice@a.test/one > alice@a.test/one")
	r := a.IQ("get", "", query(""))
	if e := r.StanzaError(); e == nil || e.Condition != stanza.InternalServerError {
		t.Errorf("got %s", r.AppendTo(nil))
	}
}
