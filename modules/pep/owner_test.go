package pep

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func owner(s string) string  { return "<pubsub xmlns='" + nsOwner + "'>" + s + "</pubsub>" }
func pubsub(s string) string { return "<pubsub xmlns='" + ns + "'>" + s + "</pubsub>" }

// values reads a form: field=values.
func values(t *testing.T, st *stanza.Stanza) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range ok(t, st).Payload().Children[0].Child(nsForm, "x").Children {
		var v []string
		for _, c := range f.Children {
			if c.Name == "value" {
				v = append(v, c.Text)
			}
		}
		out[strings.TrimPrefix(f.Attr("var"), prefix)] = strings.Join(v, ",")
	}
	return out
}

// XEP-0060 §8.1: nodes can be made, with and without a configuration.
func TestCreate(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	ok(t, a.IQ("set", "", pubsub("<create node='urn:n'/>")))
	ok(t, a.IQ("set", "", pubsub("<create node='urn:m'/><configure>"+form(formConfig, "access_model", "open", "max_items", "7")+"</configure>")))
	if v := values(t, a.IQ("get", "", owner("<configure node='urn:m'/>"))); v["access_model"] != "open" || v["max_items"] != "7" || v["FORM_TYPE"] != formConfig {
		t.Errorf("%v", v)
	}
	refused(t, a.IQ("set", "", pubsub("<create node='urn:n'/>")), stanza.Conflict, "")
	refused(t, a.IQ("set", "", pubsub("<create/>")), stanza.NotAcceptable, "nodeid-required")
	refused(t, b.IQ("set", alice, pubsub("<create node='urn:x'/>")), stanza.Forbidden, "")
	refused(t, a.IQ("set", "", pubsub("<create node='urn:x'/><configure>"+form(formConfig, "frob", "open")+"</configure>")), stanza.NotAcceptable, "")
	if st := ok(t, a.IQ("get", "", get("urn:n", ""))); items(st) != "" {
		t.Errorf("%s", st.AppendTo(nil))
	}
}

