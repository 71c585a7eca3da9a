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

func query(inner string) string { return "<query xmlns='jabber:iq:roster'>" + inner + "</query>" }

// roster reads an answer as items, sorted, and its version.
func roster(t *testing.T, st *stanza.Stanza) (items []string, ver string) {
	t.Helper()
	q := st.Payload()
	if st.Type != stanza.TypeResult || q == nil {
		t.Fatalf("not a roster: %s", st.AppendTo(nil))
	}
	for _, c := range q.Children {
		items = append(items, show(c))
	}
	slices.Sort(items)
	return items, q.Attr("ver")
}

func TestGetEmpty(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	items, ver := roster(t, a.IQ("get", "", query("")))
	if len(items) != 0 || ver == "" {
		t.Errorf("got %v, version %q", items, ver)
	}
}

// RFC 6121 §2.3, §2.4: an item is stored as it was set, whatever it claims of a subscription, and pushed to all who asked
// for the roster, available or not.
func TestSet(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.Session(alice+"/two")
	b.IQ("get", "", query(""))
	deaf := h.Session(alice + "/three")
	deaf.Available(0, "")
	a.Sent()
	b.Sent()
	deaf.Sent()
	for _, c := range []struct{ set, want string }{
		{"<item jid='romeo@b.test' name='Romeo'><group>Friends</group><group>Lovers</group></item>", "romeo@b.test none name=Romeo [Friends] [Lovers]"},
		{"<item jid='ROMEO@b.test' name='R &amp; J' subscription='both' ask='subscribe' approved='true'/>", "romeo@b.test none name=R & J"},
		{"<item jid='romeo@b.test'><group>friends</group><group>Friends</group></item>", "romeo@b.test none [friends] [Friends]"},
	} {
		r := a.IQ("set", "", query(c.set))
		if r.Type != stanza.TypeResult || len(r.Children) != 0 {
			t.Fatalf("answer to %s: %s", c.set, r.AppendTo(nil))
		}
		equal(t, "pushed to the setter", pushes(t, a.Sent()), c.want)
		equal(t, "pushed to the other", pushes(t, b.Sent()), c.want)
		h.restart()
		items, _ := roster(t, b.IQ("get", "", query("")))
		equal(t, "stored", items, c.want)
	}
	if got := deaf.Sent(); len(got) > 0 {
		t.Errorf("a session that did not ask got %s", modtest.XML(got))
	}
	// The same again is no change: an answer, and no push.
	if r := a.IQ("set", "", query("<item jid='romeo@b.test'><group>friends</group><group>Friends</group></item>")); r.Type != stanza.TypeResult {
		t.Errorf("answer: %s", r.AppendTo(nil))
	}
	equal(t, "pushed without a change", pushes(t, a.Sent()))
}

