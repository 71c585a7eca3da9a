package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// maxDestroyText is the longest reason for which a room is destroyed, and the longest password of the one to go to, in bytes.
const maxDestroyText = 1024

// destroyAsked ends the room, because an owner wills it (§10.9).
func (r *room) destroyAsked(ctx context.Context, q *modules.IQ, e *stanza.Element) error {
	venue, reason, password := e.Attr("jid"), e.ChildText("reason"), e.ChildText("password")
	if venue != "" {
		j, err := stanza.ParseJID(venue)
		if err != nil {
			return stanza.Err(stanza.JIDMalformed, "the room to go to has no such address")
		}
		venue = j.String()
	}
	if len(reason) > maxDestroyText || len(password) > maxDestroyText {
		return stanza.Err(stanza.NotAcceptable, "the reason or the password is too long")
	}
	if err := r.destroy(ctx, destroyed(venue, reason, password)); err != nil {
		return err
	}
	r.m.h.Log.Info("room destroyed", "room", r.jid.String(), "by", q.From.Bare().String())
	return nil
}

// destroyed says that a room is no more, and which one to go to.
func destroyed(venue, reason, password string) []byte {
	var x stanza.XML
	if reason == "" && password == "" {
		return x.Empty("destroy", "jid", venue).Bytes()
	}
	x.Start("destroy", "jid", venue)
	if password != "" {
		x.Leaf("password", password)
	}
	if reason != "" {
		x.Leaf("reason", reason)
	}
	return x.Bytes()
}

// destroy removes the room, whatever it is, and then takes out all who are in it. Each is told of himself alone (§10.9). dest is
// <destroy/>; nil: one that says nothing.
func (r *room) destroy(ctx context.Context, dest []byte) error {
	if err := r.remove(ctx); err != nil {
		return err
	}
	if dest == nil {
		dest = destroyed("", "", "")
	}
	for _, s := range r.dropAll() {
		var x stanza.XML
		x.Raw(mark(s.occupant.id))
		x.Start("x", "xmlns", nsUser).Empty("item", "affiliation", None.String(), "role", NoRole.String()).Raw(dest)
		status(&x, codeSelf)
		r.send(stanza.New(stanza.KindPresence, stanza.TypeUnavailable, "", s.occupant.jid, stanza.JID{}, x.Bytes()), s.full)
	}
	return nil
}
