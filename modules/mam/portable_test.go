package mam

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// What an archive tells it takes back, under IDs of its own; what is no message of an archive it passes over.
func TestPortable(t *testing.T) {
	ctx := context.Background()
	h, m := host(t, "")
	a, b := h.Session("alice@a.test/x"), h.Session("bob@a.test/y")
	a.Available(0, "")
	b.Available(0, "")
	a.Say("<message to='bob@a.test' type='chat'><body>one</body></message>")
	b.Say("<message to='alice@a.test/x' type='chat'><body>two</body><p:x xmlns:p='urn:example:x'>a<p:y/>b</p:x></message>")
	a.IQ("set", "", "<prefs xmlns='"+ns+"' default='roster'><always><jid>bob@a.test</jid></always><never/></prefs>")
	export := func(who string) string {
		t.Helper()
		var out bytes.Buffer
		if err := m.Export(ctx, stanza.MustJID(who), &modules.Export{Writer: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	before := export("alice@a.test")
	at := strings.Index(before, "<archive")
	if at < 0 || strings.Count(before, "<result ") != 2 || !strings.Contains(before, "a<p:y/>b") || !strings.HasPrefix(before, "<prefs ") {
		t.Fatalf("told %s", before)
	}
	h.User("carol")
	for _, part := range []string{before[:at], before[at:], "<archive xmlns='" + nsPortable + "'><result xmlns='" + ns + "'/><x xmlns='urn:x'/>text</archive>"} {
		e, err := stanza.Parse([]byte(part))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Import(ctx, stanza.MustJID("carol@a.test"), e); err != nil {
			t.Fatal(err)
		}
	}
	after := export("carol@a.test")
	id := func(s string) string {
		var out []string
		for _, l := range strings.Split(s, "<result ") {
			_, l, _ = strings.Cut(l, "<forwarded")
			out = append(out, l)
		}
		return strings.Join(out, "\n")
	}
	if id(before[at:]) != id(after[strings.Index(after, "<archive"):]) || !strings.HasPrefix(after, before[:at]) {
		t.Errorf("told %s\nthen %s", before, after)
	}
	if got := export("bob@a.test"); strings.Contains(got, "prefs") || strings.Count(got, "<result ") != 2 {
		t.Errorf("of bob: %s", got)
	}
	h.User("dora")
	if got := export("dora@a.test"); got != "" {
		t.Errorf("of nobody: %s", got)
	}
}
