package bookmarks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/modules/private"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice  = "alice@a.test"
	pubsub = "http://jabber.org/protocol/pubsub"
	url    = "<url name='U' url='https://example.com/'/>"
)

var infos = []modules.Info{roster.Info, disco.Info, caps.Info, pep.Info, private.Info, Info}

func newHost(t *testing.T, toml string) (*modtest.Host, *modtest.Session) {
	h := modtest.NewConfig(t, "a.test", toml, infos...)
	return h, h.Session(alice + "/one")
}

func ok(t *testing.T, st *stanza.Stanza) *stanza.Stanza {
	t.Helper()
	if st.Type != stanza.TypeResult {
		t.Fatalf("refused: %s", st.AppendTo(nil))
	}
	return st
}

func publish(s *modtest.Session, node, id, payload string) *stanza.Stanza {
	return s.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><publish node='"+node+"'><item id='"+id+"'>"+payload+"</item></publish></pubsub>")
}

func storage(s string) string { return "<storage xmlns='storage:bookmarks'>" + s + "</storage>" }
func query(s string) string   { return "<query xmlns='jabber:iq:private'>" + s + "</query>" }

// inner returns what stands in the first element of that name.
func inner(st *stanza.Stanza, name string) string {
	s := string(st.AppendTo(nil))
	_, s, ok := strings.Cut(s, "<"+name)
	if !ok {
		return "none"
	}
	tag, s, _ := strings.Cut(s, ">")
	if strings.HasSuffix(tag, "/") {
		return ""
	}
	s = s[:strings.LastIndex(s, "</"+name+">")]
	return strings.ReplaceAll(s, " xmlns='storage:bookmarks'", "") // said again, or not
}

// three returns what the three ways have.
func three(s *modtest.Session) (items, list, xml string) {
	get := func(node string) *stanza.Stanza {
		return s.IQ("get", "", "<pubsub xmlns='"+pubsub+"'><items node='"+node+"'/></pubsub>")
	}
	return inner(get(ns), "items"), inner(get(nsOld), "storage"), inner(s.IQ("get", "", query(storage(""))), "storage")
}

func check(t *testing.T, s *modtest.Session, items, list string) {
	t.Helper()
	i, l, x := three(s)
	if i != items {
		t.Errorf("items are  %s\nwant       %s", i, items)
	}
	if l != list {
		t.Errorf("the list is %s\nwant        %s", l, list)
	}
	if x != list {
		t.Errorf("the private data is %s\nwant                %s", x, list)
	}
}

// XEP-0402 §5.3, XEP-0411: what is said in one way is read in all.
func TestThreeWays(t *testing.T) {
	_, a := newHost(t, "")
	ok(t, publish(a, ns, "one@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1' name='One &amp; only' autojoin='1'><nick>me</nick><password>p</password><extensions><x xmlns='urn:x'>m<y/>n</x></extensions></conference>"))
	const (
		item1 = "<item id='one@muc.test'><conference xmlns='urn:xmpp:bookmarks:1' name='One &amp; only' autojoin='1'><nick>me</nick><password>p</password><extensions><x xmlns='urn:x'>m<y/>n</x></extensions></conference></item>"
		old1  = "<conference jid='one@muc.test' name='One &amp; only' autojoin='true'><nick>me</nick><password>p</password></conference>"
		item2 = "<item id='two@muc.test'><conference xmlns='urn:xmpp:bookmarks:1' name='Two'/></item>"
		old2  = "<conference jid='two@muc.test' name='Two'/>"
	)
	check(t, a, item1, old1)
	// An older client adds one, and a URL; what is unchanged stays as it is.
	ok(t, a.IQ("set", "", query(storage(old1+old2+url))))
	check(t, a, item1+item2, old1+old2+url)
}

