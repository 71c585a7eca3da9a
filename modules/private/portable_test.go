package private

import (
	"bytes"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// What an account stores it tells and takes back, several elements of one name too, and no more than a client may store.
func TestPortable(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_private]\nsize = \"1KiB\"\n", Info)
	a := h.Session(alice + "/one")
	both := "<x xmlns='urn:x'>1</x><x xmlns='urn:x'>2</x>"
	ok(t, a.IQ("set", "", query(both+notes)))
	m := modules.ServicesOf[modules.Portable](h.Loader, "a.test")[0]
	var out bytes.Buffer
	if err := m.Export(t.Context(), stanza.MustJID(alice), &modules.Export{Writer: &out}); err != nil {
		t.Fatal(err)
	}
	b := h.Session("bob@a.test/x")
	take := func(xml string) error {
		e, err := stanza.Parse([]byte(xml))
		if err != nil {
			t.Fatal(err)
		}
		return m.Import(t.Context(), stanza.MustJID("bob@a.test"), e)
	}
	if err := take(out.String()); err != nil {
		t.Fatal(err)
	}
	wants(t, b.IQ("get", "", query("<x xmlns='urn:x'/>")), both)
	wants(t, b.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), notes)
	if err := take(query("<y xmlns='urn:y'>" + strings.Repeat("y", 2000) + "</y>")); err == nil {
		t.Error("more is taken than a client may store")
	}
	if err := take(query("<y xmlns='urn:" + strings.Repeat("y", 2000) + "'/>")); err != nil { // no client could have stored it
		t.Error(err)
	}
	wants(t, b.IQ("get", "", query("<x xmlns='urn:x'/>")), both)
}
