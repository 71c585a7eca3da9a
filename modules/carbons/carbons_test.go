package carbons

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/mam"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const enable = "<enable xmlns='" + ns + "'/>"

// devices opens an account's sessions; a number is a priority, the letter c means that it wants copies.
//
//	devices(h, "alice", "phone 0 c", "desk 5", "away -1 c", "mute c")
func devices(t testing.TB, h *modtest.Host, account string, list ...string) map[string]*modtest.Session {
	t.Helper()
	out := map[string]*modtest.Session{}
	for _, l := range list {
		f := strings.Fields(l)
		s := h.Session(account + "@" + h.Name + "/" + f[0])
		for _, o := range f[1:] {
			var prio int8
			if o == "c" {
				if st := s.IQ("set", "", enable); st.Type != stanza.TypeResult {
					t.Fatal(st)
				}
			} else if _, err := fmt.Sscan(o, &prio); err == nil {
				s.Available(prio, "")
			}
		}
		out[f[0]] = s
	}
	for _, s := range out {
		s.Sent()
	}
	return out
}

// got says what each device got: "-" the message itself, "r" and "s" a copy, "!" an error.
func got(t testing.TB, all ...map[string]*modtest.Session) string {
	t.Helper()
	var out []string
	for _, m := range all {
		for name, s := range m {
			for _, st := range s.Sent() {
				what := "-"
				switch i := st.Find(ns, ""); {
				case st.Kind != stanza.KindMessage:
					continue
				case i >= 0 && st.Element(i).Child(stanza.NSForward, "forwarded") != nil && st.From() == s.JID().Bare():
					what = st.ChildName(i)[:1]
					if st.To() != s.JID() || len(st.Children) != 1 {
						t.Errorf("a copy: %s", st.AppendTo(nil))
					}
					inner := st.Element(i).Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message")
					if inner == nil || inner.Attr("type") != st.Type.String() || inner.Attr("from") == "" || inner.Attr("to") == "" {
						t.Errorf("a copy: %s", st.AppendTo(nil))
					}
				case st.Type == stanza.TypeError:
					what = "!"
				}
				out = append(out, name+what)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Who gets what, by where it goes (XEP-0280 §7, §8).
func TestWho(t *testing.T) {
	const b = "<body>x</body>"
	for _, tt := range []struct{ name, message, want string }{
		{"to a bare JID", "<message to='bob@a.test' type='chat'>" + b + "</message>", "bAway-r bMute-r bPhone- bDesk- phone-s mute-s away-s"},
		{"to a full JID", "<message to='bob@a.test/bDesk' type='chat'>" + b + "</message>", "bAway-r bMute-r bPhone-r bDesk- phone-s mute-s away-s"},
		{"to a device that does not want copies of others", "<message to='bob@a.test/bPhone' type='chat'>" + b + "</message>", "bAway-r bMute-r bPhone- phone-s mute-s away-s"},
		{"to one that is gone", "<message to='bob@a.test/gone' type='chat'>" + b + "</message>", "bAway-r bMute-r bPhone- bDesk- phone-s mute-s away-s"},
		{"normal, to one that is gone", "<message to='bob@a.test/gone'>" + b + "</message>", "desk! phone-r mute-r away-r phone-s mute-s away-s"},
		{"to nobody", "<message to='nobody@a.test' type='chat'>" + b + "</message>", "desk! phone-r mute-r away-r phone-s mute-s away-s"},
		{"to another server", "<message to='carol@b.test' type='chat'>" + b + "</message>", "phone-s mute-s away-s"},
		{"to a room", "<message to='room@b.test' type='groupchat'>" + b + "</message>", ""},
		{"to somebody in a room", "<message to='room@b.test/n' type='chat'>" + b + "<x xmlns='http://jabber.org/protocol/muc#user'/></message>", "phone-s mute-s away-s"},
		{"to oneself", "<message to='alice@a.test' type='chat'>" + b + "</message>", "desk- phone- mute-s away-s"},
		{"to a device of one's own", "<message to='alice@a.test/phone' type='chat'>" + b + "</message>", "phone- mute-s away-s"},
		{"without a body", "<message to='bob@a.test'><subject>x</subject></message>", "bPhone- bDesk-"},
		{"a state", "<message to='bob@a.test/bDesk' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", "bAway-r bMute-r bPhone-r bDesk- phone-s mute-s away-s"},
		{"private", "<message to='bob@a.test/bDesk' type='chat'>" + b + "<private xmlns='" + ns + "'/></message>", "bDesk-"},
		{"no-copy", "<message to='bob@a.test/bDesk' type='chat'>" + b + "<no-copy xmlns='urn:xmpp:hints'/></message>", "bDesk-"},
		{"a copy that somebody makes up", "<message to='bob@a.test/bDesk' type='chat'>" + b + "<received xmlns='" + ns + "'/></message>", "bDesk-"},
		{"an answer of an archive", "<message to='bob@a.test/bDesk' type='chat'><result xmlns='urn:xmpp:mam:2'/></message>", "bDesk-"},
		{"headline", "<message to='bob@a.test/bDesk' type='headline'>" + b + "</message>", "bDesk-"},
		{"to the server", "<message to='a.test' type='chat'>" + b + "</message>", "desk!"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := modtest.New(t, "a.test", roster.Info, mam.Info, Info)
			alice := devices(t, h, "alice", "desk 5", "phone 0 c", "away -1 c", "mute c")
			bob := devices(t, h, "bob", "bDesk 5", "bPhone 0 c", "bAway -1 c", "bMute c")
			alice["desk"].Say(strings.Replace(tt.message, "<message", "<message id='m1'", 1))
			want := strings.Fields(tt.want)
			for i := range want {
				want[i] = strings.Replace(want[i], "-r", "r", 1)
				want[i] = strings.Replace(want[i], "-s", "s", 1)
			}
			slices.Sort(want)
			if s := got(t, alice, bob); s != strings.Join(want, " ") {
				t.Errorf("got  %s\nwant %s", s, strings.Join(want, " "))
			}
		})
	}
}

// What comes from elsewhere, and what must not be copied of it.
func TestIncoming(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	bob := devices(t, h, "bob", "desk 5", "phone 0 c", "mute c")
	for _, tt := range []struct{ attrs, payload, want string }{
		{"to='bob@a.test/desk' type='chat'", "<body>x</body>", "desk- muter phoner"},
		{"to='bob@a.test' type='chat'", "<body>x</body>", "desk- muter phone-"},
		{"to='bob@a.test/desk' type='groupchat'", "<body>x</body>", "desk-"},
		{"to='bob@a.test/desk' type='chat'", "<body>x</body><x xmlns='http://jabber.org/protocol/muc#user'/>", "desk-"}, // of an occupant
		{"to='bob@a.test/desk' type='error' id='m1'", "<body>x</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>", "desk!"},
		{"to='bob@a.test' type='error' id='m1'", "<body>x</body>", ""},
	} {
		h.Send("<message from='carol@b.test/x' " + tt.attrs + ">" + tt.payload + "</message>")
		if s := got(t, bob); s != tt.want {
			t.Errorf("%s %s: got %s, want %s", tt.attrs, tt.payload, s, tt.want)
		}
	}
}

// Z05: a copy that a stranger makes up arrives as what it is: a message of the stranger's.
func TestForged(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	bob := devices(t, h, "bob", "desk 5 c", "phone 0 c")
	forged := "<received xmlns='" + ns + "'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='boss@a.test' to='bob@a.test'><body>pay</body></message></forwarded></received>"
	h.Send("<message from='mallory@b.test/x' to='bob@a.test/desk' type='chat'>" + forged + "</message>")
	list := bob["desk"].Sent()
	if len(list) != 1 || list[0].From().String() != "mallory@b.test/x" {
		t.Errorf("got %s", modtest.XML(list))
	}
	if list := bob["phone"].Sent(); len(list) != 0 {
		t.Errorf("copied: %s", modtest.XML(list))
	}
}

// Copies can be switched on and off however often (XEP-0280 §10.1), by oneself.
func TestSwitch(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	bob := devices(t, h, "bob", "desk 5", "phone 0")
	phone := bob["phone"]
	const disable = "<disable xmlns='" + ns + "'/>"
	for _, tt := range []struct{ xml, want string }{
		{disable, ""}, {enable, "phoner"}, {enable, "phoner"}, {disable, ""}, {disable, ""}, {enable, "phoner"},
	} {
		if st := phone.IQ("set", "", tt.xml); st.Type != stanza.TypeResult || len(st.Children) != 0 {
			t.Errorf("%s: %s", tt.xml, st.AppendTo(nil))
		}
		h.Send("<message from='carol@b.test/x' to='bob@a.test/desk' type='chat'><body>x</body></message>")
		if s := strings.TrimSpace(strings.Replace(got(t, bob), "desk-", "", 1)); s != tt.want {
			t.Errorf("%s: got %s", tt.xml, s)
		}
	}
	alice := h.Session("alice@a.test/x")
	for _, to := range []string{"bob@a.test", "nobody@a.test"} {
		if e := alice.IQ("set", to, disable).StanzaError(); e == nil || e.Condition != stanza.ServiceUnavailable {
			t.Errorf("of %s: %v", to, e)
		}
	}
	for _, xml := range []string{"<other xmlns='" + ns + "'/>"} {
		if e := phone.IQ("set", "", xml).StanzaError(); e == nil || e.Condition != stanza.FeatureNotImplemented {
			t.Errorf("%s: %v", xml, e)
		}
	}
	if e := phone.IQ("get", "", enable).StanzaError(); e == nil || e.Condition != stanza.FeatureNotImplemented {
		t.Errorf("a get: %v", e)
	}
	_, features, _ := h.Table().Disco(modules.Server)
	if !slices.Contains(features, ns) || !slices.Contains(features, "urn:xmpp:carbons:rules:0") {
		t.Errorf("announced: %v", features)
	}
}

// Errors are copied when they answer what was copied (XEP-0280 §6.1), and no others.
func TestErrors(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	alice := devices(t, h, "alice", "desk 5", "phone 0 c")
	reply := func(from, id string) string {
		h.Send("<message from='" + from + "' to='alice@a.test/desk' type='error' id='" + id + "'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		return got(t, alice)
	}
	alice["desk"].Say("<message to='carol@b.test/x' id='m1' type='chat'><body>x</body></message>")
	alice["desk"].Say("<message to='carol@b.test/x' id='m2' type='headline'><body>x</body></message>")
	got(t, alice)
	for _, tt := range []struct{ from, id, want string }{
		{"carol@b.test/x", "m1", "desk! phoner"},
		{"carol@b.test", "m1", "desk! phoner"},
		{"carol@b.test/x", "m2", "desk!"},
		{"carol@b.test/x", "", "desk!"},
		{"mallory@b.test/x", "m1", "desk!"},
	} {
		if s := reply(tt.from, tt.id); s != tt.want {
			t.Errorf("%+v: got %s", tt, s)
		}
	}
	for i := range 100 {
		alice["desk"].Say(fmt.Sprintf("<message to='carol@b.test' id='n%d' type='chat'><body>x</body></message>", i))
	}
	got(t, alice)
	if s := reply("carol@b.test/x", "n99"); s != "desk! phoner" {
		t.Errorf("the last: %s", s)
	}
	if n := len(stateOf(alice["desk"], false).sent); n != maxSent {
		t.Errorf("%d are remembered", n)
	}
	// An error that answers a copy goes nowhere.
	alice["phone"].Say("<message to='alice@a.test' type='error' id='x'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	if s := got(t, alice); s != "" {
		t.Errorf("an error to the account: %s", s)
	}
}

// The copies bear the IDs of the account's own archive, and of no other (XEP-0313 §3.4).
func TestIDs(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, mam.Info, Info)
	alice := devices(t, h, "alice", "desk 5", "phone 0 c")
	bob := devices(t, h, "bob", "bDesk 5", "bPhone 0 c")
	for _, to := range []string{"bob@a.test/bDesk", "carol@b.test"} {
		alice["desk"].Say("<message to='" + to + "' type='chat'><body>x</body></message>")
		for _, s := range []*modtest.Session{alice["phone"], bob["bPhone"]} {
			for _, st := range s.Sent() {
				inner := st.Element(0).Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message")
				if by := inner.Child(stanza.NSSID, "stanza-id").Attr("by"); by != s.JID().Bare().String() {
					t.Errorf("to %s: %s has an ID of %q", to, s.JID(), by)
				}
				if n := strings.Count(string(st.AppendTo(nil)), "<stanza-id"); n != 1 {
					t.Errorf("to %s: %d IDs: %s", to, n, st.AppendTo(nil))
				}
			}
		}
		bob["bDesk"].Sent()
	}
	if left := modtest.XML(h.Sent()); strings.Contains(left, "stanza-id") {
		t.Errorf("left the host: %s", left)
	}
}

// NoCopy is what other modules say.
func TestNoCopy(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	bob := devices(t, h, "bob", "desk 5", "phone 0 c")
	st := stanza.New(stanza.KindMessage, stanza.TypeChat, "", stanza.MustJID("a.test"), stanza.MustJID("bob@a.test/desk"), []byte("<body>x</body>"))
	p := modules.NewPacket(st)
	p.NoCopy = true
	h.Router.Route(t.Context(), p)
	if s := got(t, bob); s != "desk-" {
		t.Error(s)
	}
}

// What comes back from the device that it was for ends there if another has a copy of it, and only then.
func TestReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.New(t, "a.test", Info)
		d := devices(t, h, "alice", "phone 0")
		const text, private = "<body>x</body>", "<body>x</body><private xmlns='" + ns + "'/>"
		returned := func(at time.Time, payload string) bool {
			st := stanza.New(stanza.KindMessage, stanza.TypeChat, "", stanza.MustJID("bob@b.test/x"), stanza.MustJID("alice@a.test/desk"), []byte(payload))
			return h.Table().Hooks.Returned.Run(t.Context(), modules.Return{Packet: modules.NewPacket(st), At: at}) == modules.Done
		}
		if returned(time.Now(), text) {
			t.Error("nobody has copies")
		}
		d["phone"].IQ("set", "", enable)
		early := time.Now()
		time.Sleep(time.Minute)
		d["phone"].IQ("set", "", enable)
		if now := time.Now(); !returned(now, text) || returned(now, private) || returned(early, text) || returned(time.Time{}, text) {
			t.Errorf("%t, private %t, when copies began %t, kept %t", returned(now, text), returned(now, private), returned(early, text), returned(time.Time{}, text))
		}
		d["phone"].IQ("set", "", "<disable xmlns='"+ns+"'/>")
		if returned(time.Now(), text) {
			t.Error("nobody has copies any more")
		}
	})
}

