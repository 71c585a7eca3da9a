package muc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// said is the bodies of the groupchat messages in a list, in order.
func bodies(list []*stanza.Stanza) (out []string) {
	for _, st := range list {
		if st.Kind == stanza.KindMessage && st.Type == stanza.TypeGroupchat && st.Has("", "body") {
			out = append(out, st.Text("body"))
		}
	}
	return out
}

// groupchat is a message for all in the den.
func groupchat(t testing.TB, from, body string) *modules.Packet {
	t.Helper()
	st, err := stanza.Parse([]byte("<message type='groupchat' id='m' from='" + from + "' to='den@" + service + "'><body>" + body + "</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	return modules.NewPacket(st)
}

// den is a room with people in it.
func den(t testing.TB, people int, toml string) (*modtest.Host, []*modtest.Session) {
	t.Helper()
	h := modtest.NewConfig(t, "a.test", toml, Info)
	var list []*modtest.Session
	for i := range people {
		s := h.Session(fmt.Sprintf("u%d@a.test/x", i))
		if i == 0 {
			open(t, s, "den", "u0")
		} else {
			enter(t, s, "den", fmt.Sprintf("u%d", i))
		}
		list = append(list, s)
	}
	for _, s := range list {
		s.Sent()
	}
	return h, list
}

// TestOrder: whatever many say at once, all hear it in the same order, each speaker's in his.
func TestOrder(t *testing.T) {
	const people, each = 6, 40
	h, list := den(t, people, "[modules.mod_muc]\nmax_occupants = 10\n")
	var wg sync.WaitGroup
	for i, s := range list {
		var todo []*modules.Packet
		for k := range each {
			todo = append(todo, groupchat(t, s.JID().String(), fmt.Sprintf("%d:%d", i, k)))
		}
		wg.Go(func() {
			for _, p := range todo {
				h.Router.Route(context.Background(), p)
			}
		})
	}
	wg.Wait()
	want := bodies(list[0].Sent())
	if len(want) != people*each {
		t.Fatalf("%d messages of %d", len(want), people*each)
	}
	next := map[string]int{}
	for _, b := range want {
		who, n, _ := strings.Cut(b, ":")
		if n != fmt.Sprint(next[who]) {
			t.Errorf("of %s came %s, and %d was next", who, n, next[who])
		}
		next[who]++
	}
	for _, s := range list[1:] {
		if got := bodies(s.Sent()); !slices.Equal(got, want) {
			t.Errorf("%s heard another order", s.JID())
		}
	}
}

// TestPeopleComeAndGo: while some talk, others enter and leave; nobody waits for ever, and who was there all the time missed nothing.
func TestPeopleComeAndGo(t *testing.T) {
	h, list := den(t, 3, "")
	var wg sync.WaitGroup
	const each = 60
	for i, s := range list {
		var todo []*modules.Packet
		for k := range each {
			todo = append(todo, groupchat(t, s.JID().String(), fmt.Sprintf("%d:%d", i, k)))
		}
		wg.Go(func() {
			for _, p := range todo {
				h.Router.Route(context.Background(), p)
			}
		})
	}
	for i := range 4 {
		guest := h.Session(fmt.Sprintf("guest%d@a.test/x", i))
		var todo []*modules.Packet
		for range each {
			for _, x := range []string{
				"<presence from='%s' to='den@%s/guest%d'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
				"<presence type='unavailable' from='%s' to='den@%s/guest%d'/>",
			} {
				st, err := stanza.Parse(fmt.Appendf(nil, x, guest.JID(), service, i))
				if err != nil {
					t.Fatal(err)
				}
				todo = append(todo, modules.NewPacket(st))
			}
		}
		wg.Go(func() {
			for _, p := range todo {
				h.Router.Route(context.Background(), p)
			}
		})
	}
	wg.Wait()
	for _, s := range list {
		if n := len(bodies(s.Sent())); n != 3*each {
			t.Errorf("%s heard %d of %d", s.JID(), n, 3*each)
		}
	}
}

// TestInside: what comes back while a room sends is done after that, on the same goroutine, and nobody waits for himself: here an occupant
// whose client takes nothing any more.
func TestInside(t *testing.T) {
	h, list := den(t, 3, "")
	list[2].Refuse(fmt.Errorf("gone"))
	list[1].Say("<message type='groupchat' to='den@" + service + "'><body>hello</body></message>")
	got := modtest.XML(list[0].Sent())
	if !strings.Contains(got, "hello") || !strings.Contains(got, "type='unavailable'") || !strings.Contains(got, "code='333'") {
		t.Errorf("got %s", got)
	}
	if strings.Contains(h.Log(), "panic") {
		t.Error(h.Log())
	}
}

// TestPanic: a mistake of ours in one task ends that one only.
func TestPanic(t *testing.T) {
	h, list := den(t, 2, "")
	moduleOf(t, h).in(context.Background(), nil, stanza.MustJID("den@"+service), func(*room, context.Context, *modules.Packet) { panic("on purpose") })
	list[1].Say("<message type='groupchat' to='den@" + service + "'><body>hello</body></message>")
	if got := bodies(list[0].Sent()); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if !strings.Contains(h.Log(), "on purpose") {
		t.Error("nothing in the log")
	}
}
