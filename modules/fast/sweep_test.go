package fast

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/storage"
)

// records are the keys of what is stored.
func records(t *testing.T, m *module) (keys []string) {
	t.Helper()
	err := m.h.Store.KV(kvClients).Scan(t.Context(), nil, nil, func(key, _ []byte) bool {
		keys = append(keys, string(bytes.ReplaceAll(key, []byte{0}, []byte{'/'})))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// What has expired is told so for a while, and then it is gone, without anybody coming for it.
func TestSweep(t *testing.T) {
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		h, m := newModule(t)
		h.User("bob")
		ctx := context.Background()
		old := newDevice(t, h, "old")
		token := old.password("alice", none)
		newDevice(t, h, "bobs").password("bob", none)
		time.Sleep(10 * day)
		used := newDevice(t, h, "used")
		first := used.password("alice", none)
		damaged := m.h.Store.KV(kvClients).Put(ctx, clientKey("alice", "damaged"), []byte("{"))
		if damaged != nil {
			t.Fatal(damaged)
		}
		time.Sleep(12 * day) // old is over, used is not
		synctest.Wait()
		if got := strings.Join(records(t, m), " "); got != "alice/damaged alice/old alice/used bob/bobs" {
			t.Errorf("after 22 days there are %s", got)
		}
		old.fails("alice", none, token, "", auth.CredentialsExpired) // K09; nor does a clock that is set back revive it
		if got := strings.Join(records(t, m), " "); got != "alice/damaged alice/used bob/bobs" {
			t.Errorf("after that there are %s", got)
		}
		second := used.works("alice", none, first, "") // older than a day, so it gets another
		if second == "" {
			t.Fatal("no rotation")
		}
		time.Sleep(30 * day) // bob's has expired 31 days ago; used has a slot that expired 21 days ago, and one 9 days ago
		synctest.Wait()
		if got := strings.Join(records(t, m), " "); got != "alice/damaged alice/used" {
			t.Errorf("after 52 days there are %s", got)
		}
		if log := h.Log(); !strings.Contains(log, "account=bob@a.test tokens=1 why=expired") {
			t.Errorf("the log is\n%s", log)
		}
		time.Sleep(11 * day) // of used one slot is left
		synctest.Wait()
		var c *client
		err := m.h.Store.View(ctx, func(tx storage.Tx) (err error) {
			c, err = read(tx, "alice", "used")
			return err
		})
		if err != nil || c == nil || c.New == nil || c.Current != nil {
			t.Errorf("%+v, %v", c, err)
		}
		used.fails("alice", none, second, "", auth.CredentialsExpired)

		// Stopped, it sweeps no more.
		newDevice(t, h, "last").password("alice", none)
		h.Loader.Stop(ctx)
		time.Sleep(100 * day)
		synctest.Wait()
		if got := strings.Join(records(t, m), " "); got != "alice/damaged alice/last" {
			t.Errorf("at last there are %s", got)
		}
	})
}

// A sweep goes on where one account cannot be dealt with, and says so.
func TestSweepFails(t *testing.T) {
	h, m := newModule(t)
	newDevice(t, h, "c").password("alice", none)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.removeExpired(ctx, time.Now().Add(100*24*time.Hour)); err == nil || len(records(t, m)) != 1 {
		t.Errorf("a sweep that was told to stop: %v", err)
	}
	if err := m.removeExpired(t.Context(), time.Now().Add(100*24*time.Hour)); err != nil || len(records(t, m)) != 0 {
		t.Errorf("%v, %v are left", err, records(t, m))
	}
}
