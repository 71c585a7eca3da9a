package s2s

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// join makes a link carry a route's stanzas; false: it is at its end.
func (l *link) join(r *route) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.routes == nil {
		l.routes = map[*route]*pings{}
	}
	l.routes[r] = &pings{}
	return true
}

// send sends a stanza. What it does not take, it leaves to the route. Without XEP-0198 it takes nothing while the socket
// does not: when the link breaks, it is not known what has become of what it has taken, and what the route has goes out
// elsewhere. Under route.mu.
func (l *link) send(ctx context.Context, r *route, st *stanza.Stanza) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stream.ErrClosed
	}
	if max := l.offered.maxBytes; max > 0 && st.Size() > max {
		return errTooLarge
	}
	if l.sm == nil && l.sc.Blocked() {
		return stream.ErrSlow
	}
	it := item{owed: owed(st)}
	if l.sm == nil && (!it.owed || l.routes[r].deaf) {
		l.touch()
		return l.sc.Queue(ctx, st.AppendTo)
	}
	it.raw, it.at = st.Encode(), time.Now().Unix()
	err := l.putKept(ctx, r, it)
	if err == nil {
		r.hold(it.raw, 1)
	}
	return err
}

// put is send for what has been queued, and counted.
func (l *link) put(ctx context.Context, r *route, it item) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stream.ErrClosed
	}
	if max := l.offered.maxBytes; max > 0 && len(it.raw) > max {
		return errTooLarge
	}
	if l.sm == nil && l.sc.Blocked() {
		return stream.ErrSlow
	}
	if l.sm != nil || it.owed && !l.routes[r].deaf {
		return l.putKept(ctx, r, it)
	}
	l.touch()
	err := l.sc.Queue(ctx, func(dst []byte) []byte { return append(dst, it.raw...) })
	if err == nil {
		r.hold(it.raw, -1)
	}
	return err
}

// putKept sends a stanza that must be acknowledged, in the way that the other server knows. Under mu.
func (l *link) putKept(ctx context.Context, r *route, it item) error {
	if l.sm == nil {
		return l.putPinged(ctx, r, it)
	}
	return l.putManaged(ctx, r, it)
}

// touch notes that the link is of use.
func (l *link) touch() {
	if !l.used.Load() {
		l.used.Store(true)
	}
}
