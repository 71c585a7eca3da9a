package c2s

import (
	"io"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// benchClient is a session whose client reads everything and drops it.
func benchClient(b *testing.B, r *rig, user, extra string) *session {
	b.Helper()
	p := r.client(user, "x")
	if extra != "" {
		p.send("%s", extra)
		p.next()
	}
	p.quiet()
	go io.Copy(io.Discard, p.c)
	return r.router.Session(jid(user + "@a.test/x")).(*session)
}

// BenchmarkMessage is hop 2 to 5: a chat message of one client is checked, routed and queued for another. Without XEP-0198
// there must be no allocation.
func BenchmarkMessage(b *testing.B) {
	for name, extra := range map[string]string{"plain": "", "managed": "<enable xmlns='urn:xmpp:sm:3'/>"} {
		b.Run(name, func(b *testing.B) {
			r := newWatched(b, noTLS+"[limits]\nprofile = 'off'\nwrite_buffer = '64MiB'\n", &watcher{mute: true})
			alice, bob := benchClient(b, r, "alice", ""), benchClient(b, r, "bob", extra)
			// A connection that nobody reads: its batch is the benchmark's alone.
			c := &client{srv: alice.srv, policy: alice.client.policy, sc: alice.client.sc, ident: alice.ident}
			c.ctx = stream.WithBatch(alice.srv.ctx, &c.batch)
			alice.mu.Lock()
			alice.client = c
			alice.mu.Unlock()
			raw := []byte("<message to='bob@a.test/x' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'><body>Wherefore art thou, Romeo?</body>" +
				"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>")
			st, err := stanza.Parse(raw)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for i := 0; b.Loop(); i++ {
				if err := alice.handle(c, st); err != nil {
					b.Fatal(err)
				}
				if i%11 == 10 { // what fits into one read
					c.batch.Flush()
				}
				if extra != "" && i%100 == 99 {
					bob.mu.Lock()
					bob.sm.ack(bob.sm.out + uint32(bob.sm.sent))
					bob.mu.Unlock()
				}
			}
		})
	}
}
