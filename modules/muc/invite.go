package muc

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of invitations.
const (
	maxInvitees = 20  // in one message
	maxThread   = 256 // bytes of the thread that goes on in the room (§7.9)
)

// invitation is what a room sends in somebody's name (§7.8.2).
type invitation struct {
	to       stanza.JID // as the inviter wrote it
	by       stanza.JID // full: the inviter
	from     stanza.JID // the inviter, as the invitee gets to see him: by his own address, since anybody can have any nickname
	id       string     // of the inviter's message
	reason   string
	goesOn   bool   // a talk of two goes on in the room (§7.9)
	threadID string // of that talk
}

// invites sends somebody's invitations. In a room for members they make members, which is on disk before they are sent.
func (r *room) invites(ctx context.Context, p *modules.Packet, x *stanza.Element) error {
	by := r.standing(p.From)
	if err := r.mayInvite(by); err != nil {
		return err
	}
	var list []*invitation
	affs := map[stanza.JID]affiliated{}
	for _, e := range x.Children {
		if e.NS != nsUser || e.Name != "invite" {
			continue
		}
		if len(list) == maxInvitees {
			return stanza.Err(stanza.NotAcceptable, "too many invitations in one message")
		}
		in, err := r.invitation(p, by, e)
		if err != nil {
			return err
		}
		list = append(list, in)
		if who := in.to.Bare(); r.rec.Settings.MembersOnly && r.affiliation(who) == None { // §9.5: an open room's make nobody a member
			affs[who] = affiliated{Affiliation: Member}
		}
	}
	if !r.paced(p.From, time.Now(), len(list)) { // each goes to a stranger
		return stanza.Err(stanza.ResourceConstraint, "you invite too often")
	}
	if len(affs) > 0 {
		if err := r.sound(affs); err != nil {
			return err
		}
		absent := r.absentees(affs)
		if err := r.save(ctx, change{affs: affs}); err != nil {
			return err
		}
		r.tellAbsentees(absent)
	}
	for _, in := range list {
		r.invite(in)
	}
	return nil
}

// mayInvite says why somebody may not invite.
func (r *room) mayInvite(by standing) *stanza.Error {
	s := &r.rec.Settings
	switch {
	case by.occupant == nil:
		return errOutside
	case s.Moderated && by.role < Participant: // §5.1.1
		return stanza.Err(stanza.Forbidden, "you have no voice in this room")
	case s.MembersOnly && by.aff < Admin && !(s.AllowInvites && by.aff == Member): // §7.8.2, §9.5
		return stanza.Err(stanza.Forbidden, "only admins may invite to this room")
	}
	return nil
}

// invitation reads an <invite/>.
func (r *room) invitation(p *modules.Packet, by standing, e *stanza.Element) (*invitation, error) {
	to, err := stanza.ParseJID(e.Attr("to"))
	switch {
	case err != nil:
		return nil, stanza.Err(stanza.JIDMalformed, "whom do you invite?")
	case to.Local() == "" || to.Domain() == r.jid.Domain(): // a domain would be a lot of members
		return nil, stanza.Err(stanza.NotAcceptable, "only people can be invited")
	case r.affiliation(to) == Outcast:
		return nil, stanza.Err(stanza.Forbidden, "who is banned cannot be invited")
	}
	in := &invitation{to: to, by: p.From, from: by.who, id: p.Stanza.ID(), reason: reasonOf(e)}
	if c := e.Child("", "continue"); c != nil {
		in.goesOn, in.threadID = true, stanza.Truncate(c.Attr("thread"), maxThread)
	}
	return in, nil
}

// invite sends an invitation and remembers it.
func (r *room) invite(in *invitation) {
	r.remember(invitedKey{in.to.Bare(), in.from}, invited{in.by, in.id, time.Now()})
	goesOn, password := "", r.rec.Settings.Password
	var x stanza.XML
	x.Start("x", "xmlns", nsUser).Start("invite", "from", in.from.String())
	if in.reason != "" {
		x.Leaf("reason", in.reason)
	}
	if in.goesOn { // §7.9
		goesOn = "true"
		x.Empty("continue", "thread", in.threadID)
	}
	x.End()
	if password != "" {
		x.Leaf("password", password)
	}
	x.End()
	// COMPAT: for clients that know direct invitations only (XEP-0249 §2), and the text for those that know none. Prosody and
	// ejabberd send both.
	x.Empty("x", "xmlns", nsDirect, "jid", r.jid.String(), "password", password, "reason", in.reason, "continue", goesOn, "thread", in.threadID)
	text := in.from.String() + " invited you to the room " + r.jid.String()
	if in.reason != "" {
		text += " (" + in.reason + ")"
	}
	x.Leaf("body", text)
	r.send(stanza.New(stanza.KindMessage, stanza.TypeNone, in.id, r.jid, stanza.JID{}, x.Bytes()), in.to)
}
