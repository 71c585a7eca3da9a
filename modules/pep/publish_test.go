package pep

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// XEP-0060 §7.1.1, §7.1.2: the result names the item, whoever chose its id.
func TestPublishResult(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	st := ok(t, tryPublish(a, tune, "x", song))
	if el := st.Payload(); el.NS != ns || el.Child("", "publish").Attr("node") != tune || items(st) != "x=" {
		t.Errorf("%s", st.AppendTo(nil))
	}
	st = ok(t, tryPublish(a, tune, "", song))
	id, _, _ := strings.Cut(items(st), "=")
	if len(id) < 16 {
		t.Errorf("no id: %s", st.AppendTo(nil))
	}
	if got := items(a.IQ("get", "", get(tune, ""))); got != id+"="+song {
		t.Errorf("there is %s", got)
	}
}

// What is kept and sent is what came: mixed content, prefixes declared outside, CDATA, characters that must be escaped.
func TestPayloadIsKeptAsItCame(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	listen(t, a, "urn:n")
	for _, tt := range []struct{ sent, want string }{
		{`<x xmlns='urn:n'>a<b/>c<d e='&lt;&#10;&apos;'/>d<![CDATA[<&]]></x>`, `<x xmlns='urn:n'>a<b/>c<d e='&lt;&#10;&apos;'/>d<![CDATA[<&]]></x>`},
		{`<p:x><p:y q:a='1'/></p:x>`, `<p:x xmlns='` + ns + `' xmlns:q='urn:q' xmlns:p='urn:p'><p:y q:a='1'/></p:x>`},
		{`<x/>`, `<x xmlns='` + ns + `'/>`},
		{`<x xmlns=''><y/></x>`, `<x xmlns=''><y/></x>`},
		{`<p:x xmlns:p='urn:other'/>`, `<p:x xmlns='` + ns + `' xmlns:p='urn:other'/>`},
	} {
		a.Say("<iq type='set' id='p' xmlns:p='urn:p'><pubsub xmlns='" + ns + "'><publish node='urn:n' xmlns:q='urn:q'><item id='i'>" + tt.sent + "</item></publish></pubsub></iq>")
		sent := a.Sent()
		if len(sent) != 2 || sent[0].Kind != stanza.KindMessage || !strings.Contains(modtest.XML(sent[:1]), "<item id='i'>"+tt.want+"</item>") {
			t.Errorf("%s: sent %s", tt.sent, modtest.XML(sent))
		}
		st := a.IQ("get", "", get("urn:n", ""))
		if !strings.Contains(string(st.AppendTo(nil)), "<item id='i'>"+tt.want+"</item>") {
			t.Errorf("%s: kept %s", tt.sent, st.AppendTo(nil))
		}
	}
}

// XEP-0060 §7.1.3: what can be wrong with a request.
func TestPublishErrors(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	publish(t, a, tune, "x", song)
	in := func(s string) string { return "<pubsub xmlns='" + ns + "'>" + s + "</pubsub>" }
	for _, tt := range []struct {
		name    string
		s       *modtest.Session
		to, xml string
		c       stanza.Condition
		app     string
	}{
		{"§7.1.3.1 by others", b, alice, publishXML(tune, "x", song), stanza.Forbidden, ""},
		{"§7.1.3.1 by others, no such node", b, alice, publishXML("urn:none", "x", song), stanza.Forbidden, ""},
		{"§7.1.3.5 too big", a, "", publishXML(tune, "x", "<x xmlns='urn:x'>"+strings.Repeat("x", 64<<10)+"</x>"), stanza.NotAcceptable, "payload-too-big"},
		{"§7.1.3.6 two payloads", a, "", publishXML(tune, "x", song+song), stanza.BadRequest, "invalid-payload"},
		{"§7.1.3.7 no payload", a, "", publishXML(tune, "x", ""), stanza.BadRequest, "payload-required"},
		{"§7.1.3.7 no item", a, "", in("<publish node='" + tune + "'/>"), stanza.BadRequest, "item-required"},
		{"no node", a, "", in("<publish><item>" + song + "</item></publish>"), stanza.BadRequest, "nodeid-required"},
		{"several items", a, "", in("<publish node='" + tune + "'><item>" + song + "</item><item>" + song + "</item></publish>"), stanza.NotAllowed, "max-items-exceeded"},
		{"a long id", a, "", publishXML(tune, strings.Repeat("i", 4000), song), stanza.NotAcceptable, ""},
		{"a long node", a, "", publishXML(strings.Repeat("n", 1025), "i", song), stanza.NotAcceptable, ""},
		{"nothing", a, "", in(""), stanza.BadRequest, ""},
		{"something else", a, "", in("<frob/>"), stanza.BadRequest, ""},
		{"another element", a, "", "<x xmlns='" + ns + "'/>", stanza.FeatureNotImplemented, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.s.IQ("set", tt.to, tt.xml), tt.c, tt.app) })
	}
	if got := items(a.IQ("get", "", get(tune, ""))); got != "x="+song {
		t.Errorf("there is %s", got)
	}
	st := a.IQ("get", "", get("urn:none", ""))
	refused(t, st, stanza.ItemNotFound, "")
	if !strings.Contains(string(st.AppendTo(nil)), "code='404'") { // see errNoNode
		t.Errorf("%s", st.AppendTo(nil))
	}
}

