package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// changeAffiliations bans (§9.1, §9.2), makes and unmakes members (§9.3 to §9.5), owners (§10.3 to §10.5) and admins (§10.6 to
// §10.8). All changes are on disk before anybody is told.
func (r *room) changeAffiliations(ctx context.Context, q *modules.IQ, by standing, items []*stanza.Element) error {
	affs, seen := map[stanza.JID]affiliated{}, map[stanza.JID]bool{}
	var invitees []stanza.JID
	for _, e := range items {
		to, ok := parseAffiliation(e.Attr("affiliation"))
		if !ok {
			return errBad
		}
		who, err := r.whom(e)
		if err == nil {
			err = r.mayChange(by, who, to)
		}
		if err != nil {
			return err
		}
		if seen[who] {
			return errTwice
		}
		seen[who] = true
		was, reason := r.affs[who], reasonOf(e)
		if was.Affiliation != to || to != None && reason != "" && reason != was.Reason {
			affs[who] = affiliated{to, reason}
		}
		if to == Member && r.affiliation(who) == None && r.rec.Settings.MembersOnly && who.Local() != "" {
			invitees = append(invitees, who)
		}
	}
	if err := r.sound(affs); err != nil {
		return err
	}
	before, absent := r.befores(), r.absentees(affs)
	if len(affs) > 0 {
		if err := r.save(ctx, change{affs: affs}); err != nil {
			return err
		}
	}
	done := r.done(ctx, q)
	for _, who := range invitees { // §9.5
		r.invite(&invitation{to: who, by: q.From, from: by.who, reason: affs[who].Reason})
	}
	r.showAffiliations(ctx, before, by.occupant, affs)
	r.tellAbsentees(absent)
	return done
}

// whom returns the bare JID that an item means, which may be that of a whole domain.
func (r *room) whom(e *stanza.Element) (stanza.JID, *stanza.Error) {
	jid := e.Attr("jid")
	if jid == "" {
		if e.Attr("nick") == "" {
			return stanza.JID{}, errBad
		}
		o, err := r.named(e)
		if err != nil {
			return stanza.JID{}, err
		}
		return o.bare, nil
	}
	j, err := stanza.ParseJID(jid)
	if err != nil {
		return stanza.JID{}, stanza.Err(stanza.JIDMalformed, "")
	}
	return j.Bare(), nil // §10.3
}

// mayChange says why somebody may not give somebody an affiliation.
func (r *room) mayChange(by standing, who stanza.JID, to Affiliation) *stanza.Error {
	switch {
	case by.aff >= Admin && to == Outcast && who == by.who: // §9.1
		return stanza.Err(stanza.Conflict, "you cannot ban yourself")
	case by.aff >= Admin && to == Outcast && r.m.h.Admin(who): // he is an owner, whatever the room says
		return errNotAllowed
	case by.aff == Owner && to >= Admin && who.Local() == "":
		return stanza.Err(stanza.NotAcceptable, "a whole domain can be a member or banned, no more")
	}
	return by.mayAffiliate(r.affiliation(who), to)
}

// sound says why the room cannot be with changed affiliations.
func (r *room) sound(affs map[stanza.JID]affiliated) *stanza.Error {
	n, owners, gone, size := len(r.affs), 0, 0, 0
	for who, a := range r.affs {
		size += len(who.String())
		if a.Affiliation == Owner {
			owners++
		}
	}
	for who, a := range affs {
		switch was := r.affs[who].Affiliation; {
		case was == None && a.Affiliation != None:
			n++
			size += len(who.String())
		case was != None && a.Affiliation == None:
			n--
		}
		if r.affs[who].Affiliation == Owner {
			gone++
		}
		if a.Affiliation == Owner {
			gone--
		}
	}
	limit := r.m.cfg.Load().MaxAffiliations
	switch {
	case gone > 0 && gone >= owners: // §10.4, §10.5
		return stanza.Err(stanza.Conflict, "a room has an owner")
	case n > len(r.affs) && (n > limit || size > max(limit, minLimit)*meanAddress):
		return stanza.Err(stanza.ResourceConstraint, "the room's lists are full")
	}
	return nil
}

// meanAddress is how long the addresses in a room's lists may be on the average, in bytes, and minLimit from how many on that is asked. Who
// may invite must not make lists of them that are too long for the room to send or to keep in memory.
const (
	meanAddress = 64
	minLimit    = 100
)

// before is what an occupant was before a change.
type before struct {
	*occupant
	aff Affiliation
}

func (r *room) befores() []before {
	var list []before
	for _, o := range r.occupants(r.present) {
		list = append(list, before{o, r.affiliation(o.bare)})
	}
	return list
}

// showAffiliations does to those in the room what follows from changed affiliations, and shows it to all: who is banned is
// thrown out (§9.1), and so is who is no member any more of a room for members (§9.4); the others' roles change with their
// affiliations (§5.1.3). A change for a whole domain is one for all who are there from it.
func (r *room) showAffiliations(ctx context.Context, list []before, actor *occupant, affs map[stanza.JID]affiliated) {
	var out []expulsion
	var stay []func()
	for _, b := range list {
		o, aff := b.occupant, r.affiliation(b.bare)
		if aff == b.aff {
			continue
		}
		a, ok := affs[o.bare]
		if !ok {
			a = affs[o.bare.Host()]
		}
		n := &news{actor: actor, reason: a.Reason}
		switch {
		case aff == Outcast:
			n.codes = []int{codeBanned}
			out = append(out, expulsion{of: o, news: n})
		case aff == None && r.rec.Settings.MembersOnly:
			n.codes = []int{codeAffiliation}
			out = append(out, expulsion{of: o, news: n})
		default:
			stay = append(stay, func() { r.setRole(o, r.roleAfter(o.role, b.aff, aff), n) })
		}
	}
	r.expelAll(ctx, out)
	for _, show := range stay {
		show()
	}
}

// roleAfter returns the role of an occupant whose affiliation has changed: who gains one has at least the role that goes with
// it, who loses one no more than that (§5.1.3).
func (r *room) roleAfter(role Role, was, now Affiliation) Role {
	goes := r.rec.Settings.roleOf(now)
	if now > was {
		return max(role, goes)
	}
	return min(role, goes)
}
