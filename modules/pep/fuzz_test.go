package pep

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// FuzzRequest sends what anybody might send, as the owner and as somebody else. What is in memory afterwards is what is on
// disk, and nothing of another's was changed.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		publishXML("urn:n", "x", song, "access_model", "open", "max_items", "max"), get("urn:n", "<item id='x'/>"),
		pubsub("<retract node='urn:n' notify='1'><item id='x'/></retract>"), pubsub("<subscribe node='urn:n' jid='alice@a.test'/>"),
		pubsub("<unsubscribe node='urn:n' jid='alice@a.test/one'/>"), pubsub("<create node='urn:m'/><configure>" + form(formConfig, "title", "x") + "</configure>"),
		owner("<configure node='urn:n'>" + form(formConfig, "access_model", "roster", "max_items", "1") + "</configure>"), owner("<delete node='urn:n'/>"),
		owner("<purge node='urn:n'/>"), owner("<affiliations node='urn:n'><affiliation jid='bob@a.test' affiliation='member'/></affiliations>"),
		owner("<subscriptions node='urn:n'><subscription jid='b@c' subscription='subscribed'/></subscriptions>"),
		pubsub("<items node='urn:n' max_items='1'/><set xmlns='" + nsRSM + "'><max>1</max><before/></set>"),
	} {
		f.Add(s, true, true)
		f.Add(s, false, false)
	}
	f.Fuzz(func(t *testing.T, xml string, set, own bool) {
		st, err := stanza.Parse([]byte("<iq type='get' id='1'>" + xml + "</iq>"))
		if err != nil || len(st.Children) != 1 || st.Children[0].NS != ns && st.Children[0].NS != nsOwner {
			return
		}
		var m *module
		h := modtest.New(t, "a.test", with(&m)...)
		a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
		for i := range 3 {
			publish(t, a, "urn:n", strings.Repeat("x", i+1), song, "max_items", "5", "access_model", "open")
		}
		before := mask(a.IQ("get", "", get("urn:n", "")))
		typ, who, to := "get", b, alice
		if set {
			typ = "set"
		}
		if own {
			who, to = a, ""
		}
		who.IQ(typ, to, xml)
		if now := mask(a.IQ("get", "", get("urn:n", ""))); !own && now != before {
			t.Errorf("another changed the account: %s", now)
		}
		kept := m.cache.get("alice")
		read, err := m.load(context.Background(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if kept.size() != read.size() || len(kept.nodes) != len(read.nodes) {
			t.Fatalf("kept %+v, on disk %+v", kept, read)
		}
		for i, n := range kept.nodes {
			r := read.nodes[i]
			if n.name != r.name || len(n.items) != len(r.items) || len(n.subs) != len(r.subs) || len(n.affs) != len(r.affs) {
				t.Fatalf("kept %+v, on disk %+v", n, r)
			}
			for k := range n.items {
				x, y := n.items[k], r.items[k]
				if x.id != y.id || x.seq != y.seq || x.by != y.by || x.size != y.size || !x.at.Equal(y.at) {
					t.Errorf("kept %+v, on disk %+v", x, y)
				}
				if _, err := m.payload(context.Background(), "alice", n.name, x.seq); err != nil {
					t.Errorf("item %q: %v", x.id, err)
				}
			}
		}
	})
}

// FuzzForm reads configurations. One that is taken is shown, and read again, as the same.
func FuzzForm(f *testing.F) {
	f.Add(form(formConfig, "access_model", "open", "max_items", "max", "title", "x"))
	f.Add("<x xmlns='jabber:x:data' type='submit'><field var='pubsub#roster_groups_allowed'><value>a</value><value>b</value></field></x>")
	f.Add("<x xmlns='jabber:x:data' type='cancel'/>")
	f.Add(form(formConfig, "max_payload_size", "", "itemreply", "none"))
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.ParseElement([]byte(s))
		if err != nil {
			return
		}
		list, _, err := readForm(e, formConfig, 256)
		if err != nil {
			if _, ok := err.(*stanza.Error); !ok {
				t.Error(err)
			}
			return
		}
		cfg := defaults("urn:n").apply(list, 256)
		var x stanza.XML
		appendForm(&x, "submit", &cfg, nil)
		again, err := stanza.ParseElement(x.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := readForm(again, formConfig, 256)
		if err != nil {
			t.Fatal(err)
		}
		got := defaults("urn:other").apply(back, 256)
		if len(got.Groups) == 0 && len(cfg.Groups) == 0 {
			got.Groups = cfg.Groups
		}
		if !reflect.DeepEqual(got, cfg) || !cfg.meets(back, 256) {
			t.Errorf("%+v became %+v", cfg, got)
		}
	})
}
