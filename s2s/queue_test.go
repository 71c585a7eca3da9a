package s2s

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// After a failure nothing is tried for a while, longer each time, and stanzas come back at once with the same reason.
func TestBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", "")
		want, n := time.Second, 0
		var last time.Time
		for ; n < 400; time.Sleep(want / 20) {
			before := w.dialed("b.test")
			a.send("alice@a.test", "bob@b.test", "x")
			n++
			synctest.Wait()
			if w.dialed("b.test") == before {
				continue
			}
			if gap := time.Since(last); !last.IsZero() {
				if gap < want*7/10 || gap > want*13/10 {
					t.Errorf("%v, want about %v", gap, want)
				}
				want = min(2*want, 5*time.Minute)
			}
			last = time.Now()
		}
		a.bounced(t, n, "remote-server-not-found")
		if want < 5*time.Minute {
			t.Errorf("the wait is still %v", want)
		}
		time.Sleep(20 * time.Minute)
		if s := a.srv.Stats(); s.Routes != 0 {
			t.Errorf("%+v: nothing is to be remembered", s)
		}
	})
}

// Stanzas of many senders at once wait for one stream, and only so many of them (S20).
func TestQueue(t *testing.T) {
	for _, c := range []struct {
		name, limits string
		body         int
		kept         int
	}{
		{"count", "s2s_queue = 100", 10, 100},
		{"bytes", "s2s_queue_size = '100000'", 5000, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := pairOf(t, "[limits]\n"+c.limits+"\n", "")
				w := a.w
				w.open("b.test", func() (net.Conn, error) {
					time.Sleep(10 * time.Second)
					return b.connect()
				})
				for i := range 200 {
					a.send("alice@a.test", "bob@b.test", strings.Repeat("x", c.body)+fmt.Sprint(i))
				}
				synctest.Wait()
				a.bounced(t, 200-c.kept, "resource-constraint")
				time.Sleep(11 * time.Second)
				for i, got := range b.inbox.wait(t, c.kept) {
					if !strings.Contains(got, fmt.Sprintf("x%d</body>", i)) {
						t.Errorf("%d: %s", i, got)
					}
				}
				if n := w.dialed("b.test"); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// How many pairs there may be is bounded.
func TestRoutesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newWorld(t).newRig("a.test", "[limits]\ns2s_routes = 10\n")
		for i := range 15 {
			a.send("alice@a.test", fmt.Sprintf("x@d%d.test", i), "x")
		}
		synctest.Wait()
		crowded := 0
		for _, st := range a.inbox.wait(t, 15) {
			if strings.Contains(st, "<resource-constraint ") {
				crowded++
			}
		}
		if crowded != 5 || a.srv.Stats().Routes != 10 {
			t.Errorf("%d refused, %+v", crowded, a.srv.Stats())
		}
	})
}

// A server that stops gives back what waits while there is somebody to tell.
func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := pairOf(t, "", "")
		a.send("alice@a.test", "bob@b.test", "x")
		b.inbox.wait(t, 1)
		a.w.open("c.test", func() (net.Conn, error) { time.Sleep(5 * time.Second); return nil, ErrRefused })
		a.send("alice@a.test", "bob@c.test", "y")
		a.srv.Drain()
		synctest.Wait()
		a.bounced(t, 1, "remote-server-timeout")
		a.send("alice@a.test", "bob@c.test", "z")
		a.bounced(t, 2, "remote-server-timeout")
		a.send("alice@a.test", "bob@b.test", "unavailable") // where a stream stands it goes on
		b.inbox.wait(t, 2)
	})
}

// A peer that reads slowly is waited for, and nobody waits with it.
func TestSlowPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure+"[limits]\nwrite_buffer = '10000'\n")
		go_ := make(chan struct{})
		n := 0
		w.plainPeer("b.test", "", func(p *peer) {
			<-go_
			for s := p.next(); s != ""; s = p.next() {
				if pinged(s) != "" { // it goes unanswered
					continue
				}
				if !strings.Contains(s, fmt.Sprintf("x%d</body>", n)) {
					t.Errorf("%d: %s", n, s)
				}
				n++
			}
		})
		for i := range 100 {
			a.send("alice@a.test", "bob@b.test", strings.Repeat("x", 1000)+fmt.Sprint(i))
		}
		time.Sleep(10 * time.Second)
		close(go_)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n != 100 || len(a.inbox.all()) > 0 {
			t.Errorf("%d arrived, %d came back", n, len(a.inbox.all()))
		}
	})
}

// What waits when a new configuration forbids its way comes back.
func TestReloadQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for p.next() != "" { // and acknowledges nothing
			}
		})
		w.open("c.test", func() (net.Conn, error) { time.Sleep(10 * time.Second); return nil, ErrRefused })
		a.send("alice@a.test", "bob@b.test", "1")
		a.send("alice@a.test", "carol@c.test", "2")
		synctest.Wait()
		a.srv.Reload(a.parse("a.test", insecure+"default_policy = 'deny'\n"), w, a.verify)
		time.Sleep(time.Minute)
		a.bounced(t, 2, "not-allowed")
		a.send("alice@a.test", "bob@b.test", "3")
		a.bounced(t, 3, "not-allowed")
	})
}

// What the other server has said it does not take is not sent (XEP-0478).
func TestTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := pairOf(t, "", "[limits]\nstanza_size_s2s = '10000'\n")
		for i := range 2 { // before there is a stream, and after
			a.send("alice@a.test", "bob@b.test", strings.Repeat("x", 5000))
			a.send("alice@a.test", "bob@b.test", "small")
			b.inbox.wait(t, i+1)
			synctest.Wait()
			a.bounced(t, i+1, "policy-violation")
		}
		if n := a.w.dialed("b.test"); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
