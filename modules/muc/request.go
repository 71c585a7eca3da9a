package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// request takes messages for the room itself: invitations and their refusals (§7.8.2), requests for voice and their approval
// (§7.13, §8.6).
func (r *room) request(ctx context.Context, p *modules.Packet) {
	if err := r.asks(ctx, p); err != nil {
		r.m.fail(ctx, p, err)
	}
}

func (r *room) asks(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Has(nsUser, "x") {
		r.settle(ctx, p.From)
	}
	if !r.open() {
		return errNoRoom
	}
	for i := st.Find(nsUser, "x"); i >= 0; i = st.FindNext(i, nsUser, "x") {
		e := st.Element(i)
		if e.Child("", "invite") != nil {
			return r.invites(ctx, p, e)
		}
		if d := e.Child("", "decline"); d != nil {
			return r.declines(p, d)
		}
	}
	o, _ := r.occupantOf(p.From)
	if o == nil {
		return errOutside
	}
	for i := st.Find(stanza.NSData, "x"); i >= 0; i = st.FindNext(i, stanza.NSData, "x") {
		f, err := stanza.ParseForm(st.Element(i))
		switch {
		case err != nil:
			return errBad
		case f.Kind == "cancel": // §8.6: who does not want to decide skips it
			return nil
		case f.Type == nsRequest && o.role == Moderator:
			return r.approveVoice(p, o, f)
		case f.Type == nsRequest:
			return r.askVoice(o, f)
		}
	}
	return stanza.Err(stanza.BadRequest, "what is for all in the room is of type groupchat")
}
