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

// managed tells whether XEP-0198 is on.
func (l *link) managed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sm != nil
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