// RFC 6121 §2.3.3, §2.5.3, Z02, R11.
func TestSetErrors(t *testing.T) {
	long := strings.Repeat("x", Defaults.NameSize+1)
	many := ""
	for i := range Defaults.GroupsPerItem + 1 {
		many += fmt.Sprintf("<group>g%d</group>", i)
	}
	for _, c := range []struct {
		name, to, payload string
		want              stanza.Condition
	}{
		{"no item", "", query(""), stanza.BadRequest},
		{"two items", "", query("<item jid='x@b.test'/><item jid='y@b.test'/>"), stanza.BadRequest},
		{"another element", "", query("<thing jid='x@b.test'/>"), stanza.BadRequest},
		{"another namespace", "", query("<item xmlns='urn:x' jid='x@b.test'/>"), stanza.BadRequest},
		{"not a query", "", "<list xmlns='jabber:iq:roster'><item jid='x@b.test'/></list>", stanza.BadRequest},
		{"no jid", "", query("<item name='x'/>"), stanza.BadRequest},
		{"malformed jid", "", query("<item jid='@b.test'/>"), stanza.JIDMalformed},
		{"a resource", "", query("<item jid='x@b.test/r'/>"), stanza.BadRequest},
		{"oneself", "", query("<item jid='alice@a.test'/>"), stanza.NotAllowed},
		{"long name", "", query("<item jid='x@b.test' name='" + long + "'/>"), stanza.NotAcceptable},
		{"long group", "", query("<item jid='x@b.test'><group>" + long + "</group></item>"), stanza.NotAcceptable},
		{"empty group", "", query("<item jid='x@b.test'><group/></item>"), stanza.NotAcceptable},
		{"same group twice", "", query("<item jid='x@b.test'><group>a</group><group>a</group></item>"), stanza.BadRequest},
		{"too many groups", "", query("<item jid='x@b.test'>" + many + "</item>"), stanza.NotAcceptable},
		{"remove an unknown item", "", query("<item jid='x@b.test' subscription='remove'/>"), stanza.ItemNotFound},
		{"remove a mere request", "", query("<item jid='paris@b.test' subscription='remove'/>"), stanza.ItemNotFound},
		{"beyond the limit", "", query("<item jid='fourth@b.test'/>"), stanza.NotAllowed},
		{"of somebody else", bob, query("<item jid='x@b.test'/>"), stanza.Forbidden},
		{"of nobody", "nobody@a.test", query("<item jid='x@b.test'/>"), stanza.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostConfig(t, "[limits]\nroster_items = 3\n")
			a, b := h.login(alice+"/one"), h.login(bob+"/two")
			for i := range 3 {
				h.put(alice, fmt.Sprintf("c%d@b.test", i), 0)
			}
			h.put(alice, "paris@b.test", pendingIn)
			a.Sent()
			before, _ := roster(t, a.IQ("get", "", query("")))
			r := a.IQ("set", c.to, c.payload)
			if e := r.StanzaError(); e == nil || e.Condition != c.want {
				t.Fatalf("got %s, want %s", r.AppendTo(nil), c.want)
			}
			after, _ := roster(t, a.IQ("get", "", query("")))
			equal(t, "the roster", after, before...)
			equal(t, "pushed", pushes(t, append(a.Sent(), b.Sent()...)))
			if len(h.Sent()) > 0 {
				t.Error("something left")
			}
		})
	}
}

// An item that is there can be changed when the roster is full.
func TestFullRosterCanChange(t *testing.T) {
	h := newHostConfig(t, "[limits]\nroster_items = 1\n")
	a := h.login(alice + "/one")
	for _, name := range []string{"one", "two"} {
		if r := a.IQ("set", "", query("<item jid='x@b.test' name='"+name+"'/>")); r.Type != stanza.TypeResult {
			t.Errorf("%s", r.AppendTo(nil))
		}
	}
}

// Z02: the answer for somebody else's roster is the same whether there is such an account or not.
func TestForeignRoster(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.login(bob+"/two")
	h.put(bob, romeo, subTo)
	b.Sent()
	for _, typ := range []string{"get", "set"} {
		known := string(a.IQ(typ, bob, query("<item jid='evil@b.test'/>")).AppendTo(nil))
		unknown := string(a.IQ(typ, "bop@a.test", query("<item jid='evil@b.test'/>")).AppendTo(nil))
		id := func(s string) string { _, s, _ = strings.Cut(s, "<error"); return s }
		if id(known) != id(unknown) || !strings.Contains(known, "forbidden") {
			t.Errorf("%s: %s\n%s", typ, known, unknown)
		}
		h.Send("<iq type='" + typ + "' id='1' from='romeo@b.test/x' to='bob@a.test'>" + query("<item jid='evil@b.test'/>") + "</iq>")
		if sts := h.Sent(); len(sts) != 1 || sts[0].StanzaError() == nil || sts[0].StanzaError().Condition != stanza.Forbidden {
			t.Errorf("%s from outside: %s", typ, modtest.XML(sts))
		}
	}
	if len(b.Sent()) > 0 || h.item(bob, "evil@b.test").listed {
		t.Error("somebody else's roster has changed")
	}
	// One's own bare JID is no foreign one.
	if r := a.IQ("get", alice, query("")); r.Type != stanza.TypeResult {
		t.Errorf("own bare JID: %s", r.AppendTo(nil))
	}
}

// Z03: a push that a stranger sends is the stranger's, and the roster stays as it is.
func TestForgedPush(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.login(bob+"/two")
	a.Say("<iq type='set' id='p' to='bob@a.test/two' from='bob@a.test'>" + query("<item jid='evil@b.test' subscription='both'/>") + "</iq>")
	sts := b.Sent()
	if len(sts) != 1 || sts[0].From().String() != alice+"/one" {
		t.Errorf("delivered %s", modtest.XML(sts))
	}
	if h.item(bob, "evil@b.test").listed {
		t.Error("the roster has changed")
	}
}

