package c2s

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// A client that asks for much and does not read makes its own handler wait for it. Nobody else waits: neither who sends to
// it, nor the device itself when it comes back on a new connection, nor the admin who wants it gone.
func TestFullLine(t *testing.T) {
	const limits = noTLS + "[limits]\nwrite_buffer = '128KiB'\nwrite_timeout = '1h'\nsm_queue = 10000\nsm_queue_size = '64MiB'\n"
	big := []byte("<body>" + strings.Repeat("x", 10_000) + "</body>")
	// stuck is a rig with a client in that state.
	stuck := func(t *testing.T, managed bool) (r *rig, p *peer, id string) {
		waits := make(chan struct{})
		w := &watcher{outgoing: func(ctx context.Context, p *modules.Packet) error {
			if p.Stanza.ID() != "much" {
				return nil
			}
			for range 1000 { // far more than any socket takes
				if p.Origin.Info().Waiting > 60_000 {
					select {
					case <-waits:
					default:
						close(waits)
					}
				}
				if p.Origin.Send(ctx, stanza.New(stanza.KindMessage, stanza.TypeHeadline, "", p.From.Bare(), p.From, big)) != nil {
					break
				}
			}
			return modules.Done
		}}
		r = newWatched(t, limits, w)
		p = r.client("alice", "x")
		p.c.(*net.TCPConn).SetReadBuffer(4096)
		if managed {
			p.send("<enable %s resume='true'/>", nsSM)
			_, id, _ = strings.Cut(p.want("<enabled *"), "id='")
			id, _, _ = strings.Cut(id, "'")
		}
		p.send("<message id='much'/>")
		<-waits
		return r, p, id
	}
	for name, managed := range map[string]bool{"plain": false, "managed": true} {
		t.Run(name+" same resource", func(t *testing.T) {
			r, _, _ := stuck(t, managed)
			r.client("alice", "x").quiet()
		})
		t.Run(name+" closed", func(t *testing.T) {
			r, _, _ := stuck(t, managed)
			r.router.Session(jid("alice@a.test/x")).Close(nil)
			for end := time.Now().Add(10 * time.Second); r.router.Session(jid("alice@a.test/x")) != nil; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the session is still there")
				}
			}
		})
		t.Run(name+" others", func(t *testing.T) {
			r, _, _ := stuck(t, managed)
			bob := r.client("bob", "y")
			bob.send("<message to='alice@a.test/x' type='headline'><body>hi</body></message>")
			bob.quiet()
		})
	}
	t.Run("resumed", func(t *testing.T) {
		r, _, id := stuck(t, true)
		p := r.dial()
		p.login("alice")
		p.send("<resume %s previd='%s' h='0'/>", nsSM, id)
		p.want("<resumed *")
	})
}
