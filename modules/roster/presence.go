package roster

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// presence tells those whom it concerns that a session became available, changed its presence, or became unavailable
// (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
func (m *module) presence(ctx context.Context, ev modules.Presence) {
	s := ev.Session
	full := s.JID()
	owner := full.Bare()
	l := m.audience(ctx, s)
	// The event's stanza is what the session keeps and others read: addresses are set on a copy.
	st := ev.Stanza.Clone()
	st.SetFrom(full)
	available := st.Type == stanza.TypeNone
	if !available && len(l.items) == 0 {
		l = m.parting(s, l)
	}
	news := available || ev.Was != nil // that a session which never was available is not: nobody thought so
	if news {
		m.tell(ctx, st, full, l.readers...)
	}
	own := m.h.Router.Sessions(owner)
	for _, o := range own {
		if o == s || news && o.Presence() != nil {
			st.SetTo(o.JID())
			o.Send(ctx, st) // §4.2.2: the sender itself included
		}
	}
	switch {
	case !available:
		m.undirect(ctx, s, st, func(j stanza.JID) bool {
			it := l.items[j.Bare()]
			return ev.Was != nil && it != nil && it.state&subFrom != 0
		})
	case ev.Was == nil:
		m.arrive(ctx, s, l, own)
	}
}

// audience returns the list that says who is told of a session.
func (m *module) audience(ctx context.Context, s modules.Session) *list {
	user := s.JID().Local()
	l, err := m.list(ctx, user)
	if err != nil {
		// Without the roster nobody can be told; the account's own devices can.
		m.h.Log.Error("roster not read for presence", "user", user, "session", s.ID(), "err", err)
		return &list{}
	}
	return l
}

// arrive brings a session that has just become available what it has missed: the presence of the account's other
// sessions and of the contacts, and the requests that wait for an answer.
func (m *module) arrive(ctx context.Context, s modules.Session, l *list, own []modules.Session) {
	full := s.JID()
	for _, o := range own {
		if o != s {
			if st := m.last(o); st != nil {
				st.SetTo(full)
				s.Send(ctx, st)
			}
		}
	}
	if len(l.sources) > 0 {
		probe := stanza.New(stanza.KindPresence, stanza.TypeProbe, "", full, stanza.JID{}, nil)
		m.tell(ctx, probe, full, l.sources...) // §4.3.1
	}
	if l.pending == 0 {
		return
	}
	sts, err := m.requests(ctx, full.Local())
	if err != nil {
		m.h.Log.Error("subscription requests not delivered", "user", full.Local(), "err", err)
		return
	}
	blocker, _ := modules.Find[modules.Blocker](m.h)
	for _, st := range sts {
		if blocker != nil {
			if yes, err := blocker.Blocks(ctx, full.Bare(), st.From()); err != nil {
				m.h.Log.Error("subscription request not delivered", "user", full.Local(), "err", err)
				continue
			} else if yes {
				continue
			}
		}
		s.Send(ctx, st) // §3.1.3: at each login until it is answered
	}
}

// tell routes presence or a probe to accounts. Accounts of this host without a session are passed over: there is nobody
// to hear it, and no answer is the answer. To those of the server's other hosts it goes as to other servers, for their
// modules.
func (m *module) tell(ctx context.Context, st *stanza.Stanza, from stanza.JID, to ...stanza.JID) {
	p := new(modules.Packet) // one for all
	for _, to := range to {
		if to.Domain() == m.h.Name && len(m.h.Router.Sessions(to.Bare())) == 0 {
			continue
		}
		st.SetTo(to)
		*p = modules.Packet{}
		p.Stanza, p.From, p.To = st, from, to
		m.h.Router.Route(ctx, p)
	}
}

// show sends a contact the present presence of all available resources of an account.
func (m *module) show(ctx context.Context, owner, contact stanza.JID) {
	for _, s := range m.h.Router.Sessions(owner) {
		if st := m.last(s); st != nil {
			m.tell(ctx, st, s.JID(), contact)
		}
	}
}

// hide tells a contact that all available resources of an account are unavailable, to it.
func (m *module) hide(ctx context.Context, owner, contact stanza.JID) {
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Presence() != nil {
			j := s.JID()
			m.tell(ctx, stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", j, stanza.JID{}, nil), j, contact)
		}
	}
}

// last returns a copy of what a session last told its contacts, with the time when it did, or nil if it is not available.
func (m *module) last(s modules.Session) *stanza.Stanza {
	ps := s.Presence()
	if ps == nil {
		return nil
	}
	st := ps.Stanza.Clone()
	st.SetFrom(s.JID())
	if !st.Has(stanza.NSDelay, "delay") {
		st.Add(stanza.AppendDelay(nil, m.domain, ps.Since, "")) // XEP-0203 §4, so that XEP-0256 can be read rightly
	}
	return st
}

// probed answers a probe (RFC 6121 §4.3.2).
//
// §4.3.2 rule 1 lets a server answer "unsubscribed" to those who have no subscription. We are silent instead, as for
// accounts that do not exist: so a probe tells a stranger nothing, not even after a subscription has ended.
func (m *module) probed(ctx context.Context, p *modules.Packet) error {
	owner := p.To.Bare()
	if !m.Subscribed(ctx, owner, p.From) {
		return modules.Done
	}
	found := false
	for _, s := range m.h.Router.Sessions(owner) {
		j := s.JID()
		if j == p.From || !p.To.IsBare() && j != p.To {
			continue
		}
		if st := m.last(s); st != nil {
			found = true
			m.tell(ctx, st, j, p.From)
		}
	}
	if !found && owner != p.From.Bare() {
		st := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", p.To, p.From, nil) // rule 3
		m.h.Router.Route(ctx, modules.NewPacket(st))
	}
	return modules.Done
}
