package muc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// send sends a stanza, which is from somebody in the room or from the room, to one session. Who wants to use st again may.
func (r *room) send(st *stanza.Stanza, to stanza.JID) {
	st.SetTo(to)
	r.packet = modules.Packet{Stanza: st, From: st.From(), To: to}
	r.m.h.Router.Route(r.ctx, &r.packet)
}

// news is what a presence says besides what its sender says himself.
type news struct {
	gone   bool
	codes  []int
	self   []int     // codes for the occupant himself, besides 110
	nick   string    // the new one (§7.6)
	actor  *occupant // who did it (§8.2)
	reason string
}

// show tells all in the room of an occupant's presence as it is now (§7.2.2, §7.7, §7.14): who may see the real address sees it, and
// the occupant himself is told that it is his own.
func (r *room) show(o *occupant, n *news) {
	r.showTo(o, o.shown, n, r.present)
}

// showTo tells some sessions.
func (r *room) showTo(o *occupant, s *session, n *news, list []*session) {
	var open, hidden *stanza.Stanza
	for _, to := range list {
		switch {
		case to.left:
		case to.occupant == o:
			r.showSelf(o, s, n, to)
		case r.sees(to.occupant):
			if open == nil {
				open = r.presenceOf(o, s, n, true, false)
			}
			r.send(open, to.full)
		default:
			if hidden == nil {
				hidden = r.presenceOf(o, s, n, false, false)
			}
			r.send(hidden, to.full)
		}
	}
}

// showSelf tells an occupant of himself.
func (r *room) showSelf(o *occupant, s *session, n *news, to *session) {
	r.send(r.presenceOf(o, s, n, true, true), to.full)
}

// sees tells whether an occupant sees the others' real addresses (§4.2).
func (r *room) sees(o *occupant) bool {
	return o.role == Moderator || r.rec.Settings.Whois == whoisAnyone
}

// presenceOf makes a presence of an occupant: what his client says, and what the room says of him (§7.2.2).
func (r *room) presenceOf(o *occupant, s *session, n *news, real, self bool) *stanza.Stanza {
	var x stanza.XML
	x.Raw(mark(o.id))
	x.Start("x", "xmlns", nsUser)
	role, jid := o.role, ""
	if n.gone && n.nick == "" {
		role = NoRole // §7.14
	}
	if real {
		jid = s.full.String()
	}
	attrs := []string{"affiliation", r.affiliation(o.bare).String(), "role", role.String(), "jid", jid, "nick", n.nick}
	if n.actor == nil && n.reason == "" {
		x.Empty("item", attrs...)
	} else {
		x.Start("item", attrs...)
		if n.actor != nil {
			x.Empty("actor", "nick", n.actor.nick())
		}
		if n.reason != "" {
			x.Leaf("reason", n.reason)
		}
		x.End()
	}
	for _, c := range n.codes {
		status(&x, c)
	}
	if self {
		status(&x, codeSelf)
		for _, c := range n.self {
			status(&x, c)
		}
	}
	x.End()
	if n.gone && s.presence.Type != stanza.TypeUnavailable {
		return stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", o.jid, stanza.JID{}, x.Bytes())
	}
	st := s.presence.Clone()
	st.SetFrom(o.jid)
	st.Add(x.Bytes())
	return st
}

func status(x *stanza.XML, code int) { x.Empty("status", "code", strconv.Itoa(code)) }

// occupantID makes the ID by which an occupant is known in a room, whatever his nickname, and which tells nothing else
// (XEP-0421 §3).
func (m *module) occupantID(room, who stanza.JID) string {
	mac := hmac.New(sha256.New, m.secret)
	mac.Write(append(room.Bare().AppendTo(nil), 0))
	mac.Write(who.Bare().AppendTo(nil))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// tell sends a message of the room to all who are in it.
func (r *room) tell(payload []byte) {
	r.sendAll(stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "", r.jid, stanza.JID{}, payload))
}

// sendAll sends a stanza to all who are in the room.
func (r *room) sendAll(st *stanza.Stanza) {
	for _, to := range r.present {
		r.send(st, to.full)
	}
}
