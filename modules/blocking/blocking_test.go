package blocking

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/last"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice   = "alice@a.test"
	mallory = "mallory@a.test"
	romeo   = "romeo@b.test" // of another server
)

func newHost(t *testing.T) *modtest.Host {
	t.Helper()
	return modtest.New(t, "a.test", roster.Info, Info, last.Info, offline.Info)
}

func set(t *testing.T, s *modtest.Session, name string, jids ...string) {
	t.Helper()
	if st := request(s, name, jids...); st.Type != stanza.TypeResult {
		t.Fatalf("%s %q: %s", name, jids, st.AppendTo(nil))
	}
}

func request(s *modtest.Session, name string, jids ...string) *stanza.Stanza {
	var x stanza.XML
	x.Start(name, "xmlns", ns)
	for _, j := range jids {
		x.Empty("item", "jid", j)
	}
	return s.IQ("set", "", string(x.Bytes()))
}

func get(t *testing.T, s *modtest.Session) string {
	t.Helper()
	st := s.IQ("get", "", "<blocklist xmlns='"+ns+"'/>")
	if st.Type != stanza.TypeResult {
		t.Fatalf("%s", st.AppendTo(nil))
	}
	var all []string
	for _, it := range st.Payload().Children {
		all = append(all, it.Attr("jid"))
	}
	return strings.Join(all, " ")
}

func condition(st *stanza.Stanza) stanza.Condition {
	if e := st.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// xml is what a session was sent, without ids.
func xml(list []*stanza.Stanza) string { return modtest.XML(list) }

// XEP-0191 §3.2 to §3.5: the list, its changes, and who is told of them.
func TestList(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(alice+"/two")
	if l := get(t, a); l != "" {
		t.Errorf("a new list has %q", l)
	}
	set(t, a, "block", "Mallory@a.test", "b.test", romeo+"/Phone")
	if l := get(t, a); l != "b.test mallory@a.test "+romeo+"/Phone" {
		t.Errorf("got %q", l)
	}
	if got := xml(a.Sent()); strings.Count(got, "<block ") != 1 || !strings.Contains(got, "<item jid='mallory@a.test'/><item jid='b.test'/>") || strings.Contains(got, "from=") {
		t.Errorf("the push: %s", got)
	}
	if got := b.Sent(); len(got) > 0 { // has not asked
		t.Errorf("told of it unasked: %s", xml(got))
	}
	get(t, b)
	set(t, b, "unblock", "b.test", "stranger@c.test")
	for _, s := range []*modtest.Session{a, b} {
		if got := xml(s.Sent()); !strings.Contains(got, "<unblock xmlns='"+ns+"'><item jid='b.test'/><item jid='stranger@c.test'/></unblock>") {
			t.Errorf("the push: %s", got)
		}
	}
	set(t, a, "unblock")
	if got := xml(b.Sent()); !strings.Contains(got, "<unblock xmlns='"+ns+"'/>") {
		t.Errorf("the push: %s", got)
	}
	if l := get(t, a); l != "" {
		t.Errorf("after all were unblocked: %q", l)
	}
}

func TestBadRequests(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_blocking]\nmax_entries = 3\n", roster.Info, Info)
	a, m := h.Session(alice+"/one"), h.Session(mallory+"/m")
	set(t, a, "block", "x@c.test", "y@c.test")
	for _, tt := range []struct {
		typ, to, payload string
		want             stanza.Condition
	}{
		{"set", "", "<block xmlns='" + ns + "'/>", stanza.BadRequest},
		{"set", "", "<block xmlns='" + ns + "'><item/></block>", stanza.BadRequest},
		{"set", "", "<block xmlns='" + ns + "'><item xmlns='urn:x' jid='z@c.test'/></block>", stanza.BadRequest},
		{"set", "", "<block xmlns='" + ns + "'><item jid='@'/></block>", stanza.JIDMalformed},
		{"set", "", "<block xmlns='" + ns + "'><item jid='z@c.test'/><item jid='a@b@'/></block>", stanza.JIDMalformed},
		{"set", "", "<block xmlns='" + ns + "'><item jid='" + alice + "/two'/></block>", stanza.NotAllowed},
		{"set", "", "<block xmlns='" + ns + "'><item jid='1.test'/><item jid='2.test'/></block>", stanza.NotAllowed}, // R11
		{"set", "", "<unblock xmlns='" + ns + "'><jid>x@c.test</jid></unblock>", stanza.BadRequest},
		{"set", "", "<unblock xmlns='" + ns + "'><item/></unblock>", stanza.BadRequest},
		{"set", "", "<blocklist xmlns='" + ns + "'/>", stanza.BadRequest},
		{"get", "", "<block xmlns='" + ns + "'><item jid='z@c.test'/></block>", stanza.BadRequest},
		{"get", mallory, "<blocklist xmlns='" + ns + "'/>", stanza.ServiceUnavailable},
		{"set", mallory, "<block xmlns='" + ns + "'><item jid='z@c.test'/></block>", stanza.ServiceUnavailable},
		{"set", "nobody@a.test", "<block xmlns='" + ns + "'><item jid='z@c.test'/></block>", stanza.ServiceUnavailable},
		{"set", "", "<block xmlns='" + ns + "'><item jid='z@c.test'><report xmlns='" + nsReport + "'/></item></block>", stanza.BadRequest},
		{"set", "", "<block xmlns='" + ns + "'>" + strings.Repeat("<item jid='x@c.test'><report xmlns='"+nsReport+"' reason='urn:xmpp:reporting:spam'/></item>", perReporter+1) + "</block>", stanza.PolicyViolation},
	} {
		if st := a.IQ(tt.typ, tt.to, tt.payload); condition(st) != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.typ, tt.payload, st.AppendTo(nil), tt.want)
		}
	}
	if l := get(t, a); l != "x@c.test y@c.test" {
		t.Errorf("the list is %q", l)
	}
	if l := get(t, m); l != "" {
		t.Errorf("the other's list is %q", l)
	}
	set(t, a, "block", "x@c.test", "z@c.test") // what is on it does not count twice
}

