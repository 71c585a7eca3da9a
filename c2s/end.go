package c2s

import (
	"context"
	"log/slog"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// Close implements modules.Session. The end runs on a goroutine of its own: who calls may be handling a stanza of this
// very session, and the client still gets what that handler answers. The first call counts.
func (s *session) Close(e *stream.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(e)
}

// leave starts the end of a session from anywhere. Under mu.
func (s *session) leave(e *stream.Error) {
	if s.ending || s.closed || !s.srv.track() {
		return // once is enough, and Shutdown ends it anyway
	}
	s.ending = true
	go func() {
		defer s.srv.wg.Done()
		s.end(e)
	}()
}

// overflow starts the end of a session whose client takes too little. It takes no more stanzas. Under mu.
func (s *session) overflow(e *stream.Error) {
	s.full = true
	s.leave(e)
}

// end ends a session for good, whatever state it is in. It returns when the session is gone; only the first call does
// something. It must not be called by who handles a stanza of this session.
func (s *session) end(e *stream.Error) { s.endIf(e, func() bool { return true }) }

// endIf is end on a condition, which is asked under both locks.
func (s *session) endIf(e *stream.Error, ok func() bool) {
	var batch stream.Batch
	ctx := stream.WithBatch(s.srv.ctx, &batch)
	s.handBack(ctx, s.depart(ctx, e, ok))
	batch.Flush()
}

// depart is end but for what the client has not acknowledged, which it returns.
func (s *session) depart(ctx context.Context, e *stream.Error, ok func() bool) (left []unacked) {
	s.hurry(ok)
	s.run.Lock()
	defer s.run.Unlock()
	s.guard(func() { s.settle(ctx) })
	s.mu.Lock()
	if s.closed || !ok() {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	c, m := s.client, s.sm
	s.client, s.csi = nil, nil
	if m != nil {
		m.stop()
		left = m.queue[m.head:]
		m.queue, m.head, m.bytes = nil, 0, 0
	}
	s.mu.Unlock()
	s.srv.leaving.Store(s.jid, s)
	defer s.srv.leaving.Delete(s.jid)
	s.srv.o.Router.Remove(s) // who reads the end of the stream finds the session in no list any more
	if c != nil {
		if m != nil {
			c.ack(ctx, m) // what was handled need not be sent again
		}
		c.sc.CloseWith(e)
	}
	if m != nil {
		s.srv.resume.remove(s, m)
	}
	s.vanish(ctx)
	return left
}

// hurry goes before run is locked to end a session or to move it. Who holds run may be waiting, for as long as the write
// timeout, for this very client to read: see yield.
func (s *session) hurry(ok func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.client; c != nil && ok() {
		c.sc.Hurry()
	}
}

func (s *session) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// vanish tells everybody that the session is gone (RFC 6121 §4.5.4). Nobody takes its name meanwhile: see leaving.
func (s *session) vanish(ctx context.Context) {
	t := s.srv.o.Router.Table(s.jid.Domain())
	was := s.presence.Swap(nil)
	if t == nil {
		return
	}
	if was != nil {
		s.guard(func() {
			st := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", s.jid, stanza.JID{}, nil)
			t.Hooks.Presence.Run(ctx, modules.Presence{Session: s, Stanza: st, Was: was})
		})
	}
	s.guard(func() { t.Hooks.SessionClosed.Run(ctx, s) })
	if log := s.srv.log; log.Enabled(ctx, slog.LevelDebug) {
		log.Debug("session ended", "session", s.ID(), "account", s.jid.Bare().String(), "resource", s.jid.Resource())
	}
}

// handBack gives away what the client has not acknowledged (XEP-0198 §4), with the time it was first sent.
func (s *session) handBack(ctx context.Context, left []unacked) {
	now := time.Now()
	for i := range left {
		e := &left[i]
		st, err := stanza.Parse(e.raw)
		if err != nil {
			continue // it was a stanza when it was queued
		}
		at := e.time()
		if st.Has(stanza.NSDelay, "delay") {
			at = time.Time{} // it waited for a session before (XEP-0160), and was given to one alone
		}
		if st.Kind == stanza.KindMessage {
			stamp(st, s.jid.Host(), e, now)
			st = st.Retain() // so that others find the stamp
		}
		s.guard(func() { s.srv.o.Router.Redeliver(ctx, &modules.Packet{Stanza: st, From: st.From(), To: s.jid}, at) })
	}
}

// guard keeps a mistake in a module from ending more than what it was called for.
func (s *session) guard(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			s.srv.panicked(s.srv.log.With("id", s.ID(), "host", s.jid.Domain()), r)
		}
	}()
	fn()
}

// stamp says when a stanza was first sent to the client, where that was a while ago and nobody has said so (XEP-0203).
func stamp(st *stanza.Stanza, from stanza.JID, e *unacked, now time.Time) {
	if at := e.time(); now.Sub(at) >= delayed && !st.Has(stanza.NSDelay, "delay") {
		st.Add(stanza.AppendDelay(nil, from, at, ""))
	}
}

// delayed is how late a stanza may be without a stamp.
const delayed = 5 * time.Second
