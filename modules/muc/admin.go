package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of one request.
const (
	maxItems  = 200  // changes
	maxReason = 1024 // bytes of why
)

var errTwice = stanza.Err(stanza.BadRequest, "somebody is named twice")

// admin answers requests for lists and their changes: what moderators (§8), admins (§9) and owners (§10.3 to §10.8) do with
// people. A request is done as a whole, or not at all.
func (r *room) admin(ctx context.Context, q *modules.IQ) ([]byte, error) {
	by := r.standing(q.From)
	if r.locked && (by.aff != Owner || q.Set()) { // §10.1.3. But its maker may have the lists: clients ask when they are in, and
		return nil, errNoRoom // not again.
	}
	e := q.Payload
	if e == nil || e.NS != nsAdmin || e.Name != "query" {
		return nil, errBad
	}
	var items []*stanza.Element
	for _, c := range e.Children {
		if c.NS == nsAdmin && c.Name == "item" {
			items = append(items, c)
		}
	}
	switch {
	case len(items) == 0:
		return nil, errBad
	case !q.Set():
		return r.list(by, items)
	case !by.privileged(): // before anything is looked up: he must not learn who is there
		return nil, errForbidden
	case len(items) > maxItems:
		return nil, stanza.Err(stanza.NotAcceptable, "too many changes at once")
	}
	roles := items[0].Attr("role") != ""
	for _, i := range items {
		// §8.5, §9.2: an item that changes one must not have the other. And a list is of one or the other.
		if (i.Attr("role") != "") != roles || (i.Attr("affiliation") != "") == roles {
			return nil, stanza.Err(stanza.BadRequest, "change either roles or affiliations")
		}
	}
	if roles {
		return nil, r.changeRoles(ctx, q, by, items)
	}
	return nil, r.changeAffiliations(ctx, q, by, items)
}

// named returns the occupant whom an item names by his nickname.
func (r *room) named(e *stanza.Element) (*occupant, *stanza.Error) {
	j, err := r.jid.WithResource(e.Attr("nick"))
	if err != nil {
		return nil, errNoNick
	}
	if o := r.nicks[j.Resource()]; o != nil {
		return o, nil
	}
	return nil, errNoNick
}

// reasonOf returns why somebody wants what he wants.
func reasonOf(e *stanza.Element) string { return stanza.Truncate(e.ChildText("reason"), maxReason) }

// done answers a request whose changes are made, before the others are told of them (§8.2 to §10.8 say so each time). A handler
// returns what it returns.
func (r *room) done(ctx context.Context, q *modules.IQ) error {
	r.m.answer(ctx, q.Packet, nil)
	return modules.Done
}
