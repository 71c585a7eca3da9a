// Package accept is what the listeners of clients and of other servers have in common: the loop that accepts, limits per
// address, turns for TLS handshakes, and the socket's options.
package accept

import (
	"errors"
	"log/slog"
	"net"
	"runtime"
	"syscall"
	"time"
)

// Serve accepts connections until the listener is closed or stop is. take gets each connection and returns false where the
// address has enough of them; it closes those itself.
func Serve(l net.Listener, log *slog.Logger, stop <-chan struct{}, take func(net.Conn) bool) error {
	var wait time.Duration
	var full, refused notice
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EINTR): // the peer changed its mind
			continue
		case temporary(err):
			// Out of file descriptors or memory: those who are here go on being served, new ones wait in the backlog.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			if n := full.ripe(); n > 0 {
				log.Error("cannot accept connections for now", "listener", l.Addr().String(), "times", n, "err", err)
			}
			if !Pause(wait, stop) {
				return nil
			}
			continue
		default:
			return err
		}
		if !take(nc) {
			if n := refused.ripe(); n > 0 {
				log.Warn("connections refused: too many from one address", "listener", l.Addr().String(), "times", n,
					"remote", nc.RemoteAddr().String())
			}
		}
	}
}

// temporary tells errors of Accept that pass by themselves.
func temporary(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Pause waits, or returns false when stop is closed.
func Pause(d time.Duration, stop <-chan struct{}) bool {
	if d <= 0 {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}

// keepAlive finds peers that vanished without a word; the engine's own pings are for those that are merely silent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// unackedTime is how long a peer's TCP may fail to acknowledge what was sent. The default of Linux is a quarter of an
// hour, in which messages would wait for a phone that has left the network.
const unackedTime = 2 * time.Minute

// Tune sets a connection's options, whoever opened it.
func Tune(nc net.Conn) {
	if tc, ok := nc.(*net.TCPConn); ok {
		tc.SetNoDelay(true)
		tc.SetKeepAliveConfig(keepAlive)
		limitUnacked(tc, unackedTime)
	}
}

// Turns bounds how many handshakes run at once, for they are the dearest thing that a stranger can ask for.
type Turns chan struct{}

// NewTurns makes as many as the machine can do with.
func NewTurns() Turns { return make(Turns, 32*runtime.GOMAXPROCS(0)) }

// Take waits for a turn and returns what ends it. A turn ends by itself after a moment: what costs is done by then, and a
// peer that stalls must not keep others out.
func (ts Turns) Take(deadline time.Time, stop <-chan struct{}) (release func(), ok bool) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case ts <- struct{}{}:
		end := time.AfterFunc(100*time.Millisecond, func() { <-ts })
		return func() {
			if end.Stop() {
				<-ts
			}
		}, true
	case <-t.C:
	case <-stop:
	}
	return nil, false
}

// notice thins out a message for the log: one line a minute, with the number of times.
type notice struct {
	n    int
	last time.Time
}

// ripe counts one more, and returns the number to report, or 0 to be quiet.
func (n *notice) ripe() int {
	n.n++
	if now := time.Now(); now.Sub(n.last) >= time.Minute {
		n.last = now
		k := n.n
		n.n = 0
		return k
	}
	return 0
}
