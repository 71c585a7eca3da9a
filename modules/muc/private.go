package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// pmMark says that a message came through a room (§7.5).
var pmMark = []byte("<x xmlns='" + nsUser + "'/>")

// private takes a message for one occupant (§7.5). All his sessions get it.
func (r *room) private(ctx context.Context, p *modules.Packet) {
	o, to, err := r.pair(p)
	switch {
	case err != nil:
	case p.Stanza.Type == stanza.TypeGroupchat:
		err = stanza.Err(stanza.BadRequest, "what is for all goes to the room") // §7.5
	case !r.rec.Settings.mayPM(o.role):
		err = stanza.Err(stanza.Forbidden, "you may not send private messages in this room")
	}
	if err != nil {
		r.m.h.Router.Bounce(ctx, p, err)
		return
	}
	st := p.Stanza.Clone()
	r.dropForged(st)
	st.DropStanzaIDs(to.bare) // see sendOne
	st.SetFrom(o.jid)
	st.Add(mark(o.id))
	st.Add(pmMark)
	r.remembers(p, o, to)
	r.sendOne(st, to)
}

// sendOne sends a message to all sessions of an occupant, each of which gets it once, and his account's archive too: nobody copies it for
// his devices (XEP-0280 §6.1), and all of them get it with the ID that the archive gives to the first.
func (r *room) sendOne(st *stanza.Stanza, o *occupant) {
	for i, s := range o.sessions {
		st.SetTo(s.full)
		r.packet = modules.Packet{Stanza: st, From: st.From(), To: s.full, NoCopy: true, Again: i > 0 && st.HasStanzaID(o.bare)}
		r.m.h.Router.Route(r.ctx, &r.packet)
		if i+1 < len(o.sessions) {
			st = r.packet.Stanza.Retain() // what was added is found in it then
		}
	}
}

// pair returns who in the room sent a stanza, and for whom in it.
func (r *room) pair(p *modules.Packet) (from, to *occupant, err *stanza.Error) {
	if !r.exists || r.locked && r.affiliation(p.From) != Owner { // §10.1.3
		return nil, nil, errNoRoom
	}
	if from, _ = r.occupantOf(p.From); from == nil {
		return nil, nil, errOutside // §7.5
	}
	if to = r.nicks[p.To.Resource()]; to == nil {
		return nil, nil, errNoNick
	}
	return from, to, nil
}

// passed is a private message that was passed on, by which an error that comes back is known as one's.
type passed struct {
	by       *occupant
	from, to stanza.JID // as whom, and bare: to whom
	id       string     // the beginning of it
	returned bool
}

// The bounds of what a room remembers of private messages. Errors of earlier ones are lost.
const (
	maxPassed   = 256
	maxPassedID = 128 // bytes
)

// remembers keeps what an error of a private message would be known by.
func (r *room) remembers(p *modules.Packet, by, to *occupant) {
	if len(r.passed) >= maxPassed {
		r.passed = append(r.passed[:0], r.passed[maxPassed/2:]...)
	}
	r.passed = append(r.passed, passed{by: by, from: by.jid, to: to.bare, id: stanza.Truncate(p.Stanza.ID(), maxPassedID)})
}

// privateOf returns the private message that an error of an occupant is about, or nil: messages for all come back too.
func (r *room) privateOf(o *occupant, p *modules.Packet) *passed {
	if p.Stanza.Kind != stanza.KindMessage {
		return nil
	}
	id := stanza.Truncate(p.Stanza.ID(), maxPassedID)
	for i := len(r.passed) - 1; i >= 0; i-- {
		if m := &r.passed[i]; m.from == p.To && m.to == o.bare && m.id == id {
			return m
		}
	}
	return nil
}

// returned tells who sent a private message that it could not be delivered: once, though each client of the other may have refused it,
// and not in the other's words, so that an error is no way around what the room allows.
func (r *room) returned(o *occupant, m *passed, p *modules.Packet) {
	if m.returned {
		return
	}
	m.returned = true
	payload := append(mark(o.id), plainError(p.Stanza)...)
	st := stanza.New(stanza.KindMessage, stanza.TypeError, p.Stanza.ID(), o.jid, stanza.JID{}, payload)
	for _, s := range m.by.sessions {
		r.send(st, s.full)
	}
}
