package c2s

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// sm is the state of stream management (XEP-0198) of a session. in and late belong to session.run, all else to session.mu.
type sm struct {
	token string        // the SM-ID; empty: the session cannot be resumed
	max   time.Duration // how long it can

	in   uint32 // stanzas of the client's that have been handled
	late uint32 // and these, as soon as the session is settled
	out  uint32 // stanzas that the client has acknowledged

	queue []unacked // from head on
	head  int
	sent  int  // of the unacknowledged, how many went out on the last connection
	bytes int  // of the unacknowledged
	asked bool // an <r/> is on its way

	grace *time.Timer // runs while the queue is over its limit and the client acknowledges nothing
	since time.Time   // hibernated since
	naps  int         // how often it has
	timer *time.Timer // ends hibernation
}

// unacked is a stanza as it was or will be sent.
type unacked struct {
	raw  []byte
	from *stanza.JID // of presence that newer presence may replace while it has not been sent; else nil
	at   int64       // when, in Unix seconds
}

func (u *unacked) time() time.Time { return time.Unix(u.at, 0) }

func (m *sm) len() int          { return len(m.queue) - m.head }
func (m *sm) at(i int) *unacked { return &m.queue[m.head+i] }
func (m *sm) push(u unacked)    { m.queue = append(m.queue, u); m.bytes += len(u.raw) }

// drop forgets the first n stanzas.
func (m *sm) drop(n int) {
	for i := range n {
		m.bytes -= len(m.at(i).raw)
		*m.at(i) = unacked{}
	}
	m.head += n
	m.sent = max(0, m.sent-n)
	m.out += uint32(n) // modulo 2^32, XEP-0198 §4
	switch {
	case m.head == len(m.queue):
		m.queue, m.head = m.queue[:0], 0
		if cap(m.queue) > 64 {
			m.queue = nil // an idle session keeps nothing big
		}
	case m.head >= 64 && m.head > len(m.queue)/2:
		rest := copy(m.queue, m.queue[m.head:])
		clear(m.queue[rest:])
		m.queue, m.head = m.queue[:rest], 0
	}
}

// ack takes the client's h. It returns how far it is beyond what was sent; 0 is right.
func (m *sm) ack(h uint32) (excess bool) {
	n := h - m.out
	if n > uint32(m.sent) {
		return true
	}
	if n > 0 {
		m.drop(int(n))
		m.calm()
	}
	return false
}

// calm stops the clock of a client that acknowledges nothing.
func (m *sm) calm() {
	if m.grace != nil {
		m.grace.Stop()
		m.grace = nil
	}
}

// stop stops all clocks.
func (m *sm) stop() {
	m.calm()
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// handled counts a stanza whose handlers have returned: only then is it ours (XEP-0198 §4), unless it or one before it is
// owed an outcome. Under run.
func (s *session) handled(owed bool) {
	switch {
	case s.sm == nil:
	case owed:
		s.sm.late++
	default:
		s.sm.in++
	}
}

// manage deals with an element of XEP-0198 on a stream with a resource. Under run.
func (s *session) manage(c *client, st *stanza.Stanza) error {
	switch st.Name {
	case "enable":
		return s.enable(c, st)
	case "r":
		if s.sm == nil {
			break
		}
		return c.ack(&c.batch, s.sm)
	case "a":
		if s.sm == nil {
			break
		}
		h, err := handledCount(st)
		if err != nil {
			return err
		}
		return s.acknowledged(c, h)
	case "resume": // XEP-0198 §5: instead of binding, not after it
	default:
		return unsupported
	}
	return c.say(smFailed(stanza.UnexpectedRequest))
}

// ack tells the client how many of its stanzas have been handled. Under run.
func (c *client) ack(ctx context.Context, m *sm) error {
	return c.sc.Queue(ctx, func(dst []byte) []byte {
		dst = append(dst, "<a xmlns='"+stanza.NSSM+"' h='"...)
		return append(strconv.AppendUint(dst, uint64(m.in), 10), "'/>"...)
	})
}

func smFailed(cond stanza.Condition) string {
	return "<failed xmlns='" + stanza.NSSM + "'><" + string(cond) + " xmlns='" + stanza.NSStanzas + "'/></failed>"
}

// handledCount reads h.
func handledCount(st *stanza.Stanza) (uint32, error) {
	v, _ := st.Attr("h")
	h, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0, &stream.Error{Condition: "bad-format", Text: "h is a number"} // RFC 6120 §4.9.3.1
	}
	return uint32(h), nil
}

// tooHigh is the stream error for who acknowledges what was never sent (XEP-0198 §6).
func tooHigh(h uint32, m *sm) error {
	sent := m.out + uint32(m.sent)
	app := "<handled-count-too-high xmlns='" + stanza.NSSM + "' h='" + strconv.FormatUint(uint64(h), 10) +
		"' send-count='" + strconv.FormatUint(uint64(sent), 10) + "'/>"
	return &stream.Error{Condition: "undefined-condition", App: []byte(app)}
}

