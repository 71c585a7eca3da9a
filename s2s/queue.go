package s2s

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// routes are all that there are, by pair.
type routes struct {
	mu sync.RWMutex
	m  map[pair]*route
}

func (rs *routes) get(k pair) *route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.m[k]
}

func (rs *routes) len() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return len(rs.m)
}

func (rs *routes) all() []*route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	out := make([]*route, 0, len(rs.m))
	for _, r := range rs.m {
		out = append(out, r)
	}
	return out
}

// add returns the route of a pair, a new one where there is none, or nil where there are too many.
func (rs *routes) add(s *engine, k pair, limit int) *route {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.m[k]
	if r == nil && len(rs.m) < limit {
		r = &route{srv: s, pair: k}
		rs.m[k] = r
	}
	return r
}

// route is what this server has to say to another domain in the name of one of its own: stanzas in their order, and the
// link that they go out on.
//
// What is promised: stanzas arrive in order. Where the other server speaks XEP-0198, one that was sent and not acknowledged
// is sent again on the next stream, so it may arrive twice but is not lost; or its sender learns that it may be, after
// limits.s2s_queue_time or a few streams that broke over it. Where it does not, what was written when a stream breaks may be lost.
type route struct {
	srv *engine
	pair
	allowed atomic.Pointer[Policy] // the policy that has allowed the pair

	// What is held for the other server: not yet sent, and not yet acknowledged.
	held atomic.Int64
	size atomic.Int64 // bytes

	mu      sync.Mutex
	gone    bool // forgotten: there may be another one
	link    *link
	dialing bool
	waiting bool // for the link to take more
	queue   []item
	up      time.Time // when the last link came up
	fails   int       // in a row
	until   time.Time // after a failure: nothing is tried before
	why     *stanza.Error
	timer   *time.Timer
}

// item is a stanza as it will be sent.
type item struct {
	raw   []byte
	at    int64 // when, in Unix seconds
	tries int   // streams that broke before it was acknowledged
}

// maxTries is how often a stanza is sent. What breaks the stream each time shall not hold up what comes after it.
const maxTries = 3

// Send implements router.Peers. It never waits: what cannot go out at once is queued, or refused with the error that the
// sender gets.
func (s *Server) Send(ctx context.Context, p *modules.Packet) error {
	set := s.settings.Load()
	k := pair{p.From.Domain(), p.To.Domain()}
	for {
		r := s.routes.get(k)
		if r == nil {
			if !set.policy.Allows(k.local, k.remote) {
				return errRestricted
			}
			if r = s.routes.add(&s.engine, k, set.S2SRoutes); r == nil {
				return errCrowded
			}
		}
		if ok, err := r.send(ctx, set, p.Stanza); ok {
			return err
		}
	}
}

// send takes a stanza, or says why not. It returns false where the route is no more.
func (r *route) send(ctx context.Context, set *settings, st *stanza.Stanza) (bool, error) {
	if r.allowed.Load() != set.policy {
		if !set.policy.Allows(r.local, r.remote) {
			return true, errRestricted
		}
		r.allowed.Store(set.policy)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return false, nil
	}
	if r.link == nil {
		r.look()
	}
	if r.size.Load() >= int64(set.S2SQueueSize) || r.held.Load() >= maxAhead*int64(set.S2SQueue) {
		return true, errCrowded
	}
	if r.link != nil && len(r.queue) == 0 {
		switch err := r.link.send(ctx, r, st); err {
		case nil, errTooLarge:
			return true, err
		}
	}
	// There is no link, or it is slow, or at its end, which its reader will see in a moment.
	now := time.Now()
	switch {
	case r.link == nil && !r.dialing && len(r.queue) == 0 && now.Before(r.until):
		return true, r.why
	case r.link == nil && r.srv.isDraining():
		return true, errLeaving
	case len(r.queue) >= set.S2SQueue:
		return true, errCrowded
	}
	raw := st.Encode()
	r.queue = append(r.queue, item{raw: raw, at: now.Unix()})
	r.hold(raw, 1)
	switch {
	case r.link != nil:
		r.pump(ctx)
	case !r.dialing && r.timer == nil:
		r.open()
	case !r.dialing && len(r.queue) == 1: // the memory of failures is over what it was for
		r.open()
	}
	return true, nil
}

// maxAhead is how many times limits.s2s_queue a server may be behind with its acknowledgements: on a good stream many
// stanzas are on their way at once.
const maxAhead = 8

// hold counts a stanza in (n = 1) or out (-1).
func (r *route) hold(raw []byte, n int64) {
	r.held.Add(n)
	r.size.Add(n * int64(len(raw)))
}

// look finds a link that the other server opened and that takes stanzas of the pair (XEP-0288). Under mu.
func (r *route) look() {
	r.srv.mu.Lock()
	l := r.srv.back[r.pair]
	r.srv.mu.Unlock()
	if l != nil && l.join(r) {
		r.attach(l)
	}
}

// offer tells of such a link.
func (r *route) offer(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil && !r.gone && l.join(r) {
		r.attach(l)
		r.flush()
	}
}

// attach makes a link the one to send on. Under mu.
func (r *route) attach(l *link) {
	r.link, r.up = l, time.Now()
	r.until, r.why = time.Time{}, nil
	r.stopTimer()
}

func (r *route) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

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
	l := r.link
	go func() {
		defer r.srv.wg.Done()
		err := l.sc.WaitBelow(r.srv.ctx, int(l.set.WriteBuffer)/2)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = false
		if err == nil && r.link == l {
			r.flush()
		}
	}()
}