// XEP-0060 §8.2, §8.3: each option that the form offers is taken, shown again, and part of the defaults.
func TestConfigure(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	ok(t, a.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='x@y.test'><group>Friends</group></item></query>"))
	publish(t, a, "urn:n", "x", song)
	def := values(t, a.IQ("get", "", owner("<default/>")))
	for k, want := range map[string]string{ // XEP-0163 §5
		"access_model": "presence", "send_last_published_item": "on_sub_and_presence", "deliver_payloads": "true", "deliver_notifications": "true",
		"persist_items": "true", "max_items": "1", "notification_type": "headline", "publish_model": "publishers",
	} {
		if def[k] != want {
			t.Errorf("default of %s: %s", k, def[k])
		}
	}
	if v := values(t, a.IQ("get", "", owner("<default node='"+nodeBookmarks+"'/>"))); v["access_model"] != "whitelist" || v["max_items"] != "max" {
		t.Errorf("%v", v)
	}
	set := map[string]string{
		"title": "T", "description": "D", "type": "urn:t", "access_model": "roster", "roster_groups_allowed": "Friends", "publish_model": "publishers",
		"persist_items": "true", "max_items": "max", "max_payload_size": "99", "send_last_published_item": "on_sub", "deliver_notifications": "false",
		"deliver_payloads": "false", "notify_retract": "false", "notify_delete": "true", "notify_config": "true", "notification_type": "normal", "itemreply": "publisher",
	}
	if len(set) != len(fields) {
		t.Fatalf("%d of %d options are tested", len(set), len(fields))
	}
	for k, v := range set {
		ok(t, a.IQ("set", "", owner("<configure node='urn:n'>"+form(formConfig, k, v)+"</configure>")))
	}
	now := values(t, a.IQ("get", "", owner("<configure node='urn:n'/>")))
	for k, want := range set {
		if now[k] != want {
			t.Errorf("%s is %q, want %q", k, now[k], want)
		}
	}
	if got := string(a.IQ("get", "", owner("<configure node='urn:n'/>")).AppendTo(nil)); !strings.Contains(got, "<option label='Friends'>") || !strings.Contains(got, "<value>whitelist</value></option>") {
		t.Errorf("%s", got)
	}
	refused(t, tryPublish(a, "urn:n", "y", "<x xmlns='urn:x'>"+strings.Repeat("x", 99)+"</x>"), stanza.NotAcceptable, "payload-too-big")
	cancel := strings.Replace(form(formConfig, "title", "U"), "submit", "cancel", 1)
	ok(t, a.IQ("set", "", owner("<configure node='urn:n'>"+cancel+"</configure>"))) // §8.2.4
	if v := values(t, a.IQ("get", "", owner("<configure node='urn:n'/>"))); v["title"] != "T" {
		t.Error("a cancelled form was taken")
	}
	for xml, c := range map[string]stanza.Condition{
		"<configure node='urn:n'/>": stanza.BadRequest,
		"<configure node='urn:n'>" + form(formConfig, "access_model", "authorize") + "</configure>": stanza.NotAcceptable,
		"<configure node='urn:n'>" + form(formConfig, "deliver_payloads", "maybe") + "</configure>": stanza.NotAcceptable,
		"<configure node='urn:n'>" + form(formOptions, "title", "x") + "</configure>":               stanza.BadRequest,
		"<configure node='urn:n'><x xmlns='jabber:x:data' type='result'/></configure>":              stanza.BadRequest,
		"<configure node='urn:none'>" + form(formConfig, "title", "x") + "</configure>":             stanza.ItemNotFound,
	} {
		refused(t, a.IQ("set", "", owner(xml)), c, "")
	}
	refused(t, a.IQ("get", "", owner("<configure node='urn:none'/>")), stanza.ItemNotFound, "")
	refused(t, a.IQ("get", "", owner("<configure/>")), stanza.BadRequest, "nodeid-required")
	refused(t, a.IQ("set", "", owner("<configure>"+form(formConfig)+"</configure>")), stanza.BadRequest, "nodeid-required")
}

// What the options say is what happens.
func TestOptionsAreHonoured(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	listen(t, a, "urn:n")
	configure := func(options ...string) {
		t.Helper()
		ok(t, a.IQ("set", "", owner("<configure node='urn:n'>"+form(formConfig, options...)+"</configure>")))
	}
	told := func() string {
		list := a.Sent()
		out := events(list)
		if len(list) == 1 {
			out += " " + list[0].Type.String()
		}
		return out
	}
	ok(t, a.IQ("set", "", pubsub("<create node='urn:n'/>")))
	for _, tt := range []struct{ option, value, want string }{
		{"deliver_payloads", "false", "x= headline"}, {"deliver_payloads", "true", "x=" + song + " headline"},
		{"notification_type", "normal", "x=" + song + " normal"}, {"deliver_notifications", "false", ""},
	} {
		configure(tt.option, tt.value)
		told()
		publish(t, a, "urn:n", "x", song)
		if got := told(); got != tt.want {
			t.Errorf("%s=%s: %s", tt.option, tt.value, got)
		}
	}
	configure("deliver_notifications", "true", "itemreply", "publisher", "notify_config", "true", "notification_type", "headline")
	if got := told(); got != "configuration headline" {
		t.Errorf("§8.2.5.3: %s", got)
	}
	publish(t, a, "urn:n", "x", song)
	if got := modtest.XML(a.Sent()); !strings.Contains(got, "<item id='x' publisher='alice@a.test'>") {
		t.Errorf("§7.1.2.3: %s", got)
	}
	configure("max_items", "3")
	publish(t, a, "urn:n", "y", song)
	publish(t, a, "urn:n", "z", song)
	configure("max_items", "2")
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "y="+song+" z="+song {
		t.Errorf("fewer items: %s", got)
	}
	a.Sent()
	ok(t, a.IQ("set", "", owner("<purge node='urn:n'/>"))) // §8.5
	if got := told(); got != "purge headline" {
		t.Errorf("§8.5.2: %s", got)
	}
	publish(t, a, "urn:n", "x", song)
	configure("notify_delete", "true")
	told()
	ok(t, a.IQ("set", "", owner("<delete node='urn:n'/>")))
	if got := told(); got != "delete headline" {
		t.Errorf("§8.4.2: %s", got)
	}
	refused(t, a.IQ("get", "", get("urn:n", "")), stanza.ItemNotFound, "")
	for _, what := range []string{"delete", "purge"} {
		refused(t, a.IQ("set", "", owner("<"+what+" node='urn:n'/>")), stanza.ItemNotFound, "")
		refused(t, a.IQ("set", "", owner("<"+what+"/>")), stanza.BadRequest, "nodeid-required")
	}
}

// Z12, Z13: what is the owner's is nobody else's, whether there is such a node or not.
func TestOwnersOnly(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	befriend(a, b)
	publish(t, a, "urn:n", "x", song, "access_model", "open")
	ok(t, a.IQ("set", "", owner("<affiliations node='urn:n'><affiliation jid='"+bob+"' affiliation='publisher'/></affiliations>")))
	for _, node := range []string{"urn:n", "urn:none"} {
		for xml, typ := range map[string]string{
			"<configure node='" + node + "'/>": "get", "<default/>": "get", "<subscriptions node='" + node + "'/>": "get", "<affiliations node='" + node + "'/>": "get",
			"<configure node='" + node + "'>" + form(formConfig, "access_model", "open") + "</configure>": "set",
			"<delete node='" + node + "'/>": "set", "<purge node='" + node + "'/>": "set",
			"<affiliations node='" + node + "'><affiliation jid='" + bob + "' affiliation='owner'/></affiliations>":          "set",
			"<subscriptions node='" + node + "'><subscription jid='" + bob + "' subscription='subscribed'/></subscriptions>": "set",
		} {
			refused(t, b.IQ(typ, alice, owner(xml)), stanza.Forbidden, "")
			refused(t, b.IQ(typ, "nobody@a.test", owner(xml)), stanza.Forbidden, "")
		}
	}
	for _, xml := range []string{publishXML("urn:x", "x", song), pubsub("<create node='urn:x'/>"), pubsub("<retract node='urn:x'><item id='x'/></retract>")} {
		known, unknown := b.IQ("set", alice, xml), b.IQ("set", "nobody@a.test", xml)
		refused(t, known, stanza.Forbidden, "")
		if got := strings.ReplaceAll(mask(unknown), "nobody", "alice"); got != mask(known) {
			t.Errorf("%s: %s and %s", xml, got, mask(known))
		}
	}
	// Whatever strangers ask, an account that is not there answers as one that has nothing.
	h.User("carol")
	for _, typ := range []string{"get", "set"} {
		for _, xml := range []string{
			"", "<frob/>", "<items/>", "<items node='urn:n'/>", "<items node='urn:n'><item id='x'/></items>", "<subscriptions/>", "<affiliations/>",
			"<subscriptions node='urn:n'/>", "<options/>", "<default/>", "<subscribe jid='" + bob + "'/>", "<subscribe node='urn:n'/>",
			"<subscribe node='urn:n' jid='" + bob + "'/>", "<unsubscribe node='urn:n' jid='" + bob + "'/>", "<unsubscribe/>", "<publish/>",
			"<publish node='urn:n'/>", "<publish node='urn:n'><item/><item/></publish>", "<publish node='urn:n'><item>" + song + song + "</item></publish>",
			"<retract/>", "<retract node='urn:n'/>", "<create/>", "<create node='urn:n'/>",
		} {
			known, unknown := mask(b.IQ(typ, "carol@a.test", pubsub(xml))), mask(b.IQ(typ, "nobody@a.test", pubsub(xml)))
			if got := strings.ReplaceAll(unknown, "nobody", "carol"); got != known {
				t.Errorf("%s %s: %s and %s", typ, xml, got, known)
			}
		}
	}
	for _, xml := range []string{"", "<frob node='urn:n'/>"} {
		refused(t, a.IQ("set", "", owner(xml)), stanza.BadRequest, "")
		refused(t, a.IQ("get", "", owner(xml)), stanza.BadRequest, "")
	}
	refused(t, a.IQ("get", "", "<x xmlns='"+nsOwner+"'/>"), stanza.FeatureNotImplemented, "")
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "x="+song {
		t.Errorf("there is %s", got)
	}
}

// XEP-0060 §8.9: affiliations, and what they are good for.
func TestAffiliations(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	publish(t, a, "urn:n", "x", song, "access_model", "whitelist", "max_items", "max")
	affiliate := func(jid, as string) *stanza.Stanza {
		return a.IQ("set", "", owner("<affiliations node='urn:n'><affiliation jid='"+jid+"' affiliation='"+as+"'/></affiliations>"))
	}
	mine := func() string { return string(b.IQ("get", alice, pubsub("<affiliations/>")).AppendTo(nil)) }
	refused(t, b.IQ("set", alice, publishXML("urn:n", "y", song)), stanza.Forbidden, "")
	ok(t, affiliate(bob+"/x", "publisher")) // accounts, not resources
	ok(t, b.IQ("set", alice, publishXML("urn:n", "y", song)))
	refused(t, b.IQ("set", alice, pubsub("<retract node='urn:n'><item id='x'/></retract>")), stanza.Forbidden, "")
	const other = "<tune xmlns='" + tune + "'/>"
	refused(t, b.IQ("set", alice, publishXML("urn:n", "x", other)), stanza.Forbidden, "") // nor is it his to replace
	ok(t, b.IQ("set", alice, publishXML("urn:n", "y", other)))                            // as his own is, and all is to the owner
	if got := items(a.IQ("get", "", get("urn:n", ""))); got != "x="+song+" y="+other {
		t.Errorf("there is %s", got)
	}
	publish(t, a, "urn:n", "y", song)
	refused(t, b.IQ("set", alice, publishXML("urn:n", "y", other)), stanza.Forbidden, "") // now it is hers
	ok(t, a.IQ("set", "", pubsub("<retract node='urn:n'><item id='y'/></retract>")))
	ok(t, b.IQ("set", alice, publishXML("urn:n", "y", song)))
	if got := mine(); !strings.Contains(got, "<affiliation node='urn:n' affiliation='publisher'/>") {
		t.Error(got)
	}
	if got := string(a.IQ("get", "", owner("<affiliations node='urn:n'/>")).AppendTo(nil)); !strings.Contains(got,
		"<affiliation jid='alice@a.test' affiliation='owner'/><affiliation jid='bob@a.test' affiliation='publisher'/>") {
		t.Error(got)
	}
	ok(t, b.IQ("set", alice, pubsub("<retract node='urn:n'><item id='y'/></retract>")))
	ok(t, b.IQ("set", alice, pubsub("<subscribe node='urn:n' jid='"+bob+"'/>")))
	listen(t, a, "urn:n")
	ok(t, a.IQ("set", "", owner("<configure node='urn:n'>"+form(formConfig, "notify_config", "true")+"</configure>")))
	a.Sent()
	ok(t, affiliate(bob, "outcast"))
	if got := modtest.XML(a.Sent()); strings.Contains(got, "configuration") {
		t.Errorf("of another configuration: %s", got)
	}
	refused(t, b.IQ("get", alice, get("urn:n", "")), stanza.Forbidden, "")
	refused(t, b.IQ("set", alice, publishXML("urn:n", "y", song)), stanza.Forbidden, "")
	if got := string(a.IQ("get", "", owner("<subscriptions node='urn:n'/>")).AppendTo(nil)); strings.Contains(got, bob) {
		t.Errorf("an outcast is still subscribed: %s", got)
	}
	ok(t, affiliate(bob, "none"))
	if got := mine(); strings.Contains(got, "urn:n") {
		t.Error(got)
	}
	for _, bad := range [][2]string{{bob, "owner"}, {bob, "publish-only"}, {alice, "none"}} {
		refused(t, affiliate(bad[0], bad[1]), stanza.NotAcceptable, "")
	}
	refused(t, affiliate("@", "member"), stanza.BadRequest, "")
	if got := string(a.IQ("get", "", pubsub("<affiliations node='urn:n'/>")).AppendTo(nil)); !strings.Contains(got, "affiliation='owner'") {
		t.Error(got)
	}
}

// XEP-0060 §6.1, §6.2, §5.6, §8.8: explicit subscriptions.
func TestSubscriptions(t *testing.T) {
	h := newHost(t, "[modules.mod_pep]", "subscriptions = 3")
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	publish(t, a, "urn:n", "x", song, "access_model", "open")
	publish(t, a, tune, "x", song)
	b.Available(0, "")
	b.Sent()
	subscribe := func(node, jid string) string { return pubsub("<subscribe node='" + node + "' jid='" + jid + "'/>") }
	st := ok(t, b.IQ("set", alice, subscribe("urn:n", bob)))
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<subscription node='urn:n' jid='bob@a.test' subscription='subscribed'/>") {
		t.Error(got)
	}
	if got := b.Sent(); events(got) != "x="+song || got[0].To().String() != bob { // §6.1.7
		t.Errorf("the last item: %s", modtest.XML(got))
	}
	ok(t, b.IQ("set", alice, subscribe("urn:n", bob))) // again
	if got := b.Sent(); len(got) > 0 {
		t.Errorf("again: %s", modtest.XML(got))
	}
	h.Send("<iq type='set' id='s' from='romeo@b.test/o' to='" + alice + "'>" + subscribe("urn:n", "romeo@b.test/o") + "</iq>")
	h.Sent()
	publish(t, a, "urn:n", "y", song)
	if got := b.Sent(); events(got) != "y="+song {
		t.Errorf("bob: %s", modtest.XML(got))
	}
	if got := h.Sent(); events(got) != "y="+song || got[0].To().String() != "romeo@b.test/o" {
		t.Errorf("romeo: %s", modtest.XML(got))
	}
	for xml, c := range map[string][2]string{
		subscribe("urn:n", alice):       {"bad-request", "invalid-jid"}, // §6.1.3.1
		subscribe("urn:n", bob+"/else"): {"bad-request", "invalid-jid"},
		subscribe("urn:n", "@"):         {"bad-request", "invalid-jid"},
		subscribe("", bob):              {"bad-request", "nodeid-required"},
		subscribe("urn:none", bob):      {"item-not-found", ""},                               // §6.1.3.12
		subscribe(tune, bob):            {"not-authorized", "presence-subscription-required"}, // §6.1.3.2
		strings.Replace(subscribe("urn:n", bob), "</pubsub>", "<options/></pubsub>", 1): {"feature-not-implemented", "unsupported"},
		pubsub("<options node='urn:n' jid='" + bob + "'/>"):                             {"feature-not-implemented", "unsupported"},
	} {
		refused(t, b.IQ("set", alice, xml), stanza.Condition(c[0]), c[1])
	}
	refused(t, b.IQ("get", alice, pubsub("<options node='urn:n' jid='"+bob+"'/>")), stanza.FeatureNotImplemented, "unsupported")
	mine := pubsub("<subscriptions/>")
	if got := string(ok(t, b.IQ("get", alice, mine)).AppendTo(nil)); strings.Count(got, "<subscription ") != 1 || !strings.Contains(got, bob) {
		t.Error(got)
	}
	// The owner sees all, and may add and end some.
	ok(t, a.IQ("set", "", owner("<subscriptions node='urn:n'><subscription jid='x@y.test' subscription='subscribed'/></subscriptions>")))
	all := owner("<subscriptions node='urn:n'/>")
	if got := string(a.IQ("get", "", all).AppendTo(nil)); strings.Count(got, "subscription='subscribed'") != 3 {
		t.Error(got)
	}
	refused(t, a.IQ("set", "", subscribe("urn:n", alice)), stanza.PolicyViolation, "too-many-subscriptions")
	refused(t, a.IQ("set", "", owner("<subscriptions node='urn:n'><subscription jid='z@y.test' subscription='subscribed'/></subscriptions>")), stanza.PolicyViolation, "too-many-subscriptions")
	refused(t, a.IQ("set", "", owner("<subscriptions node='urn:n'><subscription jid='x@y.test' subscription='pending'/></subscriptions>")), stanza.NotAcceptable, "")
	ok(t, a.IQ("set", "", owner("<subscriptions node='urn:n'><subscription jid='x@y.test' subscription='none'/><subscription jid='romeo@b.test/o' subscription='none'/></subscriptions>")))
	unsubscribe := func(node string) string { return pubsub("<unsubscribe node='" + node + "' jid='" + bob + "'/>") }
	ok(t, b.IQ("set", alice, unsubscribe("urn:n")))
	refused(t, b.IQ("set", alice, unsubscribe("urn:n")), stanza.UnexpectedRequest, "not-subscribed") // §6.2.3.2
	refused(t, b.IQ("set", alice, unsubscribe("urn:none")), stanza.UnexpectedRequest, "not-subscribed")
	refused(t, b.IQ("set", alice, unsubscribe("")), stanza.BadRequest, "nodeid-required")
	publish(t, a, "urn:n", "z", song)
	if got := append(b.Sent(), h.Sent()...); len(got) > 0 {
		t.Errorf("after the end: %s", modtest.XML(got))
	}
}

