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
var ErrIdle = errors.New("stream: nothing to read")
