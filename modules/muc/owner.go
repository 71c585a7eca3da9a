package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// owner answers the owners' requests (§10): for the form of the configuration, and to configure or destroy the room.
func (r *room) owner(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if r.affiliation(q.From) != Owner {
		if r.locked { // it is not there for others (§10.1.3)
			return nil, errNoRoom
		}
		return nil, errForbidden // §10.2, §10.9
	}
	if q.Payload == nil || q.Payload.Name != "query" {
		return nil, errBad
	}
	if !q.Set() {
		return r.configForm(), nil
	}
	if len(q.Payload.Children) != 1 {
		return nil, stanza.Err(stanza.BadRequest, "the request is one form, or to destroy the room")
	}
	switch e := q.Payload.Children[0]; {
	case e.NS == stanza.NSData && e.Name == "x":
		return nil, r.configure(ctx, q, e)
	case e.NS == nsOwner && e.Name == "destroy":
		return nil, r.destroyAsked(ctx, q, e)
	}
	return nil, errBad
}

// configForm is the form with what is in force, of a new room as well (§10.1.3, §10.2). Owners see the password.
func (r *room) configForm() []byte {
	var x stanza.XML
	f := r.rec.Settings.form(r.m.cfg.Load(), "Configuration of "+r.jid.Local())
	x.Start("query", "xmlns", nsOwner).Raw(f.Bytes())
	return x.Bytes()
}

// configure takes a form that an owner has filled in or cancelled.
func (r *room) configure(ctx context.Context, q *modules.IQ, e *stanza.Element) error {
	f, err := stanza.ParseForm(e)
	if err != nil {
		return stanza.Err(stanza.BadRequest, "that is no form, or too large")
	}
	switch {
	case f.Kind == "cancel" && r.locked:
		return r.destroy(ctx, nil) // §10.1.3
	case f.Kind == "cancel":
		return nil // §10.2: all stays
	case f.Kind != "submit":
		return stanza.Err(stanza.BadRequest, "the form is to be submitted or cancelled")
	case f.Type != nsConfig && (f.Type != "" || len(f.Fields) > 0): // XEP-0068 §4.3; §10.1.2: an empty one takes all as it is
		return stanza.Err(stanza.BadRequest, "FORM_TYPE must be "+nsConfig)
	}
	was := r.rec.Settings
	now, bad := was.with(f, r.m.cfg.Load())
	switch {
	case bad != nil:
		return bad
	case r.locked:
		err = r.unlock(ctx, now) // §10.1.2, §10.1.3
	case now == was:
		return nil
	default:
		rec := r.rec
		rec.Settings = now
		err = r.save(ctx, change{rec: &rec})
	}
	if err != nil {
		return err
	}
	r.m.h.Log.Debug("room configured", "room", r.jid.String(), "by", q.From.Bare().String())
	r.configured(ctx, &was)
	return nil
}

// configured tells all that the configuration has changed, and puts in force what concerns those who are there.
func (r *room) configured(ctx context.Context, was *Settings) {
	now := &r.rec.Settings
	if *now == *was {
		return
	}
	var x stanza.XML
	x.Start("x", "xmlns", nsUser)
	for _, c := range changeCodes(was, now) {
		status(&x, c)
	}
	r.tell(x.Bytes())
	if now.MembersOnly && !was.MembersOnly {
		r.expelStrangers(ctx)
	}
}

// changeCodes are the codes that tell of a change. 104 is always there, since others of what the room's description says may have
// changed as well.
func changeCodes(was, now *Settings) []int {
	codes := []int{codeConfig} // §10.2.1
	switch {
	case now.Archive == was.Archive:
	case now.Archive:
		codes = append(codes, codeLogging)
	default:
		codes = append(codes, codeNoLogging)
	}
	switch {
	case now.Whois == was.Whois:
	case now.Whois == whoisAnyone:
		codes = append(codes, codeNonAnon)
	default:
		codes = append(codes, codeSemiAnon)
	}
	return codes
}

// expelStrangers takes those out who are no members of a room that is for members now (§10.2).
func (r *room) expelStrangers(ctx context.Context) {
	var out []expulsion
	for _, o := range r.occupants(r.present) {
		if r.affiliation(o.bare) < Member {
			out = append(out, expulsion{of: o, news: &news{codes: []int{codeMembersOnly}}})
		}
	}
	r.expelAll(ctx, out)
}
