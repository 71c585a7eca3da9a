package offline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

func chat(i int) string {
	return fmt.Sprintf("<message to='carol@a.test' type='chat' id='m%d'><body>%d &amp; more</body></message>", i, i)
}

// bodies names the messages of a list by their id.
func bodies(list []*stanza.Stanza) string {
	var out []string
	for _, st := range list {
		if st.Kind == stanza.KindMessage {
			out = append(out, st.ID())
		}
	}
	return strings.Join(out, " ")
}

func numbers(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("m%d", i))
	}
	return strings.Join(out, " ")
}

// stat reads an account's counter, and counts what is there.
func stat(t *testing.T, h *modtest.Host, local string) (count int, size int64) {
	t.Helper()
	b := box{h.Store.Bucket("modules", "a.test", "mod_offline")}
	list, _, err := b.page(t.Context(), local, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var c counter
	var sum int64
	for _, m := range list {
		sum += int64(len(m.data))
	}
	if err := b.b.View(t.Context(), func(tx storage.Tx) (err error) { c, err = readCounter(tx, local); return err }); err != nil {
		t.Fatal(err)
	}
	if int(c.count) != len(list) || c.size != sum {
		t.Errorf("counter says %d, %d bytes; there are %d, %d bytes", c.count, c.size, len(list), sum)
	}
	return len(list), sum
}

func TestKeepAndDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.New(t, "a.test", Info)
		h.User("carol")
		alice := h.Session("alice@a.test/r")
		for i := range 3 {
			alice.Say(chat(i))
		}
		h.Send("<message from='bob@b.test/x' to='carol@a.test/gone' type='chat' id='m3'><body>x</body></message>")
		if sent := append(alice.Sent(), h.Sent()...); len(sent) != 0 {
			t.Fatalf("senders got %s", modtest.XML(sent))
		}
		stored := time.Now().UTC().Format("2006-01-02T15:04:05")
		time.Sleep(time.Hour)

		carol := h.Session("carol@a.test/r")
		if got := bodies(carol.Sent()); got != "" {
			t.Errorf("delivered before presence: %s", got)
		}
		carol.Available(-1, "")
		alice.Say(chat(4))
		if got := bodies(carol.Sent()); got != "" {
			t.Errorf("delivered to a negative priority: %s", got)
		}
		carol.Available(1, "")
		got := carol.Sent()
		if bodies(got) != "m0 m1 m2 m3 m4" {
			t.Fatalf("delivered %s", modtest.XML(got))
		}
		first := got[0]
		if first.From().String() != "alice@a.test/r" || first.To().String() != "carol@a.test" || first.Text("body") != "0 & more" {
			t.Errorf("%s", first.AppendTo(nil))
		}
		d := first.Element(first.Find(stanza.NSDelay, "delay"))
		if d.Attr("from") != "a.test" || !strings.HasPrefix(d.Attr("stamp"), stored) {
			t.Errorf("stamp %+v, stored at %s", d, stored)
		}
		if to := got[3].To().String(); to != "carol@a.test/gone" {
			t.Errorf("to is %s", to)
		}
		if n, _ := stat(t, h, "carol"); n != 0 {
			t.Errorf("%d messages remain", n)
		}
		carol.Available(5, "")
		carol.Unavailable()
		carol.Available(0, "")
		if got := bodies(carol.Sent()); got != "" {
			t.Errorf("delivered again: %s", got)
		}
	})
}

// blocks is a block list of one address, which cannot be read at times.
type blocks struct {
	whom  stanza.JID
	fault error
}

func (b *blocks) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[modules.Blocker](h, b)
	return nil
}

func (*blocks) Stop(context.Context) error { return nil }

func (b *blocks) Blocks(_ context.Context, _, other stanza.JID) (bool, error) {
	return other.Bare() == b.whom, b.fault
}

