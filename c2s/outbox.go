package c2s

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

var (
	errSlow    = &stream.Error{Condition: "resource-constraint", Text: "you read too slowly"}
	errUnacked = &stream.Error{Condition: "resource-constraint", Text: "too many stanzas are not acknowledged"}
)

// Send implements modules.Session (hop 5): hooks, XEP-0352, XEP-0198, outbox. It never waits for the client, but for one
// case: see yield.
func (s *session) Send(ctx context.Context, st *stanza.Stanza) error {
	if t := s.srv.o.Router.Table(s.jid.Domain()); t != nil && !t.Hooks.ToClient.Empty() && !s.pass(ctx, t, st) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.yield(ctx)
	if s.closed || s.full {
		return stream.ErrClosed
	}
	if s.csi != nil {
		if s.csi.hold(st) {
			return nil
		}
		s.release(ctx)
	}
	return s.put(ctx, st)
}

// pass asks the modules whether a stanza goes on to the client.
func (s *session) pass(ctx context.Context, t *modules.Table, st *stanza.Stanza) bool {
	p := &modules.Packet{Stanza: st, From: st.From(), To: st.To(), Session: s}
	err := t.Hooks.ToClient.Run(ctx, p)
	if err != nil && err != modules.Done {
		s.srv.o.Router.Bounce(ctx, p, s.srv.stanzaError(p, err))
	}
	return err == nil
}

// put queues a stanza for the client. Under mu.
func (s *session) put(ctx context.Context, st *stanza.Stanza) error {
	if s.sm != nil {
		return s.putManaged(ctx, st.Encode(), st)
	}
	err := s.client.sc.Queue(ctx, st.AppendTo)
	if errors.Is(err, stream.ErrSlow) {
		s.overflow(errSlow)
	}
	return err
}

// yield lets a client read what it asked for: a long answer to the client's own request, such as a page of an archive, is
// written on the goroutine that reads from this client, so waiting for it delays nobody else. Under mu, which it gives up
// meanwhile.
func (s *session) yield(ctx context.Context) {
	c := s.client
	if c == nil || stream.BatchOf(ctx) != &c.batch {
		return
	}
	limit := int(c.policy.WriteBuffer) / 2
	if c.sc.Waiting() < limit {
		return
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.policy.WriteTimeout))
	defer cancel()
	c.sc.WaitBelow(ctx, limit)
}
