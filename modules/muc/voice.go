package muc

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of requests for voice in one room.
const (
	voiceEvery = 5 * time.Minute // how often one person may ask
	maxVoices  = 1000            // people who have asked in that time
)

// The fields of §8.6.
const (
	fieldRole  = "muc#role"
	fieldJID   = "muc#jid"
	fieldNick  = "muc#roomnick"
	fieldAllow = "muc#request_allow"
)

// askVoice brings a visitor's request for voice before the moderators (§7.13).
func (r *room) askVoice(o *occupant, f *stanza.Form) error {
	switch {
	case f.Value(fieldRole) != Participant.String():
		return stanza.Err(stanza.BadRequest, "only the role of participant can be asked for")
	case o.role >= Participant:
		return stanza.Err(stanza.UnexpectedRequest, "you have voice")
	}
	var to []*session
	for _, s := range r.present {
		if s.occupant.role == Moderator {
			to = append(to, s)
		}
	}
	if len(to) == 0 {
		return stanza.Err(stanza.RecipientUnavailable, "there is no moderator in the room now")
	}
	if err := r.paceVoice(o.bare, time.Now()); err != nil {
		return err
	}
	form := stanza.Form{
		Kind: "form", Type: nsRequest, Title: "Voice request",
		Instructions: "To let this person speak in the room, choose so and submit. To skip the request, cancel.",
		Fields: []stanza.FormField{
			{Var: fieldRole, Type: "list-single", Label: "Requested role", Values: []string{Participant.String()},
				Options: []stanza.FormOption{{Label: "Participant", Value: Participant.String()}}},
			{Var: fieldJID, Type: "jid-single", Label: "User ID", Values: []string{o.shown.full.String()}},
			{Var: fieldNick, Type: "text-single", Label: "Room Nickname", Values: []string{o.nick()}},
			{Var: fieldAllow, Type: "boolean", Label: "Grant voice to this person?", Values: []string{"false"}},
		},
	}
	st := stanza.New(stanza.KindMessage, stanza.TypeNone, "", r.jid, stanza.JID{}, form.Bytes())
	for _, s := range to {
		r.send(st, s.full)
	}
	return nil
}

// paceVoice says why somebody may not ask for voice now.
func (r *room) paceVoice(who stanza.JID, now time.Time) *stanza.Error {
	for k, at := range r.voices {
		if now.Sub(at) >= voiceEvery {
			delete(r.voices, k)
		}
	}
	if _, ok := r.voices[who]; ok || len(r.voices) >= maxVoices {
		return stanza.Err(stanza.ResourceConstraint, "ask again in a few minutes")
	}
	if r.voices == nil {
		r.voices = map[stanza.JID]time.Time{}
	}
	r.voices[who] = now
	return nil
}

// approveVoice gives voice to whom a moderator's answer names (§8.6). What the moderator may not do otherwise, he may not do so.
func (r *room) approveVoice(p *modules.Packet, by *occupant, f *stanza.Form) error {
	if f.Field(fieldAllow) == nil {
		return stanza.Err(stanza.UnexpectedRequest, "you have voice") // a moderator asks for it
	}
	if role := f.Value(fieldRole); role != "" && role != Participant.String() {
		return errBad
	}
	if !f.Bool(fieldAllow) {
		return nil
	}
	j, err := r.jid.WithResource(f.Value(fieldNick))
	o := r.nicks[j.Resource()]
	if err != nil || o == nil {
		return errNoNick
	}
	if who := f.Value(fieldJID); who != "" { // the nickname may be another's now
		if j, err := stanza.ParseJID(who); err != nil || j.Bare() != o.bare {
			return errNoNick
		}
	}
	if o.role != Visitor { // he has it
		return nil
	}
	actor := r.standing(p.From)
	if err := actor.mayGiveRole(standing{aff: r.affiliation(o.bare), role: o.role}, Participant); err != nil {
		return err
	}
	r.setRole(o, Participant, &news{actor: by}) // §8.3
	return nil
}
