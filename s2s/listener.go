package s2s

import (
	"net"
	"time"

	"github.com/xmppd/xmppd/accept"
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
	return accept.Serve(l, s.log, s.life.Done(), func(nc net.Conn) bool { return s.accept(nc, direct) })
}

// accept takes over one connection. It returns false where the address has enough of them.
func (s *engine) accept(nc net.Conn, direct bool) bool {
	set := s.settings.Load()
	from := accept.Visitor(nc.RemoteAddr())
	if !s.gate.Admit(from, accept.Limits{PerAddress: set.ConnsPerAddress, PerMinute: set.ConnsPerMinute}, time.Now()) {
		nc.Close()
		return false
	}
	if !s.track() {
		s.gate.Release(from)
		nc.Close()
		return true
	}
	l := s.newLink(nc, set, false)
	l.direct, l.header = direct, true
	l.until(time.Duration(set.HandshakeTimeout))
	if shed, ok := s.gate.Enter(l, from, set.ConnsPreauth); ok {
		s.log.Info("connection dropped: too many have not authenticated", "id", shed.ID())
		shed.sc.Abort()
	}
	go l.run()
	return true
}
