//go:build unix

package stream

import (
	"io"
	"os"
	"syscall"
)

const canTry = true

// tryOnce writes what the socket takes of w.p right now. It always returns true: to wait is drain's work.
func (w *wire) tryOnce(fd uintptr) bool {
	for w.n < len(w.p) {
		n, err := syscall.Write(int(fd), w.p[w.n:])
		if n > 0 {
			w.n += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err1 = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// fetchOnce reads what has arrived into a buffer of its own, which is held only if there is something.
func (w *wire) fetchOnce(fd uintptr) bool {
	ch := newChunk(0)
	for {
		n, err := syscall.Read(int(fd), ch.b[:cap(ch.b)])
		switch {
		case err == syscall.EINTR:
			continue
		case n > 0:
			ch.b = ch.b[:n]
			w.in = ch
			return true
		}
		ch.free()
		switch err {
		case nil:
			w.fetchErr = io.EOF
		case syscall.EAGAIN:
			return false
		default:
			w.fetchErr = os.NewSyscallError("read", err)
		}
		return true
	}
}
