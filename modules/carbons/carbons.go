// Package carbons is mod_carbons: all devices of an account see both sides of its conversations (XEP-0280).
//
// # Implementation notes
//
//   - What is copied stands in package fate. Copies go straight to the sessions, past the hooks that make them: there are no
//     copies of copies. They are from the account's bare JID, which no client and no other server can speak for.
//   - A copy is encoded once, however many devices get it.
//   - What a client sends to an account of the same host is copied when the recipient's side has taken it, as it is archived
//     then; all else when it leaves.
package carbons

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
)

const ns = fate.NSCarbons

// Config is [modules.mod_carbons]; there is nothing to set.
type Config struct{}

// Info describes mod_carbons.
var Info = modules.Define(modules.Info{
	Name:    "mod_carbons",
	Summary: "all devices of an account see both sides of its conversations",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 280, Version: "1.0.1", Note: "private and no-copy are passed on as they came, as §9 says since 1.0"},
		{Number: 334, Version: "1.0.0", Note: "no-copy"},
	},
}, Config{}, func(Config) modules.Module { return &module{} })

// Service is what other modules may ask.
type Service interface {
	// Got tells whether a session got a copy of a message before it was available, by the ID that the account's archive gave.
	Got(s modules.Session, id string) bool
}

type module struct{ h *modules.Host }

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	h.IQ(modules.Account, ns, m.iq)
	h.Disco(modules.Server, ns, "urn:xmpp:carbons:rules:0") // XEP-0280 §3, §6.2
	h.InlineBind(modules.InlineBind{Var: ns, Enable: func(_ context.Context, s modules.Session, r *stanza.Element) {
		if r.Name == "enable" {
			set(s, true)
		}
	}})
	h.Hooks.Outgoing.On(modules.Copy, m.outgoing)
	h.Hooks.ToBare.On(modules.Copy, m.incoming)
	h.Hooks.ToFull.On(modules.Copy, m.incoming)
	h.Hooks.Returned.On(modules.Copy, m.returned)
	modules.Provide[Service](h, m)
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// iq switches copies on or off for the session that asks (XEP-0280 §4, §5). However often is no error (§10.1).
func (m *module) iq(_ context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case !q.Own() || q.Origin == nil: // as for an account that does not exist
		return nil, stanza.Err(stanza.ServiceUnavailable, "")
	case q.Set() && q.Payload.Name == "enable":
		set(q.Origin, true)
		return nil, nil
	case q.Set() && q.Payload.Name == "disable":
		set(q.Origin, false)
		return nil, nil
	}
	return nil, stanza.Err(stanza.FeatureNotImplemented, "")
}

// outgoing copies what leaves the host for the sender's other devices (XEP-0280 §8).
func (m *module) outgoing(ctx context.Context, p *modules.Packet) error {
	if p.Stanza.Kind == stanza.KindMessage && p.To.Domain() != m.h.Name {
		m.sent(ctx, p)
	}
	return nil
}

// incoming copies what arrives for an account, for its other devices (XEP-0280 §7), and for those of its sender.
func (m *module) incoming(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindMessage || p.NoCopy || p.To.Local() == "" {
		return nil
	}
	if st.Type == stanza.TypeError {
		m.failed(ctx, p)
		return nil
	}
	if p.Origin != nil && p.From.Domain() == m.h.Name {
		if p.From.Bare() == p.To.Bare() {
			m.copy(ctx, "sent", p, st, p.Origin) // once is enough of what one writes to oneself
			return nil
		}
		m.sent(ctx, p)
	}
	if fate.Copied(st, true) {
		m.copy(ctx, "received", p, st, nil)
	}
	return nil
}

// sent copies what an account's client sends for the account's other devices.
func (m *module) sent(ctx context.Context, p *modules.Packet) {
	st := p.Stanza
	if p.Sent != nil {
		st = p.Sent
	}
	if p.NoCopy || p.Origin == nil || !fate.Copied(st, false) {
		return
	}
	account := p.From.Bare()
	var buf [8]modules.Session
	to := buf[:0]
	for _, s := range m.h.Router.Sessions(account) {
		if s != p.Origin && enabled(s) {
			to = append(to, s)
		}
	}
	if len(to) > 0 {
		m.fanOut(ctx, "sent", account, st, p.To, to)
		stateOf(p.Origin, true).remember(st.ID(), p.To.Bare())
	}
}