// Who has no bookmarks yet is told so: some clients take an error for a server that keeps none. Others are told what they always are.
func TestNone(t *testing.T) {
	h, a := newHost(t, "")
	get := "<pubsub xmlns='" + pubsub + "'><items node='" + ns + "'/></pubsub>"
	if got := inner(ok(t, a.IQ("get", "", get)), "items"); got != "" {
		t.Errorf("got %s", got)
	}
	if st := h.Session("bob@a.test/x").IQ("get", alice, get); st.Type != stanza.TypeError {
		t.Errorf("somebody else got %s", st.AppendTo(nil))
	}
	ok(t, publish(a, ns, "one@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1'/>"))
	check(t, a, "<item id='one@muc.test'><conference xmlns='urn:xmpp:bookmarks:1'/></item>", "<conference jid='one@muc.test'/>")
}

// An older client's changes, by private XML and by its node, are those of the items: added, changed, removed.
func TestOldClients(t *testing.T) {
	for name, set := range map[string]func(s *modtest.Session, list string) *stanza.Stanza{
		"private XML": func(s *modtest.Session, list string) *stanza.Stanza { return s.IQ("set", "", query(list)) },
		"node":        func(s *modtest.Session, list string) *stanza.Stanza { return publish(s, nsOld, "current", list) },
	} {
		t.Run(name, func(t *testing.T) {
			_, a := newHost(t, "")
			ok(t, publish(a, ns, "one@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1' name='One'><extensions><x xmlns='urn:x'/></extensions></conference>"))
			ok(t, publish(a, ns, "two@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1'/>"))
			listen(t, a, ns, nsOld)
			ok(t, set(a, storage("<conference jid='One@muc.test' name='Eins' autojoin='true'/><conference jid='three@muc.test'><nick>n</nick></conference><conference jid='three@muc.test' name='again'/>")))
			var rooms []string
			lists := 0
			for _, ev := range strings.Split(events(a.Sent()), "\n") {
				if strings.HasPrefix(ev, "current=<storage") {
					lists++
				} else {
					rooms = append(rooms, ev)
				}
			}
			want := []string{"-two@muc.test",
				"one@muc.test=<conference xmlns='urn:xmpp:bookmarks:1' name='Eins' autojoin='true'><extensions><x xmlns='urn:x'/></extensions></conference>",
				"three@muc.test=<conference xmlns='urn:xmpp:bookmarks:1'><nick>n</nick></conference>"}
			if lists != 1 || !slices.Equal(rooms, want) {
				t.Errorf("told %q and %d lists", rooms, lists)
			}
			i, _, x := three(a)
			if strings.Count(i, "<item ") != 2 || strings.Count(x, "<conference ") != 2 || strings.Contains(x, "two@") {
				t.Errorf("items %s, private %s", i, x)
			}
			a.Sent()
			ok(t, set(a, storage(x)))
			if got := events(a.Sent()); strings.Contains("\n"+got, "\n-") || strings.Contains(got, "muc.test=") {
				t.Errorf("nothing changed; told %s", got) // XEP-0402 §5.3.2
			}
			ok(t, set(a, storage("")))
			if i, l, x := three(a); i != "" || l != "" || x != "" {
				t.Errorf("an empty list left %s, %s, %s", i, l, x)
			}
		})
	}
}

// A newer client's changes tell older ones.
func TestNewClients(t *testing.T) {
	_, a := newHost(t, "")
	ok(t, a.IQ("set", "", query(storage(url))))
	listen(t, a, nsOld)
	ok(t, publish(a, ns, "one@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1'/>"))
	if got := events(a.Sent()); !strings.HasPrefix(got, "current=<storage") || !strings.Contains(got, "jid='one@muc.test'") || !strings.Contains(got, "https://example.com/") {
		t.Errorf("told %s", got)
	}
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><retract node='"+ns+"'><item id='one@muc.test'/></retract></pubsub>"))
	if got := events(a.Sent()); strings.Contains(got, "one@muc.test") || !strings.Contains(got, "https://example.com/") {
		t.Errorf("told %s", got)
	}
	// What is no bookmark is no reason to fail.
	ok(t, publish(a, ns, "two@muc.test", "<x xmlns='urn:x'/>"))
	if _, _, x := three(a); strings.Contains(x, "two@") {
		t.Errorf("private %s", x)
	}
	// The copy can go; what it was made of stays.
	ok(t, publish(a, ns, "one@muc.test", "<conference xmlns='urn:xmpp:bookmarks:1'/>"))
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+pubsub+"#owner'><delete node='"+nsOld+"'/></pubsub>"))
	if i, _, x := three(a); !strings.Contains(i, "one@") || !strings.Contains(x, "one@") {
		t.Errorf("items %s, private %s", i, x)
	}
}