// XEP-0060 §7.1.2: an item of the same id takes the place of the old one, and is the last.
func TestRepublish(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	for i, id := range []string{"x", "y", "x"} {
		publish(t, a, "urn:n", id, fmt.Sprintf("<n xmlns='urn:n'>%d</n>", i), "max_items", "5")
	}
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "y=<n xmlns='urn:n'>1</n> x=<n xmlns='urn:n'>2</n>" {
		t.Errorf("there is %s", got)
	}
	// A number of items: the oldest goes (§7.1.2.5).
	for i := range 7 {
		publish(t, a, "urn:n", fmt.Sprint(i), "<n xmlns='urn:n'/>")
	}
	if got := items(a.IQ("get", "", get("urn:n", ""))); strings.Count(got, "=") != 10 || !strings.HasPrefix(got, "2=") {
		t.Errorf("there is %s", got)
	}
}

// XEP-0060 §7.1.5: options make a node, and are preconditions of one that there is.
func TestPublishOptions(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	publish(t, a, "urn:n", "x", song, "access_model", "open", "max_items", "max", "persist_items", "1", "send_last_published_item", "never")
	publish(t, a, "urn:n", "y", song, "access_model", "open", "persist_items", "true", "max_items", "256")
	publish(t, a, "urn:n", "z", song)
	for _, options := range [][]string{{"access_model", "whitelist"}, {"max_items", "1"}, {"access_model", "open", "persist_items", "0"}, {"roster_groups_allowed", "Friends"}} {
		refused(t, tryPublish(a, "urn:n", "w", song, options...), stanza.Conflict, "precondition-not-met")
	}
	for _, options := range [][]string{
		{"access_model", "authorize"}, {"access_model", "x"}, {"max_items", "0"}, {"max_items", "257"}, {"max_items", "-1"}, {"persist_items", "yes"},
		{"frob", "1"}, {"item_expire", "60"}, {"publish_model", "open"}, {"title", strings.Repeat("t", 1025)},
	} {
		refused(t, tryPublish(a, "urn:m", "w", song, options...), stanza.NotAcceptable, "")
	}
	wrong := strings.Replace(publishXML("urn:m", "w", song, "access_model", "open"), formOptions, formConfig, 1)
	refused(t, a.IQ("set", "", wrong), stanza.BadRequest, "")
	refused(t, a.IQ("set", "", strings.Replace(publishXML("urn:m", "w", song)+"", "</pubsub>", "<publish-options/></pubsub>", 1)), stanza.BadRequest, "")
	if got := items(a.IQ("get", "", get("urn:n", ""))); strings.Count(got, "=<tune") != 3 {
		t.Errorf("there is %s", got)
	}
	refused(t, a.IQ("get", "", get("urn:m", "")), stanza.ItemNotFound, "") // what was refused made nothing
}

// Nodes for the user's own devices are closed also where the client does not say so (XEP-0402 §3.3, XEP-0490 §4.1).
func TestPrivateByDefault(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	befriend(a, b)
	for _, node := range []string{nodeBookmarks, nodeBookmarks0, nodeDisplayed} {
		listen(t, b, node)
		b.Unavailable()
		publish(t, a, node, "x", "<x xmlns='urn:x'/>")
		listen(t, b, node)
		b.Unavailable()
		refused(t, b.IQ("get", alice, get(node, "")), stanza.NotAllowed, "closed-node")
	}
	if got := events(b.Sent()); got != "" {
		t.Errorf("bob heard %s", got)
	}
}

