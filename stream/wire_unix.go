//go:build unix

package stream

import (
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
