package modtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// Session is a client's session whose client is the test.
type Session struct {
	h  *Host
	id string
	j  stanza.JID

	mu       sync.Mutex
	presence *modules.PresenceState
	values   map[any]any
	info     modules.SessionInfo
	sent     []*stanza.Stanza
	refuse   error
	asleep   bool
	closed   bool
	closeErr *stream.Error
}

var _ modules.Session = (*Session)(nil)

// Session opens a session for a full JID, as binding a resource does. The account is made if it is not there, with
// Password. The session has TLS and no presence yet.
func (h *Host) Session(full string) *Session {
	h.t.Helper()
	j := stanza.MustJID(full)
	if ok, _ := h.Users.Exists(context.Background(), j.Local()); !ok {
		h.User(j.Local())
	}
	h.mu.Lock()
	h.ids++
	n := h.ids
	h.mu.Unlock()
	s := &Session{h: h, id: "s" + strconv.Itoa(n), j: j, values: map[any]any{}, info: modules.SessionInfo{
		Remote:    &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000 + n},
		TLS:       &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true},
		Mechanism: "SCRAM-SHA-256",
		Started:   time.Now(),
	}}
	if !h.Router.Add(s) {
		h.t.Fatalf("there is a session %s already", full)
	}
	h.Table().Hooks.SessionOpened.Run(context.Background(), s)
	return s
}

// Say lets the client send a stanza: from is stamped, Hooks.Outgoing run, presence without a to changes the session's
// presence, and all else is routed.
func (s *Session) Say(xml string) {
	s.h.t.Helper()
	st := s.h.parse(xml)
	st.SetFrom(s.j)
	p := &modules.Packet{Stanza: st, From: s.j, To: st.To(), Origin: s}
	ctx := context.Background()
	if err := s.h.Table().Hooks.Outgoing.Run(ctx, p); err != nil {
		s.h.bounce(ctx, p, err)
		return
	}
	if st.Kind == stanza.KindPresence && p.To.IsZero() {
		s.broadcast(ctx, st.Retain())
		return
	}
	s.h.Router.Route(ctx, p)
}

// Available sends initial or changed presence; payload is further XML, such as a show.
func (s *Session) Available(priority int8, payload string) {
	s.h.t.Helper()
	s.Say(fmt.Sprintf("<presence><priority>%d</priority>%s</presence>", priority, payload))
}

// Unavailable sends unavailable presence; the session stays bound.
func (s *Session) Unavailable() { s.h.t.Helper(); s.Say("<presence type='unavailable'/>") }

// broadcast changes the session's presence (RFC 6121 §4.2, §4.4, §4.5).
func (s *Session) broadcast(ctx context.Context, st *stanza.Stanza) {
	s.mu.Lock()
	was := s.presence
	switch st.Type {
	case stanza.TypeNone:
		s.presence = modules.NewPresenceState(was, st)
	case stanza.TypeUnavailable:
		s.presence = nil
	default:
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.h.Router.PresenceChanged(s)
	s.h.Table().Hooks.Presence.Run(ctx, modules.Presence{Session: s, Stanza: st, Was: was})
}

// IQ sends a request with an id of its own and returns the answer; to may be empty. The test fails without an answer.
func (s *Session) IQ(typ, to, payload string) *stanza.Stanza {
	s.h.t.Helper()
	s.h.mu.Lock()
	s.h.ids++
	id := "iq" + strconv.Itoa(s.h.ids)
	s.h.mu.Unlock()
	addr := ""
	if to != "" {
		addr = " to='" + string(stanza.AppendEscaped(nil, to)) + "'"
	}
	s.Say("<iq type='" + typ + "' id='" + id + "'" + addr + ">" + payload + "</iq>")
	s.mu.Lock()
	defer s.mu.Unlock()
	st := take(&s.sent, func(st *stanza.Stanza) bool {
		return st.Kind == stanza.KindIQ && st.ID() == id && (st.Type == stanza.TypeResult || st.Type == stanza.TypeError)
	})
	if st == nil {
		s.h.t.Fatalf("no answer to %s", payload)
	}
	return st
}

// Sent returns what was sent to the client since the last call.
func (s *Session) Sent() []*stanza.Stanza {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sent
	s.sent = nil
	return out
}

// Refuse makes Send fail with an error from now on; nil: it takes all again.
func (s *Session) Refuse(err error) { s.mu.Lock(); s.refuse = err; s.mu.Unlock() }

// Change edits what Info returns.
func (s *Session) Change(fn func(*modules.SessionInfo)) { s.mu.Lock(); fn(&s.info); s.mu.Unlock() }

// Hibernate cuts the connection of a session that can be resumed, and runs Hooks.SessionHibernated; Resume brings it back
// and runs Hooks.SessionResumed.
func (s *Session) Hibernate() {
	s.mu.Lock()
	s.asleep = true
	s.mu.Unlock()
	s.h.Table().Hooks.SessionHibernated.Run(context.Background(), s)
}

// Resume ends Hibernate.
func (s *Session) Resume() {
	s.mu.Lock()
	s.asleep = false
	s.mu.Unlock()
	s.h.Table().Hooks.SessionResumed.Run(context.Background(), s)
}

// Closed tells whether the session has ended, and with which stream error.
func (s *Session) Closed() (bool, *stream.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed, s.closeErr
}

// ID implements modules.Session.
func (s *Session) ID() string { return s.id }

// JID implements modules.Session.
func (s *Session) JID() stanza.JID { return s.j }

// Send implements modules.Session: it runs Hooks.ToClient and records the stanza.
func (s *Session) Send(ctx context.Context, st *stanza.Stanza) error {
	s.mu.Lock()
	refuse := s.refuse
	if s.closed {
		refuse = stream.ErrClosed
	}
	s.mu.Unlock()
	if refuse != nil {
		return refuse
	}
	p := &modules.Packet{Stanza: st, From: st.From(), To: st.To(), Session: s}
	switch err := s.h.Table().Hooks.ToClient.Run(ctx, p); err {
	case nil:
	case modules.Done:
		return nil
	default:
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, st.Retain())
	return nil
}

// Presence implements modules.Session.
func (s *Session) Presence() *modules.PresenceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.presence
}

// Hibernated implements modules.Session.
func (s *Session) Hibernated() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.asleep }

// Value implements modules.Session.
func (s *Session) Value(key any) any { s.mu.Lock(); defer s.mu.Unlock(); return s.values[key] }

// SetValue implements modules.Session.
func (s *Session) SetValue(key, value any) { s.mu.Lock(); s.values[key] = value; s.mu.Unlock() }

// Info implements modules.Session.
func (s *Session) Info() modules.SessionInfo { s.mu.Lock(); defer s.mu.Unlock(); return s.info }

// Close implements modules.Session: presence ends first (RFC 6121 §4.5.4), then Hooks.SessionClosed run.
func (s *Session) Close(e *stream.Error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	available := s.presence != nil
	s.mu.Unlock()
	ctx := context.Background()
	if available {
		st := stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", s.j, stanza.JID{}, nil)
		s.broadcast(ctx, st)
	}
	s.mu.Lock()
	s.closed, s.closeErr = true, e
	s.mu.Unlock()
	s.h.Router.Remove(s)
	s.h.Table().Hooks.SessionClosed.Run(ctx, s)
}
