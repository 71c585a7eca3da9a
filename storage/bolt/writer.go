package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// The most that one commit takes.
const (
	groupOps   = 1024
	groupBytes = 1 << 20

	gatherRounds = 4
)

// op is one write. What it changed before it fails is taken back.
type op struct {
	run   func(w *writeTx) error
	frees bool // it only deletes: tried again, alone, when its group did not fit on the disk
	alone bool // it was tried alone
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	opWaiting int32 = iota
	opTaken
	opWithdrawn
)

// writeTx is the transaction of a group: what it changes is a layer of its own, above those that are committed.
type writeTx struct {
	snapshot
	changes
	tabs  map[string]*tab
	spare int64 // bytes that may be written by what gives no room back
}

func (s *Store) newWriteTx() *writeTx {
	w := &writeTx{tabs: map[string]*tab{}, spare: s.spare()}
	s.limit = min(int64(s.layerSize), w.spare/layerPart)
	w.layer, w.log = newLayer(), s.group
	s.group = nil
	if w.log == nil {
		w.log = make([]byte, groupHead, 4<<10)
	}
	w.snapshot = snapshot{s: s, layers: [3]*layer{w.layer, s.active, s.frozen}}
	return w
}

// tab is the snapshot's, once for each bucket.
func (w *writeTx) tab(id string, in [][]byte) *tab {
	t := w.tabs[id]
	if t == nil {
		t = w.snapshot.tab(id, in)
		w.tabs[id] = t
	}
	return t
}

// put writes a record, which must not change from then on. What can not be read where it goes in the file could not be changed
// there by a checkpoint: so that is tried first, unless the layers have the key.
func (w *writeTx) put(t *tab, key, rec []byte) error {
	c, found := t.layered(key)
	if !found {
		err := guard(func() error {
			there, err := t.filed(key)
			c.fresh = there == nil
			return err
		})
		if err != nil {
			return err
		}
	}
	w.set(t, key, rec, c.fresh)
	return nil
}

// append is put for a key above all others: it goes where the one before went.
func (w *writeTx) append(t *tab, key, rec []byte) error {
	if t.holds(key[0]) {
		w.set(t, key, rec, true)
		return nil
	}
	return w.put(t, key, rec)
}

func (w *writeTx) set(t *tab, key, rec []byte, fresh bool) {
	w.changes.set(t.id, t.in, key, rec, fresh)
	t.tables[0] = w.layer.tables[t.id]
}

func (w *writeTx) delete(t *tab, key []byte) error {
	c, found := t.layered(key)
	if !found {
		err := guard(func() (err error) { c.rec, err = t.filed(key); return err })
		if err != nil {
			return err
		}
	}
	if c.rec != nil {
		w.set(t, key, nil, c.fresh)
	}
	return nil
}

// trimmed notes that an archive's items up to an ID are gone.
func (w *writeTx) trimmed(t *tab, id uint64) {
	if m := t.tables[0]; m != nil {
		m.gone = max(m.gone, id)
	}
}

// drop clears a bucket and those in it.
func (w *writeTx) drop(id string, in [][]byte) {
	w.changes.drop(id, in)
	clear(w.tabs)
}

// run runs one op, which changes all that it is to change or nothing.
func (w *writeTx) run(o *op) {
	n := len(w.log)
	if o.err = runOp(o, w); o.err != nil && len(w.log) != n {
		w.back(n)
		w.layers[0] = w.layer
		clear(w.tabs)
	}
}

// errExit answers a group whose transaction a caller's function ended together with the goroutine.
var errExit = errors.New("storage: the writer's goroutine was ended by a transaction's function")

// writer is the queue of the only goroutine that writes.
type writer struct {
	mu      sync.Mutex
	queue   []*op
	closed  bool
	flushes []chan error  // who waits for one
	wake    chan struct{} // of capacity 1: the queue or closed changed
	ended   chan struct{}
	broken  atomic.Pointer[error] // after a failed write that leaves the disk's state unknown: what to answer from then on
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
	return s.w.ask(func(w *writer) { w.queue = append(w.queue, o) })
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

// ask has the writer's goroutine find something to do, unless no more is taken.
func (w *writer) ask(add func(w *writer)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return storage.ErrClosed
	}
	add(w)
	w.notify()
	return nil
}

