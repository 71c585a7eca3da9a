package s2s

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// item is a stanza as it will be sent.
type item struct {
	raw   []byte
	at    int64 // when, in Unix seconds
	tries int   // streams that broke before it was acknowledged
	owed  bool  // its sender has to learn it when it is lost
}

// maxTries is how often a stanza is sent. What breaks the stream each time shall not hold up what comes after it.
const maxTries = 3

// flush is pump for those who are in no reader's batch: all goes out at once. Under mu.
func (r *route) flush() {
	var batch stream.Batch
	r.pump(stream.WithBatch(r.srv.ctx, &batch))
	batch.Flush()
}

// pump sends what is queued, as far as the link takes it. Under mu.
func (r *route) pump(ctx context.Context) {
	n := 0
	var large []item
loop:
	for ; n < len(r.queue); n++ {
		switch err := r.link.put(ctx, r, r.queue[n]); {
		case err == errTooLarge:
			r.hold(r.queue[n].raw, -1)
			large = append(large, r.queue[n])
		case errors.Is(err, stream.ErrSlow):
			r.await()
			break loop
		case err != nil: // lost will come
			break loop
		}
	}
	r.queue = dropFirst(r.queue, n)
	if len(large) > 0 && r.srv.track() {
		go func() { // it needs mu
			defer r.srv.wg.Done()
			r.bounce(large, errTooLarge)
		}()
	}
}

func dropFirst(q []item, n int) []item {
	if n == len(q) {
		if cap(q) > 64 {
			return nil
		}
		clear(q)
		return q[:0]
	}
	rest := copy(q, q[n:])
	clear(q[rest:])
	return q[:rest]
}

// await waits on a goroutine of its own for a slow peer to take some. Under mu.
func (r *route) await() {
	if r.waiting || !r.srv.track() {
		return
	}
	r.waiting = true
	l, rest := r.link, 0
	if l.managed() {
		rest = int(l.set.WriteBuffer) / 2
	}
	go func() {
		defer r.srv.wg.Done()
		err := l.sc.WaitBelow(r.srv.ctx, rest)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = false
		if err == nil && r.link == l {
			r.flush()
		}
	}()
}

// late tells whether a stanza has waited for too long to be sent again.
func (r *route) late(it *item, now time.Time) bool {
	return now.Sub(time.Unix(it.at, 0)) >= time.Duration(r.srv.settings.Load().S2SQueueTime)
}

// take removes from the queue what fn says. Under mu.
func (r *route) take(fn func(*item) bool) (out []item) {
	keep := r.queue[:0]
	for i := range r.queue {
		if it := r.queue[i]; fn(&it) {
			out = append(out, it)
			r.hold(it.raw, -1)
		} else {
			keep = append(keep, it)
		}
	}
	clear(r.queue[len(keep):])
	r.queue = keep
	return out
}

// bounce tells the senders (RFC 6120 §10.4).
func (r *route) bounce(items []item, e *stanza.Error) {
	if len(items) == 0 {
		return
	}
	s := r.srv
	var batch stream.Batch
	ctx := stream.WithBatch(s.ctx, &batch)
	defer batch.Flush()
	for i := range items {
		func() {
			defer func() {
				if e := recover(); e != nil {
					s.panicked(s.log.With("host", r.local, "peer", r.remote), e)
				}
			}()
			if st, err := stanza.Parse(items[i].raw); err == nil { // it was a stanza when it was queued
				s.o.Router.Bounce(ctx, modules.NewPacket(st), e)
			}
		}()
	}
}