// XEP-0060 §12.14: who is no longer in the group, or sees no presence any more, is not subscribed any more, and takes no place.
func TestSubscriptionsEnd(t *testing.T) {
	h := newHost(t, "[modules.mod_pep]", "subscriptions = 2")
	a, b, r := h.Session(alice+"/one"), h.Session(bob+"/b"), h.Session("carol@a.test/c")
	befriend(a, b)
	befriend(a, r)
	group := func(jid, name string) {
		t.Helper()
		ok(t, a.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='"+jid+"'><group>"+name+"</group></item></query>"))
	}
	group(bob, "Friends")
	group("carol@a.test", "Friends")
	publish(t, a, "urn:n", "x", song, "access_model", "roster", "roster_groups_allowed", "Friends")
	publish(t, a, "urn:open", "x", song, "access_model", "open")
	subscribe := func(s *modtest.Session, node string) *stanza.Stanza {
		return s.IQ("set", alice, pubsub("<subscribe node='"+node+"' jid='"+s.JID().Bare().String()+"'/>"))
	}
	subscribed := func() string {
		var out []string
		for _, c := range ok(t, a.IQ("get", "", owner("<subscriptions node='urn:n'/>"))).Payload().Child("", "subscriptions").Children {
			out = append(out, c.Attr("jid"))
		}
		return strings.Join(out, " ")
	}
	ok(t, subscribe(b, "urn:n"))
	ok(t, subscribe(r, "urn:n"))
	refused(t, subscribe(b, "urn:open"), stanza.PolicyViolation, "too-many-subscriptions")
	group(bob, "Others")
	ok(t, subscribe(b, "urn:open")) // in the place of what he has lost
	if got := subscribed(); got != "carol@a.test" {
		t.Errorf("after another came: %s", got)
	}
	group("carol@a.test", "Others")
	all := owner("<subscriptions node='urn:open'><subscription jid='x@y.test' subscription='subscribed'/></subscriptions>")
	ok(t, a.IQ("set", "", all)) // and so does the owner
	if got := subscribed(); got != "" {
		t.Errorf("after the owner added one: %s", got)
	}
	ok(t, b.IQ("set", alice, pubsub("<unsubscribe node='urn:open' jid='"+bob+"'/>")))
	group("carol@a.test", "Friends")
	ok(t, subscribe(r, "urn:n"))
	group("carol@a.test", "Others")
	publish(t, a, "urn:n", "y", song)
	if got := subscribed(); got != "" {
		t.Errorf("after a publication: %s", got)
	}
	group("carol@a.test", "Friends") // who comes back subscribes again
	if got := subscribed(); got != "" {
		t.Errorf("come back: %s", got)
	}
}

// XEP-0163 §4.3.2: who is subscribed in two ways hears it once; where it is known which of his clients want to hear, these do.
func TestSubscribedTwice(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	deaf := h.Session(bob + "/deaf")
	befriend(a, b)
	publish(t, a, "urn:n", "x", song)
	ok(t, b.IQ("set", alice, pubsub("<subscribe node='urn:n' jid='"+bob+"'/>")))
	ok(t, a.IQ("set", "", pubsub("<subscribe node='urn:n' jid='"+alice+"'/>")))
	listen(t, b, "urn:n")
	deaf.Available(0, "")
	listen(t, a, "urn:n")
	b.Sent()
	deaf.Sent()
	publish(t, a, "urn:n", "y", song)
	if x, y, z := events(b.Sent()), events(deaf.Sent()), events(a.Sent()); x != "y="+song || y != "" || z != "y="+song {
		t.Errorf("bob %s, deaf %s, alice %s", x, y, z)
	}
	b.Unavailable()
	deaf.Sent()
	publish(t, a, "urn:n", "z", song)
	if got := events(deaf.Sent()); got != "z="+song { // by the bare JID
		t.Errorf("nobody listens: %s", got)
	}
}

// XEP-0060 §5, XEP-0163 §6.1: what disco tells.
func TestDisco(t *testing.T) {
	h := newHost(t)
	a, b, e := h.Session(alice+"/one"), h.Session(bob+"/b"), h.Session(eve+"/e")
	befriend(a, b)
	publish(t, a, "urn:n", "x", song, "title", "N")
	publish(t, a, "urn:open", "y", song, "access_model", "open")
	publish(t, a, "urn:closed", "z", song, "access_model", "whitelist")
	info, list := "<query xmlns='http://jabber.org/protocol/disco#info'/>", "<query xmlns='http://jabber.org/protocol/disco#items'/>"
	got := string(ok(t, a.IQ("get", "", info)).AppendTo(nil))
	for _, want := range []string{"<identity category='pubsub' type='pep'/>", "'" + ns + "'", ns + "#publish-options'", ns + "#auto-create'", ns + "#filtered-notifications'", ns + "#config-node-max'"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for s, want := range map[*modtest.Session]string{a: "N urn:closed urn:n urn:open", b: "N urn:n urn:open"} {
		var out []string
		for _, it := range ok(t, s.IQ("get", alice, list)).Payload().Children {
			if it.Attr("node") != "" {
				out = append(out, it.Attr("node"))
			}
			if it.Attr("name") != "" {
				out = append([]string{it.Attr("name")}, out...)
			}
		}
		if got := strings.Join(out, " "); got != want {
			t.Errorf("%s sees %s", s.JID(), got)
		}
	}
	node := func(q, n string) string { return strings.Replace(q, "/>", " node='"+n+"'/>", 1) }
	got = string(ok(t, e.IQ("get", alice, node(info, "urn:open"))).AppendTo(nil))
	for _, want := range []string{"<identity category='pubsub' type='leaf'/>", "meta-data", "<field var='pubsub#access_model'><value>open</value>", "<field var='pubsub#owner'><value>alice@a.test</value>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "num_subscribers") {
		t.Error("strangers learn how many listen")
	}
	if got := string(ok(t, e.IQ("get", alice, node(list, "urn:open"))).AppendTo(nil)); !strings.Contains(got, "<item jid='alice@a.test' name='y'/>") {
		t.Error(got)
	}
	// §5, XEP-0030 §11: to a stranger the rest is not there, nor is the account.
	for _, q := range []string{info, list, node(info, "urn:n"), node(list, "urn:closed"), node(info, "urn:none")} {
		unknown := strings.ReplaceAll(mask(e.IQ("get", "nobody@a.test", q)), "nobody", "alice")
		if got := mask(e.IQ("get", alice, q)); got != unknown {
			t.Errorf("%s: %s, want %s", q, got, unknown)
		}
	}
	refused(t, a.IQ("get", "", node(info, "urn:none")), stanza.ItemNotFound, "")
}
