package s2s

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// pings are how a server without XEP-0198 shows what it has handled of a route's stanzas: it is asked something (XEP-0199),
// and because it handles in order what comes on one stream (RFC 6120 §10.1), its answer, whatever it says, acknowledges all that
// went out before the question. They belong to link.mu.
//
// When the link breaks, what is not acknowledged goes back to its senders and is not sent again: a server that has it would
// not know that it comes twice.
type pings struct {
	backlog
	id     pingID
	before int       // stanzas of the backlog that went out before the ping that is on its way; 0: none is
	due    time.Time // when its answer must be here
	deaf   bool      // one has not been answered: nothing is kept, and nothing asked any more
}

// pingID is unpredictable: an answer comes from who has got the question, and after what went out before it.
type pingID [len(pingPrefix) + 32]byte

const pingPrefix = "s2s-" // an answer is looked at twice only with it

func newPingID() (id pingID) {
	var random [16]byte
	rand.Read(random[:])
	hex.Encode(id[copy(id[:], pingPrefix):], random[:])
	return id
}

// owed tells whether a stanza's sender has to learn it when the stanza is lost. Presence comes anew, and nobody waits for what
// becomes of an answer; that answers are not asked after keeps two servers from answering each other for ever.
func owed(st *stanza.Stanza) bool {
	switch st.Kind {
	case stanza.KindMessage:
		return st.Type != stanza.TypeError
	case stanza.KindIQ:
		return st.Type == stanza.TypeGet || st.Type == stanza.TypeSet
	}
	return false
}

// putPinged sends a stanza that must be acknowledged, and behind the first one a ping: so one is always on its way while
// anything is unacknowledged, and never two. Under mu.
func (l *link) putPinged(ctx context.Context, r *route, it item) error {
	p := l.routes[r]
	ask := p.before == 0
	var id pingID
	if ask {
		id = newPingID()
	}
	err := l.sc.Queue(ctx, func(dst []byte) []byte {
		dst = append(dst, it.raw...)
		if ask {
			dst = r.appendPing(dst, id)
		}
		return dst
	})
	if err != nil {
		return err
	}
	l.touch()
	p.queue = append(p.queue, unacked{it, r})
	if ask {
		l.pinged(p, id)
	}
	return nil
}

// ping asks after all that is unacknowledged of a route, in place of what was asked before. Where there is no room for it now,
// the next stanza brings it. Under mu.
func (l *link) ping(ctx context.Context, r *route) {
	p := l.routes[r]
	if p.len() == 0 {
		return
	}
	id := newPingID()
	if l.sc.Queue(ctx, func(dst []byte) []byte { return r.appendPing(dst, id) }) == nil {
		l.pinged(p, id)
	}
}

func (r *route) appendPing(dst []byte, id pingID) []byte {
	dst = append(append(dst, "<iq type='get' from='"...), r.local...)
	dst = append(append(dst, "' to='"...), r.remote...)
	dst = append(append(dst, "' id='"...), id[:]...)
	return append(dst, "'><ping xmlns='urn:xmpp:ping'/></iq>"...)
}

// pinged notes that a ping is on its way. Under mu.
func (l *link) pinged(p *pings, id pingID) {
	p.id, p.before, p.due = id, p.len(), time.Now().Add(ackTime)
	if l.alarm.IsZero() { // else it is set for an earlier one
		l.alarm = p.due
		l.sc.SetReadDeadline(l.alarm)
	}
}

// pong takes the answer to a ping, on whichever of the other server's streams it comes. Any other stanza is left to be
// handled as what it is, an answer that nobody waits for, too.
func (l *link) pong(k pair, st *stanza.Stanza) bool {
	if st.Kind != stanza.KindIQ || st.Type != stanza.TypeResult && st.Type != stanza.TypeError || // RFC 6120 §8.2.3: either one
		st.From() != st.From().Host() || st.To() != st.To().Host() || !strings.HasPrefix(st.ID(), pingPrefix) {
		return false
	}
	r := l.srv.routes.get(k)
	if r == nil {
		return false
	}
	r.mu.Lock()
	on := r.link
	r.mu.Unlock()
	return on != nil && on.answered(l.ctx, r, st.ID())
}

// answered tells whether an id is that of the ping that is on its way, and takes what went out before it as handled.
func (l *link) answered(ctx context.Context, r *route, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.routes[r]
	if p == nil || p.before == 0 || id != string(p.id[:]) {
		return false
	}
	p.drop(p.before)
	p.before = 0
	if l.sm == nil { // else a ping would be counted
		l.ping(ctx, r)
	}
	l.settle()
	return true
}

// unanswered returns when the next answer is due, the zero time where none is. Who has not answered in time has no way back to
// us, or drops pings: it is not asked any more, and what was kept for it is believed to have arrived. Under mu.
func (l *link) unanswered(now time.Time) (next time.Time) {
	for r, p := range l.routes {
		switch {
		case p.len() == 0:
			continue
		case p.before == 0 && l.sm == nil: // there was no room for it
			l.ping(l.ctx, r)
		case p.before > 0 && !now.Before(p.due) && l.sc.Blocked(): // it may not have the question yet
			p.due = now.Add(ackTime)
		case p.before > 0 && !now.Before(p.due):
			l.log().Debug("the other server answers no ping: it is not known what arrives", "host", r.local, "peer", r.remote, "unanswered", p.len())
			p.drop(p.len())
			p.before, p.deaf = 0, true
			continue
		}
		if p.before > 0 && (next.IsZero() || p.due.Before(next)) {
			next = p.due
		}
	}
	l.alarm = next
	l.settle()
	return next
}
