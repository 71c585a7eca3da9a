//go:build !unix

package stream

// canTry is false where sockets are not file descriptors: all writes go through the goroutine.
const canTry = false

func (w *wire) tryOnce(uintptr) bool { return true }

func (w *wire) fetchOnce(uintptr) bool { return true }