func TestInlineBind(t *testing.T) {
	h := modtest.New(t, "a.test", roster.Info, Info)
	bob := devices(t, h, "bob", "desk 5", "phone 0")
	var in modules.InlineBind
	for _, b := range h.Table().Binding {
		if b.Var == ns {
			in = b
		}
	}
	for _, tt := range []struct{ name, want string }{{"disable", "desk-"}, {"enable", "desk- phoner"}} {
		in.Enable(t.Context(), bob["phone"], &stanza.Element{NS: ns, Name: tt.name})
		h.Send("<message from='carol@b.test/x' to='bob@a.test/desk' type='chat'><body>x</body></message>")
		if s := got(t, bob); s != tt.want {
			t.Errorf("%s: %s", tt.name, s)
		}
	}
}

// BenchmarkFanOut copies a message to three more devices of its recipient, with all that is encoded for it.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("copies=%d", n), func(b *testing.B) {
			var m *module
			in := modules.Define(Info, Config{}, func(Config) modules.Module { m = &module{}; return m })
			h := modtest.New(b, "a.test", roster.Info, in)
			bob := devices(b, h, "bob", "desk 5")
			for i := range n {
				s := h.Session(fmt.Sprintf("bob@a.test/%d", i))
				s.Available(-1, "")
				set(s, true)
				s.Refuse(errTaken) // modtest keeps what it takes, which is not what is measured
			}
			st, err := stanza.Parse([]byte("<message from='alice@b.test/phone' to='bob@a.test/desk' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'>" +
				"<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"))
			if err != nil {
				b.Fatal(err)
			}
			p := &modules.Packet{Stanza: st, From: st.From(), To: bob["desk"].JID()}
			b.ReportAllocs()
			for b.Loop() {
				if err := m.incoming(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var errTaken = fmt.Errorf("taken")
