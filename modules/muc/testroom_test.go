package muc

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	denJID  = "den@" + service
	denHead = "[general]\nhosts = [\"a.test\"]\nadmins = [\"root@a.test\"]\n"
)

// testRoom is a room whose owner, Olga, is in it, and which others can enter.
type testRoom struct {
	*modtest.Host
	t    testing.TB
	m    *module
	olga *modtest.Session
}

func newRoom(t testing.TB, toml string) *testRoom {
	t.Helper()
	d := &testRoom{t: t}
	info := modules.Define(modules.Info{Name: "mod_muc", Summary: "rooms", Default: true}, Defaults, func(c Config) modules.Module {
		d.m = newModule(c)
		return d.m
	})
	d.Host = modtest.NewConfig(t, "a.test", denHead+toml, info)
	d.olga = d.Session("olga@a.test/desk")
	open(t, d.olga, "den", "Olga")
	return d
}

// do has something done in the room, as its tasks are.
func (d *testRoom) do(fn func(r *room)) {
	d.t.Helper()
	d.m.in(context.Background(), nil, stanza.MustJID(denJID), func(r *room, _ context.Context, _ *modules.Packet) { fn(r) })
}

// settings changes what the room is.
func (d *testRoom) settings(fn func(s *Settings)) {
	d.t.Helper()
	d.do(func(r *room) {
		rec := r.rec
		fn(&rec.Settings)
		if err := r.save(r.ctx, change{rec: &rec}); err != nil {
			d.t.Fatal(err)
		}
	})
}

// affiliate gives an affiliation, whoever may.
func (d *testRoom) affiliate(who string, a Affiliation) {
	d.t.Helper()
	d.do(func(r *room) {
		if err := r.save(r.ctx, change{affs: map[stanza.JID]affiliated{stanza.MustJID(who): {Affiliation: a}}}); err != nil {
			d.t.Fatal(err)
		}
	})
}

// join has somebody enter and forgets what was sent meanwhile.
func (d *testRoom) join(full, nick string) *modtest.Session {
	d.t.Helper()
	s := d.Session(full)
	if got := enter(d.t, s, "den", nick); !strings.Contains(got, "code='110'") {
		d.t.Fatalf("%s is not let in: %s", full, got)
	}
	d.olga.Sent()
	return s
}

// state is all that requests may change: affiliations and roles. It fails where memory and disk differ.
func (d *testRoom) state() (affs map[stanza.JID]affiliated, roles map[string]Role) {
	d.t.Helper()
	roles = map[string]Role{}
	d.do(func(r *room) {
		affs = maps.Clone(r.affs)
		for nick, o := range r.nicks {
			roles[nick] = o.role
		}
		_, disk, _, err := d.m.store.load(r.ctx, "den")
		if err != nil || r.exists && !maps.Equal(disk, affs) {
			d.t.Fatalf("in memory %v, on disk %v, %v", affs, disk, err)
		}
	})
	return affs, roles
}

// query sends a request of administration and returns "" or the condition of the error.
func query(s *modtest.Session, typ, items string) string {
	return condition(s.IQ(typ, denJID, "<query xmlns='"+nsAdmin+"'>"+items+"</query>"))
}

func condition(st *stanza.Stanza) string {
	if e := st.StanzaError(); e != nil {
		return string(e.Condition)
	}
	return ""
}

// tell sends a message to the room itself and returns "" or the condition of the error that comes back; all else that comes
// stays.
func (d *testRoom) tell(s *modtest.Session, payload string) (cond string, rest string) {
	d.t.Helper()
	s.Say("<message to='" + denJID + "' id='m1'>" + payload + "</message>")
	for _, st := range s.Sent() {
		if e := st.StanzaError(); e != nil {
			cond = string(e.Condition)
		} else {
			rest += string(st.AppendTo(nil))
		}
	}
	return cond, rest
}

// have fails where a text lacks a part.
func have(t testing.TB, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Fatalf("no %s in %s", p, got)
		}
	}
}

// lack fails where a text has a part.
func lack(t testing.TB, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(got, p) {
			t.Fatalf("%s in %s", p, got)
		}
	}
}
