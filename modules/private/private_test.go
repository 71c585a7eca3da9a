package private

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice = "alice@a.test"
	notes = "<notes xmlns='storage:rosternotes'><note jid='x@y'>he <b>said</b> so</note></notes>"
)

func query(s string) string { return "<query xmlns='jabber:iq:private'>" + s + "</query>" }

func refused(t *testing.T, st *stanza.Stanza, c stanza.Condition) {
	t.Helper()
	if e := st.StanzaError(); e == nil || e.Condition != c {
		t.Errorf("got %s, want %s", st.AppendTo(nil), c)
	}
}

func ok(t *testing.T, st *stanza.Stanza) *stanza.Stanza {
	t.Helper()
	if st.Type != stanza.TypeResult {
		t.Fatalf("refused: %s", st.AppendTo(nil))
	}
	return st
}

func wants(t *testing.T, st *stanza.Stanza, want string) {
	t.Helper()
	if got := string(ok(t, st).AppendTo(nil)); !strings.Contains(got, query(want)) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// XEP-0049 §2.1: what is stored is returned as it came, to all of the account's sessions; what is not there is empty.
func TestStoreAndGet(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	a, b := h.Session(alice+"/one"), h.Session(alice+"/two")
	wants(t, a.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), "<notes xmlns='storage:rosternotes'/>")
	ok(t, a.IQ("set", "", query(notes)))
	wants(t, b.IQ("get", alice, query("<notes xmlns='storage:rosternotes'/>")), notes)
	wants(t, b.IQ("get", "", query("<other xmlns='storage:rosternotes'/>")), "<other xmlns='storage:rosternotes'/>")
	ok(t, a.IQ("set", "", query("<x xmlns='urn:x'>1</x><x xmlns='urn:x'>2</x><p:y xmlns:p='urn:y'/>"))) // §2.3
	wants(t, a.IQ("get", "", query("<x xmlns='urn:x'/>")), "<x xmlns='urn:x'>1</x><x xmlns='urn:x'>2</x>")
	wants(t, a.IQ("get", "", query("<y xmlns='urn:y'/>")), "<p:y xmlns='jabber:iq:private' xmlns:p='urn:y'/>")
	ok(t, a.IQ("set", "", query("<x xmlns='urn:x'/>")))
	wants(t, a.IQ("get", "", query("<x xmlns='urn:x'/>")), "<x xmlns='urn:x'/>")
	wants(t, a.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), notes)
}

// Z11, XEP-0049 §2.3, §3.
func TestErrors(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	a, b := h.Session(alice+"/one"), h.Session("bob@a.test/b")
	ok(t, a.IQ("set", "", query(notes)))
	refused(t, b.IQ("get", alice, query("<notes xmlns='storage:rosternotes'/>")), stanza.Forbidden)
	refused(t, b.IQ("set", alice, query("<notes xmlns='storage:rosternotes'/>")), stanza.Forbidden)
	refused(t, b.IQ("get", "nobody@a.test", query("<notes xmlns='storage:rosternotes'/>")), stanza.Forbidden)
	refused(t, b.IQ("get", "a.test", query("<notes xmlns='storage:rosternotes'/>")), stanza.ServiceUnavailable)
	refused(t, a.IQ("get", "", query("")), stanza.BadRequest)
	refused(t, a.IQ("get", "", query("<x xmlns='urn:x'/><y xmlns='urn:y'/>")), stanza.BadRequest)
	refused(t, a.IQ("set", "", query("")), stanza.NotAcceptable)
	refused(t, a.IQ("set", "", query("<x/>")), stanza.NotAcceptable)
	refused(t, a.IQ("get", "", query("<x/>")), stanza.NotAcceptable)
	refused(t, a.IQ("set", "", query("<x xmlns=''/>")), stanza.NotAcceptable)
	refused(t, a.IQ("set", "", query("<x xmlns='"+strings.Repeat("u", 1025)+"'/>")), stanza.NotAcceptable)
	refused(t, a.IQ("set", "", "<x xmlns='jabber:iq:private'/>"), stanza.FeatureNotImplemented)
	wants(t, a.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), notes)
}

// R12: there is an end to it, what was there stays, and what is replaced does not count twice.
func TestLimit(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_private]\nsize = \"1KiB\"\n", Info)
	a := h.Session(alice + "/one")
	big := func(n int, name string) string {
		return query("<" + name + " xmlns='urn:x'>" + strings.Repeat("x", n) + "</" + name + ">")
	}
	ok(t, a.IQ("set", "", big(500, "a")))
	ok(t, a.IQ("set", "", big(800, "a")))
	refused(t, a.IQ("set", "", big(300, "b")), stanza.ResourceConstraint)
	refused(t, a.IQ("set", "", big(1000, "a")), stanza.ResourceConstraint)
	wants(t, a.IQ("get", "", query("<a xmlns='urn:x'/>")), big(800, "a")[len("<query xmlns='jabber:iq:private'>"):len(big(800, "a"))-len("</query>")])
	n := 0
	for ; n < 100 && a.IQ("set", "", query(fmt.Sprintf("<x%d xmlns='urn:x'/>", n))).Type == stanza.TypeResult; n++ {
	}
	if n == 100 || n == 0 {
		t.Errorf("%d empty elements", n)
	}
	if _, err := modtest.TryConfig(t, "a.test", "[modules.mod_private]\nsize = 0\n", Info); err == nil {
		t.Error("no room at all is a configuration")
	}
}

