package stream

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// socket is a TCP connection of a Poller's. It is a net.Conn like any other, for one reader and one writer at a time, and a
// transport.
type socket struct {
	p    *Poller
	addr [16]byte // of the peer
	port uint16

	slot int32
	fd   int32      // used under rmu or wmu, closed under both
	rmu  sync.Mutex // reading
	wmu  sync.Mutex // writing

	// Guarded by the Poller's mu.
	place int32   // in the heap of deadlines; 0: there is none
	due   instant // as the heap has it

	mu       sync.Mutex // guards what follows
	closed   bool
	ended    bool          // the peer ended its side, or there is an error: to read never waits again
	readable bool          // something may be there to read
	writable bool          // there may be room to write
	passed   bool          // readBy has
	news     chan struct{} // for who waits to read; has room for one
	room     chan struct{} // for who waits to write; as well
	parked   Resumer
	readBy   instant
	writeBy  instant
}

// event takes what epoll says.
func (s *socket) event(ev uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	const gone = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	if ev&gone != 0 {
		s.ended = true
	}
	if ev&(syscall.EPOLLIN|gone) != 0 {
		s.readable = true
		s.wakeReader()
	}
	if ev&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		s.writable = true
		wake(s.room)
	}
}

// late is called when the deadline of reads has passed, as far as the heap knew.
func (s *socket) late() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.readBy == 0 {
		return
	}
	if s.passed = at(time.Now()) >= s.readBy; s.passed {
		s.wakeReader()
	} else {
		s.p.schedule(s, s.readBy)
	}
}

// wakeReader lets go on who waits for something to read. The caller holds mu.
func (s *socket) wakeReader() {
	wake(s.news)
	if r := s.parked; r != nil {
		s.parked = nil
		s.p.crew.do(r)
	}
}

// wake leaves word for who waits, if anybody does.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // nobody, or there is word already
	}
}

// sleep waits for word on ch, without mu, which the caller holds; timer, if any, ends the wait too.
func (s *socket) sleep(ch *chan struct{}, timer <-chan time.Time) {
	if *ch == nil {
		*ch = make(chan struct{}, 1)
	}
	word := *ch
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-word:
	case <-timer:
	}
}

// park implements transport.
func (s *socket) park(r Resumer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state() != ErrIdle {
		return false
	}
	s.parked, s.news = r, nil // nobody waits in another way
	return true
}

// wait implements transport.
func (s *socket) wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.state(); err != ErrIdle {
			return err
		}
		s.sleep(&s.news, nil)
	}
}

// state tells what a read would find: nil where there may be something. The caller holds mu.
func (s *socket) state() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.passed:
		return os.ErrDeadlineExceeded
	case s.readable:
		return nil
	}
	return ErrIdle
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	for {
		n, err := s.readNow(b)
		if err != ErrIdle {
			return n, err
		}
		if err := s.wait(); err != nil {
			return 0, err
		}
	}
}

// readNow implements transport.
func (s *socket) readNow(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	err := s.state()
	if err == nil {
		s.readable = false // before reading: what arrives from now on says so again
	}
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := s.read(b)
	if err == syscall.EAGAIN {
		return 0, ErrIdle
	}
	// A read that brings less than there was room for has taken all (epoll(7)), but for the end, which is told but once.
	s.mu.Lock()
	if n == len(b) || n == 0 || s.ended {
		s.readable = true
	}
	s.mu.Unlock()
	switch {
	case err != nil && err != net.ErrClosed:
		return 0, os.NewSyscallError("read", err)
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return n, err
}

// read reads what is there.
func (s *socket) read(b []byte) (n int, err error) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if s.fd < 0 {
		return 0, net.ErrClosed
	}
	for {
		if n, err = syscall.Read(int(s.fd), b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// tryWrite implements transport.
func (s *socket) tryWrite(b []byte) (n int, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.fd < 0 {
		return 0, net.ErrClosed
	}
	for n < len(b) {
		m, err := syscall.Write(int(s.fd), b[n:])
		n += max(m, 0)
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return n, nil
		default:
			return n, os.NewSyscallError("write", err)
		}
	}
	return n, nil
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (n int, err error) {
	for {
		s.mu.Lock()
		s.writable = false // before writing, as in Read
		s.mu.Unlock()
		m, err := s.tryWrite(b[n:])
		if n += m; err != nil || n == len(b) {
			return n, err
		}
		if err := s.waitWritable(); err != nil {
			return n, err
		}
	}
}

func (s *socket) waitWritable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var end <-chan time.Time
	if s.writeBy != 0 {
		t := time.NewTimer(time.Until(s.writeBy.time()))
		defer t.Stop()
		end = t.C
	}
	defer func() { s.room = nil }()
	for !s.writable {
		switch {
		case s.closed:
			return net.ErrClosed
		case s.writeBy != 0 && at(time.Now()) >= s.writeBy:
			return os.ErrDeadlineExceeded
		}
		s.sleep(&s.room, end)
	}
	return nil
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.closed = true
	s.p.forget(s)
	s.wakeReader()
	wake(s.room)
	s.mu.Unlock()
	s.rmu.Lock()
	defer s.rmu.Unlock()
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.p.control(syscall.EPOLL_CTL_DEL, int(s.fd), &syscall.EpollEvent{})
	err := syscall.Close(int(s.fd))
	s.fd = -1
	return os.NewSyscallError("close", err)
}

// CloseWrite ends our side, as that of net.TCPConn does.
func (s *socket) CloseWrite() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", syscall.Shutdown(int(s.fd), syscall.SHUT_WR))
}

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.readBy = at(t)
	if s.passed = s.readBy != 0 && at(time.Now()) >= s.readBy; s.passed {
		s.wakeReader()
		return nil
	}
	s.p.schedule(s, s.readBy)
	return nil
}

// SetWriteDeadline implements net.Conn. It holds for the next write.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy = at(t)
	return nil
}

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	s.SetWriteDeadline(t)
	return s.SetReadDeadline(t)
}

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(s.addr).Unmap(), s.port))
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	addr := &net.TCPAddr{}
	if s.fd < 0 {
		return addr
	}
	switch sa, _ := syscall.Getsockname(int(s.fd)); sa := sa.(type) {
	case *syscall.SockaddrInet4:
		addr.IP, addr.Port = sa.Addr[:], sa.Port
	case *syscall.SockaddrInet6:
		addr.IP, addr.Port = sa.Addr[:], sa.Port
	}
	return addr
}
