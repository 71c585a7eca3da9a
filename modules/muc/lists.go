package muc

import (
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// maxReasons is how many bytes of reasons a list holds: so much that it can be sent whatever the reasons are.
const maxReasons = 128 << 10

// list answers a request for all with an affiliation (§9.2, §9.5, §10.5, §10.8) or with a role (§8.5, §9.8).
func (r *room) list(by standing, items []*stanza.Element) ([]byte, error) {
	if len(items) != 1 {
		return nil, stanza.Err(stanza.BadRequest, "ask for one list at a time")
	}
	role, affiliation := items[0].Attr("role"), items[0].Attr("affiliation")
	if (role == "") == (affiliation == "") {
		return nil, errBad
	}
	if role != "" {
		to, ok := parseRole(role)
		if !ok || to == NoRole {
			return nil, errBad
		}
		return r.listRole(by, to)
	}
	aff, ok := parseAffiliation(affiliation)
	if !ok || aff == None { // §5.2: there is no list of those
		return nil, errBad
	}
	return r.listAffiliation(by, aff)
}

// listRole lists occupants.
func (r *room) listRole(by standing, role Role) ([]byte, error) {
	if !by.privileged() || role == Moderator && by.aff < Admin { // §8.5; §9
		return nil, errForbidden
	}
	var x stanza.XML
	x.Start("query", "xmlns", nsAdmin)
	for _, o := range r.occupants(r.present) {
		if o.role == role {
			x.Empty("item", "affiliation", r.affiliation(o.bare).String(), "jid", o.shown.full.String(), "nick", o.nick(), "role", role.String())
		}
	}
	return x.Bytes(), nil
}

// listAffiliation lists people and domains, in the room or not.
func (r *room) listAffiliation(by standing, aff Affiliation) ([]byte, error) {
	if err := r.mayList(by, aff); err != nil {
		return nil, err
	}
	var list []stanza.JID
	for who, a := range r.affs {
		if a.Affiliation == aff {
			list = append(list, who)
		}
	}
	slices.SortFunc(list, func(a, b stanza.JID) int { return strings.Compare(a.String(), b.String()) })
	there := map[stanza.JID]*occupant{}
	for _, o := range r.occupants(r.present) {
		there[o.bare] = o
	}
	var x stanza.XML
	x.Start("query", "xmlns", nsAdmin)
	left := maxReasons
	for _, who := range list {
		attrs := []string{"affiliation", aff.String(), "jid", who.String()}
		if o := there[who]; o != nil {
			attrs = append(attrs, "nick", o.nick(), "role", o.role.String()) // §9.5
		}
		reason := r.affs[who].Reason
		if reason == "" || by.aff < Admin || len(reason) > left {
			x.Empty("item", attrs...)
			continue
		}
		left -= len(reason)
		x.Start("item", attrs...).Leaf("reason", reason).End() // §9.2
	}
	return x.Bytes(), nil
}
