package muc

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of what a room remembers of its invitations, to tell the inviter when somebody declines.
const (
	maxInvited = 1000
	invitedFor = 7 * 24 * time.Hour
)

// invitedKey says which invitation somebody declines.
type invitedKey struct{ who, from stanza.JID }

// invited is an invitation that may be declined.
type invited struct {
	by stanza.JID // full
	id string     // of his message
	at time.Time
}

// remember keeps an invitation; the oldest one makes room for it.
func (r *room) remember(k invitedKey, v invited) {
	if r.invited == nil {
		r.invited = map[invitedKey]invited{}
	}
	if len(r.invited) >= maxInvited {
		oldest, at := invitedKey{}, v.at.Add(time.Hour)
		for k, old := range r.invited {
			switch {
			case v.at.Sub(old.at) > invitedFor:
				delete(r.invited, k)
			case old.at.Before(at):
				oldest, at = k, old.at
			}
		}
		if len(r.invited) >= maxInvited {
			delete(r.invited, oldest)
		}
	}
	r.invited[k] = v
}

// declines tells an inviter, if he is there, that somebody does not come (§7.8.2). Who was not invited can send nothing into a
// room in this way, and who was, once.
func (r *room) declines(p *modules.Packet, e *stanza.Element) error {
	to, err := stanza.ParseJID(e.Attr("to"))
	if err != nil {
		return stanza.Err(stanza.JIDMalformed, "whose invitation do you decline?")
	}
	k := invitedKey{p.From.Bare(), to}
	v, ok := r.invited[k]
	if !ok && to.Bare() != r.jid { // some write a resource that they know from elsewhere
		k.from = to.Bare()
		v, ok = r.invited[k]
	}
	if ok {
		delete(r.invited, k)
	}
	if !ok || time.Since(v.at) > invitedFor {
		return stanza.Err(stanza.ItemNotFound, "you have no invitation to decline")
	}
	var x stanza.XML
	x.Start("x", "xmlns", nsUser).Start("decline", "from", k.who.String())
	if reason := reasonOf(e); reason != "" {
		x.Leaf("reason", reason)
	}
	st := stanza.New(stanza.KindMessage, stanza.TypeNone, p.Stanza.ID(), r.jid, stanza.JID{}, x.Bytes())
	for _, s := range r.present {
		if s.occupant.bare == v.by.Bare() {
			r.send(st, s.full)
		}
	}
	return nil
}

// uninvited tells an inviter, if he is there, that an invitation could not be delivered (§7.8.2): p is the error that came back.
func (r *room) uninvited(p *modules.Packet) {
	e := p.Stanza.StanzaError()
	if e == nil || !p.To.IsBare() || p.Stanza.Kind != stanza.KindMessage {
		return
	}
	for k, v := range r.invited {
		if k.who != p.From.Bare() || v.id != p.Stanza.ID() {
			continue
		}
		delete(r.invited, k)
		if r.sessions[v.by] == nil {
			continue
		}
		var x stanza.XML
		x.Start("x", "xmlns", nsUser).Empty("invite", "to", k.who.String()).End()
		x.Raw(stanza.Err(e.Condition, "the invitation was not delivered").AppendTo(nil)) // not in the words of a stranger
		r.send(stanza.New(stanza.KindMessage, stanza.TypeError, v.id, r.jid, stanza.JID{}, x.Bytes()), v.by)
	}
}
