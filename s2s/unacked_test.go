package s2s

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const offersSM = "<sm xmlns='urn:xmpp:sm:3'/>"

// A stream that breaks loses nothing where the other server acknowledges: what it has not goes out again, in order, before
// what came later (XEP-0198).
func TestResent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		var got []string
		first := true
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for {
				s := p.next()
				switch {
				case s == "":
					return
				case strings.HasPrefix(s, "<message"):
					got = append(got, s[strings.Index(s, "<body>")+6:strings.Index(s, "</body>")])
				}
				if first && len(got) == 5 {
					first = false
					p.send("<a xmlns='urn:xmpp:sm:3' h='3'/>")
					return // the connection is gone; two are not acknowledged
				}
			}
		})
		for i := range 5 {
			a.send("alice@a.test", "bob@b.test", fmt.Sprint(i))
		}
		synctest.Wait()
		a.send("alice@a.test", "bob@b.test", "5")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := strings.Join(got, " "); s != "0 1 2 3 4 3 4 5" {
			t.Error(s)
		}
		if n := len(a.inbox.all()); n > 0 {
			t.Errorf("%d came back", n)
		}
	})
}

// Who never comes back is waited for so long; then the senders are told.
func TestResentInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure+"[limits]\ns2s_queue_time = '2m'\n")
		w.plainPeer("b.test", offersSM, func(p *peer) {
			p.next()
			w.open("b.test", func() (net.Conn, error) { return nil, ErrRefused })
		})
		a.send("alice@a.test", "bob@b.test", "0")
		time.Sleep(time.Minute)
		if n := len(a.inbox.all()); n > 0 {
			t.Fatalf("%d came back too early", n)
		}
		if n := w.dialed("b.test"); n < 3 {
			t.Errorf("%d attempts", n)
		}
		time.Sleep(3 * time.Minute)
		a.bounced(t, 1, "remote-server-timeout")
	})
}

// Who acknowledges nothing is taken for dead after a minute.
func TestNothingAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		n := 0
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for s := p.next(); s != ""; s = p.next() {
				if strings.HasPrefix(s, "<message") {
					n++
				}
				if n == 2 && strings.HasPrefix(s, "<r") {
					p.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
				}
			}
		})
		a.send("alice@a.test", "bob@b.test", "0")
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if n != 2 {
			t.Errorf("sent %d times", n)
		}
		time.Sleep(time.Hour)
		if s := a.srv.Stats(); n != 2 || s.Out != 0 || s.Routes != 0 {
			t.Errorf("sent %d times, %+v", n, s)
		}
	})
}

// What breaks the stream again and again is given up, and what comes after it arrives.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.newRig("a.test", insecure)
		var got []string
		w.plainPeer("b.test", offersSM, func(p *peer) {
			for n := 0; ; {
				switch s := p.next(); {
				case s == "" || strings.Contains(s, "poison"):
					return
				case strings.HasPrefix(s, "<message"):
					got = append(got, s)
					n++
				default:
					p.send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n)
				}
			}
		})
		a.send("alice@a.test", "bob@b.test", "poison")
		synctest.Wait()
		a.send("alice@a.test", "bob@b.test", "food")
		time.Sleep(time.Minute)
		synctest.Wait()
		a.bounced(t, 1, "remote-server-timeout")
		if len(got) != 1 || !strings.Contains(got[0], "food") {
			t.Errorf("%q", got)
		}
		if n := w.dialed("b.test"); n != maxTries+1 {
			t.Errorf("%d connections", n)
		}
	})
}