// A list that is brought along is no longer than one that a client makes, and its owner is not on it.
func TestImport(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_blocking]\nmax_entries = 3\n", roster.Info, Info)
	a := h.Session(alice + "/one")
	take := func(jids ...string) error {
		var x stanza.XML
		x.Start("blocklist", "xmlns", ns)
		for _, j := range jids {
			x.Empty("item", "jid", j)
		}
		e, err := stanza.Parse(x.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return instance(t, h).Import(t.Context(), stanza.MustJID(alice), e)
	}
	if err := take("1.test", "2.test", "3.test", "4.test"); err == nil { // R11
		t.Error("a list that is too long is taken")
	}
	if err := take("x@c.test", alice, alice+"/two"); err != nil {
		t.Error(err)
	}
	instance(t, h).lists.Forget("alice")
	if l := get(t, a); l != "x@c.test" {
		t.Errorf("the list is %q", l)
	}
}

// way is how something comes from an address to alice, or goes from her to it.
type way struct {
	name, xml string
	answer    stanza.Condition // to who sent it; empty: silence
}

var inbound = []way{
	{"chat", "<message type='chat' %s><body>x</body></message>", stanza.ServiceUnavailable},
	{"normal", "<message %s><body>x</body></message>", stanza.ServiceUnavailable},
	{"headline", "<message type='headline' %s><body>x</body></message>", ""},
	{"groupchat", "<message type='groupchat' %s><body>x</body></message>", ""},
	{"message error", "<message type='error' %s><error type='cancel'/></message>", ""},
	{"presence", "<presence %s/>", ""},
	{"unavailable", "<presence type='unavailable' %s/>", ""},
	{"probe", "<presence type='probe' %s/>", ""},
	{"subscribe", "<presence type='subscribe' %s/>", ""},
	{"subscribed", "<presence type='subscribed' %s/>", ""},
	{"unsubscribe", "<presence type='unsubscribe' %s/>", ""},
	{"get", "<iq type='get' id='q' %s><query xmlns='urn:x'/></iq>", stanza.ServiceUnavailable},
	{"set", "<iq type='set' id='q' %s><query xmlns='jabber:iq:last'/></iq>", stanza.ServiceUnavailable},
	{"result", "<iq type='result' id='q' %s/>", ""},
	{"iq error", "<iq type='error' id='q' %s><error type='cancel'/></iq>", ""},
}