// What was kept is thrown away if its sender is blocked, and not if nobody knows that.
func TestBlocked(t *testing.T) {
	b := &blocks{stanza.MustJID("mallory@a.test"), errors.New("disk on fire")}
	h := modtest.New(t, "a.test", Info, modules.Define(modules.Info{Name: "mod_blocks", Default: true}, struct{}{}, func(struct{}) modules.Module { return b }))
	h.User("carol")
	h.Session("mallory@a.test/r").Say(chat(0))
	h.Session("alice@a.test/r").Say(chat(1))
	carol := h.Session("carol@a.test/r")
	carol.Available(0, "")
	if n, _ := stat(t, h, "carol"); n != 2 || bodies(carol.Sent()) != "" {
		t.Errorf("%d are left after a fault", n)
	}
	b.fault = nil
	carol.Unavailable()
	carol.Available(0, "")
	if got := bodies(carol.Sent()); got != "m1" {
		t.Errorf("delivered %s", got)
	}
	if n, _ := stat(t, h, "carol"); n != 0 {
		t.Errorf("%d remain", n)
	}
}

// Quota+1 is refused, the earlier ones are kept (RFC 6121 §8.5.2.2.1, XEP-0160 §2).
func TestQuota(t *testing.T) {
	for name, toml := range map[string]string{
		"count": "[limits]\noffline_messages = 3\n",
		"bytes": "[limits]\noffline_size = 800\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := modtest.NewConfig(t, "a.test", toml, Info)
			h.User("carol")
			h.User("dave")
			alice := h.Session("alice@a.test/r")
			for i := range 4 {
				alice.Say(chat(i))
			}
			sent := alice.Sent()
			if len(sent) != 1 || sent[0].ID() != "m3" || sent[0].StanzaError().Type != stanza.Cancel || sent[0].StanzaError().Condition != stanza.ServiceUnavailable {
				t.Fatalf("the sender got %s", modtest.XML(sent))
			}
			alice.Say(strings.Replace(chat(9), "carol", "dave", 1))
			if sent := alice.Sent(); len(sent) != 0 {
				t.Errorf("another account is full too: %s", modtest.XML(sent))
			}
			carol := h.Session("carol@a.test/r")
			carol.Available(0, "")
			if got := bodies(carol.Sent()); got != "m0 m1 m2" {
				t.Errorf("kept: %s", got)
			}
			carol.Unavailable()
			alice.Say(chat(5))
			if sent := alice.Sent(); len(sent) != 0 {
				t.Errorf("after delivery there is no room: %s", modtest.XML(sent))
			}
		})
	}
}

func TestNotStored(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	alice := h.Session("alice@a.test/r")
	alice.Say("<message to='carol@a.test' type='chat' id='1'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>")
	if sent := alice.Sent(); len(sent) != 1 || sent[0].StanzaError().Condition != stanza.ServiceUnavailable {
		t.Errorf("no-store: %s", modtest.XML(sent))
	}
	alice.Say("<message to='carol@a.test' type='chat' id='2'><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
	if sent := alice.Sent(); len(sent) != 0 {
		t.Errorf("chat state: %s", modtest.XML(sent))
	}
	alice.Say("<message to='nobody@a.test' type='chat' id='3'><body>x</body></message>")
	if sent := alice.Sent(); len(sent) != 1 || sent[0].StanzaError().Condition != stanza.ServiceUnavailable {
		t.Errorf("nobody: %s", modtest.XML(sent))
	}
	if n, _ := stat(t, h, "carol"); n != 0 {
		t.Errorf("%d stored", n)
	}
}

// A session that refuses gets nothing more, and nothing is lost; the order stays.
func TestRefusingSession(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	alice := h.Session("alice@a.test/r")
	for i := range 3 {
		alice.Say(chat(i))
	}
	carol := h.Session("carol@a.test/r")
	carol.Refuse(stream.ErrSlow)
	carol.Available(0, "")
	if n, _ := stat(t, h, "carol"); n != 3 {
		t.Fatalf("%d are kept", n)
	}
	alice.Say(chat(3)) // the router finds no session that takes it
	if n, _ := stat(t, h, "carol"); n != 4 {
		t.Fatalf("%d are kept", n)
	}
	carol.Close(nil)
	again := h.Session("carol@a.test/r")
	again.Available(0, "")
	if got := bodies(again.Sent()); got != numbers(0, 4) {
		t.Errorf("delivered %s", got)
	}
}

// A message that comes back from a session that never acknowledged it keeps its first stamp.
func TestStampedOnce(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	const stamp = "<delay xmlns='urn:xmpp:delay' from='a.test' stamp='2002-09-10T23:08:25Z'/>"
	h.Send("<message from='bob@b.test/x' to='carol@a.test' type='chat' id='m0'><body>x</body>" + stamp + "</message>")
	h.Send("<message from='bob@b.test/x' to='carol@a.test' type='chat' id='m1'><body>x</body>" + strings.Replace(stamp, "a.test", "b.test", 1) + "</message>")
	carol := h.Session("carol@a.test/r")
	carol.Available(0, "")
	got := carol.Sent()
	if n := strings.Count(string(got[0].AppendTo(nil)), "<delay"); n != 1 {
		t.Errorf("%d stamps", n)
	}
	if n := strings.Count(string(got[1].AppendTo(nil)), "<delay"); n != 2 {
		t.Errorf("a stamp of another server: %d", n)
	}
}

// A full box is not poured into a session: it gets more when it has taken what it got.
func TestPace(t *testing.T) {
	for _, sm := range []bool{false, true} {
		t.Run(fmt.Sprintf("sm=%v", sm), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := modtest.New(t, "a.test", Info, gate)
				h.User("carol")
				alice := h.Session("alice@a.test/r")
				const n = 1000
				pad := strings.Repeat("x", 4000)
				for i := range n {
					alice.Say(fmt.Sprintf("<message to='carol@a.test' type='chat' id='m%d'><body>%s</body></message>", i, pad))
				}
				if sent := alice.Sent(); len(sent) != 0 {
					t.Fatalf("the sender got %s", sent[0].AppendTo(nil))
				}
				carol := h.Session("carol@a.test/r")
				client := &slow{s: carol, sm: sm}
				carol.SetValue(gateKey{}, client)
				carol.Available(0, "")
				for got := 0; got < n; {
					client.drain()
					time.Sleep(2 * longestPause)
					if client.taken() == got {
						t.Fatalf("nothing comes after %d", got)
					}
					got = client.taken()
				}
				if got := bodies(carol.Sent()); got != numbers(0, n) {
					t.Errorf("not all in order, once: %.100s…", got)
				}
				if client.most > busyWaiting+roundSize+10_000 {
					t.Errorf("%d bytes waited at once", client.most)
				}
				if left, _ := stat(t, h, "carol"); left != 0 {
					t.Errorf("%d remain", left)
				}
			})
		})
	}
}

