package c2s

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/accounts"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

// newIM is a rig with the modules that matter most to sessions.
func newIM(t testing.TB) *rig {
	r := newWatched(t, noTLS, &watcher{mute: true, leave: true}, accounts.Info, roster.Info, offline.Info)
	r.accounts.OnChange(func(ctx context.Context, what string, j stanza.JID) {
		ev, ok := map[string]modules.UserEvent{
			"created": modules.UserCreated, "deleted": modules.UserDeleted, "password": modules.UserPasswordChanged, "disabled": modules.UserDisabled,
		}[what]
		if ok {
			r.router.Table(j.Domain()).Notify(ctx, ev, j)
		}
	})
	return r
}

// A message to a phone that has lost its network comes when it is back, with the time it was sent, even if that is after
// the session is gone.
func TestOfflineAfterHibernation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIM(t)
		p := r.bound(r.pipe(), "alice", "x")
		p.send("<enable %s resume='true'/><presence/>", nsSM)
		p.want("<enabled *")
		p.want("<presence *") // its own, RFC 6121 §4.2.2
		p.want("<r *")
		p.c.Close()
		synctest.Wait()
		bob := r.bound(r.pipe(), "bob", "y")
		at := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		bob.send("<message to='alice@a.test' type='chat' id='1'><body>are you there?</body></message>")
		bob.quiet()
		time.Sleep(time.Hour)
		synctest.Wait()
		p = r.bound(r.pipe(), "alice", "x")
		p.send("<presence/>")
		for {
			got := p.next()
			if strings.HasPrefix(got, "<message") {
				if !strings.Contains(got, "are you there?") || strings.Count(got, "<delay") != 1 || !strings.Contains(got, "stamp='"+at+"'") {
					t.Errorf("got %s, sent %s", got, at)
				}
				break
			}
		}
		p.quiet()
	})
}

// Contacts see a session that was replaced go before they see its successor come.
func TestPresenceOfSuccessor(t *testing.T) {
	r := newIM(t)
	bob := r.client("bob", "y")
	p := r.client("alice", "x")
	bob.send("<presence/><presence type='subscribe' to='alice@a.test'/>")
	p.send("<presence/><presence type='subscribed' to='bob@a.test'/>")
	for got := ""; !like("<presence *from='alice@a.test/x'*", got); got = bob.next() {
	}
	for range 5 {
		p = r.client("alice", "x")
		p.send("<presence/>")
		var got []string
		for len(got) < 2 {
			if s := bob.next(); strings.Contains(s, "from='alice@a.test/x'") {
				got = append(got, s)
			}
		}
		if !strings.Contains(got[0], "unavailable") || strings.Contains(got[1], "unavailable") {
			t.Fatalf("%q", got)
		}
	}
}

func TestAccountChanges(t *testing.T) { // A26, A27
	ctx := context.Background()
	for name, change := range map[string]func(r *rig) error{
		"password": func(r *rig) error { return r.users("a.test").SetPassword(ctx, "alice", "another horse") },
		"disable":  func(r *rig) error { return r.users("a.test").SetDisabled(ctx, "alice", true) },
		"delete":   func(r *rig) error { return r.users("a.test").Delete(ctx, "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newIM(t)
			live := r.client("alice", "x")
			asleep := r.client("alice", "y")
			asleep.send("<enable %s resume='true'/>", nsSM)
			id := asleep.want("<enabled *")
			_, id, _ = strings.Cut(id, "id='")
			id, _, _ = strings.Cut(id, "'")
			asleep.c.Close()
			r.asleep("alice@a.test/y", true)
			half := r.dial() // logged in, on its way to a session
			half.login("alice")
			other := r.dial()
			other.login("alice")
			bob := r.client("bob", "z")
			if err := change(r); err != nil {
				t.Fatal(err)
			}
			live.fails("*")
			half.send("%s</bind></iq>", bindOpen)
			half.want("<iq type='result' *")
			half.fails("reset")
			r.watch.until(t, "closed alice@a.test/y")
			other.send("<resume %s previd='%s' h='0'/>", nsSM, id)
			other.want("<failed *")
			bob.quiet()
			for end := time.Now().Add(5 * time.Second); len(r.router.Sessions(jid("alice@a.test"))) > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("a session is left")
				}
			}
		})
	}
}
