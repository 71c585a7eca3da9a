package pep

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// shelf is a node with items 0 to n-1.
func shelf(t *testing.T, n int) *modtest.Session {
	t.Helper()
	h := newHost(t)
	a := h.Session(alice + "/one")
	for i := range n {
		publish(t, a, "urn:n", fmt.Sprint("i", i), "<n xmlns='urn:n'/>", "max_items", "max")
	}
	return a
}

// ids writes the ids of an answer's items, and what RSM says.
func ids(st *stanza.Stanza) string {
	var out []string
	for _, it := range st.Payload().Child("", "items").Children {
		out = append(out, it.Attr("id"))
	}
	if s := st.Payload().Child(nsRSM, "set"); s != nil {
		out = append(out, "["+s.ChildText("first")+"@"+s.Child("", "first").Attr("index")+" "+s.ChildText("last")+" of "+s.ChildText("count")+"]")
	}
	return strings.Join(out, " ")
}

// XEP-0060 §6.5: all items, some, the newest, one; and by pages (XEP-0059).
func TestItems(t *testing.T) {
	a := shelf(t, 6)
	rsm := func(s string) string {
		return "<pubsub xmlns='" + ns + "'><items node='urn:n'/><set xmlns='" + nsRSM + "'>" + s + "</set></pubsub>"
	}
	for _, tt := range []struct{ name, xml, want string }{
		{"§6.5.2 all", get("urn:n", ""), "i0 i1 i2 i3 i4 i5"},
		{"§6.5.7 the newest", strings.Replace(get("urn:n", ""), "'urn:n'", "'urn:n' max_items='2'", 1), "i4 i5"},
		{"§6.5.7 more than there are", strings.Replace(get("urn:n", ""), "'urn:n'", "'urn:n' max_items='99'", 1), "i0 i1 i2 i3 i4 i5"},
		{"§6.5.8 one", get("urn:n", "<item id='i3'/>"), "i3"},
		{"§6.5.8 several, one of them twice, one not there", get("urn:n", "<item id='i3'/><item id='x'/><item id='i1'/><item id='i3'/>"), "i3 i1"},
		{"§6.5.9.12 none", get("urn:n", "<item id='x'/>"), ""},
		{"first page", rsm("<max>2</max>"), "i0 i1 [i0@0 i1 of 6]"},
		{"next page", rsm("<max>2</max><after>i1</after>"), "i2 i3 [i2@2 i3 of 6]"},
		{"last page", rsm("<max>2</max><before/>"), "i4 i5 [i4@4 i5 of 6]"},
		{"page before", rsm("<max>2</max><before>i4</before>"), "i2 i3 [i2@2 i3 of 6]"},
		{"only the number", rsm("<max>0</max>"), "[@  of 6]"},
		{"behind the end", rsm("<after>i5</after>"), "[@  of 6]"},
	} {
		if got := ids(ok(t, a.IQ("get", "", tt.xml))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	refused(t, a.IQ("get", "", rsm("<after>x</after>")), stanza.ItemNotFound, "")
	refused(t, a.IQ("get", "", rsm("<before>x</before>")), stanza.ItemNotFound, "")
	refused(t, a.IQ("get", "", rsm("<max>-1</max>")), stanza.BadRequest, "")
	refused(t, a.IQ("get", "", strings.Replace(get("urn:n", ""), "'urn:n'", "'urn:n' max_items='x'", 1)), stanza.BadRequest, "")
	refused(t, a.IQ("get", "", get("", "")), stanza.BadRequest, "nodeid-required")
	refused(t, a.IQ("get", "", "<pubsub xmlns='"+ns+"'/>"), stanza.BadRequest, "")
}

// XEP-0060 §6.5.4: an answer does not become larger than a client takes; what is left out can be had page by page.
func TestLargeAnswers(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	for i := range 8 {
		publish(t, a, "urn:n", fmt.Sprint("i", i), "<n xmlns='urn:n'>"+strings.Repeat("x", 60<<10)+"</n>", "max_items", "max")
	}
	if got := ids(a.IQ("get", "", get("urn:n", ""))); got != "i5 i6 i7 [i5@5 i7 of 8]" {
		t.Error(got)
	}
	first := "<pubsub xmlns='" + ns + "'><items node='urn:n'/><set xmlns='" + nsRSM + "'><max>9</max><after>i0</after></set></pubsub>"
	if got := ids(a.IQ("get", "", first)); got != "i1 i2 i3 [i1@1 i3 of 8]" {
		t.Error(got)
	}
}

// Nor does a list of names, however long its owner makes them.
func TestLongNames(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	befriend(a, b)
	long := strings.Repeat("n", 3000)
	for i := range 150 {
		publish(t, a, "urn:n", fmt.Sprint(long, i), "<n xmlns='urn:n'/>", "max_items", "max", "access_model", "open")
	}
	for i := range 150 {
		node := fmt.Sprint(long[:1000], i)
		publish(t, a, node, "x", "<n xmlns='urn:n'/>", "title", long[:1000], "access_model", "open")
		ok(t, b.IQ("set", alice, "<pubsub xmlns='"+ns+"'><subscribe node='"+node+"' jid='"+bob+"'/></pubsub>"))
		b.Sent()
	}
	for i := range 100 {
		jid := fmt.Sprint(long[:1000], i, "@b.test")
		ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><affiliations node='urn:n'><affiliation jid='"+jid+"' affiliation='member'/></affiliations></pubsub>"))
		ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><subscriptions node='urn:n'><subscription jid='"+jid+"/"+long[:1000]+"' subscription='subscribed'/></subscriptions></pubsub>"))
	}
	for s, list := range map[*modtest.Session][]string{
		a: {"<pubsub xmlns='" + ns + "'><affiliations/></pubsub>", "<pubsub xmlns='" + nsOwner + "'><subscriptions node='urn:n'/></pubsub>", "<pubsub xmlns='" + nsOwner + "'><affiliations node='urn:n'/></pubsub>"},
		b: {get("urn:n", ""), "<query xmlns='http://jabber.org/protocol/disco#items'/>", "<query xmlns='http://jabber.org/protocol/disco#items' node='urn:n'/>", "<pubsub xmlns='" + ns + "'><subscriptions/></pubsub>"},
	} {
		for _, xml := range list {
			if n := len(ok(t, s.IQ("get", alice, xml)).AppendTo(nil)); n < 50_000 || n > pageSize+8000 {
				t.Errorf("%s: %d bytes", xml, n)
			}
		}
	}
}

// What is on disk is what was in memory.
func TestReadBack(t *testing.T) {
	var m *module
	h := modtest.New(t, "a.test", with(&m)...)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	for i := range 300 {
		if i < 3 {
			publish(t, a, "urn:one", "only", fmt.Sprintf("<n xmlns='urn:n'>%d</n>", i))
		}
		publish(t, a, "urn:n", fmt.Sprint("i", i%40), fmt.Sprintf("<n xmlns='urn:n'>%d</n>", i), "max_items", "max", "access_model", "open", "title", "T &amp; &lt;t>", "itemreply", "publisher")
	}
	ok(t, b.IQ("set", alice, "<pubsub xmlns='"+ns+"'><subscribe node='urn:n' jid='"+bob+"'/></pubsub>"))
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><affiliations node='urn:n'><affiliation jid='x@y.test' affiliation='member'/></affiliations></pubsub>"))
	ask := func() string {
		return mask(a.IQ("get", "", get("urn:n", "")), a.IQ("get", "", get("urn:one", "")), a.IQ("get", "", "<pubsub xmlns='"+nsOwner+"'><configure node='urn:n'/></pubsub>"),
			a.IQ("get", "", "<pubsub xmlns='"+nsOwner+"'><subscriptions node='urn:n'/></pubsub>"), a.IQ("get", "", "<pubsub xmlns='"+nsOwner+"'><affiliations node='urn:n'/></pubsub>"))
	}
	before := ask()
	m.cache.put("alice", nil)
	if after := ask(); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
	if n := strings.Count(before, "publisher='alice@a.test'"); n != 40 {
		t.Errorf("%d publishers in %s", n, before)
	}
	// Of 301 payloads 41 are left.
	left := 0
	m.h.Store.KV(kvItems).Scan(t.Context(), nil, nil, func(_, _ []byte) bool { left++; return true })
	if left != 41 {
		t.Errorf("%d payloads are kept", left)
	}
}
