package s2s

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// sm is the state of stream management (XEP-0198) of a link. Streams of servers are not resumed: what was not acknowledged
// goes out again on the next one. in counts on the reading goroutine, all else belongs to link.mu.
type sm struct {
	in  atomic.Uint32 // stanzas of the other server's that have been handled
	out uint32        // stanzas that it has acknowledged
	backlog
	asked bool      // an <r/> is on its way
	due   time.Time // when its answer must be here
}

// drop forgets the first n stanzas.
func (m *sm) drop(n int) {
	m.backlog.drop(n)
	m.out += uint32(n) // modulo 2^32, XEP-0198 §4
}

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

// ackTime is how long the other server may take to acknowledge. Who does not is taken for dead.
const ackTime = time.Minute

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
	owed := owed(st)
	if l.sm == nil && (!owed || l.routes[r].deaf) {
		l.touch()
		return l.sc.Queue(ctx, st.AppendTo)
	}
	it := item{raw: st.Encode(), at: time.Now().Unix(), owed: owed}
	err := l.putKept(ctx, r, it)
	if err == nil {
		r.hold(it.raw, 1)
	}
	return err
}

// managed tells whether XEP-0198 is on.
func (l *link) managed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sm != nil
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

// putManaged sends a stanza that XEP-0198 acknowledges. The first one brings a request to do so with it, so one is always on
// its way while anything is unacknowledged, and never two. Under mu.
func (l *link) putManaged(ctx context.Context, r *route, it item) error {
	m, ask := l.sm, !l.sm.asked
	err := l.sc.Queue(ctx, func(dst []byte) []byte {
		dst = append(dst, it.raw...)
		if ask {
			dst = append(dst, ackRequest...)
		}
		return dst
	})
	if err != nil {
		return err
	}
	l.touch()
	m.queue = append(m.queue, unacked{it, r})
	if ask {
		l.asked()
	}
	return nil
}

// ask requests an acknowledgement. Where there is no room for it now, the next stanza brings it. Under mu.
func (l *link) ask() error {
	switch err := l.say(ackRequest); {
	case errors.Is(err, stream.ErrSlow):
		return nil
	case err != nil:
		return err
	}
	l.asked()
	return nil
}

// asked notes that a request to acknowledge is on its way. Under mu.
func (l *link) asked() {
	l.sm.asked = true
	l.sm.due = time.Now().Add(ackTime)
	l.sc.SetReadDeadline(l.sm.due)
}

// touch notes that the link is of use.
func (l *link) touch() {
	if !l.used.Load() {
		l.used.Store(true)
	}
}

const ackRequest = "<r xmlns='" + stanza.NSSM + "'/>"

// manage deals with an element of XEP-0198.
func (l *link) manage(st *stanza.Stanza) error {
	if len(*l.grants.Load()) == 0 {
		return notAuthorized
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch st.Name {
	case "enable": // XEP-0198 §3
		if l.sm != nil || l.out {
			return l.say(smFailed(stanza.UnexpectedRequest))
		}
		for r := range l.routes { // of what went out before, a count says nothing
			l.ping(l.ctx, r)
		}
		l.sm = &sm{}
		return l.say("<enabled xmlns='" + stanza.NSSM + "'/>")
	case "resume": // XEP-0198 §5: nothing is kept to be resumed
		return l.say(smFailed(stanza.ItemNotFound))
	case "r":
		if l.sm != nil {
			return l.ack()
		}
	case "a":
		if l.sm != nil {
			return l.acknowledged(st)
		}
	}
	return unsupported
}

// ack tells the other server how many of its stanzas have been handled.
func (l *link) ack() error {
	return l.queue(l.sm.appendAck)
}

func (m *sm) appendAck(dst []byte) []byte {
	dst = append(dst, "<a xmlns='"+stanza.NSSM+"' h='"...)
	return append(strconv.AppendUint(dst, uint64(m.in.Load()), 10), "'/>"...)
}

// acknowledged takes the other server's word for what it has got. Under mu.
func (l *link) acknowledged(st *stanza.Stanza) error {
	m := l.sm
	v, _ := st.Attr("h")
	h, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return &stream.Error{Condition: "bad-format", Text: "h is a number"} // RFC 6120 §4.9.3.1
	}
	n := uint32(h) - m.out
	if n > uint32(m.len()) { // XEP-0198 §6
		app := "<handled-count-too-high xmlns='" + stanza.NSSM + "' h='" + strconv.FormatUint(h, 10) + "' send-count='" +
			strconv.FormatUint(uint64(m.out+uint32(m.len())), 10) + "'/>"
		return &stream.Error{Condition: "undefined-condition", App: []byte(app)}
	}
	m.drop(int(n))
	m.asked = false
	if m.len() > 0 {
		return l.ask()
	}
	l.settle()
	return nil
}

func smFailed(cond stanza.Condition) string {
	return "<failed xmlns='" + stanza.NSSM + "'><" + string(cond) + " xmlns='" + stanza.NSStanzas + "'/></failed>"
}

// enable switches XEP-0198 on, on a link that we opened. Where the other server sends stanzas on it, they may come first.
func (l *link) enable() error {
	if err := l.say("<enable xmlns='" + stanza.NSSM + "'/>"); err != nil {
		return err
	}
	for {
		l.batch.Flush()
		st, err := l.next()
		if err != nil {
			return err
		}
		switch {
		case st.Kind != stanza.KindOther:
			if err := l.stanza(st); err != nil {
				return l.broken(err)
			}
		case st.NS == stanza.NSSM && st.Name == "enabled":
			l.mu.Lock()
			l.sm = &sm{}
			l.mu.Unlock()
			return nil
		case st.NS == stanza.NSSM && st.Name == "failed":
			return nil
		}
	}
}

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
