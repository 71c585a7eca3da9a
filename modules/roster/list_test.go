package roster

import (
	"slices"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// Who is told of presence, and who is asked for it; mostly these are the same, and then they are kept once.
func TestIndex(t *testing.T) {
	names := func(js []stanza.JID) (out []string) {
		for _, j := range js {
			out = append(out, j.Local())
		}
		slices.Sort(out)
		return out
	}
	for name, c := range map[string]struct {
		items            map[string]state
		readers, sources []string
		same             bool
	}{
		"empty":   {nil, nil, nil, false},
		"neither": {map[string]state{"a": 0, "b": pendingIn | pendingOut}, nil, nil, false},
		"both":    {map[string]state{"a": subTo | subFrom, "b": subTo | subFrom | approved, "c": pendingOut}, []string{"a", "b"}, []string{"a", "b"}, true},
		"mixed":   {map[string]state{"a": subTo | subFrom, "b": subTo, "c": subFrom}, []string{"a", "c"}, []string{"a", "b"}, false},
		"to":      {map[string]state{"a": subTo, "b": subTo | pendingIn}, nil, []string{"a", "b"}, false},
		"from":    {map[string]state{"a": subFrom}, []string{"a"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := &list{items: map[stanza.JID]*item{}}
			for local, st := range c.items {
				j := stanza.MustJID(local + "@a.test")
				l.items[j] = &item{jid: j, state: st, listed: true}
			}
			l.index()
			equal(t, "readers", names(l.readers), c.readers...)
			equal(t, "sources", names(l.sources), c.sources...)
			if same := len(l.readers) > 0 && len(l.sources) > 0 && &l.readers[0] == &l.sources[0]; same != c.same {
				t.Errorf("the same slice: %v", same)
			}
		})
	}
}

// A roster is written once for each state that it has.
func TestQueryOnce(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	h.put(alice, bob, subTo|subFrom)
	whole := func() *byte {
		l, err := h.m.list(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return &l.query()[0]
	}
	for _, want := range []string{"bob@a.test both", "bob@a.test to"} {
		items, _ := roster(t, a.IQ("get", "", query("")))
		equal(t, "first", items, want)
		was := whole()
		items, _ = roster(t, a.IQ("get", "", query("")))
		equal(t, "second", items, want)
		if whole() != was {
			t.Error("written again")
		}
		h.put(alice, bob, subTo)
	}
}