// open begins to open a stream. Under mu.
func (r *route) open() {
	r.stopTimer()
	if !r.srv.track() {
		return
	}
	r.dialing = true
	go r.dial()
}

// dial opens a stream, whatever comes of it.
func (r *route) dial() {
	s := r.srv
	defer s.wg.Done()
	l, err := r.dialLink()
	if err != nil {
		r.failed(err)
		return
	}
	r.mu.Lock()
	r.dialing = false
	if r.link == nil && !r.gone && l.join(r) {
		r.attach(l)
	}
	mine := r.link == l
	if r.link != nil {
		r.flush()
	}
	r.mu.Unlock()
	if !mine {
		l.sc.CloseWith(nil) // the other server was faster (XEP-0288): one is enough
	}
	go l.run()
}

// dialLink keeps a mistake of ours from ending more than the attempt.
func (r *route) dialLink() (l *link, err error) {
	s := r.srv
	defer func() {
		if e := recover(); e != nil {
			s.panicked(s.log.With("host", r.local, "peer", r.remote), e)
			err = fail("a mistake of this server", stanza.Err(stanza.InternalServerError, ""))
		}
	}()
	if !s.settings.Load().policy.Allows(r.local, r.remote) { // it has changed while something was waiting
		return nil, &failure{why: "the policy forbids it", answer: errRestricted}
	}
	ctx, cancel := s.within(s.openTime())
	defer cancel()
	return s.open(ctx, r.pair)
}

// The wait after a failure: it doubles with each.
const (
	firstWait = time.Second
	longWait  = 5 * time.Minute
	// failMemory is how long after that a failure still counts.
	failMemory = 5 * time.Minute
	// standing is how long a stream must have stood for what went wrong before to be forgotten.
	standing = time.Minute
)

// backOff returns the wait after n failures in a row, more or less: not everybody shall come at once.
func backOff(n int) time.Duration {
	d := min(longWait, firstWait<<min(n-1, 10))
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// failed ends an attempt to open a stream. What waits is sent back; what another stream had taken over may wait for the
// next attempt, for its sender has reason to think that it arrived.
func (r *route) failed(err error) {
	answer := answerTo(err)
	r.mu.Lock()
	r.dialing = false
	if r.link == nil {
		r.look()
	}
	if r.link != nil { // the other server was faster (XEP-0288)
		r.flush()
		r.mu.Unlock()
		return
	}
	now := time.Now()
	r.fails++
	wait := backOff(r.fails)
	r.until, r.why = now.Add(wait), answer
	all := r.srv.isDraining() || answer == errRestricted
	left := r.take(func(it *item) bool { return all || it.tries == 0 || r.late(it, now) })
	r.schedule(wait)
	r.mu.Unlock()
	r.srv.log.Info("no stream to another server", "host", r.local, "peer", r.remote, "why", err.Error(), "stanzas_returned", len(left),
		"next_try_in", wait.Round(100*time.Millisecond).String())
	r.bounce(left, answer)
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

// schedule sees to what comes after a wait: another attempt where something is queued, else the end of the memory that
// there was a failure. Under mu.
func (r *route) schedule(wait time.Duration) {
	r.stopTimer()
	if len(r.queue) == 0 {
		wait += failMemory
	}
	r.timer = time.AfterFunc(wait, r.wake)
}

// wake is called when the wait is over.
func (r *route) wake() {
	r.mu.Lock()
	r.timer = nil
	if r.link != nil || r.dialing || r.gone {
		r.mu.Unlock()
		return
	}
	left := r.take(func(it *item) bool { return r.late(it, time.Now()) })
	if len(r.queue) > 0 {
		r.open()
	} else {
		r.forget()
	}
	r.mu.Unlock()
	r.bounce(left, errTimedOut)
}

// forget ends the route: nothing is queued, and there is no link. Under mu.
func (r *route) forget() {
	r.gone = true
	r.stopTimer()
	rs := &r.srv.routes
	rs.mu.Lock()
	delete(rs.m, r.pair)
	rs.mu.Unlock()
}

// lost takes back what a link has not brought to its end.
func (r *route) lost(l *link, unacked []item) {
	r.mu.Lock()
	if r.link == l {
		r.link = nil
	}
	var left []item
	if len(unacked) > 0 {
		r.queue = append(unacked, r.queue...)
		left = r.take(func(it *item) bool { return it.tries >= maxTries })
	}
	if r.link == nil {
		r.look()
	}
	switch {
	case r.link != nil:
		r.flush()
	case r.dialing, r.gone:
	case r.srv.isDraining():
		left = append(left, r.take(func(*item) bool { return true })...)
		r.forget()
	default:
		if time.Since(r.up) >= standing {
			r.fails = 0
		}
		switch {
		case len(r.queue) > 0:
			r.fails++
			r.schedule(backOff(r.fails))
		case r.fails == 0:
			r.forget()
		default:
			r.schedule(0)
		}
	}
	r.mu.Unlock()
	r.bounce(left, errTimedOut)
}

// refuse sends back what waits for a stream.
func (r *route) refuse(e *stanza.Error) {
	r.mu.Lock()
	var left []item
	if r.link == nil {
		left = r.take(func(*item) bool { return true })
	}
	r.mu.Unlock()
	r.bounce(left, e)
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

// isDraining tells whether no stream is opened any more.
func (s *engine) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
