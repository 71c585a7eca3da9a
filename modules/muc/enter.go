package muc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// maxSessions is how many clients of one person may share a nickname in a room.
const maxSessions = 32

// available takes presence for a nickname: somebody enters, enters again, changes his nickname or says how he is.
func (r *room) available(ctx context.Context, p *modules.Packet) {
	o, s := r.occupantOf(p.From)
	entering := p.Stanza.Has(nsMUC, "x")
	var err error
	switch {
	case r.m.ended.Load(): // those who were in know
		err = errUnserved
	case p.To.IsBare():
		err = stanza.Err(stanza.JIDMalformed, "say under which nickname you enter") // §7.2.1
	case o == nil && !entering:
		r.refuseGhost(p)
	case p.Stanza.Size() > maxPresence:
		err = errSize
	case !r.paced(p.From, time.Now(), 1):
		err = errPace
	case o == nil:
		err = r.enter(ctx, p)
	case o.jid != p.To:
		err = r.rename(o, s, p)
	case entering: // he thinks that he is out
		s.presence = r.clean(p.Stanza)
		o.shown = s
		r.welcome(o, s, p, nil, without(r.present, s))
	default: // §7.7
		s.presence = r.clean(p.Stanza)
		o.shown = s
		r.show(o, &news{})
	}
	if err != nil {
		r.m.fail(ctx, p, err)
	}
}

// refuseGhost tells a client that it is not in the room, though it thinks so (§7.2.1, "Groupchat 1.0 Protocol").
func (r *room) refuseGhost(p *modules.Packet) {
	var x stanza.XML
	x.Start("x", "xmlns", nsUser).Empty("item", "affiliation", None.String(), "role", NoRole.String())
	for _, c := range []int{codeSelf, codeKicked, codeError} {
		status(&x, c)
	}
	r.send(stanza.New(stanza.KindPresence, stanza.TypeUnavailable, p.Stanza.ID(), p.To, p.From, x.Bytes()), p.From)
}

// enter lets somebody in, or says why not (§7.2).
func (r *room) enter(ctx context.Context, p *modules.Packet) error {
	nick := p.To.Resource()
	if !r.m.goodNick(nick) {
		return errNick
	}
	if !r.exists {
		if err := r.create(ctx, p.From); err != nil {
			return err
		}
	}
	created := r.locked && len(r.present) == 0
	if r.locked && r.affiliation(p.From) != Owner {
		return errNoRoom // §7.2.10
	}
	bare := p.From.Bare()
	if err := r.admits(p, bare); err != nil {
		return err
	}
	o := r.nicks[nick]
	switch {
	case o != nil && o.bare != bare:
		return errNickTaken // §7.2.8
	case o != nil && len(o.sessions) >= maxSessions:
		return stanza.Err(stanza.ResourceConstraint, "too many clients")
	case o == nil && r.full(bare):
		return &stanza.Error{Type: stanza.Wait, Condition: stanza.ServiceUnavailable, Text: "the room is full"} // §7.2.9
	case o == nil:
		o = &occupant{jid: p.To, bare: bare, id: r.m.occupantID(r.jid, bare), role: r.rec.Settings.roleOf(r.affiliation(bare))}
	}
	s := &session{full: p.From, presence: r.clean(p.Stanza)}
	before := r.present
	r.add(o, s)
	var codes []int
	if created {
		codes = []int{codeCreated}
	}
	r.welcome(o, s, p, codes, before)
	return nil
}

// admits says why somebody may not enter.
func (r *room) admits(p *modules.Packet, bare stanza.JID) error {
	aff := r.affiliation(bare)
	if aff == Outcast {
		return stanza.Err(stanza.Forbidden, "you are banned from this room") // §7.2.7
	}
	if aff == None && r.rec.Settings.MembersOnly {
		return stanza.Err(stanza.RegistrationRequired, "this room is for members") // §7.2.6
	}
	if aff == Owner { // he could read the password
		return nil
	}
	if want := r.rec.Settings.Password; want != "" {
		got := ""
		if i := p.Stanza.Find(nsMUC, "x"); i >= 0 {
			got = p.Stanza.Element(i).ChildText("password")
		}
		a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
		if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
			return stanza.Err(stanza.NotAuthorized, "the room asks for a password") // §7.2.5
		}
	}
	return nil
}

