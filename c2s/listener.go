package c2s

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
	return accept.Serve(l, s.log, s.stop, func(nc net.Conn) bool { return s.accept(nc, direct) })
}

// accept takes over one connection. It returns false where the address has enough of them.
func (s *Server) accept(nc net.Conn, direct bool) bool {
	p := s.policy.Load()
	from := accept.Visitor(nc.RemoteAddr())
	if !s.gate.Admit(from, accept.Limits{PerAddress: p.ConnsPerAddress, PerMinute: p.ConnsPerMinute}, time.Now()) {
		nc.Close()
		return false
	}
	if !s.track() {
		s.gate.Release(from)
		nc.Close()
		return true
	}
	accept.Tune(nc)
	if s.o.Poller != nil {
		nc = s.o.Poller.Adopt(nc)
	}
	c := s.newClient(nc, from, p, direct)
	if shed, ok := s.gate.Enter(c, from, p.ConnsPreauth); ok {
		s.log.Info("connection dropped: too many have not logged in", "id", sessionID(shed.id))
		shed.sc.Abort()
	}
	go c.run()
	return true
}