// R12: nodes, items and bytes have their limits; what was there stays.
func TestLimits(t *testing.T) {
	h := newHost(t, "[modules.mod_pep]", "nodes = 3", "items_per_node = 4", `item_size = "1KiB"`, `avatar_size = "2KiB"`, `account_size = "4KiB"`)
	a := h.Session(alice + "/one")
	big := func(n int) string { return "<x xmlns='urn:x'>" + strings.Repeat("x", n) + "</x>" }
	for i := range 3 {
		publish(t, a, fmt.Sprint("urn:", i), "x", song, "max_items", "max")
	}
	refused(t, tryPublish(a, "urn:3", "x", song), stanza.ResourceConstraint, "")
	refused(t, a.IQ("set", "", "<pubsub xmlns='"+ns+"'><create node='urn:3'/></pubsub>"), stanza.ResourceConstraint, "")
	for i := range 3 {
		publish(t, a, "urn:0", fmt.Sprint(i), song)
	}
	refused(t, tryPublish(a, "urn:0", "more", song), stanza.ResourceConstraint, "node-full")
	publish(t, a, "urn:0", "x", "<again xmlns='urn:x'/>") // in the place of another
	refused(t, tryPublish(a, "urn:1", "y", big(1100)), stanza.NotAcceptable, "payload-too-big")
	for i := range 3 {
		publish(t, a, "urn:1", fmt.Sprint(i), big(900))
	}
	refused(t, tryPublish(a, "urn:2", "y", big(990)), stanza.ResourceConstraint, "")
	if got := items(a.IQ("get", "", get("urn:0", ""))); strings.Count(got, "=<") != 4 || !strings.HasSuffix(got, "x=<again xmlns='urn:x'/>") {
		t.Errorf("there is %s", got)
	}
	// What is said about nodes counts, too.
	affiliate := func(n int) string {
		return "<pubsub xmlns='" + nsOwner + "'><affiliations node='urn:0'><affiliation jid='" + strings.Repeat("j", n) + "@b.test' affiliation='member'/></affiliations></pubsub>"
	}
	ok(t, a.IQ("set", "", affiliate(10)))
	refused(t, a.IQ("set", "", affiliate(1000)), stanza.ResourceConstraint, "")
	refused(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><configure node='urn:0'>"+form(formConfig, "title", strings.Repeat("t", 1000))+"</configure></pubsub>"), stanza.ResourceConstraint, "")
	var many strings.Builder
	for i := range maxAffiliations + 1 {
		fmt.Fprintf(&many, "<affiliation jid='%d' affiliation='member'/>", i)
	}
	refused(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><affiliations node='urn:0'>"+many.String()+"</affiliations></pubsub>"), stanza.ResourceConstraint, "")
	// What was deleted is room again.
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+nsOwner+"'><delete node='urn:1'/></pubsub>"))
	publish(t, a, nodeAvatar, "x", big(1800))
	refused(t, tryPublish(a, nodeAvatar, "x", big(2100)), stanza.NotAcceptable, "payload-too-big")
}

// XEP-0060 §7.2: retracting, and what is told of it.
func TestRetract(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	listen(t, a, "urn:n", "urn:quiet")
	retract := func(node, items, attrs string) string {
		return "<pubsub xmlns='" + ns + "'><retract node='" + node + "'" + attrs + ">" + items + "</retract></pubsub>"
	}
	for _, id := range []string{"x", "y", "z"} {
		publish(t, a, "urn:n", id, song, "max_items", "max")
		publish(t, a, "urn:quiet", id, song, "max_items", "max", "notify_retract", "false")
	}
	a.Sent()
	refused(t, b.IQ("set", alice, retract("urn:n", "<item id='x'/>", "")), stanza.Forbidden, "")
	refused(t, b.IQ("set", alice, retract("urn:none", "<item id='x'/>", "")), stanza.Forbidden, "")
	refused(t, a.IQ("set", "", retract("urn:none", "<item id='x'/>", "")), stanza.ItemNotFound, "")
	refused(t, a.IQ("set", "", retract("urn:n", "", "")), stanza.BadRequest, "item-required")
	refused(t, a.IQ("set", "", retract("urn:n", "<item id='x'/><item id='w'/>", "")), stanza.ItemNotFound, "")
	refused(t, a.IQ("set", "", retract("", "<item id='x'/>", "")), stanza.BadRequest, "nodeid-required")
	ok(t, a.IQ("set", "", retract("urn:n", "<item id='x'/>", "")))
	ok(t, a.IQ("set", "", retract("urn:quiet", "<item id='x'/>", "")))
	ok(t, a.IQ("set", "", retract("urn:quiet", "<item id='y'/><item id='z'/>", " notify='1'")))
	if got := events(a.Sent()); got != "-x|-y -z" {
		t.Errorf("told %s", got)
	}
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "y="+song+" z="+song {
		t.Errorf("there is %s", got)
	}
	if st := ok(t, a.IQ("get", "", get("urn:quiet", ""))); items(st) != "" {
		t.Errorf("there is %s", st.AppendTo(nil))
	}
}

