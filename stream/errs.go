package stream

import "errors"

// The errors of Queue.
var (
	ErrSlow   = errors.New("stream: peer is too slow")
	ErrClosed = errors.New("stream: closed")
)
