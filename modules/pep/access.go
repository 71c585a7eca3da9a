package pep

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

// failure makes an error with a condition of pubsub's own (XEP-0060 §17.2); attrs are its attributes.
func failure(c stanza.Condition, app string, attrs ...string) *stanza.Error {
	e := stanza.Err(c, "")
	var x stanza.XML
	e.App = x.Empty(app, append([]string{"xmlns", nsErrors}, attrs...)...).Bytes()
	return e
}

func unsupported(feature string) *stanza.Error {
	return failure(stanza.FeatureNotImplemented, "unsupported", "feature", feature)
}

var (
	// COMPAT: Profanity 0.13 begins a device list where it reads 404, and not where it reads item-not-found.
	errNoNode    = &stanza.Error{Condition: stanza.ItemNotFound, Code: 404}
	errForbidden = stanza.Err(stanza.Forbidden, "")
	errNoNodeID  = failure(stanza.BadRequest, "nodeid-required")
)

// affiliation returns what somebody is to a node.
func (n *node) affiliation(owner, j stanza.JID) affiliation {
	if j.Bare() == owner {
		return affOwner
	}
	if a, ok := n.affs[j.Bare()]; ok {
		return a
	}
	return affNone
}

// readable says why somebody may not read a node or subscribe to it; nil: he may (XEP-0060 §6.1.3, §6.5.9).
func (m *module) readable(ctx context.Context, owner stanza.JID, n *node, reader stanza.JID) error {
	switch n.affiliation(owner, reader) {
	case affOwner, affPublisher, affMember:
		return nil
	case affOutcast:
		return errForbidden // §6.5.9.10
	}
	switch n.cfg.Access {
	case Open:
		return nil
	case Presence:
		if m.roster.Subscribed(ctx, owner, reader) {
			return nil
		}
		return failure(stanza.NotAuthorized, "presence-subscription-required")
	case Roster:
		c, ok, err := m.roster.Contact(ctx, owner, reader.Bare())
		if err != nil {
			return err
		}
		if ok && inGroups(n, c) {
			return nil
		}
		return failure(stanza.NotAuthorized, "not-in-roster-group")
	}
	return failure(stanza.NotAllowed, "closed-node")
}

// shows tells whether news of a node go to a contact that may see the owner's presence: readable, for one whose entry of
// the roster is at hand.
func (n *node) shows(c roster.Contact) bool {
	switch n.affs[c.JID] {
	case affOwner, affPublisher, affMember:
		return true
	case affOutcast:
		return false
	}
	switch n.cfg.Access {
	case Open, Presence:
		return true
	case Roster:
		return inGroups(n, c)
	}
	return false
}

func inGroups(n *node, c roster.Contact) bool {
	return slices.ContainsFunc(c.Groups, func(g string) bool { return slices.Contains(n.cfg.Groups, g) })
}

// sees tells whether a contact gets the owner's presence.
func sees(c roster.Contact) bool {
	return c.Subscription == roster.From || c.Subscription == roster.Both
}
