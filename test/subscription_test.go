package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// The state tables of RFC 6121 appendix A, written down a second time, independently of the server. A state is what a user
// has with a contact: subscription, and whether a request of ours (out) or of theirs (in) is open.
type subState struct {
	sub     string
	out, in bool
}

func (s subState) String() string {
	n := s.sub
	if s.out {
		n += "+out"
	}
	if s.in {
		n += "+in"
	}
	return n
}

// mirror is the contact's state when ours is s and both are right.
func (s subState) mirror() subState {
	m := map[string]string{"none": "none", "to": "from", "from": "to", "both": "both"}
	return subState{m[s.sub], s.in, s.out}
}

var (
	none      = subState{"none", false, false}
	noneOut   = subState{"none", true, false}
	noneIn    = subState{"none", false, true}
	noneOutIn = subState{"none", true, true}
	to        = subState{"to", false, false}
	toIn      = subState{"to", false, true}
	from      = subState{"from", false, false}
	fromOut   = subState{"from", true, false}
	both      = subState{"both", false, false}
)

// reach says how a pair of fresh accounts gets into a state: who (a, b) sends what.
var reach = map[subState][]string{
	none:      {},
	noneOut:   {"a subscribe"},
	noneIn:    {"b subscribe"},
	noneOutIn: {"a subscribe", "b subscribe"},
	to:        {"a subscribe", "b subscribed"},
	toIn:      {"a subscribe", "b subscribed", "b subscribe"},
	from:      {"b subscribe", "a subscribed"},
	fromOut:   {"b subscribe", "a subscribed", "a subscribe"},
	both:      {"a subscribe", "b subscribed", "b subscribe", "a subscribed"},
}

type row struct {
	pass bool // routed (outbound) or delivered (inbound)
	next subState
}

// outbound is A.2.1 to A.2.4, inbound A.3.1 to A.3.4.
var outbound = map[string]map[subState]row{
	"subscribe": {none: {true, noneOut}, noneOut: {true, noneOut}, noneIn: {true, noneOutIn}, noneOutIn: {true, noneOutIn},
		to: {true, to}, toIn: {true, toIn}, from: {true, fromOut}, fromOut: {true, fromOut}, both: {true, both}},
	"unsubscribe": {none: {true, none}, noneOut: {true, none}, noneIn: {true, noneIn}, noneOutIn: {true, noneIn},
		to: {true, none}, toIn: {true, noneIn}, from: {true, from}, fromOut: {true, from}, both: {true, from}},
	"subscribed": {none: {false, none}, noneOut: {false, noneOut}, noneIn: {true, from}, noneOutIn: {true, fromOut},
		to: {false, to}, toIn: {true, both}, from: {false, from}, fromOut: {false, fromOut}, both: {false, both}},
	"unsubscribed": {none: {false, none}, noneOut: {false, noneOut}, noneIn: {true, none}, noneOutIn: {true, noneOut},
		to: {false, to}, toIn: {true, to}, from: {true, none}, fromOut: {true, noneOut}, both: {true, to}},
}

var inbound = map[string]map[subState]row{
	"subscribe": {none: {true, noneIn}, noneOut: {true, noneOutIn}, noneIn: {false, noneIn}, noneOutIn: {false, noneOutIn},
		to: {true, toIn}, toIn: {false, toIn}, from: {false, from}, fromOut: {false, fromOut}, both: {false, both}},
	"unsubscribe": {none: {false, none}, noneOut: {false, noneOut}, noneIn: {true, none}, noneOutIn: {true, noneOut},
		to: {false, to}, toIn: {true, to}, from: {true, none}, fromOut: {true, noneOut}, both: {true, to}},
	"subscribed": {none: {false, none}, noneOut: {true, to}, noneIn: {false, noneIn}, noneOutIn: {true, toIn},
		to: {false, to}, toIn: {false, toIn}, from: {false, from}, fromOut: {true, both}, both: {false, both}},
	"unsubscribed": {none: {false, none}, noneOut: {true, none}, noneIn: {false, noneIn}, noneOutIn: {true, noneIn},
		to: {true, none}, toIn: {true, noneIn}, from: {false, from}, fromOut: {true, from}, both: {true, from}},
}