// copy copies a message for those devices of its recipient that do not get it themselves, nor are its sender.
func (m *module) copy(ctx context.Context, kind string, p *modules.Packet, st *stanza.Stanza, sender modules.Session) {
	if kind == "sent" && !fate.Copied(st, false) {
		return
	}
	account := p.To.Bare()
	all := m.h.Router.Sessions(account)
	if len(all) < 2 && (len(all) == 0 || !enabled(all[0])) {
		return
	}
	var addressed modules.Session
	if !p.To.IsBare() {
		addressed = m.h.Router.Session(p.To)
		if addressed == nil && st.Type != stanza.TypeChat {
			return // it comes back to its sender (RFC 6121 §8.5.3.2.1)
		}
	}
	var buf [8]modules.Session
	to := buf[:0]
	for _, s := range all {
		if s == sender || !enabled(s) || addressed != nil && s == addressed || addressed == nil && takes(s) {
			continue
		}
		to = append(to, s)
	}
	if len(to) == 0 {
		return
	}
	m.fanOut(ctx, kind, account, st, p.To, to)
	id, known := "", false
	for _, s := range to {
		if !takes(s) {
			if !known {
				id, known = st.Retain().StanzaID(account), true
			}
			stateOf(s, true).took(id)
		}
	}
}

// takes tells whether a session gets what is for the account (RFC 6121 §8.5.2.1.1).
func takes(s modules.Session) bool {
	p := s.Presence()
	return p != nil && p.Priority >= 0
}

// failed copies the error that answers a message which was copied (XEP-0280 §6.1).
func (m *module) failed(ctx context.Context, p *modules.Packet) {
	if p.To.IsBare() {
		return // RFC 6121 §8.5.2.1.1: nobody gets it
	}
	s := m.h.Router.Session(p.To)
	if s == nil {
		return
	}
	if c := stateOf(s, false); c == nil || !c.asked(p.Stanza.ID(), p.From.Bare()) {
		return
	}
	var to []modules.Session
	for _, o := range m.h.Router.Sessions(p.To.Bare()) {
		if o != s && enabled(o) {
			to = append(to, o)
		}
	}
	if len(to) > 0 {
		m.fanOut(ctx, "received", p.To.Bare(), p.Stanza, p.To, to)
	}
}

// returned ends the way of a message that comes back from the device it was for, where another has a copy of it.
func (m *module) returned(_ context.Context, r modules.Return) error {
	if r.Stanza.To() != r.To || !fate.Copied(r.Stanza, true) {
		return nil // one for the account has no copies
	}
	for _, s := range m.h.Router.Sessions(r.To.Bare()) {
		if c := stateOf(s, false); c != nil {
			if at := c.since.Load(); at != 0 && r.Before(time.Unix(0, at)) {
				return modules.Done
			}
		}
	}
	return nil
}

// fanOut sends copies of a message (XEP-0280 §7, §8). What a session does not take is not sent elsewhere: others have it.
func (m *module) fanOut(ctx context.Context, kind string, account stanza.JID, st *stanza.Stanza, addressee stanza.JID, to []modules.Session) {
	if st.To().IsZero() {
		st = st.Clone()
		st.SetTo(addressee)
	}
	xml := make([]byte, 0, st.Size()+192)
	xml = append(append(append(xml, '<'), kind...), " xmlns='"+ns+"'>"...)
	xml = st.AppendForwarded(xml)
	xml = append(append(append(xml, "</"...), kind...), '>')
	envelope := stanza.New(stanza.KindMessage, st.Type, "", account, stanza.JID{}, xml)
	for _, s := range to {
		c := envelope.Clone()
		c.SetTo(s.JID())
		s.Send(ctx, c)
	}
}

// Got implements Service.
func (m *module) Got(s modules.Session, id string) bool {
	c := stateOf(s, false)
	return c != nil && c.got(id)
}
