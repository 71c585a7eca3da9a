package s2s

import (
	"context"
	"time"
)

// unacked is a stanza on its way, and where it goes back to.
type unacked struct {
	item
	route *route
}

// backlog are stanzas on their way, in their order, from head on.
type backlog struct {
	queue []unacked
	head  int
}

func (b *backlog) len() int { return len(b.queue) - b.head }

// drop forgets the first n.
func (b *backlog) drop(n int) {
	for i := b.head; i < b.head+n; i++ {
		u := &b.queue[i]
		u.route.hold(u.raw, -1)
		*u = unacked{}
	}
	b.head += n
	switch {
	case b.head == len(b.queue):
		b.queue, b.head = b.queue[:0], 0
		if cap(b.queue) > 64 {
			b.queue = nil // an idle link keeps nothing big
		}
	case b.head >= 64 && b.head > len(b.queue)/2:
		rest := copy(b.queue, b.queue[b.head:])
		clear(b.queue[rest:])
		b.queue, b.head = b.queue[:rest], 0
	}
}

// take empties it.
func (b *backlog) take() []unacked {
	left := b.queue[b.head:]
	b.queue, b.head = nil, 0
	return left
}

// ackTime is how long the other server may take to acknowledge. Who does not by XEP-0198 is taken for dead, who answers no ping is
// let be.
const ackTime = time.Minute

// handBack gives the routes back what the other server has not acknowledged. The link takes nothing more.
func (l *link) handBack() {
	l.mu.Lock()
	l.closed = true
	left := map[*route][]item{}
	if l.sm != nil {
		for _, u := range l.sm.take() {
			u.tries++
			left[u.route] = append(left[u.route], u.item)
		}
	}
	routes := l.routes
	l.routes = nil
	l.settle()
	l.mu.Unlock()
	for r, p := range routes {
		r.lost(l, left[r], p.take())
	}
}

// unacked is how many stanzas the other server has not acknowledged. Under mu.
func (l *link) unacked() (n int) {
	if l.sm != nil {
		n = l.sm.len()
	}
	for _, p := range l.routes {
		n += p.len()
	}
	return n
}

// settle tells who waits for it that everything is acknowledged. Under mu.
func (l *link) settle() {
	if l.empty != nil && l.unacked() == 0 {
		close(l.empty)
		l.empty = nil
	}
}

// departTime is how long Shutdown waits for acknowledgements.
const departTime = 2 * time.Second

// await waits until the other server has acknowledged everything, because the server stops.
func (l *link) await(ctx context.Context) {
	l.mu.Lock()
	var empty chan struct{}
	if l.unacked() > 0 {
		empty = make(chan struct{})
		l.empty = empty
	}
	l.mu.Unlock()
	l.sc.Flush()
	if empty == nil {
		return
	}
	t := time.NewTimer(departTime)
	defer t.Stop()
	select {
	case <-empty:
	case <-t.C:
	case <-ctx.Done():
	case <-l.sc.Done():
	}
}

// depart ends a link because the server stops.
func (l *link) depart(ctx context.Context) {
	l.mu.Lock()
	if l.sm != nil {
		l.sc.Queue(ctx, l.sm.appendAck) // what was handled need not be sent again
	}
	l.mu.Unlock()
	l.sc.CloseWith(errShutdown)
	<-l.sc.Done()
}
