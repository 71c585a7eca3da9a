package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// roleChange is one change of a role.
type roleChange struct {
	of   *occupant
	to   Role
	news news
}

// changeRoles kicks (§8.2), grants and revokes voice (§8.3 to §8.5) and makes moderators (§9.6 to §9.8).
func (r *room) changeRoles(ctx context.Context, q *modules.IQ, by standing, items []*stanza.Element) error {
	var list []roleChange
	var out []expulsion
	seen := map[*occupant]bool{}
	for _, e := range items {
		to, ok := parseRole(e.Attr("role"))
		if !ok || e.Attr("nick") == "" { // §5.1: roles are changed by nickname
			return errBad
		}
		o, err := r.named(e)
		if err != nil {
			return err
		}
		if err := by.mayGiveRole(standing{aff: r.affiliation(o.bare), role: o.role}, to); err != nil {
			return err
		}
		switch {
		case seen[o]:
			return errTwice
		case to == NoRole && o == by.occupant: // §8.2
			return stanza.Err(stanza.Conflict, "you cannot kick yourself")
		}
		seen[o] = true
		switch n := (news{actor: by.occupant, reason: reasonOf(e)}); to {
		case o.role:
		case NoRole:
			n.codes = []int{codeKicked} // §8.2
			out = append(out, expulsion{of: o, news: &n})
		default:
			list = append(list, roleChange{o, to, n})
		}
	}
	done := r.done(ctx, q)
	r.expelAll(ctx, out)
	for i := range list {
		r.setRole(list[i].of, list[i].to, &list[i].news)
	}
	return done
}

// setRole gives an occupant a role and shows him to all as he is now (§5.1.3).
func (r *room) setRole(o *occupant, to Role, n *news) {
	saw := r.sees(o)
	o.role = to
	r.show(o, n)
	if saw || !r.sees(o) {
		return
	}
	for _, there := range r.occupants(r.present) { // §4.2: now he sees who they are
		if there == o {
			continue
		}
		st := r.presenceOf(there, there.shown, &news{}, true, false)
		for _, s := range o.sessions {
			r.send(st, s.full)
		}
	}
}