// gate is a module that counts what waits for a slow client, as an outbox does.
var gate = modules.Define(modules.Info{Name: "mod_gate"}, struct{}{}, func(struct{}) modules.Module { return gateModule{} })

type gateModule struct{}
type gateKey struct{}

func (gateModule) Start(_ context.Context, h *modules.Host) error {
	h.Hooks.ToClient.On(modules.Watch, func(_ context.Context, p *modules.Packet) error {
		if c, ok := p.Session.Value(gateKey{}).(*slow); ok {
			c.queued(p.Stanza.Size())
		}
		return nil
	})
	return nil
}
func (gateModule) Stop(context.Context) error { return nil }

// slow is a client that takes its output when drain is called.
type slow struct {
	s  *modtest.Session
	sm bool

	mu                   sync.Mutex
	waiting, most, count int
	stanzas              int
}

func (c *slow) queued(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.count, c.stanzas = c.waiting+n, c.count+1, c.stanzas+1
	c.most = max(c.most, c.waiting)
	c.s.Change(func(i *modules.SessionInfo) { i.Waiting, i.SM, i.Unacked = c.waiting, c.sm, c.stanzas })
}

// drain takes what waits, and acknowledges it.
func (c *slow) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting, c.stanzas = 0, 0
	c.s.Change(func(i *modules.SessionInfo) { i.Waiting, i.Unacked = 0, 0 })
}

func (c *slow) taken() int { c.mu.Lock(); defer c.mu.Unlock(); return c.count }

