//go:build unix

package stream

import (
	"io"
	"os"
	"syscall"
)

const canTry = true

// tryOnce writes what the socket takes of d.p right now. It always returns true: to wait is drain's work.
func (d *direct) tryOnce(fd uintptr) bool {
	for d.n < len(d.p) {
		n, err := syscall.Write(int(fd), d.p[d.n:])
		if n > 0 {
			d.n += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			d.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// fetchOnce reads what has arrived into a buffer of its own, which is held only if there is something.
func (d *direct) fetchOnce(fd uintptr) bool {
	ch := newChunk(0)
	for {
		n, err := syscall.Read(int(fd), ch.b[:cap(ch.b)])
		switch {
		case err == syscall.EINTR:
			continue
		case n > 0:
			ch.b = ch.b[:n]
			d.in = ch
			return true
		}
		ch.free()
		switch err {
		case nil:
			d.fetchErr = io.EOF
		case syscall.EAGAIN:
			return false
		default:
			d.fetchErr = os.NewSyscallError("read", err)
		}
		return true
	}
}
