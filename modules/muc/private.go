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
	dropForged(st)
	st.SetFrom(o.jid)
	st.Add(r.mark(o))
	st.Add(pmMark)
	for _, s := range to.sessions {
		r.send(st, s.full)
	}
}

// pair returns who in the room sent a stanza, and for whom in it.
func (r *room) pair(p *modules.Packet) (from, to *occupant, err *stanza.Error) {
	if !r.exists {
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

// returned hands a private message that could not be delivered back to who sent it.
func (r *room) returned(o *occupant, p *modules.Packet) {
	to := r.nicks[p.To.Resource()]
	if to == nil || r.history.has(p.To, p.Stanza.ID()) { // for all: that one did not get it is no failure of who said it
		return
	}
	st := stanza.New(stanza.KindMessage, stanza.TypeError, p.Stanza.ID(), o.jid, stanza.JID{}, plainError(p.Stanza))
	for _, s := range to.sessions {
		r.send(st, s.full)
	}
}