func TestUserDeleted(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	a := h.Session(alice + "/one")
	h.Session("alice2@a.test/x").IQ("set", "", query(notes)) // a name that begins the same
	ok(t, a.IQ("set", "", query(notes)))
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	a.IQ("set", "", query(notes)) // its session is on its way out
	a.Close(nil)
	a = h.Session(alice + "/one")
	wants(t, a.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), "<notes xmlns='storage:rosternotes'/>")
	wants(t, h.Session("alice2@a.test/y").IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), notes)
}

// What another module keeps goes there, and what it has not comes from here.
func TestKeeper(t *testing.T) {
	k := &keeper{}
	in := modules.Define(modules.Info{Name: "mod_keeper"}, struct{}{}, func(struct{}) modules.Module { return k })
	h := modtest.New(t, "a.test", Info, in)
	a := h.Session(alice + "/one")
	get := query("<notes xmlns='storage:rosternotes'/>")
	ok(t, a.IQ("set", "", query(notes)))
	wants(t, a.IQ("get", "", get), notes)
	k.on = true
	wants(t, a.IQ("get", "", get), notes)
	ok(t, a.IQ("set", "", query("<notes xmlns='storage:rosternotes'>new</notes>")))
	wants(t, a.IQ("get", "", get), "<notes xmlns='storage:rosternotes'>new</notes>")
	k.fail = errors.New("broken")
	refused(t, a.IQ("set", "", query(notes)), stanza.InternalServerError)
	refused(t, a.IQ("get", "", get), stanza.InternalServerError)
	k.on = false
	wants(t, a.IQ("get", "", get), notes)
}

// What one request stores in two places is in both, or in neither.
func TestAllOrNothing(t *testing.T) {
	k := &keeper{on: true}
	in := modules.Define(modules.Info{Name: "mod_keeper"}, struct{}{}, func(struct{}) modules.Module { return k })
	h := modtest.NewConfig(t, "a.test", "[modules.mod_private]\nsize = \"1KiB\"\n", Info, in)
	a := h.Session(alice + "/one")
	const x, mine = "<x xmlns='urn:x'>1</x>", "<notes xmlns='storage:rosternotes'>mine</notes>"
	has := func(what, x, notes string) {
		t.Helper()
		wants(t, a.IQ("get", "", query("<x xmlns='urn:x'/>")), x)
		if string(k.data) != notes {
			t.Errorf("%s: the keeper has %s", what, k.data)
		}
	}
	ok(t, a.IQ("set", "", query(x+mine)))
	wants(t, a.IQ("get", "", query("<notes xmlns='storage:rosternotes'/>")), mine)
	had := string(k.data)
	refused(t, a.IQ("set", "", query(notes+"<x xmlns='urn:x'>"+strings.Repeat("x", 1024)+"</x>")), stanza.ResourceConstraint)
	has("no room", x, had)
	refused(t, a.IQ("set", "", query(notes+"<x xmlns='urn:x'/>"+notes)), stanza.NotAcceptable)
	has("two for the keeper", x, had)
	k.fail = stanza.Err(stanza.BadRequest, "")
	refused(t, a.IQ("set", "", query("<x xmlns='urn:x'/>"+notes)), stanza.BadRequest)
	has("what the keeper refuses", x, had)
	k.fail = nil
	const y = "<x xmlns='urn:x'>2</x>"
	e, err := stanza.Parse([]byte(query(mine + y + notes)))
	if err != nil {
		t.Fatal(err)
	}
	if err := modules.ServicesOf[modules.Portable](h.Loader, "a.test")[0].Import(t.Context(), stanza.MustJID(alice), e); err != nil {
		t.Fatal(err)
	}
	if has("imported", y, string(k.data)); !strings.Contains(string(k.data), "said") { // the last one for the keeper
		t.Errorf("imported: the keeper has %s", k.data)
	}
}

type keeper struct {
	on   bool
	data []byte
	fail error
}

func (k *keeper) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[Keeper](h, k)
	return nil
}
func (k *keeper) Stop(context.Context) error { return nil }
func (k *keeper) Keeps(ns, _ string) bool    { return k.on && ns == "storage:rosternotes" }
func (k *keeper) LoadPrivate(context.Context, stanza.JID) ([]byte, error) {
	return k.data, k.fail
}
func (k *keeper) StorePrivate(_ context.Context, _, _ stanza.JID, data []byte, rest func() error) error {
	if k.fail != nil {
		return k.fail
	}
	if err := rest(); err != nil {
		return err
	}
	k.data = data
	return nil
}
