package c2s

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"time"
)

// Serve accepts connections until the listener is closed or Shutdown is called. direct: TLS at once (XEP-0368).
func (s *Server) Serve(l net.Listener, direct bool) error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
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
				s.log.Error("cannot accept connections for now", "listener", l.Addr().String(), "times", n, "err", err)
			}
			if !s.pause(wait) {
				return nil
			}
			continue
		default:
			return err
		}
		if !s.accept(nc, direct) {
			if n := refused.ripe(); n > 0 {
				s.log.Warn("connections refused: too many from one address", "listener", l.Addr().String(), "times", n,
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

// accept takes over one connection. It returns false where the address has enough of them.
func (s *Server) accept(nc net.Conn, direct bool) bool {
	p := s.policy.Load()
	from := visitorOf(nc.RemoteAddr())
	if !s.gate.admit(from, p, time.Now()) {
		nc.Close()
		return false
	}
	if !s.track() {
		s.gate.release(from)
		nc.Close()
		return true
	}
	tune(nc)
	c := s.newClient(nc, from, p, direct)
	if shed := s.gate.enter(c, p.ConnsPreauth); shed != nil {
		s.log.Info("connection dropped: too many have not logged in", "id", sessionID(shed.id))
		shed.sc.Abort()
	}
	go c.run()
	return true
}

// keepAlive finds peers that vanished without a word; the engine's own pings are for those that are merely silent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// unackedTime is how long a peer's TCP may fail to acknowledge what was sent. The default of Linux is a quarter of an
// hour, in which messages would wait for a phone that has left the network.
const unackedTime = 2 * time.Minute

func tune(nc net.Conn) {
	if tc, ok := nc.(*net.TCPConn); ok {
		tc.SetNoDelay(true)
		tc.SetKeepAliveConfig(keepAlive)
		limitUnacked(tc, unackedTime)
	}
}

// handshakes is how many handshakes may run at once, for they are the dearest thing that a stranger can ask for.
func handshakes() int { return 32 * runtime.GOMAXPROCS(0) }

// handshakeSlot waits for its turn and returns what ends it. A turn ends by itself after a moment: what costs is done by
// then, and a peer that stalls must not keep others out.
func (s *server) handshakeSlot(deadline time.Time) (release func(), ok bool) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case s.slots <- struct{}{}:
		end := time.AfterFunc(100*time.Millisecond, func() { <-s.slots })
		return func() {
			if end.Stop() {
				<-s.slots
			}
		}, true
	case <-t.C:
	case <-s.stop:
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
