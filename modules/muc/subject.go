package muc

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// maxSubject is the longest subject, in bytes.
const maxSubject = 4096

// isSubject tells a change of the subject: a message with a subject and no body (§8.1).
func isSubject(st *stanza.Stanza) bool {
	return st.Has("", "subject") && !st.Has("", "body") && !st.Has("", "thread")
}

// changeSubject sets the room's subject (§8.1). All are told of it when it is on disk, and it is in the archive (XEP-0313 §6.1.2).
func (r *room) changeSubject(ctx context.Context, p *modules.Packet) {
	st, err := r.admit(p)
	if err != nil {
		r.m.h.Router.Bounce(ctx, p, err)
		return
	}
	o, _ := r.occupantOf(p.From)
	text := p.Stanza.Text("subject")
	switch {
	case o.role < Moderator && !r.rec.Settings.ChangeSubject:
		r.m.h.Router.Bounce(ctx, p, stanza.Err(stanza.Forbidden, "you may not change the subject"))
		return
	case len(text) > maxSubject:
		r.m.h.Router.Bounce(ctx, p, stanza.Err(stanza.NotAcceptable, "that subject is too long"))
		return
	}
	rec := r.rec
	rec.Subject = Subject{Text: text, Nick: o.nick(), ID: o.id, At: time.Now().UTC().Truncate(time.Millisecond)}
	if err := r.save(ctx, change{rec: &rec}); err != nil {
		r.m.fail(ctx, p, err)
		return
	}
	if err := r.keep(ctx, []*stanza.Stanza{st}, rec.Subject.At); err != nil { // all are told all the same: it is so
		r.m.h.Log.Error("subject not archived", "room", r.jid.String(), "err", err)
	}
	r.sendAll(st.Retain())
}

// subjectStanza is the subject for who enters, empty where there is none (§7.2.15).
func (r *room) subjectStanza() *stanza.Stanza {
	var x stanza.XML
	s := &r.rec.Subject
	from := r.jid
	x.Leaf("subject", s.Text)
	if s.Text != "" {
		if j, err := r.jid.WithResource(s.Nick); err == nil {
			from = j
		}
		x.Raw(mark(s.ID))
		x.Raw(stanza.AppendDelay(nil, r.jid, s.At, ""))
	}
	return stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "", from, stanza.JID{}, x.Bytes())
}
