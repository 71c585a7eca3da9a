package roster

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice = "alice@a.test"
	bob   = "bob@a.test"
	romeo = "romeo@b.test" // of another server
)

// host is a.test with mod_roster, whose instance the test can look into.
type host struct {
	*modtest.Host
	t *testing.T
	m *module
}

func newHost(t *testing.T) *host { t.Helper(); return newHostConfig(t, "") }

func newHostConfig(t *testing.T, toml string) *host {
	t.Helper()
	h := &host{t: t}
	in := modules.Define(Info, Defaults, func(c Config) modules.Module { h.m = newModule(c); return h.m })
	h.Host = modtest.NewConfig(t, "a.test", toml, in)
	return h
}

// restart forgets all that is in memory only.
func (h *host) restart() { h.m.cache = newCache(h.m.cache.lru.Max()) }

// login opens a session, asks for the roster and sends initial presence, and forgets what came of it.
func (h *host) login(full string) *modtest.Session {
	h.t.Helper()
	s := h.Session(full)
	s.IQ("get", "", `<query xmlns='jabber:iq:roster'/>`)
	s.Available(0, "")
	s.Sent()
	h.Sent()
	return s
}

// put gives an account a contact in a state, as if by history.
func (h *host) put(owner, contact string, st state) {
	h.t.Helper()
	e := &edit{owner: stanza.MustJID(owner), contact: stanza.MustJID(contact)}
	e.change = func(_ *list, it *item) error {
		it.state, it.listed = st, st != pendingIn
		return nil
	}
	e.request = func() []byte {
		return []byte("<presence type='subscribe' from='" + contact + "' to='" + owner + "'><status>hello</status></presence>")
	}
	if err := h.m.apply(context.Background(), e); err != nil {
		h.t.Fatal(err)
	}
}

// mutual makes two local accounts see each other.
func (h *host) mutual(a, b string) {
	h.t.Helper()
	h.put(a, b, subTo|subFrom)
	h.put(b, a, subTo|subFrom)
}

// state reads the state from the store.
func (h *host) state(owner, contact string) state {
	h.t.Helper()
	return h.item(owner, contact).state
}

func (h *host) item(owner, contact string) item {
	h.t.Helper()
	l, err := h.m.load(context.Background(), stanza.MustJID(owner).Local())
	if err != nil {
		h.t.Fatal(err)
	}
	if it := l.items[stanza.MustJID(contact)]; it != nil {
		return *it
	}
	return item{}
}

// presences lists presence as "type from > to", in order.
func presences(sts []*stanza.Stanza) []string {
	var out []string
	for _, st := range sts {
		if st.Kind == stanza.KindPresence {
			out = append(out, typeName[st.Type]+" "+st.From().String()+" > "+st.To().String())
		}
	}
	return out
}

// pushes lists roster pushes as their items, without namespace.
func pushes(t *testing.T, sts []*stanza.Stanza) []string {
	t.Helper()
	var out []string
	for _, st := range sts {
		if st.Kind == stanza.KindIQ && st.Type == stanza.TypeSet && st.Has(stanza.NSRoster, "query") {
			if !st.From().IsZero() {
				t.Errorf("a push has a from: %s", st.AppendTo(nil))
			}
			if !st.HasID() {
				t.Errorf("a push has no id: %s", st.AppendTo(nil))
			}
			q := st.Payload()
			if len(q.Children) != 1 || q.Attr("ver") == "" {
				t.Errorf("a push has not one item and a version: %s", st.AppendTo(nil))
			}
			out = append(out, show(q.Children[0]))
		}
	}
	return out
}

// show writes an item as "jid subscription ask approved name [groups]", leaving out what is empty.
func show(el *stanza.Element) string {
	words := []string{el.Attr("jid"), el.Attr("subscription")}
	if a := el.Attr("ask"); a != "" {
		words = append(words, "ask="+a)
	}
	if a := el.Attr("approved"); a != "" {
		words = append(words, "approved="+a)
	}
	if a := el.Attr("name"); a != "" {
		words = append(words, "name="+a)
	}
	for _, g := range el.Children {
		words = append(words, "["+g.Text+"]")
	}
	return strings.Join(words, " ")
}

// equal compares lists; order says whether the order matters.
func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
