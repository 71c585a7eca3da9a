package fast

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

func TestClientsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		tokens := map[int]string{}
		for i := range maxClients {
			tokens[i] = newDevice(t, h, fmt.Sprintf("c%d", i)).password("alice", none)
			time.Sleep(time.Second)
		}
		newDevice(t, h, "c0").works("alice", none, tokens[0], "") // so the second is the oldest
		time.Sleep(time.Second)
		newDevice(t, h, "more").password("alice", none)
		newDevice(t, h, "c1").fails("alice", none, tokens[1], "", auth.NotAuthorized)
		for i := range maxClients {
			if i != 1 {
				newDevice(t, h, fmt.Sprintf("c%d", i)).works("alice", none, tokens[i], "")
			}
		}
	})
}

// K14: with a copy of the database, but another keyring, nobody gets in; and no token is in it.
func TestStoreHasNoTokens(t *testing.T) {
	h := newHost(t)
	d := newDevice(t, h, "c")
	token := d.password("alice", none)
	d.works("alice", none, token, "")
	second := d.password("alice", none)
	var stolen [][2][]byte
	kv := h.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients)
	kv.Scan(context.Background(), nil, nil, func(k, v []byte) bool {
		stolen = append(stolen, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
		return true
	})
	if len(stolen) != 1 {
		t.Fatalf("%d records", len(stolen))
	}
	for _, token := range []string{token, second} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "xt1."))
		if err != nil || len(raw) != 32 {
			t.Fatalf("%x %v", raw, err)
		}
		for _, form := range [][]byte{[]byte(token), []byte(token[4:]), raw, []byte(hex.EncodeToString(raw)), initiator(token, nil), responder(token, nil),
			[]byte(base64.StdEncoding.EncodeToString(initiator(token, nil)))} {
			if bytes.Contains(stolen[0][1], form) {
				t.Errorf("%s holds %x", stolen[0][1], form)
			}
		}
	}
	other := newHost(t) // its keyring is another
	if err := other.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients).Put(context.Background(), stolen[0][0], stolen[0][1]); err != nil {
		t.Fatal(err)
	}
	thief := newDevice(t, other, "c")
	thief.fails("alice", none, token, "", auth.NotAuthorized)
	thief.fails("alice", none, second, "", auth.NotAuthorized)
}

// What is damaged lets nobody in, and is in nobody's way.
func TestDamaged(t *testing.T) {
	h := newHost(t)
	svc, _ := modules.ServiceOf[modules.Credentials](h.Loader, "a.test")
	kv := h.Store.Bucket("modules", "a.test", "mod_sasl2_fast").KV(kvClients)
	d := newDevice(t, h, "c")
	for _, v := range []string{"", "{", `{"new":{"nonce":"","mech":"HT-SHA-256-NONE"}}`, `{"cur":{"nonce":"AA=="}}`, "null"} {
		kv.Put(context.Background(), clientKey("alice", "c"), []byte(v))
		if _, condition := d.fast("alice", none, "x", ""); condition != auth.TemporaryAuthFailure && v != "null" {
			t.Errorf("%s: %q", v, condition)
		}
		kv.Put(context.Background(), clientKey("alice", "other"), []byte(v))
		d.works("alice", none, d.password("alice", none), "")
		list, err := svc.List(context.Background(), stanza.MustJID("alice@a.test"))
		if whole := slices.ContainsFunc(list, func(c modules.Credential) bool { return c.ID == "c" }); err != nil || !whole {
			t.Errorf("%s beside it: the list is %+v, %v", v, list, err)
		}
	}
}
