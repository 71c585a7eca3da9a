package s2s

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const benchMessage = "<message from='alice@a.test/x' to='bob@b.test/y' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'>" +
	"<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"

// lane is a route with a stream to a server that reads everything and drops it.
type lane struct {
	r     *rig
	route *route
	p     *modules.Packet
	batch stream.Batch
	ctx   context.Context
	n     int
}

func newLane(t testing.TB, features string) *lane {
	t.Helper()
	w := newWorld(t)
	l := &lane{r: w.newRig("a.test", insecure+"[limits]\nprofile = 'off'\nwrite_buffer = '64MiB'\ns2s_queue_size = '64MiB'\n")}
	w.plainPeer("b.test", features, func(p *peer) { io.Copy(io.Discard, p.c) })
	pipe := w.doors["b.test"]
	w.open("b.test", func() (net.Conn, error) { // over TCP, for its way to write
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		out, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, err
		}
		in, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		far, err := pipe()
		if err != nil {
			return nil, err
		}
		go io.Copy(far, in)
		go io.Copy(in, far)
		return out, nil
	})
	l.r.send("alice@a.test", "bob@b.test", "first")
	l.route = l.r.srv.routes.get(pair{"a.test", "b.test"})
	for l.link() == nil {
		time.Sleep(time.Millisecond)
	}
	t.Cleanup(l.link().sc.Abort) // the other end knows no manners
	st, err := stanza.Parse([]byte(benchMessage))
	if err != nil {
		t.Fatal(err)
	}
	l.p = modules.NewPacket(st)
	l.ctx = stream.WithBatch(context.Background(), &l.batch)
	return l
}

func (l *lane) link() *link {
	l.route.mu.Lock()
	defer l.route.mu.Unlock()
	return l.route.link
}

// pass brings one message to the link's outbox.
func (l *lane) pass() {
	for l.r.srv.Send(l.ctx, l.p) != nil { // who reads is slower than who writes
		l.batch.Flush()
		time.Sleep(time.Millisecond)
	}
	if l.n++; l.n%11 == 0 { // what fits into one read of a client
		l.batch.Flush()
	}
	if l.n%100 == 0 {
		link := l.link()
		link.mu.Lock()
		if link.sm != nil {
			link.sm.drop(link.sm.len())
		}
		id := string(link.routes[l.route].id[:])
		link.mu.Unlock()
		link.answered(l.ctx, l.route, id) // what went out before the ping; the next one goes out
	}
}

// TestAllocs: from the router to the outbox it is the copy that is kept until it is acknowledged, by XEP-0198 or a ping, that is
// allocated; and nothing for a server that answers no ping, or for presence.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	for _, c := range []struct {
		name, features, stanza string
		deaf                   bool
		allowed                float64
	}{
		{"XEP-0198", offersSM, benchMessage, false, 1},
		{"pings", "", benchMessage, false, 1},
		{"no answer", "", benchMessage, true, 0},
		{"presence", "", "<presence from='alice@a.test/x' to='bob@b.test/y'><show>away</show></presence>", false, 0},
	} {
		l := newLane(t, c.features)
		st, err := stanza.Parse([]byte(c.stanza))
		if err != nil {
			t.Fatal(err)
		}
		l.p = modules.NewPacket(st)
		link := l.link()
		link.mu.Lock()
		link.routes[l.route].deaf = c.deaf
		link.mu.Unlock()
		for range 200 {
			l.pass()
		}
		if n := testing.AllocsPerRun(1000, func() { l.pass() }); n > c.allowed {
			t.Errorf("%s: %v allocations for each stanza", c.name, n)
		}
	}
}

// TestAllocsIn: from the index of another server's stanza to its addressee nothing is allocated.
func TestAllocsIn(t *testing.T) {
	w := newWorld(t)
	r := w.newRig("a.test", insecure)
	n := 0
	r.inbox.take = func() { n++ }
	c, s := net.Pipe()
	defer c.Close()
	l := r.srv.newLink(s, r.srv.settings.Load(), false)
	defer l.leave()
	defer l.sc.Abort()
	if se := l.allow(pair{"a.test", "b.test"}, byDialback); se != nil {
		t.Fatal(se)
	}
	st, err := stanza.Parse([]byte("<message from='bob@b.test/y' to='alice@a.test/x' type='chat' id='1'><body>hello</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	if allocs := testing.AllocsPerRun(1000, func() {
		if err := l.stanza(st); err != nil {
			t.Fatal(err)
		}
	}); allocs > 0 || n != 1001 {
		t.Errorf("%v allocations for each of %d messages", allocs, n)
	}
}

// BenchmarkSend is a message from the router to the outbox of a stream.
func BenchmarkSend(b *testing.B) {
	for name, features := range map[string]string{"plain": "", "managed": offersSM} {
		b.Run(name, func(b *testing.B) {
			l := newLane(b, features)
			b.ReportAllocs()
			b.SetBytes(int64(len(benchMessage)))
			for b.Loop() {
				l.pass()
			}
		})
	}
}

// BenchmarkFederation is a message from the router of one server to the router of another, over loopback with TLS and
// XEP-0198.
func BenchmarkFederation(b *testing.B) {
	w := newWorld(b)
	const off = "[limits]\nprofile = 'off'\ns2s_queue = 100000\ns2s_queue_size = '64MiB'\nwrite_buffer = '64MiB'\n"
	from, to := w.newRig("a.test", off), w.newRig("b.test", off)
	var arrived atomic.Int64
	wake := make(chan struct{}, 1)
	to.inbox.take = func() {
		if arrived.Add(1)%100 == 0 {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go to.srv.Serve(ln, false)
	w.open("b.test", func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
	st, err := stanza.Parse([]byte(benchMessage))
	if err != nil {
		b.Fatal(err)
	}
	var batch stream.Batch
	ctx := stream.WithBatch(context.Background(), &batch)
	b.ReportAllocs()
	b.SetBytes(int64(len(benchMessage)))
	sent := int64(0)
	for b.Loop() {
		from.router.Route(ctx, modules.NewPacket(st))
		if sent++; sent%10 == 0 {
			batch.Flush()
		}
		for sent-arrived.Load() > 5000 {
			<-wake
		}
	}
	batch.Flush()
	if n := len(from.inbox.all()); n > 0 {
		b.Errorf("%d came back", n)
	}
}
