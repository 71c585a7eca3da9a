package muc

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The namespaces of moderation, XEP-0425 of today and, with a 0, of versions before 0.3, which many clients still speak.
const (
	nsModerate  = "urn:xmpp:message-moderate:1"
	nsRetract   = "urn:xmpp:message-retract:1"
	nsModerate0 = "urn:xmpp:message-moderate:0"
	nsRetract0  = "urn:xmpp:message-retract:0"
	nsFasten0   = "urn:xmpp:fasten:0" // XEP-0422
)

// moderationFeatures are what a room announces of moderation (XEP-0425 §2).
var moderationFeatures = []string{nsModerate, nsModerate0}

// moderate retracts a message at a moderator's request (XEP-0425 §3). It is gone from the archive before all are told.
func (r *room) moderate(ctx context.Context, q *modules.IQ) ([]byte, error) {
	e := q.Payload
	if e == nil || e.NS != nsModerate || e.Name != "moderate" {
		return nil, errBad
	}
	return nil, r.retract(ctx, q, e.Attr("id"), e, nsRetract)
}

// moderate0 is moderate as older clients ask for it.
func (r *room) moderate0(ctx context.Context, q *modules.IQ) ([]byte, error) {
	e := q.Payload
	if e == nil || e.NS != nsFasten0 || e.Name != "apply-to" {
		return nil, errBad
	}
	m := e.Child(nsModerate0, "moderate")
	if m == nil {
		return nil, errUnserved
	}
	return nil, r.retract(ctx, q, e.Attr("id"), m, nsRetract0)
}

func (r *room) retract(ctx context.Context, q *modules.IQ, id string, e *stanza.Element, ns string) error {
	o, _ := r.occupantOf(q.From)
	switch {
	case !q.Set() || id == "":
		return errBad
	case e.Child(ns, "retract") == nil:
		return stanza.Err(stanza.FeatureNotImplemented, "messages can be retracted, no more")
	case o == nil:
		return errOutside
	case o.role != Moderator: // XEP-0425 §3.2
		return stanza.Err(stanza.Forbidden, "only moderators may retract others' messages")
	}
	found, err := r.erase(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return stanza.Err(stanza.ItemNotFound, "there is no such message")
	}
	r.announce(ctx, retraction(id, o, reasonOf(e)))
	return nil
}

// retraction tells that a message was retracted, in the words of both versions (XEP-0425 §3.1).
func retraction(id string, by *occupant, reason string) []byte {
	var x stanza.XML
	x.Start("retract", "xmlns", nsRetract, "id", id)
	x.Start("moderated", "xmlns", nsModerate, "by", by.jid.String()).Raw(mark(by.id)).End()
	if reason != "" {
		x.Leaf("reason", reason)
	}
	x.End()
	x.Start("apply-to", "xmlns", nsFasten0, "id", id)
	x.Start("moderated", "xmlns", nsModerate0, "by", by.jid.String()).Empty("retract", "xmlns", nsRetract0)
	if reason != "" {
		x.Leaf("reason", reason)
	}
	return x.Bytes()
}

// announce sends a message of the room to all who are in it, and keeps it for those who come later: who has a copy of what was
// retracted is to learn of it.
func (r *room) announce(ctx context.Context, payload []byte) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	st := stanza.New(stanza.KindMessage, stanza.TypeGroupchat, rand.Text(), r.jid, stanza.JID{}, payload)
	if err := r.keep(ctx, []*stanza.Stanza{st}, now); err != nil { // those who are here are told all the same: it is so
		r.m.h.Log.Error("retraction not archived", "room", r.jid.String(), "err", err)
	}
	r.sendKept(st, now)
}
