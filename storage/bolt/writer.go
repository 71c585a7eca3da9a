package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// The most that one commit takes.
const (
	groupOps   = 1024
	groupBytes = 1 << 20
)

// op is one write. run reads first and then changes pages; it fails before the first change or with a fatalError.
type op struct {
	run   func(w *writeTx) error
	frees bool // it only deletes: tried again, alone, when its group did not fit on the disk
	alone bool // it was
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	opWaiting int32 = iota
	opTaken
	opWithdrawn
)

// writeTx is the transaction of a group.
type writeTx struct {
	*bolt.Tx
	dirty bool
	bytes int
	spare int64 // bytes that may be written by what gives no room back
}

// errExit answers a group whose transaction a caller's function ended together with the goroutine.
var errExit = errors.New("storage: the writer's goroutine was ended by a transaction's function")

// errClean ends a transaction that changed nothing.
var errClean = errors.New("nothing to write")

// writer is the queue of the only goroutine that writes.
type writer struct {
	mu     sync.Mutex
	queue  []*op
	closed bool
	wake   chan struct{} // of capacity 1: the queue or closed changed
	ended  chan struct{}
	broken atomic.Pointer[error] // after a failed write that leaves the disk's state unknown: what to answer from then on
	wedged bool                  // bolt panicked while it wrote, perhaps with its locks held; read after ended
}

// do queues an op and waits for its outcome.
func (s *Store) do(ctx context.Context, o *op) error {
	if err := s.queue(ctx, o); err != nil {
		return err
	}
	return s.wait(ctx, o)
}

// queue is the first half of do.
func (s *Store) queue(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.done = make(chan struct{})
	w := &s.w
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return storage.ErrClosed
	}
	w.queue = append(w.queue, o)
	w.mu.Unlock()
	w.notify()
	return nil
}

// wait is the second half of do.
func (s *Store) wait(ctx context.Context, o *op) error {
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
			return ctx.Err()
		}
		<-o.done
	}
	return o.err
}

func (w *writer) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the next op that was not withdrawn, or nil.
func (w *writer) take() *op {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		o := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		if len(w.queue) == 0 {
			w.queue = nil
		}
		if o.state.CompareAndSwap(opWaiting, opTaken) {
			return o
		}
	}
	return nil
}

// write is the writer's goroutine: it commits what is queued, as one group, and never waits for more to come. What
// arrives during one commit makes the next.
func (s *Store) write() {
	w := &s.w
	exited := true
	defer func() {
		if exited { // a caller's function ended the goroutine, as testing's FailNow does: that is its loss only
			go s.write()
			return
		}
		close(w.ended)
	}()
	debug.SetPanicOnFault(true) // callers' functions read the mapping too
	for {
		runtime.Gosched() // who is about to write something does it first: that costs nothing where nobody is
		if o := w.take(); o != nil {
			s.commit(o, w.take)
			continue
		}
		w.mu.Lock()
		end := w.closed && len(w.queue) == 0
		w.mu.Unlock()
		if end {
			exited = false
			return
		}
		<-w.wake
	}
}

// commit writes a group, beginning with first, and answers its ops.
func (s *Store) commit(first *op, next func() *op) {
	group := []*op{first}
	err := errExit
	defer func() {
		for _, o := range group {
			if o.err == nil && !o.alone {
				o.err = err
			}
			close(o.done)
		}
	}()
	if p := s.w.broken.Load(); p != nil {
		err = *p
		return
	}
	spare := s.spare()
	err = s.update(func(w *writeTx) error {
		w.spare = spare
		for i := 0; i < len(group); i++ {
			o := group[i]
			if o.err = runOp(o, w); o.err != nil {
				if fatal := (*fatalError)(nil); errors.As(o.err, &fatal) {
					o.err = nil
					return fatal
				}
			}
			if len(group) < groupOps && w.bytes < groupBytes {
				if o = next(); o != nil {
					group = append(group, o)
				}
			}
		}
		return nil
	})
	if errors.Is(err, storage.ErrFull) && len(group) > 1 {
		for _, o := range group {
			if o.frees && o.err == nil {
				o.alone = true
				o.err = s.update(func(w *writeTx) error { return runOp(o, w) })
			}
		}
	}
}

// update runs one bolt transaction. It returns nil when fn's changes are on disk, or fn's error, or what became of the
// store: ErrFull, or ErrReadOnly from then on.
func (s *Store) update(fn func(w *writeTx) error) error {
	var fnErr error
	panicked := true
	err := guard(func() error {
		err := s.db.Update(func(tx *bolt.Tx) error {
			w := &writeTx{Tx: tx}
			if fnErr = fn(w); fnErr != nil {
				return fnErr
			}
			if !w.dirty {
				return errClean
			}
			return nil
		})
		panicked = false
		return err
	})
	s.w.wedged = s.w.wedged || panicked
	fatal := (*fatalError)(nil)
	switch {
	case err == nil || err == errClean:
		return nil
	case fnErr != nil && !errors.As(fnErr, &fatal) && !panicked:
		return fnErr
	case noSpace(err):
		s.logFull(err)
		return fmt.Errorf("%w: %s: %v", storage.ErrFull, s.path, err)
	}
	broken := fmt.Errorf("%w: %s: %w", storage.ErrReadOnly, s.path, err)
	s.w.broken.Store(&broken)
	s.log.Error("storage: a write failed; reading goes on, writing needs a restart", "file", s.path, "error", err)
	return broken
}

// runOp runs one op; a panic of a caller's function is the op's error.
func runOp(o *op, w *writeTx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("storage: panic in a transaction: %v", r)
		}
	}()
	return o.run(w)
}

// put and the like change pages; their errors are fatal to the transaction, unless the page to be changed can not even
// be read.
func (w *writeTx) put(b *bolt.Bucket, key, rec []byte) error {
	if err := guard(func() error { b.Get(key); return nil }); err != nil {
		return err
	}
	w.dirty = true
	w.bytes += len(key) + len(rec)
	return change(func() error { return b.Put(key, rec) })
}

func (w *writeTx) delete(b *bolt.Bucket, key []byte) error {
	found := false
	err := guard(func() error { found = b.Get(key) != nil; return nil })
	if err != nil || !found {
		return err
	}
	w.dirty = true
	w.bytes += len(key)
	return change(func() error { return b.Delete(key) })
}
