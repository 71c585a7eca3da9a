package interop

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// fate collects what becomes of numbered messages: who they were for has them, or their sender has an error.
type fate struct {
	arrived, returned map[int]int
	order             []int // of arrival, the first time each
	theirs            int   // returned by the other server
}

func newFate() *fate { return &fate{arrived: map[int]int{}, returned: map[int]int{}} }

func number(n *xtest.Node) int {
	i, err := strconv.Atoi(strings.TrimPrefix(n.Attr("id"), "n"))
	if n.Name.Local != "message" || err != nil {
		return -1
	}
	return i
}

// note notes what a client has read.
func (f *fate) note(nodes ...*xtest.Node) {
	for _, n := range nodes {
		i := number(n)
		switch {
		case i < 0:
		case n.Attr("type") == "error":
			f.returned[i]++
			if n.Child("error").Child("service-unavailable") != nil {
				f.theirs++
			}
		default:
			if f.arrived[i]++; f.arrived[i] == 1 {
				f.order = append(f.order, i)
			}
		}
	}
}

// unknown are the messages from first to last of which nobody has heard.
func (f *fate) unknown(first, last int) (list []int) {
	for i := first; i <= last; i++ {
		if f.arrived[i]+f.returned[i] == 0 {
			list = append(list, i)
		}
	}
	return list
}

// TestFederationTrouble: other servers die, come back, do not read, and are not to be found. Of no message that xmppd has
// taken on nothing is heard: it arrives, or its sender gets an error, or both, when what says that it arrived is lost.
func TestFederationTrouble(t *testing.T) {
	if !apart(t) {
		return
	}
	l := newLab(t)
	prosody, ejabberd := l.prosody(), l.ejabberd()
	x := l.xmppd(t, "login_timeout = '5s'\nwrite_timeout = '2s'\ns2s_queue_time = '20s'\n")
	host := good("xmppd")
	bystander := online(t, x, "bystander", host)

	for _, p := range []*program{prosody, ejabberd} {
		t.Run(p.name+" dies under load", func(t *testing.T) {
			bystander.T = t
			alice := online(t, x, "killing-"+p.name, host)
			to := "absent@" + good(p.name)
			p.client(t, "absent", good(p.name)).Quit()
			f := newFate()
			reaches := func() bool { // asks their server something
				alice.Send("<iq type='get' id='reach' to='%s'><query xmlns='jabber:iq:version'/></iq>", good(p.name))
				for {
					n := alice.Must()
					f.note(n)
					if n.Attr("id") == "reach" {
						return n.Attr("type") == "result"
					}
				}
			}
			waitFor(t, "a stream", reaches)
			flood := to
			if p.name == "ejabberd" {
				// What it has taken on for absent it has in memory for some seconds (64 KiB of its database's log), and that dies with
				// it. Who does not exist is told of at once: what it has handled comes back with an error of its own.
				flood = "nobody@" + good(p.name)
			}
			send := func(to string, from, n int) {
				for i := range n {
					alice.Send("<message to='%s' type='chat' id='n%d'><body>%s</body></message>", to, from+i, strings.Repeat("x", 200))
				}
			}
			send(flood, 0, 500)
			f.note(alice.Barrier()...)
			p.kill()
			f.note(alice.Barrier()...)
			send(flood, 500, 500)
			f.note(alice.Barrier()...)
			waitFor(t, "the other server's end", func() bool { return !reaches() })
			send(to, 1000, 100) // while it is known to be away
			for len(f.unknown(1000, 1099)) > 0 {
				f.note(alice.Must())
			}
			p.start(t)
			waitFor(t, "the other server's return", reaches)
			absent := p.client(t, "absent", good(p.name))
			f.note(absent.Barrier()...)
			send(to, 1100, 100)
			for len(f.unknown(1100, 1199)) > 0 {
				f.note(absent.Must())
			}
			missing := f.unknown(0, 999)
			for end := time.Now().Add(wait); len(missing) > 0 && time.Now().Before(end); missing = f.unknown(0, 999) {
				f.note(alice.Barrier()...)
				f.note(absent.Barrier()...)
			}
			if len(missing) > 0 {
				t.Errorf("nobody has heard of %d messages: %v", len(missing), missing)
			}
			t.Logf("%d arrived, %d returned, %d of them by their server", len(f.arrived), len(f.returned), f.theirs)
			if p.name == "ejabberd" && f.theirs == 0 {
				t.Error("it died before there was any load")
			}
			last := -1
			for _, i := range f.order {
				if i < last {
					t.Fatalf("%d came after %d", i, last)
				}
				last = i
			}
			bystander.Barrier()
		})

		t.Run(p.name+" does not read", func(t *testing.T) {
			bystander.T = t
			alice := online(t, x, "filling-"+p.name, host)
			to := "absent@" + good(p.name)
			before := x.RSS(t)
			p.pause()
			f := newFate()
			const messages = 300
			body := strings.Repeat("x", 100<<10)
			for i := range messages {
				alice.Send("<message to='%s' type='chat' id='n%d'><body>%s</body></message>", to, i, body)
				if i%20 == 0 {
					f.note(alice.Barrier()...)
				}
			}
			f.note(alice.Barrier()...)
			bystander.Barrier()
			if n := len(f.returned); n < messages/2 {
				t.Errorf("%d of %d were returned, where 4 MiB may wait", n, messages)
			}
			if grown := x.RSS(t) - before; grown > 64<<20 {
				t.Errorf("it costs %d MiB", grown>>20)
			}
			waitFor(t, "the end of the stream", func() bool {
				out, _, _ := x.Run("", "session", "list", good(p.name))
				return !strings.Contains(out, "out: ")
			})
			p.resume()
			absent := p.client(t, "absent", good(p.name))
			for end := time.Now().Add(wait); len(f.unknown(0, messages-1)) > 0; {
				if time.Now().After(end) {
					t.Fatalf("nobody has heard of %v", f.unknown(0, messages-1))
				}
				f.note(absent.Barrier()...)
				f.note(alice.Barrier()...)
			}
			t.Logf("%d arrived, %d returned", len(f.arrived), len(f.returned))
		})
	}

	t.Run("DNS does not answer", func(t *testing.T) {
		bystander.T = t
		alice := online(t, x, "asking", host)
		l.dns.pause()
		began := time.Now()
		for i := range 20 {
			alice.Send("<message to='eve@unheard-%d.lab' type='chat' id='n%d'><body>x</body></message>", i, i)
		}
		bystander.Barrier()
		f := newFate()
		for len(f.unknown(0, 19)) > 0 {
			f.note(alice.Must())
		}
		t.Logf("after %v", time.Since(began).Round(time.Millisecond))
		l.dns.resume()
		alice.Send("<message to='eve@unheard-0.lab' type='chat' id='later'><body>x</body></message>")
		n := await(alice, "<message type='error' id='later'/>")
		t.Logf("then %s", n.Child("error"))
	})
}

// waitFor tries again and again, a few times a second.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
