package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// unavailable takes an occupant out who leaves (§7.14). Whatever nickname he says, it is he.
func (r *room) unavailable(ctx context.Context, p *modules.Packet) {
	o, s := r.occupantOf(p.From)
	if o == nil {
		return
	}
	s.presence = r.clean(p.Stanza)
	r.out(ctx, o, s, &news{gone: true})
}

// failed takes an occupant out whose client cannot be reached, as an error tells that the room gets back.
func (r *room) failed(ctx context.Context, p *modules.Packet) {
	o, s := r.occupantOf(p.From)
	if o == nil {
		r.uninvited(p)
		return
	}
	e := p.Stanza.StanzaError()
	if e == nil {
		return
	}
	if pm := r.privateOf(o, p); pm != nil {
		r.returned(o, pm, p)
		if e.Condition == stanza.ServiceUnavailable {
			// It is also what who is blocked hears (XEP-0191 §3.3): nobody could be blocked who then may put out of the room who blocks
			// him. Whose client is gone will not take the next message for all either.
			return
		}
	}
	if unreachable[e.Condition] {
		r.out(ctx, o, s, &news{gone: true, codes: []int{codeError}, reason: string(e.Condition)})
	}
}

// unreachable are the conditions that say that nobody is there any more.
var unreachable = map[stanza.Condition]bool{
	stanza.Gone: true, stanza.ItemNotFound: true, stanza.JIDMalformed: true, stanza.RecipientUnavailable: true,
	stanza.Redirect: true, stanza.RemoteServerNotFound: true, stanza.RemoteServerTimeout: true, stanza.ServiceUnavailable: true,
}

// out takes one session out of the room, and tells of it. The occupant is there as long as he has another one.
func (r *room) out(ctx context.Context, o *occupant, s *session, n *news) {
	was := o.shown
	if !r.drop(s) {
		s.left = false // he is told, too
		r.showSelf(o, s, n, s)
		s.left = true
		if was == s {
			r.show(o, &news{})
		}
		return
	}
	r.showTo(o, s, n, r.present)
	r.showSelf(o, s, n, s)
	r.emptied(ctx)
}

// shut tells all that they are out, each of himself alone: the others learn it the same way.
func (r *room) shut() {
	for _, s := range r.dropAll() {
		r.showSelf(s.occupant, s, &news{gone: true, self: []int{codeShutdown}}, s)
	}
}

// emptied ends a room that does not outlive those who are in it (§10.1.2, §10.2: muc#roomconfig_persistentroom).
func (r *room) emptied(ctx context.Context) {
	if len(r.present) > 0 || !r.exists || r.m.ended.Load() || !r.locked && r.rec.Settings.Persistent {
		return
	}
	if err := r.remove(ctx); err != nil {
		r.m.h.Log.Error("room not removed", "room", r.jid.String(), "err", err)
	}
}
