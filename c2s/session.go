package c2s

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// session is a client's session with a bound resource. It implements modules.Session.
type session struct {
	srv *server
	id  uint64
	jid stanza.JID
	*login
	started  time.Time
	presence atomic.Pointer[modules.PresenceState]
	asleep   atomic.Bool // hibernated

	// run is held while a stanza of the client is handled, and while the session begins, ends, or changes its connection.
	run sync.Mutex

	mu     sync.Mutex
	client *client // nil while hibernated and after the end
	closed bool
	ending bool // the end has been asked for
	full   bool // no more stanzas are taken
	sm     *sm  // nil unless XEP-0198 is on
	csi    *csi // nil unless the client is inactive (XEP-0352)
	values map[any]any
}

func newSession(c *client, jid stanza.JID) *session {
	return &session{srv: c.srv, id: c.id, jid: jid, login: c.login, started: time.Now(), client: c}
}

// ID implements modules.Session.
func (s *session) ID() string { return sessionID(s.id) }

// JID implements modules.Session.
func (s *session) JID() stanza.JID { return s.jid }

// Presence implements modules.Session.
func (s *session) Presence() *modules.PresenceState { return s.presence.Load() }

// Hibernated implements modules.Session.
func (s *session) Hibernated() bool { return s.asleep.Load() }

// Value implements modules.Session.
func (s *session) Value(key any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

// SetValue implements modules.Session.
func (s *session) SetValue(key, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[any]any{}
	}
	s.values[key] = value
}

// Info implements modules.Session.
func (s *session) Info() modules.SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := modules.SessionInfo{
		Mechanism: s.ident.Mechanism, Details: s.ident.Details, Started: s.started,
		SM: s.sm != nil, Inactive: s.csi != nil,
	}
	if s.agent != nil {
		i.Agent = *s.agent
	}
	if c := s.client; c != nil {
		i.Remote, i.TLS = c.sc.RemoteAddr(), c.sc.TLS()
		i.LastIn = c.sc.Heard()
		i.Waiting = c.sc.Waiting()
	}
	if s.sm != nil {
		i.Unacked = s.sm.len()
		if s.client == nil {
			i.LastIn = s.sm.since
		}
	}
	return i
}

// handle deals with what the client sends once it has a resource. An error ends the stream.
func (s *session) handle(c *client, st *stanza.Stanza) error {
	s.run.Lock()
	defer s.run.Unlock()
	if !s.on(c) {
		return errReplaced
	}
	if st.Kind != stanza.KindMessage {
		s.settle(&c.batch) // what is answered now is answered after all before it
	}
	if st.Kind == stanza.KindOther {
		return s.nonza(c, st)
	}
	c.batch.Open()
	defer c.batch.Shut()
	if err := s.stanza(c, st); err != nil {
		return err
	}
	owed, full := c.batch.Owes()
	s.handled(owed)
	if full {
		s.settle(&c.batch)
		owed = false
	}
	c.owed = owed
	return nil
}

// settle waits until the stanzas handled are where they must be, such as on disk, and counts them as handled. Under run.
func (s *session) settle(ctx context.Context) {
	c := s.client // changes under run
	if c == nil {
		return
	}
	late := uint32(0)
	if s.sm != nil {
		late, s.sm.late = s.sm.late, 0
	}
	c.batch.Settle(ctx) // a panic in it leaves them uncounted
	if s.sm != nil {
		s.sm.in += late
	}
}

// settled is settle for who does not hold run.
func (s *session) settled(c *client) {
	s.run.Lock()
	defer s.run.Unlock()
	if s.on(c) {
		s.settle(&c.batch)
	}
}

// on tells whether the session is still that of the connection.
func (s *session) on(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client == c && !s.closed
}

// nonza deals with first-level elements that are no stanzas.
func (s *session) nonza(c *client, st *stanza.Stanza) error {
	switch st.NS {
	case stanza.NSSM:
		return s.manage(c, st)
	case stanza.NSCSI:
		switch st.Name {
		case "active":
			s.setActive(c)
			return nil
		case "inactive":
			s.setInactive()
			return nil
		}
	case stanza.NSSASL, nsSASL2: // XEP-0388 §5.7
		return errLoggedIn
	}
	return unsupported // RFC 6120 §4.9.3.24
}

