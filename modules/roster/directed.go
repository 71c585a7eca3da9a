package roster

import (
	"context"
	"sync"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// maxDirected is to how many addresses one session may show itself without their subscription.
const maxDirected = 1000

type directedKey struct{}

// directed remembers whom a session has sent directed presence, and who must hear when it goes (RFC 6121 §4.6.2).
type directed struct {
	mu sync.Mutex
	to map[stanza.JID]struct{}
}

// direct notes directed presence on its way out. It runs last, so that only what really goes out is noted.
func (m *module) direct(_ context.Context, p *modules.Packet) error {
	if p.Stanza.Kind != stanza.KindPresence || p.To.IsZero() || p.Origin == nil || p.To.Bare() == p.From.Bare() {
		return nil
	}
	switch p.Stanza.Type {
	case stanza.TypeNone:
		d, _ := p.Origin.Value(directedKey{}).(*directed)
		if d == nil {
			d = &directed{to: map[stanza.JID]struct{}{}} // a session's stanzas come one by one: nobody else makes it
			p.Origin.SetValue(directedKey{}, d)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, ok := d.to[p.To]; !ok && len(d.to) >= maxDirected {
			return stanza.Err(stanza.ResourceConstraint, "directed presence is out at too many addresses")
		}
		d.to[p.To] = struct{}{}
	case stanza.TypeUnavailable:
		if d, _ := p.Origin.Value(directedKey{}).(*directed); d != nil {
			d.mu.Lock()
			delete(d.to, p.To)
			d.mu.Unlock()
		}
	}
	return nil
}

// undirect sends st, the unavailable presence of a session, to all that it has sent directed presence, and forgets them.
// told tells who has heard already.
func (m *module) undirect(ctx context.Context, s modules.Session, st *stanza.Stanza, told func(stanza.JID) bool) {
	d, _ := s.Value(directedKey{}).(*directed)
	if d == nil {
		return
	}
	d.mu.Lock()
	targets := d.to
	d.to = map[stanza.JID]struct{}{}
	d.mu.Unlock()
	for j := range targets {
		if !told(j) {
			m.tell(ctx, st, s.JID(), j) // RFC 6121 §4.6.3
		}
	}
}

// sessionClosed tells those who got directed presence of a session that never was available and so never became
// unavailable either.
func (m *module) sessionClosed(ctx context.Context, s modules.Session) {
	st := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", s.JID(), stanza.JID{}, nil)
	m.undirect(ctx, s, st, func(stanza.JID) bool { return false })
}