// enable answers <enable/> (XEP-0198 §3).
func (s *session) enable(c *client, st *stanza.Stanza) error {
	resume, _ := st.Attr("resume")
	maxTime, _ := st.Attr("max")
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.startManagement(resume == "true" || resume == "1", maxTime)
	return c.say(answer)
}

// startManagement switches XEP-0198 on and returns the answer, which has to go out before the next stanza. Under run and mu.
func (s *session) startManagement(resume bool, maxTime string) string {
	if s.sm != nil {
		return smFailed(stanza.UnexpectedRequest)
	}
	m := &sm{}
	s.sm = m
	p := s.srv.policy.Load()
	limit := time.Duration(p.SMResume)
	if !resume || limit < time.Second || p.Hibernated <= 0 {
		return "<enabled xmlns='" + stanza.NSSM + "'/>"
	}
	m.max = limit
	if n, err := strconv.ParseUint(maxTime, 10, 31); err == nil && n > 0 {
		m.max = min(m.max, time.Duration(n)*time.Second)
	}
	m.token = token()
	s.srv.resume.add(m.token, s)
	return "<enabled xmlns='" + stanza.NSSM + "' id='" + m.token + "' resume='true' max='" +
		strconv.Itoa(int(m.max/time.Second)) + "'/>"
}

// acknowledged takes the client's word for what it has got.
func (s *session) acknowledged(c *client, h uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.sm
	if m.ack(h) {
		return tooHigh(h, m)
	}
	m.asked = false
	s.pump(&c.batch)
	return nil
}

// putManaged queues a stanza that must be acknowledged. It always takes it: if the queue is full the session ends, and
// what is in it goes where a stanza for an unavailable client would (XEP-0198 §4). Under mu.
func (s *session) putManaged(ctx context.Context, raw []byte, st *stanza.Stanza) error {
	m := s.sm
	u := unacked{raw: raw, at: time.Now().Unix()}
	if s.client == nil && st.Kind == stanza.KindPresence && (st.Type == stanza.TypeNone || st.Type == stanza.TypeUnavailable) {
		from := st.From()
		u.from = &from
		for i := m.sent; i < m.len(); i++ {
			if old := m.at(i); old.from != nil && *old.from == from {
				m.bytes += len(raw) - len(old.raw)
				*old = u
				return nil
			}
		}
	}
	m.push(u)
	s.pump(ctx)
	s.watch()
	return nil
}

// watch looks after the limits of the queue. Bytes are a hard limit, and so is the number of stanzas for a session that
// nobody is connected to. A client that is there may fall behind in number for a moment: joining rooms brings thousands
// of stanzas at once. Under mu.
func (s *session) watch() {
	m, p := s.sm, s.srv.policy.Load()
	switch {
	case p.SMQueueSize > 0 && m.bytes > int(p.SMQueueSize):
	case p.SMQueue <= 0 || m.len() <= p.SMQueue:
		return
	case s.client == nil || m.len() > 8*p.SMQueue:
	default:
		if m.grace == nil {
			m.grace = time.AfterFunc(ackGrace, func() { s.Close(errUnacked) })
		}
		return
	}
	s.overflow(errUnacked)
}

// ackGrace is how long a client may have too many stanzas unacknowledged without acknowledging one.
const ackGrace = 10 * time.Second

// pump sends what has not been sent on this connection, as far as the outbox takes it; the next <a/> brings the rest. The
// first stanza brings a request to acknowledge with it, so one is always on its way while anything is unacknowledged, and
// never two. Under mu.
func (s *session) pump(ctx context.Context) {
	m := s.sm
	if s.client == nil {
		return
	}
	sc := s.client.sc
	for m.sent < m.len() {
		raw, ask := m.at(m.sent).raw, !m.asked
		err := sc.Queue(ctx, func(dst []byte) []byte {
			dst = append(dst, raw...)
			if ask {
				dst = append(dst, ackRequest...)
			}
			return dst
		})
		if err != nil {
			return // ErrSlow: the rest waits for the next <a/>. ErrClosed: the reader will see it and hibernate.
		}
		m.sent++
		m.asked = true
	}
	if !m.asked && m.len() > 0 && !errors.Is(sc.Queue(ctx, appendAckRequest), stream.ErrSlow) {
		m.asked = true
	}
}

const ackRequest = "<r xmlns='" + stanza.NSSM + "'/>"

func appendAckRequest(dst []byte) []byte { return append(dst, ackRequest...) }

// ask requests an acknowledgement as a sign of life. It returns false where XEP-0198 is off.
func (s *session) ask(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sm == nil || s.client != c {
		return false
	}
	s.pump(&c.batch)
	c.queue(appendAckRequest)
	s.sm.asked = true
	return true
}
