package c2s

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// TestParked is the life of connections that have nothing to say, on the transport where they have no goroutine: bytes,
// time, and everybody who may end them reaches them all the same.
func TestParked(t *testing.T) {
	if transport != "epoll" {
		t.Skip("for TestEpoll")
	}
	r := newRig(t, noTLS+"[limits]\nprofile = 'off'\nresources_per_account = 100\nping_after = '2s'\nidle_timeout_c2s = '4s'\n")
	r.listen()
	before := runtime.NumGoroutine()
	const n = 40
	var peers []*peer
	for i := range n {
		p := r.bound(r.dial(), "alice", fmt.Sprintf("x%d", i))
		p.quiet()
		p.send(" ")
		peers = append(peers, p)
	}
	heard := time.Now()
	none := func() {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			extra := runtime.NumGoroutine() - before
			if extra < n/2 { // who works waits a while for more work
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d goroutines for %d connections", extra, n)
			}
		}
	}
	none()
	for i, p := range peers {
		p.want("<iq type='get' id='ping-*")
		if i%2 == 0 {
			p.send(" ")
		}
	}
	if d := time.Since(heard); d < 1900*time.Millisecond {
		t.Errorf("asked after %v", d)
	}
	none()
	for i, p := range peers {
		if i%4 == 0 {
			r.router.Session(jid(fmt.Sprintf("alice@a.test/x%d", i))).Close(errConflict)
			p.fails("conflict")
		}
	}
	for i, p := range peers {
		if i%2 != 0 {
			p.fails("connection-timeout")
		}
	}
	for i, p := range peers {
		if i%4 == 2 { // heard two seconds later
			p.fails("connection-timeout")
		}
	}
	if st := r.srv.Stats(); st.Panics != 0 {
		t.Errorf("%+v", st)
	}
}

// A session is taken from a connection that may be parked, again and again.
func TestParkedResumption(t *testing.T) {
	r := newRig(t, noTLS)
	old, id := r.managed(r.dial(), "alice", "x")
	for range 5 {
		p := r.resume(r.dial(), "alice", id, 0)
		p.want("<resumed *")
		old.fails("conflict")
		old = p
	}
	r.say("alice@a.test/x", "hello")
	old.want("<message *<body>hello</body>*")
}
