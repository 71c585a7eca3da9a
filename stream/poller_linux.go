package stream

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Poller waits for many connections without a goroutine for each (epoll(7)). A connection is handed to it by Adopt, given to
// NewConn, and from Park on costs its own state and nothing else.
//
// # Implementation notes
//
//   - A socket is taken from Go's own poller by duplicating its descriptor: what net keeps for each would be a sixth of all.
//     It is registered once and for all, edge-triggered, so that a stanza costs no system call but read and write.
//   - The epoll instance is itself a file that Go's poller waits for, so waiting takes no thread.
//   - An event names a slot and its generation. A socket leaves its slot before its descriptor is closed, and the generation
//     changes: an event that was on its way finds nobody, whoever has descriptor or slot by then.
//   - A descriptor is used under the socket's reading or writing lock, and closed under both. No call under them waits.
//   - Deadlines are one heap and one timer.
//   - Lock order: Conn.mu, then socket.mu, then Poller.mu; crew.mu is last.
type Poller struct {
	crew  crew
	file  *os.File // the epoll instance
	raw   syscall.RawConn
	begin sync.Once     // starts the waiting, with the first connection
	done  chan struct{} // closed when nobody waits any more

	mu    sync.Mutex
	slots []slot
	free  []int32 // slots without a socket
	due   deadlines
	timer *time.Timer
	next  instant // when timer fires; 0: it does not
}

// slot is where events find their socket.
type slot struct {
	s   *socket
	gen int32
}

// NewPoller makes a Poller. Close it after the last of its connections.
func NewPoller() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that os has Go's poller wait for it
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Poller{crew: crew{max: maxWaiting * runtime.GOMAXPROCS(0)}, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetDeadline(time.Time{}) // fails where Go's poller cannot
	}
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("stream: epoll: %w", err)
	}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	return p, nil
}

// Close ends the waiting. Connections that are still open are not served any more.
func (p *Poller) Close() {
	p.begin.Do(func() { close(p.done) })
	p.file.Close()
	<-p.done
	p.mu.Lock()
	p.timer.Stop()
	p.mu.Unlock()
	p.crew.close()
}

// Adopt takes a TCP connection over and returns what to use in its place. Any other connection, and one for which
// there is no descriptor to spare, is returned as it is: it works, at the price of a goroutine.
func (p *Poller) Adopt(nc net.Conn) net.Conn {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	remote, _ := tc.RemoteAddr().(*net.TCPAddr)
	raw, err := tc.SyscallConn()
	if remote == nil || err != nil {
		return nc
	}
	fd := -1
	err = raw.Control(func(old uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			fd = int(n)
		}
	})
	if err != nil || fd < 0 {
		return nc
	}
	ap := remote.AddrPort()
	s := &socket{p: p, fd: int32(fd), addr: ap.Addr().As16(), port: ap.Port()}
	p.mu.Lock()
	n := len(p.free)
	if n > 0 {
		s.slot = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		s.slot = int32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	p.slots[s.slot].s = s
	gen := p.slots[s.slot].gen
	p.mu.Unlock()
	ev := syscall.EpollEvent{Events: socketEvents, Fd: s.slot, Pad: gen}
	if err := p.control(syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		p.forget(s)
		syscall.Close(fd)
		return nc
	}
	p.begin.Do(func() { go p.run() })
	nc.Close() // the duplicate keeps the connection
	return s
}

// socketEvents is what a socket is registered for.
const socketEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | syscall.EPOLLET&0xffffffff

// control is epoll_ctl(2), on an instance that is open.
func (p *Poller) control(op, fd int, ev *syscall.EpollEvent) error {
	var err error
	if cerr := p.raw.Control(func(epfd uintptr) { err = syscall.EpollCtl(int(epfd), op, fd, ev) }); cerr != nil {
		return cerr
	}
	return err
}

// forget sees to it that no event and no deadline finds the socket any more.
func (p *Poller) forget(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sl := &p.slots[s.slot]
	sl.s = nil
	sl.gen++
	p.free = append(p.free, s.slot)
	p.due.remove(s)
}

// find returns the socket that an event is for, or nil. The caller holds mu.
func (p *Poller) find(slot, gen int32) *socket {
	if sl := &p.slots[slot]; sl.gen == gen {
		return sl.s
	}
	return nil
}

// run waits for events until the Poller is closed. The function never says that it is done, so Go's poller keeps count of
// what becomes ready while it works, and one epoll_wait is enough for each time that it is called.
func (p *Poller) run() {
	defer close(p.done)
	events := make([]syscall.EpollEvent, 256)
	woken := make([]*socket, len(events))
	p.raw.Read(func(epfd uintptr) bool {
		for {
			n, err := syscall.EpollWait(int(epfd), events, 0)
			if err == syscall.EINTR {
				continue
			}
			if n > 0 {
				p.dispatch(events[:n], woken)
			}
			if n < len(events) {
				return false // whatever err is: there is nothing to be done about it but to wait again
			}
		}
	})
}

// dispatch takes events to their sockets. woken has room for as many.
func (p *Poller) dispatch(events []syscall.EpollEvent, woken []*socket) {
	p.mu.Lock()
	for i, ev := range events {
		woken[i] = p.find(ev.Fd, ev.Pad)
	}
	p.mu.Unlock()
	for i, ev := range events {
		if s := woken[i]; s != nil {
			s.event(ev.Events)
			woken[i] = nil
		}
	}
}

// schedule sets the deadline of a socket, or takes it off (0).
func (p *Poller) schedule(s *socket, by instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slots[s.slot].s != s {
		return
	}
	p.due.remove(s)
	if by != 0 {
		p.due.add(s, by)
	}
	p.tick()
}

// tick sets the timer for the earliest deadline. It may fire earlier than needed. The caller holds mu.
func (p *Poller) tick() {
	if len(p.due) == 0 {
		return
	}
	if first := p.due[0].due; p.next == 0 || first < p.next {
		p.next = first
		p.timer.Reset(time.Until(first.time()))
	}
}

// expire wakes those whose deadline has passed.
func (p *Poller) expire() {
	p.mu.Lock()
	p.next = 0
	var late []*socket
	for now := at(time.Now()); len(p.due) > 0 && p.due[0].due <= now; {
		s := p.due[0]
		p.due.remove(s)
		late = append(late, s)
	}
	p.tick()
	p.mu.Unlock()
	for _, s := range late {
		s.late()
	}
}
