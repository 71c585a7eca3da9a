package stream

import "sync"

// Sizes of pooled buffers. A first chunk is small, because one reader's batch may have output for thousands of
// connections; what follows is a TLS record long.
const (
	smallChunk = 4 << 10
	largeChunk = 16 << 10 // RFC 8446 §5.1: a record holds no more
	spareChunk = 512      // a chunk with less room than this is full
)

// chunk is a piece of output, one of a list.
type chunk struct {
	b    []byte
	off  int // taken by the socket so far
	next *chunk
}

var (
	smallChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, 0, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, 0, largeChunk)} }}
)

// newChunk returns an empty chunk with room for n bytes, or for a record where n is more.
func newChunk(n int) *chunk {
	if n <= smallChunk {
		return smallChunks.Get().(*chunk)
	}
	return largeChunks.Get().(*chunk)
}

// free gives the buffer back. Those that grew far are left to the collector.
func (ch *chunk) free() {
	n := cap(ch.b)
	ch.b, ch.off, ch.next = ch.b[:0], 0, nil
	switch {
	case n > 2*largeChunk:
	case n >= largeChunk:
		largeChunks.Put(ch)
	default:
		smallChunks.Put(ch)
	}
}

// outbox is what is queued and not yet written: a list of chunks, empty and without memory while idle.
type outbox struct {
	head, tail *chunk
	size       int // bytes, those in the hands of a flusher included
}

// room returns the chunk to append to.
func (o *outbox) room() *chunk {
	switch {
	case o.tail == nil:
		o.head = newChunk(0)
		o.tail = o.head
	case cap(o.tail.b)-len(o.tail.b) < spareChunk:
		o.tail.next = newChunk(largeChunk)
		o.tail = o.tail.next
	}
	return o.tail
}

// take detaches the first chunk, or returns nil.
func (o *outbox) take() *chunk {
	ch := o.head
	if ch != nil {
		o.head = ch.next
		if ch.next = nil; o.head == nil {
			o.tail = nil
		}
	}
	return ch
}

// putBack is for what remains of a chunk taken.
func (o *outbox) putBack(ch *chunk) {
	ch.next = o.head
	if o.head = ch; o.tail == nil {
		o.tail = ch
	}
}

// drop frees everything.
func (o *outbox) drop() {
	for ch := o.take(); ch != nil; ch = o.take() {
		ch.free()
	}
	o.size = 0
}
