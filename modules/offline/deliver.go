package offline

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// The pace of a delivery. A session whose output piles up is ended by c2s, so a full box must not be poured into it: a
// round ends here, and the next begins when the client has taken most of what it got.
const (
	roundCount   = 64        // messages
	roundSize    = 256 << 10 // bytes
	busyWaiting  = 64 << 10  // bytes in the outbox
	busyUnacked  = 8         // stanzas that an XEP-0198 client has not acknowledged
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// run is the delivery under way for an account.
type run struct {
	s     modules.Session
	next  modules.Session // asked for meanwhile: there may be something new
	pause time.Duration
	timer *time.Timer // while it waits for a busy client
}

// deliver hands the account's messages to a session, unless that is being done already: then that delivery looks again
// before it ends.
func (m *module) deliver(ctx context.Context, s modules.Session) {
	local := s.JID().Local()
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return
	}
	if r := m.runs[local]; r != nil {
		r.next = s
		m.mu.Unlock()
		return
	}
	r := &run{s: s, pause: firstPause}
	m.runs[local] = r
	m.rounds.Add(1)
	m.mu.Unlock()
	defer m.rounds.Done()
	m.work(ctx, local, r)
}

// work does rounds until there is nothing left, nobody to take it, or the client is busy.
func (m *module) work(ctx context.Context, local string, r *run) {
	for {
		s := m.target(local, r.s)
		res := ended
		if s != nil {
			r.s = s
			res = m.round(ctx, local, s)
		}
		m.mu.Lock()
		switch {
		case m.stopped:
			delete(m.runs, local)
			m.mu.Unlock()
			return
		case res == again:
			r.pause = firstPause
		case res == busy:
			r.timer = time.AfterFunc(r.pause, func() { m.wake(local, r) })
			r.pause = min(2*r.pause, longestPause)
			m.mu.Unlock()
			return
		case r.next != nil:
			r.s, r.next, r.pause = r.next, nil, firstPause
		default:
			delete(m.runs, local)
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
	}
}

// wake goes on after a pause.
func (m *module) wake(local string, r *run) {
	m.mu.Lock()
	r.timer = nil
	if m.stopped {
		delete(m.runs, local)
		m.mu.Unlock()
		return
	}
	m.rounds.Add(1)
	m.mu.Unlock()
	defer m.rounds.Done()
	var b stream.Batch // one flush for each round
	m.work(stream.WithBatch(context.Background(), &b), local, r)
}

// target returns the session to deliver to: the one that it began with, or else another that gets messages; nil where
// there is none. A hibernated session gets the rest when it is resumed.
func (m *module) target(local string, s modules.Session) modules.Session {
	if s != nil && takes(s.Presence()) && !s.Hibernated() {
		return s
	}
	j, err := stanza.NewJID(local, m.h.Name, "")
	if err != nil {
		return nil
	}
	for _, o := range m.h.Router.Sessions(j) { // highest priority first
		if takes(o.Presence()) && !o.Hibernated() {
			return o
		}
	}
	return nil
}

// The outcomes of a round.
type outcome uint8

const (
	ended outcome = iota // nothing left, or the session takes no more
	again                // there is more
	busy                 // the client has not taken what it got
)

// round hands over some messages and deletes those that were taken.
func (m *module) round(ctx context.Context, local string, s modules.Session) outcome {
	if info := s.Info(); info.Waiting > busyWaiting || info.SM && info.Unacked >= busyUnacked {
		return busy
	}
	list, more, err := m.box.page(ctx, local, roundCount, roundSize)
	if err != nil {
		m.h.Log.Error("kept messages not read", "account", local+"@"+m.h.Name, "err", err)
		return ended
	}
	taken := 0
	account := s.JID().Bare()
	blocker, _ := modules.Find[modules.Blocker](m.h)
	for _, msg := range list {
		if msg.id != "" && m.copies != nil && m.copies.Got(s, msg.id) { // XEP-0280 §7, before it was available
			taken++
			continue
		}
		st, err := stanza.Parse(msg.data)
		blocked := false
		if err == nil && blocker != nil {
			var fault error
			if blocked, fault = blocker.Blocks(ctx, account, st.From()); fault != nil { // it stays until that is known
				m.h.Log.Error("kept messages not delivered", "account", account.String(), "err", fault)
				more = false
				break
			}
		}
		if blocked {
			// XEP-0191 §3.3: nothing of a blocked address is delivered, also what it sent before
		} else if err != nil { // what was stored was checked: the record is of no use to anybody
			m.h.Log.Error("kept message dropped, it is not well-formed", "account", local+"@"+m.h.Name, "err", err)
		} else if err := s.Send(ctx, st); err != nil {
			more = false
			break
		}
		taken++
	}
	if taken > 0 {
		// What the socket takes now survives the end of this process; what waits for a whole read buffer to be handled does not.
		if b := stream.BatchOf(ctx); b != nil {
			b.Flush()
		}
		if err := m.box.remove(ctx, local, list[:taken]); err != nil { // they come again: twice is better than never
			m.h.Log.Error("delivered messages not deleted", "account", local+"@"+m.h.Name, "err", err)
			return ended
		}
	}
	if more {
		return again
	}
	return ended
}
