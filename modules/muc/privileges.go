package muc

import "github.com/xmppd/xmppd/stanza"

var errNotAllowed = stanza.Err(stanza.NotAllowed, "")

// standing is what somebody is to a room: what he may do to others, or what others may do to him.
type standing struct {
	aff      Affiliation
	role     Role
	who      stanza.JID // bare
	occupant *occupant  // nil: he is not in the room
}

// standing returns what the owner of a full JID is.
func (r *room) standing(full stanza.JID) standing {
	s := standing{aff: r.affiliation(full), who: full.Bare()}
	if o, _ := r.occupantOf(full); o != nil {
		s.role, s.occupant = o.role, o
	}
	return s
}

// privileged tells whether he may change anything of others. Admins and owners may, in the room or not (§9).
func (by *standing) privileged() bool { return by.role == Moderator || by.aff >= Admin }

// mayGiveRole says why somebody may not change the role of an occupant (§5.1.1, §5.1.3).
func (by *standing) mayGiveRole(of standing, to Role) *stanza.Error {
	switch {
	case !by.privileged():
		return errForbidden
	case to == of.role:
	case to < of.role && by.aff < of.aff: // §8.2, §8.4, and the note of §5.1.3
		return errNotAllowed
	case (to == Moderator || of.role == Moderator) && by.aff < Admin: // §9.6, §9.7; §5.1.3: nor may he kick one
		return errForbidden
	case of.aff >= Admin && to != NoRole: // §8.4, §9.7: nobody may
		return errNotAllowed
	case of.aff == by.aff && of.aff > None && to == Visitor:
		// §8.4: nor from somebody at the moderator's own level. Who have no affiliation are on none: §5.1.3 lets any moderator
		// revoke voice, and one without affiliation would have nobody to do it to.
		return errNotAllowed
	}
	return nil
}

// mayAffiliate says why somebody may not change an affiliation (§5.2.1, §5.2.3).
func (by *standing) mayAffiliate(was, to Affiliation) *stanza.Error {
	switch {
	case by.aff < Admin: // §9
		return errForbidden
	case by.aff == Admin && was >= Admin && to == Outcast: // §9.1
		return errNotAllowed
	case by.aff == Admin && (was >= Admin || to >= Admin): // §10.3 to §10.8
		return errForbidden
	}
	return nil
}

// mayList says why somebody may not have the list of those with an affiliation.
func (r *room) mayList(by standing, aff Affiliation) *stanza.Error {
	switch {
	case by.aff == Owner:
	case by.aff == Admin && aff <= Member: // §9.2, §9.5
	case by.aff >= Member && aff >= Member && r.rec.Settings.Whois == whoisAnyone:
		// §9.5, §10.5, §10.8: where addresses are no secret members may know who belongs to the room. Clients that encrypt need
		// to know for whom.
	default:
		return errForbidden
	}
	return nil
}
