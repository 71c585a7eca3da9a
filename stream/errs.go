package stream

import "errors"

// The errors of Queue.
var (
	ErrSlow   = errors.New("stream: peer is too slow")
	ErrClosed = errors.New("stream: closed")
)

// ErrInjected is what StartTLS returns when bytes were sent in the clear behind <starttls/>, or behind <proceed/>. There is
// nobody to tell: the caller aborts the connection.
var ErrInjected = errors.New("stream: bytes sent in the clear where TLS begins")

// ErrIdle is what Read returns to a reader that parks, when there is nothing to read.
var ErrIdle error = idleError{}

// idleError passes through crypto/tls, for which it is one of those that pass by themselves: reading can go on after it.
type idleError struct{}

// Error implements error.
func (idleError) Error() string { return "stream: nothing to read" }

// Timeout and Temporary implement net.Error.
func (idleError) Timeout() bool   { return false }
func (idleError) Temporary() bool { return true }