// Items that nobody keeps are told of (XEP-0060 §4.3).
func TestTransient(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	listen(t, a, "urn:n", "urn:bare")
	publish(t, a, "urn:n", "x", song, "persist_items", "0")
	if got := events(a.Sent()); got != "x="+song {
		t.Errorf("told %s", got)
	}
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "" {
		t.Errorf("there is %s", got)
	}
	// Neither kept nor with payload: there is no item at all (§7.1.3.7).
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+ns+"'><create node='urn:bare'/><configure>"+form(formConfig, "persist_items", "0", "deliver_payloads", "0")+"</configure></pubsub>"))
	refused(t, tryPublish(a, "urn:bare", "x", song), stanza.BadRequest, "item-forbidden")
	ok(t, a.IQ("set", "", "<pubsub xmlns='"+ns+"'><publish node='urn:bare'/></pubsub>"))
	if got := events(a.Sent()); !strings.HasSuffix(got, "=") {
		t.Errorf("told %s", got)
	}
}

// A store that fails costs the request, changes nothing, and tells nobody.
func TestStoreFails(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	listen(t, a, tune)
	publish(t, a, tune, "x", song)
	a.Sent()
	if err := h.Store.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, tryPublish(a, tune, "y", song), stanza.InternalServerError, "")
	refused(t, a.IQ("get", "", get(tune, "")), stanza.InternalServerError, "")
	if got := events(a.Sent()); got != "" {
		t.Errorf("told %s", got)
	}
}

// Who has looked at a node finds what was there then or nothing, not what has come in its place and is closed to him.
func TestPlaces(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	svc, _ := modules.ServiceOf[Service](h.Loader, h.Name)
	m := svc.(service).m
	place := func() uint64 {
		acc, err := m.account(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return acc.node(tune).last().seq
	}
	publish(t, a, tune, "public", song, "access_model", "open")
	seen := place()
	ok(t, a.IQ("set", "", pubsub("<retract node='"+tune+"'><item id='public'/></retract>")))
	publish(t, a, tune, "next", song)
	if place() <= seen {
		t.Error("in the place of what was retracted")
	}
	seen = place()
	ok(t, a.IQ("set", "", owner("<delete node='"+tune+"'/>")))
	publish(t, a, tune, "private", song, "access_model", "whitelist")
	if place() <= seen {
		t.Error("in the place of what was deleted")
	}
}

// An account that ends takes all that it published with it, also that which is in memory.
func TestUserDeleted(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	for i := range 30 {
		publish(t, a, "urn:n", fmt.Sprint(i), song, "max_items", "max", "access_model", "open")
	}
	publish(t, a, tune, "x", song)
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	refused(t, tryPublish(a, tune, "y", song), stanza.ServiceUnavailable, "") // its session is on its way out
	a.Close(nil)
	left := 0
	for _, name := range []string{kvNodes, kvIndex, kvItems} {
		err := h.Store.Bucket("modules", "a.test", "mod_pep").KV(name).Scan(context.Background(), nil, nil, func(_, _ []byte) bool { left++; return true })
		if err != nil {
			t.Fatal(err)
		}
	}
	a = h.Session(alice + "/one")
	refused(t, a.IQ("get", "", get("urn:n", "")), stanza.ItemNotFound, "")
	if left > 0 {
		t.Errorf("%d records are left", left)
	}
}
