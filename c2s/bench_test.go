package c2s

import (
	"io"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// benchClient is a session whose client reads everything and drops it.
func benchClient(t testing.TB, r *rig, user, extra string) *session {
	t.Helper()
	p := r.client(user, "x")
	if extra != "" {
		p.send("%s", extra)
		p.next()
	}
	p.send("<presence/>") // or nobody finds him by his bare JID
	p.quiet()
	go io.Copy(io.Discard, p.c)
	return r.router.Session(jid(user + "@a.test/x")).(*session)
}

// lane is Alice's side of a connection and Bob's, on the real router; what is sent is what one read brought.
type lane struct {
	c     *client
	alice *session
	bob   *session
	st    *stanza.Stanza
	n     int
}

// lanes are the ways that a message can take.
var lanes = map[string]struct{ to, extra string }{
	"full JID": {to: "bob@a.test/x"},
	"bare JID": {to: "bob@a.test"},
	"managed":  {to: "bob@a.test/x", extra: "<enable xmlns='urn:xmpp:sm:3'/>"},
}

func newLane(t testing.TB, name string) *lane {
	t.Helper()
	r := newWatched(t, noTLS+"[limits]\nprofile = 'off'\nwrite_buffer = '64MiB'\n", &watcher{mute: true})
	how := lanes[name]
	l := &lane{alice: benchClient(t, r, "alice", ""), bob: benchClient(t, r, "bob", how.extra)}
	// A connection that nobody reads: its batch is the caller's alone.
	l.c = &client{srv: l.alice.srv, policy: l.alice.client.policy, sc: l.alice.client.sc, login: l.alice.login}
	stream.WithBatch(l.alice.srv.ctx, &l.c.batch)
	l.alice.mu.Lock()
	l.alice.client = l.c
	l.alice.mu.Unlock()
	var err error
	if l.st, err = stanza.Parse([]byte("<message to='" + how.to + "' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'>" +
		"<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>")); err != nil {
		t.Fatal(err)
	}
	return l
}

// pass brings one message from Alice to Bob's outbox.
func (l *lane) pass(t testing.TB) {
	if err := l.alice.handle(l.c, l.st); err != nil {
		t.Fatal(err)
	}
	l.n++
	if l.n%11 == 0 { // what fits into one read
		l.c.batch.Flush()
	}
	if l.n%100 == 0 {
		l.bob.mu.Lock()
		if m := l.bob.sm; m != nil {
			m.ack(m.out + uint32(m.sent))
		}
		l.bob.mu.Unlock()
	}
}

// TestAllocs: from the index of Alice's stanza to Bob's outbox nothing is allocated. With XEP-0198 it is the copy that is kept.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	for name, allowed := range map[string]float64{"full JID": 0, "bare JID": 0, "managed": 1} {
		l := newLane(t, name)
		for range 200 {
			l.pass(t)
		}
		if n := testing.AllocsPerRun(1000, func() { l.pass(t) }); n > allowed {
			t.Errorf("%s: %v allocations for each message", name, n)
		}
	}
}

// BenchmarkMessage is hop 2 to 5: a chat message of one client is checked, routed and queued for another.
func BenchmarkMessage(b *testing.B) {
	for name := range lanes {
		b.Run(name, func(b *testing.B) {
			l := newLane(b, name)
			b.ReportAllocs()
			b.SetBytes(int64(len(l.st.Raw)))
			for b.Loop() {
				l.pass(b)
			}
		})
	}
}
