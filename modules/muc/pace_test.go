package muc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// TestPace: who changes himself over and over makes the others hear of it only so often, and never from another address of his.
func TestPace(t *testing.T) {
	_, list := den(t, 2, "")
	for i := range 3 * paceBurst {
		list[1].Say(fmt.Sprintf("<presence to='den@%s/u1'><status>%d</status></presence>", service, i))
	}
	heard := len(list[0].Sent())
	if heard < paceBurst-1 || heard > paceBurst+2 {
		t.Errorf("the others heard %d times", heard)
	}
	n, all := with(list[1], "type='error'", "resource-constraint")
	if n < 2*paceBurst-2 {
		t.Errorf("%d refused: %s", n, all)
	}
	list[1].Say("<presence type='unavailable' to='den@" + service + "/u1'/>") // that is always possible
	wants(t, list[0], "type='unavailable'", "/u1'")
	if got := enter(t, list[1], "den", "u1"); !strings.Contains(got, "resource-constraint") {
		t.Errorf("got %s", got)
	}

	now, r, who := time.Now(), &room{}, stanza.MustJID("a@a.test/x")
	for range paceBurst {
		r.paced(who, now, 1)
	}
	for i, c := range []struct {
		after time.Duration
		ok    bool
	}{{0, false}, {paceEvery / 2, false}, {paceEvery, true}, {paceEvery, false}, {3 * paceEvery, true}, {3 * paceEvery, true}, {3 * paceEvery, false}} {
		if ok := r.paced(who, now.Add(c.after), 1); ok != c.ok {
			t.Errorf("%d: %v", i, ok)
		}
	}
	if r.paced(who, now.Add(6*paceEvery), 4) || !r.paced(who, now.Add(6*paceEvery), 3) || r.paced(who, now.Add(6*paceEvery), 1) {
		t.Error("three at once, and no more")
	}
	for i := range 3 * minPaces {
		r.paced(stanza.MustJID(fmt.Sprintf("u%d@a.test", i)), now.Add(time.Duration(i)*2*paceEvery), 1)
	}
	if len(r.paces) > minPaces+1 {
		t.Errorf("%d remembered", len(r.paces))
	}
}

// TestPacesOfStrangers: who has any number of addresses makes a room remember so many, and look through them seldom.
func TestPacesOfStrangers(t *testing.T) {
	now, r, looked, kept := time.Now(), &room{}, 0, 0
	for i := range 3 * maxPaces {
		before := len(r.paces)
		r.paced(stanza.MustJID(fmt.Sprintf("u%d@evil.test", i)), now, 1)
		if r.pacesKept != kept || len(r.paces) < before {
			looked, kept = looked+1, r.pacesKept
		}
		if len(r.paces) > maxPaces {
			t.Fatalf("%d remembered", len(r.paces))
		}
	}
	if looked > 20 {
		t.Errorf("looked through %d times", looked)
	}
}

// TestLongPresence: what all are sent has a bound.
func TestLongPresence(t *testing.T) {
	_, list := den(t, 2, "")
	list[1].Say("<presence to='den@" + service + "/u1'><status>" + strings.Repeat("x", maxPresence) + "</status></presence>")
	wants(t, list[1], "type='error'", "policy-violation")
	if n, all := with(list[0]); n != 0 {
		t.Error(all)
	}
}

// TestHistory: by number, by length, and since when (§7.2.13.4).
func TestHistory(t *testing.T) {
	const toml = "[modules.mod_muc]\nhistory_max = 5\nroom_history = 4\n"
	h, list := den(t, 2, toml)
	for i := range 7 {
		list[1].Say(fmt.Sprintf("<message type='groupchat' id='%d' to='den@%s'><body>b%d</body></message>", i, service, i))
	}
	size := 0
	for _, st := range list[1].Sent() {
		size = len(st.AppendTo(nil))
	}
	guest := h.Session("guest@a.test/x")
	for x, want := range map[string]string{
		"":                            "b3 b4 b5 b6",
		"<history/>":                  "b3 b4 b5 b6",
		"<history maxstanzas='2'/>":   "b5 b6",
		"<history maxstanzas='0'/>":   "",
		"<history maxstanzas='100'/>": "b3 b4 b5 b6",
		"<history maxstanzas='-1'/>":  "b3 b4 b5 b6",
		"<history maxchars='0'/>":     "",
		fmt.Sprintf("<history maxchars='%d'/>", 2*size+10):       "b5 b6",
		"<history seconds='3600'/>":                              "b3 b4 b5 b6",
		"<history since='2100-01-01T00:00:00Z'/>":                "",
		"<history since='2001-01-01T00:00:00Z' maxstanzas='1'/>": "b6",
		"<history since='yesterday'/>":                           "b3 b4 b5 b6",
	} {
		guest.Say("<presence to='den@" + service + "/g'><x xmlns='http://jabber.org/protocol/muc'>" + x + "</x></presence>")
		if got := strings.Join(bodies(guest.Sent()), " "); got != want {
			t.Errorf("%s: got %q, want %q", x, got, want)
		}
		guest.Say("<presence type='unavailable' to='den@" + service + "/g'/>")
		guest.Sent()
	}

	var k history
	for i := range 100 {
		k.keep(stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "", stanza.JID{}, stanza.JID{}, []byte("<body>"+strings.Repeat("x", 10<<10)+"</body>")), time.Now(), 50)
		if k.size > maxHistory || len(k.list) > 50 || len(k.list) < min(i+1, 20) {
			t.Fatalf("%d messages of %d bytes", len(k.list), k.size)
		}
	}
	k.keep(stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "", stanza.JID{}, stanza.JID{}, nil), time.Now(), 0)
	if len(k.list) != 0 || k.size != 0 {
		t.Errorf("%d messages of %d bytes", len(k.list), k.size)
	}
}