// Z17: nothing of a blocked address comes through, by whichever of the four forms of entries (XEP-0191 §3.3, §5).
func TestInbound(t *testing.T) {
	for _, entry := range []string{romeo, "b.test", romeo + "/garden"} {
		for _, to := range []string{alice, alice + "/one"} {
			t.Run(entry+" to "+to, func(t *testing.T) {
				h := newHost(t)
				a := h.Session(alice + "/one")
				a.Available(0, "")
				set(t, a, "block", entry)
				a.Sent()
				for _, w := range inbound {
					h.Sent()
					h.Send(fmt.Sprintf(w.xml, "from='"+romeo+"/garden' to='"+to+"'"))
					if got := a.Sent(); len(got) > 0 {
						t.Errorf("%s came through: %s", w.name, xml(got))
					}
					got := h.Sent()
					switch {
					case w.answer == "" && len(got) > 0:
						t.Errorf("%s was answered: %s", w.name, xml(got))
					case w.answer != "" && (len(got) != 1 || condition(got[0]) != w.answer || got[0].StanzaError().App != nil):
						t.Errorf("%s was answered %s", w.name, xml(got))
					}
				}
				// Others, and what the entry does not mean, come through.
				others := []string{"juliet@c.test", "sub.b.test"}
				if entry != "b.test" {
					others = append(others, "b.test", "benvolio@b.test")
				}
				if entry == romeo+"/garden" {
					others = append(others, romeo+"/street", romeo)
				}
				for _, o := range others {
					h.Send("<message type='chat' from='" + o + "' to='" + to + "'><body>x</body></message>")
					if got := a.Sent(); len(got) != 1 {
						t.Errorf("of %s came %s", o, xml(got))
					}
				}
			})
		}
	}
}

// Z17: what the user sends to a blocked address goes nowhere, and he is told why (XEP-0191 §3.3).
func TestOutbound(t *testing.T) {
	for _, entry := range []string{romeo, "b.test", romeo + "/garden"} {
		h := newHost(t)
		a := h.Session(alice + "/one")
		a.Available(0, "")
		set(t, a, "block", entry)
		a.Sent()
		for _, w := range inbound {
			a.Say(fmt.Sprintf(w.xml, "to='"+romeo+"/garden'"))
			if got := h.Sent(); len(got) > 0 {
				t.Errorf("%s: %s went out: %s", entry, w.name, xml(got))
			}
			answered := !strings.Contains(w.xml, "type='error'") && !strings.Contains(w.xml, "'result'") && w.name != "unavailable" && w.name != "probe" // those are never answered
			got := a.Sent()
			if !answered && len(got) > 0 || answered && (len(got) != 1 || condition(got[0]) != stanza.NotAcceptable ||
				got[0].StanzaError().Type != stanza.Cancel || string(got[0].StanzaError().App) != "<blocked xmlns='"+nsErrors+"'/>") {
				t.Errorf("%s: %s was answered %s", entry, w.name, xml(got))
			}
		}
	}
}

// A user's own devices and host are never blocked, also not by an entry that means them (XEP-0191 §4.1).
func TestOwn(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(alice+"/two")
	m := h.Session(mallory + "/m")
	a.Available(0, "")
	b.Available(0, "")
	set(t, a, "block", "a.test")
	a.Sent()
	b.Sent()
	a.Say("<message to='" + alice + "/two'><body>x</body></message>")
	if got := b.Sent(); len(got) != 1 {
		t.Errorf("of the own device came %s", xml(got))
	}
	if st := a.IQ("get", "a.test", "<query xmlns='jabber:iq:last'/>"); st.Type != stanza.TypeResult {
		t.Errorf("the host answers %s", st.AppendTo(nil))
	}
	m.Say("<message to='" + alice + "'><body>x</body></message>")
	if got := a.Sent(); len(got) != 0 {
		t.Errorf("of another account came %s", xml(got))
	}
}

// befriend gives both accounts a subscription to the other.
func befriend(a, b *modtest.Session) {
	for _, p := range [][2]*modtest.Session{{a, b}, {b, a}} {
		p[0].Say("<presence type='subscribed' to='" + p[1].JID().Bare().String() + "'/>")
		p[1].Say("<presence type='subscribe' to='" + p[0].JID().Bare().String() + "'/>")
	}
	a.Sent()
	b.Sent()
}

