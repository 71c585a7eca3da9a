package c2s

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsPerAddress(t *testing.T) {
	r := newRig(t, "[limits]\nconnections_per_address = 2\n")
	first := r.dial()
	first.header("to='a.test'")
	r.dial().header("to='a.test'")
	p := r.dial()
	p.c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(p.c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q %v", b, err)
	}
	first.send("</stream:stream>")
	first.closed()
	for end := time.Now().Add(5 * time.Second); r.srv.Stats().Connections > 1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.dial().header("to='a.test'")
	if log := r.log.String(); strings.Count(log, "connections refused") != 1 {
		t.Errorf("log: %s", log)
	}
}

// Those who have not logged in make room for newcomers, those who have do not.
func TestShedding(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nconnections_preauth = 2\n")
	in := r.client("alice", "x")
	oldest := r.dial()
	oldest.header("to='a.test'")
	middle := r.dial()
	middle.header("to='a.test'")
	r.dial().header("to='a.test'")
	if got := oldest.next(); got != "" {
		t.Errorf("the oldest got %s", got)
	}
	in.quiet()
	middle.send("</stream:stream>")
	middle.closed()
}

// fullListener has no file descriptors left for a while.
type fullListener struct {
	net.Listener
	mu    sync.Mutex
	times []time.Time
	until time.Time
}

func (l *fullListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.times = append(l.times, time.Now())
	full := time.Now().Before(l.until)
	l.mu.Unlock()
	if full {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func (l *fullListener) Addr() net.Addr { return &net.TCPAddr{} }
func (l *fullListener) Close() error   { return nil }

func TestNoDescriptors(t *testing.T) { // R16
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		l := &fullListener{until: time.Now().Add(time.Minute)}
		if err := r.srv.Serve(l, false); err != nil {
			t.Error(err)
		}
		if n := len(l.times); n < 50 || n > 80 {
			t.Errorf("tried %d times in a minute", n)
		}
		if n := strings.Count(r.log.String(), "cannot accept"); n > 2 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

func TestServeAfterShutdown(t *testing.T) {
	r := newRig(t, "")
	r.listen()
	r.srv.Shutdown(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Serve(l, false); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}