// packets are those of stanzas being handled.
var packets = sync.Pool{New: func() any { return new(modules.Packet) }}

// stanza sends a stanza of the client's on its way (RFC 6120 §8.1, §10.3).
func (s *session) stanza(c *client, st *stanza.Stanza) error {
	if !s.mayBeFrom(st) {
		return &stream.Error{Condition: "invalid-from"} // RFC 6120 §4.9.3.9
	}
	p := s.packet(c, st)
	defer packets.Put(p)
	r := s.srv.o.Router
	if e := s.check(p); e != nil {
		r.Bounce(&c.batch, p, e)
		return nil
	}
	t, err := c.table()
	if err != nil {
		return err
	}
	if s.asksForSession(p) {
		s.Send(&c.batch, st.Result(nil))
		return nil
	}
	s.address(p)
	if err := t.Hooks.Outgoing.Run(&c.batch, p); err != nil {
		if err != modules.Done {
			r.Bounce(&c.batch, p, s.srv.stanzaError(p, err))
		}
		return nil
	}
	if st.Kind == stanza.KindPresence && p.To.IsZero() {
		s.setPresence(&c.batch, t, st.Retain())
		return nil
	}
	r.Route(&c.batch, p)
	return nil
}

// packet stamps a stanza of the client's and makes it ready to go.
func (s *session) packet(c *client, st *stanza.Stanza) *modules.Packet {
	st.SetFrom(s.jid)
	st.SetLang(c.lang) // RFC 6120 §8.1.5
	p := packets.Get().(*modules.Packet)
	*p = modules.Packet{Stanza: st, From: s.jid, To: st.To(), Origin: s}
	return p
}

// address says whose it is what the client sends to nobody: its own account's (RFC 6120 §10.3.1, §10.3.3).
func (s *session) address(p *modules.Packet) {
	if p.To.IsZero() && p.Stanza.Kind != stanza.KindPresence {
		p.To = s.jid.Bare()
	}
}

// mayBeFrom tells whether a client says the truth about itself, or nothing (RFC 6120 §8.1.2.1): it speaks for itself alone.
func (s *session) mayBeFrom(st *stanza.Stanza) bool {
	from := st.From()
	return from == s.jid || from.IsZero() && !given(st, "from") || from == s.jid.Bare()
}

// asksForSession tells a request that needs nothing done.
//
// COMPAT: clients of RFC 3921 §3 ask for a session; there has been one since the resource was bound.
func (s *session) asksForSession(p *modules.Packet) bool {
	return p.Stanza.Kind == stanza.KindIQ && p.Stanza.Has(stanza.NSSession, "session") && (p.To.IsZero() || p.To == s.jid.Host())
}

func given(st *stanza.Stanza, attr string) bool { _, ok := st.Attr(attr); return ok }

// check is the syntax of stanzas as far as it is the server's business.
func (s *session) check(p *modules.Packet) *stanza.Error {
	st := p.Stanza
	if p.To.IsZero() && given(st, "to") {
		return stanza.Err(stanza.JIDMalformed, "") // RFC 6120 §8.3.3.8
	}
	if e := st.Check(); e != nil {
		return e
	}
	if st.Kind == stanza.KindPresence && p.To.IsZero() && st.Type != stanza.TypeNone && st.Type != stanza.TypeUnavailable {
		return stanza.Err(stanza.BadRequest, "whose?")
	}
	return nil
}

// setPresence changes what the session tells all its contacts (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
func (s *session) setPresence(ctx context.Context, t *modules.Table, st *stanza.Stanza) {
	var now *modules.PresenceState
	if st.Type == stanza.TypeNone {
		now = modules.NewPresenceState(s.presence.Load(), st)
	}
	was := s.presence.Swap(now)
	s.srv.o.Router.PresenceChanged(s)
	t.Hooks.Presence.Run(ctx, modules.Presence{Session: s, Stanza: st, Was: was})
}

// stanzaError turns a handler's error into the answer, as the router does for its own; what is ours is logged.
func (s *server) stanzaError(p *modules.Packet, err error) *stanza.Error {
	e, log := modules.Answer(err)
	if log {
		s.log.Error("stanza not handled", "stanza", p.Stanza.String(), "err", err)
	}
	return e
}