// XEP-0191 §3.3, §3.4: the blocked contact sees the account go, hears nothing of it while it is blocked, and sees it come.
func TestPresence(t *testing.T) {
	for _, entry := range []string{mallory, "a.test", mallory + "/m"} {
		t.Run(entry, func(t *testing.T) {
			h := newHost(t)
			a, m := h.Session(alice+"/one"), h.Session(mallory+"/m")
			a.Available(0, "<show>away</show>")
			m.Available(0, "")
			befriend(a, m)
			set(t, a, "block", entry)
			if got := xml(m.Sent()); got != "<presence type='unavailable' from='alice@a.test/one' to='"+mallory+map[bool]string{true: "/m"}[entry == mallory+"/m"]+"'/>\n" {
				t.Fatalf("who is blocked saw %s", got)
			}
			set(t, a, "block", entry)
			a.Sent()
			m.Say("<presence type='probe' to='" + alice + "'/>")
			if entry != mallory+"/m" { // presence for an account reaches all its resources
				a.Available(0, "<show>dnd</show>")
				m.Available(0, "<show>dnd</show>")
			}
			if got := xml(m.Sent()); strings.Contains(got, alice) {
				t.Errorf("while blocked: %s", got)
			}
			if got := xml(a.Sent()); strings.Contains(got, mallory) {
				t.Errorf("while blocking: %s", got)
			}
			set(t, a, "unblock", entry)
			if got := xml(m.Sent()); !strings.Contains(got, "from='alice@a.test/one'") || strings.Contains(got, "unavailable") {
				t.Errorf("unblocked, it saw %s", got)
			}
			if entry != mallory+"/m" {
				if got := xml(a.Sent()); !strings.Contains(got, "<presence from='mallory@a.test/m'") {
					t.Errorf("who unblocked saw %s", got)
				}
			}
		})
	}
}

// Who never saw the account sees nothing of a block; who got directed presence does.
func TestPresenceOfStrangers(t *testing.T) {
	h := newHost(t)
	a, m := h.Session(alice+"/one"), h.Session(mallory+"/m")
	a.Available(0, "")
	m.Available(0, "")
	m.Sent()
	set(t, a, "block", mallory)
	set(t, a, "unblock", mallory)
	if got := m.Sent(); len(got) > 0 {
		t.Errorf("a stranger saw %s", xml(got))
	}
	a.Say("<presence to='" + mallory + "/m'/>")
	m.Sent()
	set(t, a, "block", "a.test")
	if got := xml(m.Sent()); got != "<presence type='unavailable' from='alice@a.test/one' to='mallory@a.test/m'/>\n" {
		t.Errorf("who got directed presence saw %s", got)
	}
	a.Unavailable()
	if got := m.Sent(); len(got) > 0 {
		t.Errorf("and then %s", xml(got))
	}
}

// What this server makes on behalf of an account does not reach another server's blocked address.
func TestMadeForPeer(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	a.Say("<presence type='subscribed' to='" + romeo + "'/>")
	h.Send("<presence type='subscribe' from='" + romeo + "' to='" + alice + "'/>")
	h.Sent()
	a.Available(0, "")
	if got := h.Sent(); len(got) != 1 {
		t.Fatalf("before: %s", xml(got))
	}
	set(t, a, "block", "b.test")
	if got := h.Sent(); len(got) != 1 || got[0].Type != stanza.TypeUnavailable {
		t.Errorf("the block: %s", xml(got))
	}
	a.Unavailable()
	a.Available(0, "")
	if st := a.IQ("set", "", "<query xmlns='jabber:iq:roster'><item jid='"+romeo+"' subscription='remove'/></query>"); st.Type != stanza.TypeResult {
		t.Errorf("%s", st.AppendTo(nil))
	}
	if got := h.Sent(); len(got) > 0 {
		t.Errorf("while blocked: %s", xml(got))
	}
}

