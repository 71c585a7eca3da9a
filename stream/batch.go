package stream

import (
	"context"
	"runtime"
)

// Batch collects the connections that got output while one read buffer full of stanzas was handled, so that each is
// flushed once. It belongs to one reading goroutine; it travels in the context of the handlers that run on it.
type Batch struct {
	context.Context // what it travels in
	conns           []*Conn
	few             [2]*Conn // what most get along with: the other one, and who is answered

	owed *owed // nil: nothing
	open bool  // handlers may leave outcomes
}

type batchKey struct{}

// maxBatch is the number of connections that a batch keeps room for after a flush.
const maxBatch = 16

// wide is the number of connections beyond which a batch is for an audience: more than the devices of two people.
const wide = 8

// WithBatch returns a context that carries b: b itself, which takes ctx on. It is called once for each Batch.
func WithBatch(ctx context.Context, b *Batch) context.Context {
	if b == nil { // none, whatever ctx carries
		return context.WithValue(ctx, batchKey{}, b)
	}
	b.Context = ctx
	return b
}

// Value implements context.Context.
func (b *Batch) Value(key any) any {
	if key == (batchKey{}) {
		return b
	}
	return b.Context.Value(key)
}

// BatchOf returns the batch of a context, or nil.
func BatchOf(ctx context.Context) *Batch {
	b, ok := ctx.(*Batch)
	if !ok {
		b, _ = ctx.Value(batchKey{}).(*Batch)
	}
	return b
}

// Flush flushes every connection collected and empties the batch.
//
// Where it is for an audience, readers that are ready to run go first. Audiences overlap, as contacts of contacts do: what
// several say at a time then costs each listener one record and one write, and the last to be flushed finds nothing to do.
// Where nobody else is ready, this costs nothing. A message for a few devices does not wait for anybody.
func (b *Batch) Flush() {
	if len(b.conns) > wide {
		runtime.Gosched()
	}
	for i, c := range b.conns {
		b.conns[i] = nil
		c.flush(b)
	}
	if cap(b.conns) > maxBatch {
		b.conns = nil
	}
	b.conns = b.conns[:0]
}
