package c2s

import (
	"context"

	"github.com/xmppd/xmppd/stanza"
)

// csi is what an inactive client need not know at once (XEP-0352 §3.2): of presence and of chat states the latest from
// each sender, also where they are copies of what another device gets or sends (XEP-0280). It goes out before anything else
// does, so order is kept, and when the client is active again.
type csi struct {
	held  []*stanza.Stanza
	index map[csiKey]int
}

type csiKey struct {
	kind stanza.Kind
	from stanza.JID
	copy string // of a copy: sent or received, and of what other's; from is the account
}

// maxHeld bounds what is held; beyond it all goes out.
const maxHeld = 500

const (
	nsChatStates = "http://jabber.org/protocol/chatstates"
	nsCarbons    = "urn:xmpp:carbons:2"
)

// hold keeps a stanza back, or returns false for one that goes out.
func (q *csi) hold(st *stanza.Stanza) bool {
	k := csiKey{kind: st.Kind, from: st.From()}
	if !unimportant(st) {
		if k.copy = copiedState(st); k.copy == "" {
			return false
		}
	}
	if i, ok := q.index[k]; ok {
		q.held[i] = st.Retain()
		return true
	}
	if len(q.held) >= maxHeld {
		return false
	}
	if q.index == nil {
		q.index = map[csiKey]int{}
	}
	q.index[k] = len(q.held)
	q.held = append(q.held, st.Retain())
	return true
}

// unimportant tells presence that only says who is there, and messages that only say that somebody is typing (XEP-0085).
func unimportant(st *stanza.Stanza) bool {
	switch st.Kind {
	case stanza.KindPresence:
		return st.Type == stanza.TypeNone || st.Type == stanza.TypeUnavailable
	case stanza.KindMessage:
		if st.Type == stanza.TypeError {
			return false
		}
		state := false
		for _, c := range st.Children {
			switch {
			case c.NS == nsChatStates:
				state = true
			case c.NS == stanza.NSHints, c.NS == stanza.NSSID, c.NS == st.NS && string(st.Raw[c.Name.A:c.Name.B]) == "thread":
			default:
				return false
			}
		}
		return state
	}
	return false
}

// copiedState tells a copy of a message that only says that somebody is typing: what it is of. "": it is none.
func copiedState(st *stanza.Stanza) string {
	i := st.Find(nsCarbons, "")
	if st.Kind != stanza.KindMessage || i < 0 || st.From().IsZero() || !st.From().IsBare() || st.From() != st.To().Bare() {
		return ""
	}
	wrap := st.Element(i)
	inner := wrap.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message")
	if inner == nil {
		return ""
	}
	state := false
	for _, c := range inner.Children {
		switch {
		case c.NS == nsChatStates:
			state = true
		case c.NS == stanza.NSHints, c.NS == stanza.NSSID, c.NS == inner.NS && c.Name == "thread":
		default:
			return ""
		}
	}
	if !state {
		return ""
	}
	return wrap.Name + " " + inner.Attr("from") + " " + inner.Attr("to")
}

// setInactive notes that nobody looks at the client.
func (s *session) setInactive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.csi == nil {
		s.csi = &csi{}
	}
}

// setActive ends it. What was held goes out before anything that the client asks for next (XEP-0352 §5.1).
func (s *session) setActive(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.csi != nil {
		s.release(&c.batch)
		s.csi = nil
	}
}

// release sends what was held. Under mu.
func (s *session) release(ctx context.Context) {
	held := s.csi.held
	s.csi.held, s.csi.index = nil, nil
	for _, st := range held {
		s.put(ctx, st)
	}
}
