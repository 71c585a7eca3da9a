package pep

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// What nodes tell they take back: how they are configured, whom they know, and what is in them. Nobody hears of it.
func TestPortable(t *testing.T) {
	ctx := context.Background()
	h := newHost(t)
	a, b := h.Session(alice+"/x"), h.Session(bob+"/y")
	listen(t, a, tune)
	listen(t, b, tune)
	befriend(a, b)
	for _, q := range []string{
		"<pubsub xmlns='" + ns + "'><publish node='" + tune + "'><item id='1'>" + song + "</item></publish></pubsub>",
		"<pubsub xmlns='" + ns + "'><create node='urn:example:n'/><configure><x xmlns='jabber:x:data' type='submit'>" +
			"<field var='pubsub#access_model'><value>whitelist</value></field><field var='pubsub#max_items'><value>3</value></field><field var='pubsub#title'><value>A &amp; B</value></field></x></configure></pubsub>",
		"<pubsub xmlns='" + nsOwner + "'><affiliations node='urn:example:n'><affiliation jid='" + romeo + "' affiliation='member'/></affiliations></pubsub>",
		"<pubsub xmlns='" + ns + "'><publish node='urn:example:n'><item id='a'><x xmlns='urn:x'>a <y/> b</x></item></publish></pubsub>",
		"<pubsub xmlns='" + ns + "'><publish node='urn:example:n'><item id='b'><z xmlns='urn:z'/></item></publish></pubsub>",
	} {
		if st := a.IQ("set", "", q); st.Type != stanza.TypeResult {
			t.Fatalf("%s: %s", q, st.AppendTo(nil))
		}
	}
	m := portable(t, h.Loader)
	export := func(who string) string {
		t.Helper()
		var out bytes.Buffer
		if err := m.Export(ctx, stanza.MustJID(who), &modules.Export{Writer: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	before := export(alice)
	for _, want := range []string{"A &amp; B", "<value>whitelist</value>", "affiliation='member'", "a <y/> b", song, "<item id='b'><z "} {
		if !strings.Contains(before, want) {
			t.Errorf("no %s in %s", want, before)
		}
	}
	c := h.Session("carol@a.test/z")
	listen(t, c, tune)
	b.Sent()
	file, err := stanza.ParseElement([]byte("<all>" + before + "</all>"))
	if err != nil || len(file.Children) != 2 {
		t.Fatalf("%v: %s", err, before)
	}
	at := strings.Index(before, "<pubsub xmlns='"+ns+"'>")
	for _, part := range []string{before[:at], before[at:], "<pubsub xmlns='" + nsOwner + "'><configure node='urn:example:n'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#unknown'><value>1</value></field></x></configure><x xmlns='urn:x'/></pubsub>"} {
		e, err := stanza.Parse([]byte(part))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Import(ctx, stanza.MustJID("carol@a.test"), e); err != nil {
			t.Fatalf("%s: %v", part, err)
		}
	}
	if after := export("carol@a.test"); after != before {
		t.Errorf("told %s\nthen %s", before, after)
	}
	for _, st := range append(c.Sent(), b.Sent()...) {
		if st.Kind == stanza.KindMessage {
			t.Errorf("told of it: %s", st.AppendTo(nil))
		}
	}
	if got := export(bob); got != "" {
		t.Errorf("of nothing: %s", got)
	}
}

// An import keeps to the limits that clients have, and nobody is subscribed twice.
func TestImportLimits(t *testing.T) {
	h := newHost(t, "[modules.mod_pep]", "subscriptions = 2")
	h.Session(alice + "/x")
	m := portable(t, h.Loader)
	take := func(inner string) error {
		e, err := stanza.Parse([]byte("<pubsub xmlns='" + nsOwner + "'>" + inner + "</pubsub>"))
		if err != nil {
			t.Fatal(err)
		}
		return m.Import(t.Context(), stanza.MustJID(alice), e)
	}
	subscribe := func(jids ...string) string {
		s := "<subscriptions node='urn:n'>"
		for _, j := range jids {
			s += "<subscription jid='" + j + "' subscription='subscribed'/>"
		}
		return s + "</subscriptions>"
	}
	if err := take(subscribe("a@b.test", "a@b.test")); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	if err := m.Export(t.Context(), stanza.MustJID(alice), &modules.Export{Writer: &out}); err != nil || strings.Count(out.String(), "a@b.test") != 1 {
		t.Errorf("%v: %s", err, &out)
	}
	if err := take(subscribe("b@b.test", "c@b.test")); err == nil {
		t.Error("too many subscriptions are taken")
	}
	var many strings.Builder
	for i := range maxAffiliations + 1 {
		fmt.Fprintf(&many, "<affiliation jid='%d' affiliation='member'/>", i)
	}
	if err := take("<affiliations node='urn:n'>" + many.String() + "</affiliations>"); err == nil {
		t.Error("too many affiliations are taken")
	}
}

func portable(t *testing.T, l *modules.Loader) modules.Portable {
	t.Helper()
	for _, p := range modules.ServicesOf[modules.Portable](l, "a.test") {
		if m, ok := p.(*module); ok {
			return m
		}
	}
	t.Fatal("no service")
	return nil
}