// Messages and subscription requests that were kept before the block are not delivered after it.
func TestKept(t *testing.T) {
	h := newHost(t)
	h.User("alice")
	m := h.Session(mallory + "/m")
	m.Say("<message to='" + alice + "'><body>x</body></message>")
	m.Say("<presence type='subscribe' to='" + alice + "'/>")
	h.Send("<message from='" + romeo + "' to='" + alice + "'><body>y</body></message>")
	a := h.Session(alice + "/one")
	set(t, a, "block", mallory)
	a.Available(0, "")
	if got := xml(a.Sent()); strings.Contains(got, mallory) || !strings.Contains(got, "<body>y</body>") {
		t.Errorf("got %s", got)
	}
	m.Say("<message to='" + alice + "'><body>z</body></message>")
	a.Close(nil)
	m.Sent()
	m.Say("<message to='" + alice + "'><body>z</body></message>") // to an account that is offline, the same
	if got := m.Sent(); len(got) != 1 || condition(got[0]) != stanza.ServiceUnavailable {
		t.Errorf("got %s", xml(got))
	}
	a = h.Session(alice + "/one")
	set(t, a, "unblock")
	a.Available(0, "")
	if got := xml(a.Sent()); strings.Contains(got, "<body>") || !strings.Contains(got, "type='subscribe'") {
		t.Errorf("unblocked, got %s", got)
	}
}

// The list outlives the process, and not the account.
func TestStored(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	set(t, a, "block", mallory)
	instance(t, h).lists.Forget("alice")
	if l := get(t, a); l != mallory {
		t.Errorf("read again: %q", l)
	}
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	a = h.Session(alice + "/two")
	if l := get(t, a); l != "" {
		t.Errorf("a new account of the name has %q", l)
	}
}

func instance(t *testing.T, h *modtest.Host) *module {
	t.Helper()
	b, ok := modules.ServiceOf[modules.Blocker](h.Loader, h.Name)
	if !ok {
		t.Fatal("no service")
	}
	return b.(*module)
}

// A list that cannot be read lets nothing through.
func TestUnreadable(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	a.Available(0, "")
	a.Sent()
	m := instance(t, h)
	m.lists.Forget("alice")
	m.h.Store.KV(kvEntries).Put(context.Background(), entryKey("alice", stanza.MustJID(romeo)), []byte{format + 1})
	h.Send("<message from='" + romeo + "' to='" + alice + "'><body>x</body></message>")
	if got := h.Sent(); len(got) != 1 || condition(got[0]) != stanza.InternalServerError {
		t.Errorf("the sender got %s", xml(got))
	}
	if got := a.Sent(); len(got) != 0 {
		t.Errorf("got %s", xml(got))
	}
	if _, err := m.Blocks(context.Background(), stanza.MustJID(alice), stanza.MustJID("x@c.test")); err == nil {
		t.Error("says what it cannot know")
	}
}