// TestSubscriptionTransitions sends each subscription stanza in each state, and looks at both sides: what was
// delivered, both rosters, and whether a request is still open. 36 cases are 36 rows of A.2 and the matching 36 of A.3.
func TestSubscriptionTransitions(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	n := 0
	for _, start := range []subState{none, noneOut, noneIn, noneOutIn, to, toIn, from, fromOut, both} {
		for _, typ := range []string{"subscribe", "unsubscribe", "subscribed", "unsubscribed"} {
			n++
			a, b := fmt.Sprintf("a%d@localhost", n), fmt.Sprintf("b%d@localhost", n)
			t.Run(typ+" in "+start.String(), func(t *testing.T) {
				s.AddUsers(a, b)
				transition(t, s, a, b, start, typ)
			})
		}
	}
}

func transition(t *testing.T, s *xtest.Server, a, b string, start subState, typ string) {
	ca, cb := s.Login(t, a+"/r"), s.Login(t, b+"/r")
	send := func(who, typ string) {
		if who == "a" {
			ca.Send("<presence to='%s' type='%s'/>", b, typ)
		} else {
			cb.Send("<presence to='%s' type='%s'/>", a, typ)
		}
		ca.Barrier()
		cb.Barrier()
	}
	for _, c := range []*xtest.Client{ca, cb} {
		c.Send("<iq type='get' id='ros'><query xmlns='jabber:iq:roster'/></iq><presence/>")
		c.Barrier()
	}
	for _, step := range reach[start] {
		who, typ, _ := strings.Cut(step, " ")
		send(who, typ)
	}
	if got := subStateOf(t, s, ca, a, b); got != start {
		t.Fatalf("the start state is %v, wanted %v", got, start)
	}

	out := outbound[typ][start]
	wantA, wantB := out.next, start.mirror()
	delivered := false
	if out.pass {
		in := inbound[typ][start.mirror()]
		wantB, delivered = in.next, in.pass
	}
	ca.Send("<presence to='%s' type='%s' id='x'><status>mine</status></presence>", b, typ)
	ca.Barrier()
	cb.Barrier2(func(got []*xtest.Node) {
		saw := false
		for _, n := range got {
			if n.Name.Local == "presence" && n.Attr("type") == typ {
				saw = true
				if n.Attr("from") != a { // RFC 6121 §3.1.2: from is the bare JID
					t.Errorf("the contact got %s, wanted it from %s", n, a)
				}
			}
		}
		if saw != delivered {
			t.Errorf("delivered: %v, wanted %v; the contact got %v", saw, delivered, got)
		}
	})
	if got := subStateOf(t, s, ca, a, b); got != wantA {
		t.Errorf("the sender's state is %v, wanted %v", got, wantA)
	}
	if got := subStateOf(t, s, cb, b, a); got != wantB {
		t.Errorf("the contact's state is %v, wanted %v", got, wantB)
	}
}

// subStateOf asks for the roster, and logs in once more to see whether a request is open (RFC 6121 §3.1.3).
func subStateOf(t *testing.T, s *xtest.Server, c *xtest.Client, me, other string) subState {
	t.Helper()
	st := none
	c.Send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>")
	for {
		n := c.Must()
		if n.Attr("id") != "look" {
			continue
		}
		for _, it := range n.Find("query").Children {
			if it.Attr("jid") == other {
				st.sub, st.out = it.Attr("subscription"), it.Attr("ask") == "subscribe"
			}
		}
		break
	}
	probe := s.Login(t, me+"/probe")
	probe.Send("<presence><priority>-1</priority></presence>")
	for _, n := range probe.Barrier() {
		if n.Name.Local == "presence" && n.Attr("type") == "subscribe" && n.Attr("from") == other {
			st.in = true
		}
	}
	probe.Quit()
	c.Barrier()
	return st
}
