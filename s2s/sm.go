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

	queue []unacked // from head on
	head  int
	asked bool          // an <r/> is on its way
	due   time.Time     // when its answer must be here
	empty chan struct{} // made by who waits for all to be acknowledged
}

// unacked is a stanza on its way, and where it goes back to.
type unacked struct {
	item
	route *route
}

func (m *sm) len() int { return len(m.queue) - m.head }

// drop forgets the first n stanzas.
func (m *sm) drop(n int) {
	for i := m.head; i < m.head+n; i++ {
		u := &m.queue[i]
		u.route.hold(u.raw, -1)
		*u = unacked{}
	}
	m.head += n
	m.out += uint32(n) // modulo 2^32, XEP-0198 §4
	switch {
	case m.head == len(m.queue):
		m.queue, m.head = m.queue[:0], 0
		if cap(m.queue) > 64 {
			m.queue = nil // an idle link keeps nothing big
		}
	case m.head >= 64 && m.head > len(m.queue)/2:
		rest := copy(m.queue, m.queue[m.head:])
		clear(m.queue[rest:])
		m.queue, m.head = m.queue[:rest], 0
	}
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
		l.routes = map[*route]struct{}{}
	}
	l.routes[r] = struct{}{}
	return true
}

// send sends a stanza. What it does not take, it leaves to the route. Without XEP-0198 it takes nothing while the socket
// does not: when the link breaks, what it has taken is lost, and what the route has goes out elsewhere or back. Under
// route.mu.
func (l *link) send(ctx context.Context, r *route, st *stanza.Stanza) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stream.ErrClosed
	}
	if max := l.offered.maxBytes; max > 0 && st.Size() > max {
		return errTooLarge
	}
	if l.sm == nil {
		if l.sc.Blocked() {
			return stream.ErrSlow
		}
		l.touch()
		return l.sc.Queue(ctx, st.AppendTo)
	}
	it := item{raw: st.Encode(), at: time.Now().Unix()}
	err := l.putManaged(ctx, r, it)
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
	if l.sm != nil {
		return l.putManaged(ctx, r, it)
	}
	if l.sc.Blocked() {
		return stream.ErrSlow
	}
	l.touch()
	err := l.sc.Queue(ctx, func(dst []byte) []byte { return append(dst, it.raw...) })
	if err == nil {
		r.hold(it.raw, -1)
	}
	return err
}

// putManaged sends a stanza that must be acknowledged. The first one brings a request to do so with it, so one is always on
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
	if m.empty != nil {
		close(m.empty)
		m.empty = nil
	}
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
	if m := l.sm; m != nil {
		for _, u := range m.queue[m.head:] {
			u.tries++
			left[u.route] = append(left[u.route], u.item)
		}
		m.queue, m.head = nil, 0
		if m.empty != nil {
			close(m.empty)
			m.empty = nil
		}
	}
	routes := l.routes
	l.routes = nil
	l.mu.Unlock()
	for r := range routes {
		r.lost(l, left[r])
	}
}

// departTime is how long Shutdown waits for acknowledgements.
const departTime = 2 * time.Second

// depart ends a link because the server stops.
func (l *link) depart(ctx context.Context) {
	l.mu.Lock()
	var empty chan struct{}
	if m := l.sm; m != nil && m.len() > 0 && !l.closed {
		empty = make(chan struct{})
		m.empty = empty
	}
	l.mu.Unlock()
	l.sc.Flush()
	if empty != nil {
		t := time.NewTimer(departTime)
		defer t.Stop()
		select {
		case <-empty:
		case <-t.C:
		case <-ctx.Done():
		case <-l.sc.Done():
		}
	}
	l.mu.Lock()
	if l.sm != nil {
		l.sc.Queue(ctx, l.sm.appendAck) // what was handled need not be sent again
	}
	l.mu.Unlock()
	l.sc.CloseWith(errShutdown)
	<-l.sc.Done()
}
