package muc

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stream"
)

// queue is the order in which a room does things. One goroutine at a time works it off: the first that brings a task does
// that one and all that others bring meanwhile, who wait until theirs is done. What the room sends goes out when there is no
// more to do, so that several messages cost an occupant one write.
//
// A task may bring about another one on the same goroutine, such as when a message comes back from somebody who has blocked
// the room. That one is done later, and nobody waits for it: see inside.
type queue struct {
	ctx   context.Context // of all tasks: it has the batch, and the mark of inside
	batch stream.Batch

	mu    sync.Mutex
	tasks []*task
	busy  bool // somebody works it off
	ended bool // nothing more is taken
}

// task is something that a room does.
type task struct {
	p    *modules.Packet                              // what it is about; nil: nothing that somebody sent
	run  func(ctx context.Context, p *modules.Packet) // nil: a message for all. Those that wait together are archived together
	lost func(ctx context.Context, err error)         // done instead where the room cannot be read; nil: the sender of p is told
	done chan bool                                    // closed when it is done; true says that who waits is to go on with the queue. nil: nobody waits
}

// maxTurn is how many tasks one goroutine does for others after its own.
const maxTurn = 64

type insideKey struct{}

// inside tells whether a task of any room is being done on this goroutine, so that waiting for another one could be waiting for
// oneself.
func inside(ctx context.Context) bool { return ctx.Value(insideKey{}) != nil }

func (q *queue) init() {
	q.ctx = stream.WithBatch(context.WithValue(context.Background(), insideKey{}, true), &q.batch)
}

// do has a task done, in its turn, and returns when it is; inside another task it returns at once. It returns false where the
// room is not in memory any more.
func (r *room) do(ctx context.Context, t *task) bool {
	q := &r.queue
	wait := !inside(ctx)
	q.mu.Lock()
	if q.ended {
		q.mu.Unlock()
		return false
	}
	if q.busy && wait {
		t.done = make(chan bool, 1)
	}
	if !wait && t.p != nil { // who brings it goes on, with the next one in the same place
		p := *t.p
		p.Stanza = p.Stanza.Retain()
		t.p = &p
	}
	q.tasks = append(q.tasks, t)
	lead := !q.busy
	q.busy = true
	q.mu.Unlock()
	if !lead {
		if t.done == nil || !<-t.done {
			return true
		}
	}
	r.work()
	return true
}

// work does what is queued. The caller has the turn.
func (r *room) work() {
	q := &r.queue
	for n := 0; ; {
		q.mu.Lock()
		list := q.tasks
		q.tasks = nil
		if len(list) == 0 {
			q.mu.Unlock()
			q.batch.Flush() // lets others bring more first
			q.mu.Lock()
			if len(q.tasks) == 0 {
				q.busy = false
				if q.ended = r.idle(); q.ended {
					r.m.forget(r)
				}
				q.mu.Unlock()
				return
			}
			q.mu.Unlock()
			continue
		}
		q.mu.Unlock()
		for len(list) > 0 {
			if n >= maxTurn && list[0].done != nil { // let him do the rest
				q.mu.Lock()
				q.tasks = append(list, q.tasks...)
				q.mu.Unlock()
				q.batch.Flush()
				list[0].done <- true
				return
			}
			k := r.some(list)
			for _, t := range list[:k] {
				if t.done != nil {
					close(t.done)
				}
			}
			n += k
			list = list[k:]
		}
	}
}

// some does the first task of a list, or all messages that it begins with, and returns how many that were.
func (r *room) some(list []*task) (n int) {
	defer func() {
		if e := recover(); e != nil { // a mistake of ours: the room goes on
			r.m.h.Log.Error("panic in a room", "room", r.jid.String(), "panic", fmt.Sprint(e), "stack", string(debug.Stack()))
			n = max(n, 1)
		}
	}()
	if err := r.read(); err != nil {
		switch t := list[0]; {
		case t.lost != nil:
			t.lost(r.ctx, err)
		case t.p != nil:
			r.m.fail(r.ctx, t.p, err)
		}
		return 1
	}
	n = 1
	if t := list[0]; t.run != nil {
		t.run(r.ctx, t.p)
		return n
	}
	for n < len(list) && list[n].run == nil {
		n++
	}
	r.say(list[:n])
	return n
}
