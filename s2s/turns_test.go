package s2s

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// TestTurns: nobody has more than a share, nobody waits for another's, and what is given back is had by who waits.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, carol := stanza.MustJID("alice@a.test"), stanza.MustJID("bob@a.test"), stanza.MustJID("carol@a.test")
		turns := newOpenTurns(3, 2)
		take := func(who stanza.JID) (func(), bool) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return turns.take(ctx, who)
		}
		one, _ := take(alice)
		two, _ := take(alice)
		if _, ok := take(alice); ok {
			t.Error("alice has more than her share")
		}
		three, ok := take(bob)
		if !ok {
			t.Error("bob waits for alice")
		}
		if _, ok := take(carol); ok {
			t.Error("there are more than there are")
		}
		go func() {
			time.Sleep(time.Second / 2)
			one()
		}()
		four, ok := take(carol)
		if !ok {
			t.Error("what was given back is lost")
		}
		for _, leave := range []func(){two, three, four} {
			leave()
		}
		if len(turns.of) > 0 || len(turns.all) > 0 {
			t.Errorf("left over: %d, %d", len(turns.of), len(turns.all))
		}
	})
}

// TestFailureLog: of many failures the admin is told so many, and after a minute of more.
func TestFailureLog(t *testing.T) {
	var told failureLog
	now := time.Now()
	for range 3 {
		info := 0
		for range 10 * maxFailuresTold {
			if told.level(now) == slog.LevelInfo {
				info++
			}
			now = now.Add(time.Millisecond)
		}
		if info != maxFailuresTold {
			t.Errorf("%d lines", info)
		}
		now = now.Add(time.Minute)
	}
}