// A delivery that waits for a busy client ends with the session, goes on with another one, and with a resumed one.
func TestPausedDelivery(t *testing.T) {
	fill := func(t *testing.T, h *modtest.Host) {
		h.User("carol")
		alice := h.Session("alice@a.test/r")
		for i := range 100 {
			alice.Say(chat(i))
		}
	}
	busy := func(i *modules.SessionInfo) { i.Waiting = busyWaiting + 1 }
	free := func(i *modules.SessionInfo) { i.Waiting = 0 }
	t.Run("another session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			fill(t, h)
			one, two := h.Session("carol@a.test/1"), h.Session("carol@a.test/2")
			one.Change(busy)
			one.Available(5, "")
			two.Available(0, "")
			if bodies(two.Sent()) != "" {
				t.Error("two deliveries at once")
			}
			one.Close(nil)
			time.Sleep(2 * longestPause)
			if got := bodies(two.Sent()); got != numbers(0, 100) {
				t.Errorf("the second session got %s", got)
			}
		})
	})
	t.Run("resumed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			fill(t, h)
			s := h.Session("carol@a.test/1")
			s.Change(busy)
			s.Available(0, "")
			s.Hibernate()
			s.Change(free)
			time.Sleep(2 * longestPause)
			if got := bodies(s.Sent()); got != "" {
				t.Errorf("delivered to a hibernated session: %s", got)
			}
			s.Resume()
			if got := bodies(s.Sent()); got != numbers(0, 100) {
				t.Errorf("resumed: %s", got)
			}
		})
	})
	t.Run("stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			fill(t, h)
			s := h.Session("carol@a.test/1")
			s.Change(busy)
			s.Available(0, "")
			if err := h.Loader.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Change(free)
			time.Sleep(2 * longestPause)
			if got := bodies(s.Sent()); got != "" {
				t.Errorf("delivered after Stop: %s", got)
			}
		})
	})
}

// Senders and a recipient that comes and goes: every message arrives once.
func TestConcurrently(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	const senders, each = 4, 50
	var wg sync.WaitGroup
	for s := range senders {
		from := h.Session(fmt.Sprintf("alice@a.test/%d", s))
		wg.Go(func() {
			for i := range each {
				from.Say(fmt.Sprintf("<message to='carol@a.test' type='chat' id='%d-%d'><body>x</body></message>", s, i))
			}
		})
	}
	carol := h.Session("carol@a.test/r")
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for run := true; run; {
		select {
		case <-done:
			run = false
		default:
		}
		carol.Unavailable()
		carol.Available(0, "")
	}
	seen := map[string]int{}
	for _, st := range carol.Sent() {
		if st.Kind == stanza.KindMessage {
			seen[st.ID()]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(seen) != senders*each {
		left, _ := stat(t, h, "carol")
		t.Errorf("%d of %d came, %d are kept", len(seen), senders*each, left)
	}
}

func TestUserDeleted(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	h.User("carola")
	alice := h.Session("alice@a.test/r")
	alice.Say(chat(0))
	alice.Say(strings.Replace(chat(1), "carol", "carola", 1))
	if err := h.Users.Delete(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	h.User("carol")
	carol, carola := h.Session("carol@a.test/r"), h.Session("carola@a.test/r")
	carol.Available(0, "")
	carola.Available(0, "")
	if got := bodies(carol.Sent()); got != "" {
		t.Errorf("the new account got %s", got)
	}
	if got := bodies(carola.Sent()); got != "m1" {
		t.Errorf("the other account got %s", got)
	}
	// What a crash left behind is not the next account's.
	b := box{h.Store.Bucket("modules", "a.test", "mod_offline")}
	if err := b.append(t.Context(), "dave", "", []byte(chat(2)), 10, 1000)(); err != nil {
		t.Fatal(err)
	}
	h.User("dave")
	if n, _ := stat(t, h, "dave"); n != 0 {
		t.Errorf("a new account has %d messages", n)
	}
}

func TestUnknownFormat(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	h.User("carol")
	b := h.Store.Bucket("modules", "a.test", "mod_offline")
	if err := b.KV("messages").Put(t.Context(), append(prefix("carol"), 1), []byte{99, 'x'}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (box{b}).page(t.Context(), "carol", 1, 1); !errors.Is(err, errFormat) {
		t.Errorf("error %v", err)
	}
	if err := b.KV("counters").Put(t.Context(), []byte("carol"), []byte{99}); err != nil {
		t.Fatal(err)
	}
	alice := h.Session("alice@a.test/r")
	alice.Say(chat(0))
	if sent := alice.Sent(); len(sent) != 1 || sent[0].StanzaError().Condition != stanza.InternalServerError {
		t.Errorf("the sender got %s", modtest.XML(sent))
	}
	if !strings.Contains(h.Log(), "message not kept") || strings.Contains(h.Log(), "more") {
		t.Errorf("log %s", h.Log())
	}
}
