package stream

import "context"

// Batch collects the connections that got output while one read buffer full of stanzas was handled, so that each is
// flushed once. It belongs to one reading goroutine; it travels in the context of the handlers that run on it.
type Batch struct{ conns []*Conn }

type batchKey struct{}

// WithBatch returns a context that carries b.
func WithBatch(ctx context.Context, b *Batch) context.Context {
	return context.WithValue(ctx, batchKey{}, b)
}

// BatchOf returns the batch of a context, or nil.
func BatchOf(ctx context.Context) *Batch { b, _ := ctx.Value(batchKey{}).(*Batch); return b }

// Flush flushes every connection collected and empties the batch.
func (b *Batch) Flush() { panic("stream") }