// XEP-0377 §4.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", "[modules.mod_blocking]\nmax_reports = 30\n", roster.Info, Info)
		a := h.Session(alice + "/one")
		report := func(s *modtest.Session, who, inner string) {
			t.Helper()
			st := s.IQ("set", "", "<block xmlns='"+ns+"'><item jid='"+who+"'><report xmlns='"+nsReport+"' reason='urn:xmpp:reporting:spam'>"+inner+"</report></item></block>")
			if st.Type != stanza.TypeResult {
				t.Fatalf("%s", st.AppendTo(nil))
			}
		}
		get(t, a)
		report(a, romeo, "<text>a secret\ntext "+strings.Repeat("ü", 2000)+"</text><stanza-id xmlns='urn:xmpp:sid:0' by='"+romeo+"' id='1'/><third-party/>")
		if got := xml(a.Sent()); !strings.Contains(got, "<item jid='"+romeo+"'/>") || strings.Contains(got, "report") {
			t.Errorf("the push: %s", got)
		}
		m := instance(t, h)
		all := func() []Report {
			t.Helper()
			list, err := m.Reports(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		r := all()
		if len(r) != 1 || r[0].By != alice || r[0].JID != romeo || r[0].Reason != "spam" || !strings.HasPrefix(r[0].Text, "a secret\n") ||
			len(r[0].Text) > reportText || len(r[0].Messages) != 1 || len(r[0].Forward) != 1 || !r[0].At.Equal(time.Now()) {
			t.Errorf("kept %+v", r)
		}
		if log := h.Log(); !strings.Contains(log, "abuse reported") || strings.Contains(log, "secret") {
			t.Errorf("the log says %s", log)
		}
		// One account cannot push out what others tell.
		for i := range 40 {
			time.Sleep(time.Second)
			report(h.Session(fmt.Sprintf("%s/%d", mallory, i)), fmt.Sprintf("x%d@c.test", i), "")
		}
		if r = all(); len(r) != 1+perReporter || r[0].By != alice || r[1].JID != "x20@c.test" {
			t.Errorf("%d kept, the first %+v", len(r), r[0])
		}
		for i := range 20 {
			time.Sleep(time.Second)
			report(h.Session(fmt.Sprintf("user%d@a.test/r", i)), romeo, "")
		}
		if r = all(); len(r) != 30 {
			t.Errorf("%d kept", len(r))
		}
		if err := h.Users.Delete(context.Background(), "user7"); err != nil {
			t.Fatal(err)
		}
		if r = all(); len(r) != 29 {
			t.Errorf("%d kept after an account that told one is gone", len(r))
		}
		time.Sleep(91 * 24 * time.Hour)
		if r = all(); len(r) != 0 {
			t.Errorf("%d kept after their time", len(r))
		}
		synctest.Wait()
		n := 0
		m.h.Store.KV(kvReports).Scan(context.Background(), nil, nil, func(_, _ []byte) bool { n++; return true })
		if n != 0 {
			t.Errorf("%d on disk for ever", n)
		}
		report(a, romeo, "")
		if r = all(); len(r) != 1 {
			t.Errorf("%d kept of a new one", len(r))
		}
	})
}

// What does not concern the module costs nothing: the hooks run for every stanza.
func TestCost(t *testing.T) {
	h := newHost(t)
	h.Session(alice + "/one")
	m := instance(t, h)
	st, err := stanza.Parse([]byte("<message from='" + romeo + "/x' to='" + alice + "' type='chat'><body>x</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	in := modules.NewPacket(st)
	out := &modules.Packet{Stanza: st, From: in.To, To: in.From}
	m.incoming(ctx, in) // the list is read once
	if n := testing.AllocsPerRun(100, func() {
		if m.incoming(ctx, in) != nil || m.outgoing(ctx, out) != nil || m.leaving(ctx, out) != nil {
			t.Fatal("stopped")
		}
	}); n != 0 {
		t.Errorf("%v allocations for an account without a list", n)
	}
}

func BenchmarkNotBlocked(b *testing.B) {
	h := modtest.New(b, "a.test", roster.Info, Info)
	h.Session(alice + "/one")
	svc, _ := modules.ServiceOf[modules.Blocker](h.Loader, h.Name)
	m := svc.(*module)
	st, err := stanza.Parse([]byte("<message from='" + romeo + "/x' to='" + alice + "' type='chat'><body>x</body></message>"))
	if err != nil {
		b.Fatal(err)
	}
	in := modules.NewPacket(st)
	b.ReportAllocs()
	for b.Loop() {
		m.incoming(context.Background(), in)
	}
}

// FuzzBlock: whatever a client puts into a block or an unblock, it is answered, and nobody blocks himself.
func FuzzBlock(f *testing.F) {
	f.Add("<block xmlns='" + ns + "'><item jid='mallory@a.test'/></block>")
	f.Add("<unblock xmlns='" + ns + "'/>")
	f.Add("<block xmlns='" + ns + "'><item jid='a.test'><report xmlns='" + nsReport + "' reason='urn:xmpp:reporting:spam'><text>\u00fc</text><stanza-id xmlns='urn:xmpp:sid:0' id='1'/></report></item></block>")
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := stanza.ParseElement([]byte(payload)); err != nil {
			t.Skip()
		}
		h := modtest.New(t, "a.test", roster.Info, Info)
		a := h.Session(alice + "/one")
		a.Available(0, "")
		a.IQ("set", "", payload)
		if yes, err := instance(t, h).Blocks(context.Background(), stanza.MustJID(alice), stanza.MustJID(alice+"/two")); yes || err != nil {
			t.Errorf("blocks himself: %t, %v", yes, err)
		}
		get(t, a)
	})
}