// full tells whether nobody more has room. Admins and owners always have (§7.2.9).
func (r *room) full(bare stanza.JID) bool {
	return len(r.nicks) >= min(r.rec.Settings.MaxUsers, r.m.cfg.Load().MaxOccupants) && r.affiliation(bare) < Admin
}

// create makes the room, locked until its maker has configured it (§10.1).
func (r *room) create(ctx context.Context, who stanza.JID) error {
	m, bare := r.m, who.Bare()
	if !m.mayCreate(who) {
		return stanza.Err(stanza.NotAllowed, "you may not make rooms here") // §10.1.1
	}
	m.mu.Lock()
	m.fresh[bare]++ // before those on disk are counted, so that one that gets there meanwhile is not missed
	fresh := m.fresh[bare]
	m.mu.Unlock()
	if err := r.allowed(ctx, who, fresh); err != nil {
		m.made(bare)
		return err
	}
	r.exists, r.locked, r.maker = true, true, bare
	r.rec = record{Created: time.Now().UTC(), Creator: bare.String(), Settings: m.cfg.Load().settings()}
	r.affs = map[stanza.JID]affiliated{bare: {Affiliation: Owner}}
	return nil
}

// allowed says why somebody may not make the room, being the last of the fresh ones that he is making, and sees to it that it begins with
// nothing.
func (r *room) allowed(ctx context.Context, who stanza.JID, fresh int) error {
	if limit := r.m.cfg.Load().RoomsPerAccount; limit > 0 && !r.m.h.Admin(who) {
		n, err := r.m.store.made(ctx, who.Bare().String(), limit)
		if err != nil {
			return err
		}
		if n+fresh > limit {
			return stanza.Err(stanza.ResourceConstraint, "you have made too many rooms")
		}
	}
	return r.begin(ctx)
}

// welcome tells who enters all that he must know: who is there, that he is in, what was said, and what about (§7.2.2 to §7.2.15). All
// others, who are before, learn that he is there.
func (r *room) welcome(o *occupant, s *session, p *modules.Packet, codes []int, before []*session) {
	for _, there := range r.occupants(before) {
		if there != o {
			r.send(r.presenceOf(there, there.shown, &news{}, r.sees(o), false), s.full) // §7.2.2
		}
	}
	if r.rec.Settings.Whois == whoisAnyone {
		codes = append(codes, codeRealJIDs) // §7.2.3
	}
	if r.rec.Settings.Archive {
		codes = append(codes, codeLogging) // §7.2.12
	}
	r.showTo(o, s, &news{}, before)
	r.showSelf(o, s, &news{self: codes}, s) // §7.2.2: his own comes last
	r.sendHistory(s, p.Stanza)
	r.send(r.subjectStanza(), s.full) // §7.2.15
}

// occupants returns whose sessions those are, in order.
func (r *room) occupants(of []*session) []*occupant {
	list := make([]*occupant, 0, len(of))
	for _, s := range of {
		if s == s.occupant.sessions[0] || !slices.Contains(list, s.occupant) && len(s.occupant.sessions) > 1 {
			list = append(list, s.occupant)
		}
	}
	return list
}

// rename changes an occupant's nickname, for all his sessions (§7.6).
func (r *room) rename(o *occupant, s *session, p *modules.Packet) error {
	nick := p.To.Resource()
	if !r.m.goodNick(nick) {
		return errNick
	}
	if r.nicks[nick] != nil {
		return errNickTaken // §7.6
	}
	r.show(o, &news{gone: true, nick: nick, codes: []int{codeNewNick}})
	delete(r.nicks, o.nick())
	o.jid = p.To
	r.nicks[nick] = o
	s.presence = r.clean(p.Stanza)
	o.shown = s
	r.show(o, &news{})
	return nil
}
