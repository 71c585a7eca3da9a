package stream

import "context"

// owed are outcomes that nobody has waited for; see Batch.Await.
type owed struct {
	list []func(context.Context)
	size int
}

// What is owed before it is time to settle.
const (
	owedMost = 64
	owedSize = 256 << 10
)

// Await leaves the outcome of a write to who handles the stanza that wants it, so that what many stanzas in a row want
// written is written at once: fn waits for it, and tells the sender where it failed. Until it is known none of these
// stanzas counts as handled, and nothing but messages is handled, for they are not answered. size is what is held so long,
// in bytes. It returns false where the caller has to wait by itself.
func (b *Batch) Await(size int, fn func(ctx context.Context)) bool {
	if b == nil || !b.open {
		return false
	}
	if b.owed == nil {
		b.owed = &owed{}
	}
	b.owed.list = append(b.owed.list, fn)
	b.owed.size += size
	return true
}

// Open lets handlers leave outcomes until Shut. At other times they wait by themselves, such as those of a stream's end.
func (b *Batch) Open() { b.open = true }

// Shut ends Open.
func (b *Batch) Shut() { b.open = false }

// Owes tells whether there are outcomes that nobody has waited for, and whether there are so many that it is time to.
func (b *Batch) Owes() (any, full bool) {
	o := b.owed
	if o == nil {
		return false, false
	}
	return true, len(o.list) >= owedMost || o.size >= owedSize
}

// Settle waits for all outcomes. Unlike all else of a batch it, Owes and Await need not run on the reading goroutine, where
// something else keeps them apart; ctx is the caller's.
func (b *Batch) Settle(ctx context.Context) {
	o := b.owed
	if o == nil {
		return
	}
	b.owed = nil
	for _, fn := range o.list {
		fn(ctx)
	}
}
