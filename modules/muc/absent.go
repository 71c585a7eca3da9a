package muc

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// absentee is somebody who is not in the room and whose affiliation changes.
type absentee struct {
	who     stanza.JID
	was, to Affiliation
}

// absentees returns those not in the room whom changes concern. What is changed for a whole domain says of nobody whether he
// belongs to the room.
func (r *room) absentees(affs map[stanza.JID]affiliated) []absentee {
	there := map[stanza.JID]bool{}
	for _, o := range r.occupants(r.present) {
		there[o.bare] = true
	}
	var list []absentee
	for who, a := range affs {
		if was := r.affs[who].Affiliation; was != a.Affiliation && who.Local() != "" && !there[who] {
			list = append(list, absentee{who, was, a.Affiliation})
		}
	}
	slices.SortFunc(list, func(a, b absentee) int { return strings.Compare(a.who.String(), b.who.String()) })
	return list
}

// tellAbsentees tells of them, since there is no presence that would (§10.3, §10.6, §10.7; of members the XEP says nothing, but
// clients that encrypt need to know for whom). Only those are told who may have a list on which he was or is: the others must not
// learn addresses by it.
func (r *room) tellAbsentees(list []absentee) {
	for _, a := range list {
		var st *stanza.Stanza
		for _, s := range r.present {
			o := s.occupant
			by := standing{aff: r.affiliation(o.bare), role: o.role, who: o.bare, occupant: o}
			if !r.mayKnow(by, a.was) && !r.mayKnow(by, a.to) {
				continue
			}
			if st == nil {
				var x stanza.XML
				x.Start("x", "xmlns", nsUser).Empty("item", "affiliation", a.to.String(), "jid", a.who.String(), "role", NoRole.String()).End()
				x.Empty("no-store", "xmlns", stanza.NSHints) // XEP-0334 §4.2: nothing for those people's own archives
				st = stanza.New(stanza.KindMessage, stanza.TypeNone, rand.Text(), r.jid, stanza.JID{}, x.Bytes())
			}
			r.send(st, s.full)
		}
	}
}

// mayKnow tells whether somebody may know who has an affiliation.
func (r *room) mayKnow(by standing, aff Affiliation) bool {
	return aff != None && r.mayList(by, aff) == nil
}