// XEP-0411 §5: what was private does not become public by being converted.
func TestStaysPrivate(t *testing.T) {
	h, a := newHost(t, "")
	b := h.Session("bob@a.test/b")
	b.Say("<presence type='subscribe' to='" + alice + "'/>")
	a.Say("<presence type='subscribed' to='bob@a.test'/>")
	for _, node := range []string{ns, nsOld} {
		ok(t, a.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><create node='"+node+"'/><configure><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>open</value></field></x></configure></pubsub>"))
	}
	listen(t, b, ns, nsOld)
	ok(t, a.IQ("set", "", query(storage("<conference jid='secret@muc.test'/>"))))
	if got := events(b.Sent()); got != "" {
		t.Errorf("bob heard %s", got)
	}
	for _, node := range []string{ns, nsOld} {
		st := b.IQ("get", alice, "<pubsub xmlns='"+pubsub+"'><items node='"+node+"'/></pubsub>")
		if e := st.StanzaError(); e == nil || e.Condition != stanza.NotAllowed {
			t.Errorf("bob reads %s", st.AppendTo(nil))
		}
	}
}

// What cannot be kept is refused whole.
func TestRefused(t *testing.T) {
	_, a := newHost(t, "[modules.mod_pep]\nitems_per_node = 3\n")
	rooms := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<conference jid='r%d@muc.test'/>", i)
		}
		return storage(b.String())
	}
	ok(t, a.IQ("set", "", query(rooms(3))))
	i, l, x := three(a)
	for _, list := range []string{rooms(4), "<storage xmlns='storage:bookmarks'>" + strings.Repeat("<x xmlns='urn:x'>"+strings.Repeat("x", 30_000)+"</x>", 3) + "</storage>"} {
		if st := a.IQ("set", "", query(list)); st.Type != stanza.TypeError {
			t.Errorf("%.80s: taken", list)
		}
		if st := publish(a, nsOld, "current", list); st.Type != stanza.TypeError {
			t.Errorf("%.80s: taken by the node", list)
		}
	}
	if st := publish(a, nsOld, "current", "<x xmlns='urn:x'/>"); st.StanzaError() == nil || st.StanzaError().Condition != stanza.BadRequest {
		t.Errorf("no list: %s", st.AppendTo(nil))
	}
	if i2, l2, x2 := three(a); i2 != i || l2 != l || x2 != x {
		t.Errorf("now %s, %s, %s", i2, l2, x2)
	}
}

// Bookmarks that come with other private data are stored with it, or not at all.
func TestWithOthers(t *testing.T) {
	_, a := newHost(t, "[modules.mod_pep]\nitems_per_node = 1\n[modules.mod_private]\nsize = \"1KiB\"\n")
	const one, two = "<conference jid='one@muc.test'/>", "<conference jid='two@muc.test'/>"
	notes := func(s string) string { return "<notes xmlns='storage:rosternotes'>" + s + "</notes>" }
	has := func() string {
		t.Helper()
		_, _, x := three(a)
		return x + " " + inner(a.IQ("get", "", query(notes(""))), "notes")
	}
	ok(t, a.IQ("set", "", query(storage(one)+notes("n"))))
	if got := has(); got != one+" n" {
		t.Fatalf("there is %s", got)
	}
	for _, tt := range []struct {
		xml string
		c   stanza.Condition
	}{
		{storage(two) + notes(strings.Repeat("n", 1024)), stanza.ResourceConstraint}, // too much for mod_private
		{notes("other") + storage(one+two), stanza.ResourceConstraint},               // and for mod_pep
		{notes("other") + storage(one) + storage(two), stanza.NotAcceptable},
	} {
		if st := a.IQ("set", "", query(tt.xml)); st.StanzaError() == nil || st.StanzaError().Condition != tt.c {
			t.Errorf("%.80s: %s", tt.xml, st.AppendTo(nil))
		}
		if got := has(); got != one+" n" {
			t.Errorf("%.80s: now there is %s", tt.xml, got)
		}
	}
}