// RFC 6121 §2.5.2: what was between the two ends with the item.
func TestRemove(t *testing.T) {
	for _, c := range []struct {
		before string
		sent   []string
	}{
		{"None", nil},
		{"None + Pending Out", []string{"unsubscribe"}},
		{"None + Pending Out+In", []string{"unsubscribe", "unsubscribed"}},
		{"To", []string{"unsubscribe"}},
		{"To + Pending In", []string{"unsubscribe", "unsubscribed"}},
		{"From", []string{"unsubscribed"}},
		{"From + Pending Out", []string{"unsubscribe", "unsubscribed"}},
		{"Both", []string{"unsubscribe", "unsubscribed"}},
		{"To, approved", []string{"unsubscribe"}},
	} {
		t.Run(c.before, func(t *testing.T) {
			h := newHost(t)
			a, b := h.login(alice+"/one"), h.login(alice+"/two")
			h.put(alice, romeo, states[c.before])
			a.Sent()
			b.Sent()
			if r := a.IQ("set", "", query("<item jid='romeo@b.test' subscription='remove' name='ignored'/>")); r.Type != stanza.TypeResult {
				t.Fatalf("%s", r.AppendTo(nil))
			}
			var want []string
			for _, typ := range c.sent {
				if typ == "unsubscribed" && states[c.before]&subFrom != 0 {
					want = append(want, "unavailable alice@a.test/one > romeo@b.test", "unavailable alice@a.test/two > romeo@b.test")
				}
				want = append(want, typ+" alice@a.test > romeo@b.test")
			}
			equal(t, "sent", presences(h.Sent()), want...)
			equal(t, "pushed", pushes(t, a.Sent()), "romeo@b.test remove")
			equal(t, "pushed to the other", pushes(t, b.Sent()), "romeo@b.test remove")
			if it := h.item(alice, romeo); it.listed || it.state != 0 {
				t.Errorf("left: %+v", it)
			}
		})
	}
}

// Both sides of a mutual subscription on one host, when one removes the other.
func TestRemoveMutual(t *testing.T) {
	h := newHost(t)
	a, b := h.login(alice+"/one"), h.login(bob+"/two")
	h.mutual(alice, bob)
	a.Sent()
	b.Sent()
	a.IQ("set", "", query("<item jid='bob@a.test' subscription='remove'/>"))
	if st := h.item(bob, alice); st.state != 0 || !st.listed {
		t.Errorf("bob is left with %+v", st)
	}
	if it := h.item(alice, bob); it.state != 0 || it.listed {
		t.Errorf("alice is left with %+v", it)
	}
	equal(t, "bob hears", presences(b.Sent()), "unsubscribe alice@a.test > bob@a.test", "unavailable alice@a.test/one > bob@a.test",
		"unsubscribed alice@a.test > bob@a.test")
	equal(t, "alice's pushes", pushes(t, a.Sent()), "bob@a.test remove")
}

// RFC 6121 §2.6: who has the present version gets nothing, who has an older one gets what has changed since, in order.
func TestVersions(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	get := func(s *modtest.Session, ver string) *stanza.Stanza {
		return s.IQ("get", "", "<query xmlns='jabber:iq:roster' ver='"+ver+"'/>")
	}
	set := func(inner string) string {
		t.Helper()
		if r := a.IQ("set", "", query(inner)); r.Type != stanza.TypeResult {
			t.Fatalf("%s", r.AppendTo(nil))
		}
		for _, st := range a.Sent() {
			if q := st.Payload(); q != nil {
				return q.Attr("ver")
			}
		}
		t.Fatal("no push")
		return ""
	}
	v1 := set("<item jid='one@b.test'/>")
	v2 := set("<item jid='two@b.test'/>")
	set("<item jid='three@b.test'/>")
	set("<item jid='one@b.test' name='One'/>")
	set("<item jid='two@b.test' subscription='remove'/>")
	set("<item jid='three@b.test' subscription='remove'/>")
	v7 := set("<item jid='three@b.test' name='again'/>")

	for i, c := range []struct {
		ver  string
		want []string // pushes after an empty result
	}{
		{v7, nil},
		{v1, []string{"one@b.test none name=One", "two@b.test remove", "three@b.test none name=again"}},
		{v2, []string{"one@b.test none name=One", "two@b.test remove", "three@b.test none name=again"}},
		{"0", []string{"one@b.test none name=One", "two@b.test remove", "three@b.test none name=again"}},
	} {
		h.restart()
		s := h.Session(fmt.Sprintf("%s/v%d", alice, i))
		r := get(s, c.ver)
		if r.Type != stanza.TypeResult || len(r.Children) != 0 {
			t.Errorf("version %q: %s", c.ver, r.AppendTo(nil))
		}
		sts := s.Sent()
		equal(t, "changes since "+c.ver, pushes(t, sts), c.want...)
		last := ""
		for _, st := range sts {
			last = st.Payload().Attr("ver")
		}
		if len(sts) > 0 && last != v7 {
			t.Errorf("the last push has version %q, the roster %q", last, v7)
		}
		// It is interested now.
		set(fmt.Sprintf("<item jid='one@b.test' name='n%d'/>", i))
		if len(pushes(t, s.Sent())) != 1 {
			t.Error("no push after a get with a version")
		}
		v7 = set("<item jid='one@b.test' name='One'/>")
		s.Close(nil)
		// The order of changes is now another: one@b.test is the last.
		if i == 0 {
			break
		}
	}
	for _, ver := range []string{"", "junk", "99999", "-1", "18446744073709551616", v7 + "0"} {
		items, got := roster(t, get(a, ver))
		if len(items) != 2 || got != v7 {
			t.Errorf("version %q: %v, version %q, want all of version %q", ver, items, got, v7)
		}
	}
}

