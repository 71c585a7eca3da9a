package muc

import (
	"context"
	"errors"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// TestDamagedRoom: a room that cannot be read lets nobody in, nor is another made in its place, and what is asked of it gets an error. The
// admin ends it, and nothing of it is left: neither for its maker's count, nor for who makes one of its name.
func TestDamagedRoom(t *testing.T) {
	ctx := context.Background()
	for name, damage := range map[string]struct {
		kv  string
		key []byte
	}{
		"room":        {kvRooms, []byte("den")},
		"affiliation": {kvAffiliations, affiliationKey("den", stanza.MustJID("olga@a.test"))},
	} {
		t.Run(name, func(t *testing.T) {
			const toml = denHead + "[modules.mod_muc]\nroom_persistent = true\nrooms_per_account = 1\n"
			h := modtest.NewConfig(t, "a.test", toml, Info)
			olga, bob := h.Session("olga@a.test/x"), h.Session("bob@a.test/x")
			open(t, olga, "den", "Olga")
			olga.Say("<message type='groupchat' to='" + denJID + "'><body>secret</body></message>")
			again(t, h, toml)
			m := moduleOf(t, h)
			if err := m.store.KV(damage.kv).Put(ctx, damage.key, []byte("?")); err != nil {
				t.Fatal(err)
			}
			olga.Sent()
			for range 2 { // it is not in the way of itself
				have(t, enter(t, bob, "den", "Bob"), "internal-server-error")
				bob.Say("<message type='groupchat' id='x' to='" + denJID + "'><body>x</body></message>")
				have(t, modtest.XML(bob.Sent()), "internal-server-error")
				if c := condition(bob.IQ("get", denJID, "<query xmlns='http://jabber.org/protocol/disco#info'/>")); c != "internal-server-error" {
					t.Errorf("info: %q", c)
				}
			}
			if n := len(m.loaded()); n != 0 {
				t.Errorf("%d rooms in memory", n)
			}
			if _, err := m.Rooms(ctx); err != nil {
				t.Errorf("list: %v", err)
			}
			if err := m.DestroyRoom(ctx, "den", ""); err != nil {
				t.Fatal(err)
			}
			if err := m.DestroyRoom(ctx, "den", ""); !errors.Is(err, ErrNoRoom) {
				t.Errorf("destroyed twice: %v", err)
			}
			if n, err := m.store.made(ctx, "olga@a.test", 10); n != 0 || err != nil {
				t.Errorf("its maker is counted for %d rooms, %v", n, err)
			}
			if rooms, _, _, err := m.store.page(ctx, "", 10, 1000); len(rooms) != 0 || err != nil {
				t.Errorf("it is listed: %v, %v", rooms, err)
			}
			open(t, bob, "den", "Bob")
			lack(t, enter(t, bob, "den", "Bob"), "secret")
			have(t, enter(t, olga, "den", "Olga"), "affiliation='none'")
		})
	}
}