func (w *writer) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// gather lets those run first who are about to write something, as long as there are more of them: that costs nothing where
// nobody is, and a sync for each that comes too late where somebody is.
func (w *writer) gather() {
	for before, rounds := 0, 0; rounds < gatherRounds; rounds++ {
		runtime.Gosched()
		w.mu.Lock()
		n := len(w.queue)
		w.mu.Unlock()
		if n == before || n >= groupOps {
			return
		}
		before = n
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
// arrives during one commit makes the next. In between it sees to the checkpoints.
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
		w.gather()
		s.flushAsked()
		if o := w.take(); o != nil {
			s.commit(o, w.take)
			s.roll() // those who waited for the commit do not wait for this
			continue
		}
		w.mu.Lock()
		end := w.closed && len(w.queue) == 0
		w.mu.Unlock()
		if end {
			exited = false
			return
		}
		s.rest()
	}
}

// rest waits for something to do.
func (s *Store) rest() {
	var due <-chan time.Time
	if d := s.due(); d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-s.w.wake:
	case err := <-s.applied:
		s.settle(err)
	case <-due:
		s.age()
	}
}

// flushed has all in the file that was acknowledged before the call.
func (s *Store) flushed(ctx context.Context) error {
	done := make(chan error, 1)
	if err := s.w.ask(func(w *writer) { w.flushes = append(w.flushes, done) }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flushAsked answers those who wait for a flush.
func (s *Store) flushAsked() {
	w := &s.w
	w.mu.Lock()
	list := w.flushes
	w.flushes = nil
	w.mu.Unlock()
	if len(list) == 0 {
		return
	}
	err := s.flush()
	for _, done := range list {
		done <- err
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
	w := s.newWriteTx()
	defer w.end()
	for i := 0; i < len(group); i++ {
		w.run(group[i])
		if len(group) < groupOps && w.bytes < groupBytes {
			if o := next(); o != nil {
				group = append(group, o)
			}
		}
	}
	err = s.keep(w)
	if errors.Is(err, storage.ErrFull) || slices.ContainsFunc(group, func(o *op) bool { return errors.Is(o.err, storage.ErrFull) }) {
		s.again(group, err)
	}
}

// again makes room and tries each op that found none by itself: what deletes when its group found none, others when they were
// refused for the sake of those.
func (s *Store) again(group []*op, err error) {
	before := s.spare()
	s.flush()
	more := s.spare() > before
	for _, o := range group {
		if p := s.w.broken.Load(); p != nil {
			return
		}
		if o.frees && err != nil && o.err == nil || more && errors.Is(o.err, storage.ErrFull) {
			o.alone = true
			w := s.newWriteTx()
			if w.run(o); o.err == nil {
				if o.err = s.keep(w); o.frees && errors.Is(o.err, storage.ErrFull) {
					o.err = s.direct(w)
				}
			}
			w.end()
		}
	}
}

// keep has the changes of a transaction on disk when it returns nil, and lets everybody see them.
func (s *Store) keep(w *writeTx) error {
	defer s.takeLog(w)
	w.end() // before a checkpoint is waited for, which waits for readers where the file grows
	if len(w.log) == groupHead {
		return nil
	}
	if err := s.journal.append(w.log); err != nil {
		return s.failed(err)
	}
	s.mu.Lock()
	s.active.merge(w.layer)
	s.mu.Unlock()
	return nil
}

// takeLog keeps a transaction's buffer for the next one, unless it has become very large.
func (s *Store) takeLog(w *writeTx) {
	if cap(w.log) <= groupBytes {
		s.group = w.log[:groupHead]
	}
	w.log = nil
}

// failed says what became of the store by an error of writing: it is full, or broken from then on.
func (s *Store) failed(err error) error {
	made := errors.Is(err, errMake)
	switch {
	case noSpace(err) && !errors.Is(err, errSync), made && errors.Is(err, syscall.ENOSPC), made && errors.Is(err, syscall.EDQUOT):
		s.logFull(err)
		return fmt.Errorf("%w: %s: %v", storage.ErrFull, s.path, err)
	case made: // such as too many open files
		s.logOften("storage: nothing can be written now", err)
		return fmt.Errorf("%w: %s: %w", storage.ErrReadOnly, s.path, err)
	}
	broken := fmt.Errorf("%w: %s: %w", storage.ErrReadOnly, s.path, err)
	if s.w.broken.CompareAndSwap(nil, &broken) {
		s.log.Error("storage: a write failed; reading goes on, writing needs a restart", "file", s.path, "error", err)
	}
	return *s.w.broken.Load()
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
