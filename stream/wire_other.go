//go:build !unix

package stream

// canTry is false where sockets are not file descriptors: all writes go through the goroutine.
const canTry = false

func (d *direct) tryOnce(uintptr) bool { return true }

func (d *direct) fetchOnce(uintptr) bool { return true }