// A change that comes while the roster is on its way is told behind it; so is one that comes just before, once more.
func TestChangeDuringGet(t *testing.T) {
	for _, ver := range []string{"", " ver='1'"} {
		h := &host{t: t}
		during := func() {}
		meddler := modules.Define(modules.Info{Name: "mod_meddler"}, struct{}{}, func(struct{}) modules.Module {
			return starter(func(mh *modules.Host) {
				mh.Hooks.ToClient.On(modules.Check, func(_ context.Context, p *modules.Packet) error {
					if p.Stanza.Type == stanza.TypeResult {
						during()
					}
					return nil
				})
			})
		})
		in := modules.Define(Info, Defaults, func(c Config) modules.Module { h.m = newModule(c); return h.m })
		h.Host = modtest.New(t, "a.test", in, meddler)
		a := h.Session(alice + "/one")
		h.put(alice, "one@b.test", 0)
		during = func() {
			during = func() {}
			h.put(alice, "two@b.test", 0)
			h.put(alice, "one@b.test", subTo)
		}
		for range 2 { // asking again is no different
			r := a.IQ("get", "", "<query xmlns='jabber:iq:roster'"+ver+"/>")
			if r.Type != stanza.TypeResult {
				t.Fatalf("%s", r.AppendTo(nil))
			}
			equal(t, "behind the answer", pushes(t, a.Sent()), "two@b.test none", "one@b.test to")
			during = func() {
				during = func() {}
				h.put(alice, "two@b.test", subFrom)
				h.put(alice, "two@b.test", 0)
				h.put(alice, "one@b.test", 0)
				h.put(alice, "one@b.test", subTo)
			}
			if ver != "" {
				break // the answer itself has pushes then
			}
		}
		a.Sent()
		h.put(alice, "three@b.test", 0)
		equal(t, "afterwards", pushes(t, a.Sent()), "three@b.test none")
	}
}

// starter is a module that only starts.
type starter func(*modules.Host)

func (s starter) Start(_ context.Context, h *modules.Host) error { s(h); return nil }
func (starter) Stop(context.Context) error                       { return nil }

// What was removed too long ago to be remembered is told by sending all.
func TestForgottenRemovals(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	h.put(alice, "stays@b.test", 0)
	_, old := roster(t, a.IQ("get", "", query("")))
	for i := range removals + 3 {
		h.put(alice, fmt.Sprintf("c%d@b.test", i), 0)
		a.IQ("set", "", query(fmt.Sprintf("<item jid='c%d@b.test' subscription='remove'/>", i)))
	}
	_, now := roster(t, a.IQ("get", "", query("")))
	h.restart()
	items, got := roster(t, a.IQ("get", "", "<query xmlns='jabber:iq:roster' ver='"+old+"'/>"))
	if got != now || len(items) != 1 {
		t.Errorf("version %q with %v, want all of version %q", got, items, now)
	}
	if l, _ := h.m.load(context.Background(), "alice"); len(l.gone) != removals {
		t.Errorf("%d removals remembered", len(l.gone))
	}
}