// The features tell what there is.
func TestFeatures(t *testing.T) {
	const info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
	_, a := newHost(t, "")
	got := string(a.IQ("get", "", info).AppendTo(nil))
	for _, f := range []string{ns + "#compat'", ns + "#compat-pep'", "urn:xmpp:bookmarks-conversion:0'"} {
		if !strings.Contains(got, f) {
			t.Errorf("no %s", f)
		}
	}
	_, a = newHost(t, "[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_private\"]\n")
	got = string(a.IQ("get", "", info).AppendTo(nil))
	if strings.Contains(got, ns+"#compat'") || strings.Contains(got, "bookmarks-conversion") || !strings.Contains(got, ns+"#compat-pep'") {
		t.Errorf("without mod_private: %s", got)
	}
	if _, err := modtest.TryConfig(t, "a.test", "", Info); err == nil {
		t.Error("started without mod_pep")
	}
}

func listen(t *testing.T, s *modtest.Session, nodes ...string) {
	t.Helper()
	query := "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/>"
	for _, n := range nodes {
		query += "<feature var='" + n + "+notify'/>"
	}
	query += "</query>"
	e, err := stanza.ParseElement([]byte(query))
	if err != nil {
		t.Fatal(err)
	}
	s.Available(0, "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='"+disco.Ver(e)+"'/>")
	for _, st := range s.Sent() {
		if st.Kind == stanza.KindIQ {
			s.Say("<iq type='result' id='" + st.ID() + "' to='" + st.From().String() + "'>" + query + "</iq>")
		}
	}
	s.Sent()
}

// events writes items of events: "id=payload" or "-id".
func events(list []*stanza.Stanza) string {
	var out []string
	for _, st := range list {
		if st.Kind != stanza.KindMessage {
			continue
		}
		for _, it := range st.Root().Children[0].Children[0].Children {
			if it.Name == "retract" {
				out = append(out, "-"+it.Attr("id"))
			} else {
				out = append(out, it.Attr("id")+"="+string(it.Children[0].AppendTo(nil, "")))
			}
		}
	}
	return strings.Join(out, "\n")
}

// FuzzList reads lists of older clients. What is a bookmark in one is one in what is made of it.
func FuzzList(f *testing.F) {
	f.Add(storage("<conference jid='a@b' name='x' autojoin='1'><nick>n</nick><password/></conference>" + url))
	f.Add("<s:storage xmlns:s='storage:bookmarks'><s:conference jid='A@B/c'/>text<s:conference jid='A@B'/></s:storage>")
	f.Fuzz(func(t *testing.T, s string) {
		l, ok := parse([]byte(s))
		if !ok {
			return
		}
		var items []pep.Item
		for _, jid := range l.jids {
			var x stanza.XML
			l.rooms[jid].write(&x, "", "xmlns", ns)
			items = append(items, pep.Item{ID: jid, Payload: x.Bytes()})
		}
		again, ok := parse(list(items, []pep.Item{{Payload: []byte(s)}}))
		if !ok || len(again.jids) != len(l.jids) || len(again.rest) != len(l.rest) {
			t.Fatalf("%q became %q", s, list(items, nil))
		}
		for jid, r := range l.rooms {
			if again.rooms[jid] != r {
				t.Errorf("%s was %+v, is %+v", jid, r, again.rooms[jid])
			}
		}
	})
}
