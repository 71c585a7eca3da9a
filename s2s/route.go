package s2s

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
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
// limits.s2s_queue_time or a few streams that broke over it. Where it does not, a stanza is sent once, and its sender learns
// that it may be lost when the stream breaks before the other server has answered what went out behind it (ping.go).
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
	begun   bool       // while dialing: it is somebody's turn (turns.go), a connection is being made
	waiters int        // who wait for their turn to make it
	opener  stanza.JID // whose stanza was the first to want it
	waiting bool       // for the link to take more
	queue   []item
	up      time.Time // when the last link came up
	fails   int       // in a row
	until   time.Time // after a failure: nothing is tried before
	why     *stanza.Error
	timer   *time.Timer
}

// Send implements router.Peers. It never waits: what cannot go out at once is queued, or refused with the error that the
// sender gets.
func (s *Server) Send(ctx context.Context, p *modules.Packet) error {
	set := s.settings.Load()
	k := pair{p.From.Domain(), p.To.Domain()}
	for {
		r := s.routes.get(k)
		if r == nil {
			if !s.talks(set.policy, k) {
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
		if !r.srv.talks(set.policy, r.pair) {
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
	r.queue = append(r.queue, item{raw: raw, at: now.Unix(), owed: owed(st)})
	r.hold(raw, 1)
	switch {
	case r.link != nil:
		r.pump(ctx)
	case !r.dialing && r.timer == nil,
		!r.dialing && len(r.queue) == 1: // the memory of failures is over what it was for
		r.opener = st.From().Bare()
		r.open()
	case r.dialing && !r.begun && r.waiters < maxWaiters && st.From().Bare() != r.opener:
		r.line(st.From().Bare()) // who has taken all his turns does not hold others up
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

// forget ends the route: nothing is queued, and there is no link. Under mu.
func (r *route) forget() {
	r.gone = true
	r.stopTimer()
	rs := &r.srv.routes
	rs.mu.Lock()
	delete(rs.m, r.pair)
	rs.mu.Unlock()
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

// isDraining tells whether no stream is opened any more.
func (s *engine) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