// A version is never used twice, not even by another account of the same name.
func TestVersionsNeverComeTwice(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	seen := map[string]bool{}
	for range 3 {
		a := h.login(alice + "/one")
		for i := range 3 {
			a.IQ("set", "", query(fmt.Sprintf("<item jid='c%d@b.test'/>", i)))
			_, ver := roster(t, a.IQ("get", "", query("")))
			if seen[ver] {
				t.Errorf("version %q again", ver)
			}
			seen[ver] = true
		}
		h.restart()
		if err := h.Users.Delete(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		a.Close(nil)
	}
}

// A roster that is left over from a former account of that name is not the new account's.
func TestLeftoverRoster(t *testing.T) {
	h := newHost(t)
	h.put(alice, romeo, subTo|subFrom)
	a := h.Session(alice + "/one") // makes the account
	if items, _ := roster(t, a.IQ("get", "", query(""))); len(items) > 0 {
		t.Errorf("got %v", items)
	}
}

func TestService(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	h.User("alice")
	h.put(alice, "from@b.test", subFrom)
	h.put(alice, "to@b.test", subTo|approved)
	h.put(alice, "paris@b.test", pendingIn)
	j := stanza.MustJID
	var svc Service = h.m
	for _, c := range []struct {
		owner, contact string
		want           bool
	}{
		{alice, "from@b.test", true}, {alice, "from@b.test/r", true}, {alice + "/r", "from@b.test", true},
		{alice, "to@b.test", false}, {alice, "paris@b.test", false}, {alice, "stranger@b.test", false},
		{alice, alice + "/x", true}, {"nobody@a.test", "from@b.test", false}, {"alice@b.test", "from@b.test", false},
		{"a.test", "from@b.test", false},
	} {
		if got := svc.Subscribed(ctx, j(c.owner), j(c.contact)); got != c.want {
			t.Errorf("Subscribed(%s, %s) = %v", c.owner, c.contact, got)
		}
	}
	cs, err := svc.Contacts(ctx, j(alice))
	if err != nil || len(cs) != 2 {
		t.Fatalf("%v, %v", cs, err)
	}
	c, ok, err := svc.Contact(ctx, j(alice), j("to@b.test/r"))
	if !ok || err != nil || c.Subscription != To || !c.Approved || c.Ask {
		t.Errorf("%+v, %v, %v", c, ok, err)
	}
	if _, ok, _ := svc.Contact(ctx, j(alice), j("paris@b.test")); ok {
		t.Error("a mere request is a contact")
	}
	for _, o := range []string{"alice@b.test", "a.test"} {
		if cs, err := svc.Contacts(ctx, j(o)); len(cs) > 0 || err != nil {
			t.Errorf("%s: %v, %v", o, cs, err)
		}
		if _, ok, err := svc.Contact(ctx, j(o), j("to@b.test")); ok || err != nil {
			t.Errorf("%s: %v, %v", o, ok, err)
		}
	}
}

var _ modules.IQHandler = (*module)(nil).query

// FuzzSet sends roster sets: each is answered, nothing breaks, and what is stored can be read and obeys the limits.
func FuzzSet(f *testing.F) {
	for _, s := range []string{
		"<item jid='x@b.test' name='X'><group>a</group></item>",
		"<item jid='x@b.test' subscription='remove'/>",
		"<item jid='x@b.test'/><item jid='y@b.test'/>",
		"<item jid='a.test'><group/></item>",
		"<item jid='x@b.test/r'><group><b/></group></item>",
		"<item xmlns='' jid='&#x9;@b.test'/>text",
		"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		raw := "<iq type='set' id='f'>" + query(inner) + "</iq>"
		st, err := stanza.Parse([]byte(raw))
		if err != nil || st.Name != "iq" || len(st.Raw) != len(raw) {
			t.Skip()
		}
		h := newHost(t)
		a := h.login(alice + "/one")
		a.Say(raw)
		answers := 0
		for _, st := range a.Sent() {
			if st.ID() == "f" && (st.Type == stanza.TypeResult || st.Type == stanza.TypeError) {
				answers++
			}
		}
		if answers != 1 {
			t.Fatalf("%d answers", answers)
		}
		l, err := h.m.load(context.Background(), "alice")
		if err != nil || len(l.items) > 1 {
			t.Fatalf("%v, %v", l, err)
		}
		for _, it := range l.items {
			if it.state != 0 || len(it.name) > Defaults.NameSize || len(it.groups) > Defaults.GroupsPerItem || it.jid.String() == alice {
				t.Fatalf("stored %+v", it)
			}
		}
	})
}
