package muc

import "github.com/xmppd/xmppd/stanza"

// The namespaces of §16.1 and of what rooms speak besides.
const (
	nsMUC     = "http://jabber.org/protocol/muc"
	nsUser    = nsMUC + "#user"
	nsAdmin   = nsMUC + "#admin"
	nsOwner   = nsMUC + "#owner"
	nsRequest = nsMUC + "#request"
	nsConfig  = nsMUC + "#roomconfig"
	nsInfo    = nsMUC + "#roominfo"
	nsDirect  = "jabber:x:conference" // XEP-0249
	nsOccID   = "urn:xmpp:occupant-id:0"
	nsDelay0  = "jabber:x:delay" // XEP-0091, before XEP-0203
	nsPing    = "urn:xmpp:ping"
	nsVCard   = "vcard-temp"
)

// The status codes of §16.6.
const (
	codeRealJIDs    = 100 // everybody sees real addresses
	codeConfig      = 104 // the room's configuration has changed
	codeSelf        = 110
	codeLogging     = 170
	codeNoLogging   = 171
	codeNonAnon     = 172
	codeSemiAnon    = 173
	codeCreated     = 201
	codeBanned      = 301
	codeNewNick     = 303
	codeKicked      = 307
	codeAffiliation = 321 // out: of a change of affiliation, in a room for members
	codeMembersOnly = 322 // out: the room is for members now
	codeShutdown    = 332
	codeError       = 333 // out: of a technical problem
)

// Affiliation is what somebody is to a room, in it or not (§5.2).
type Affiliation int8

// The affiliations. Who has none is kept nowhere.
const (
	Outcast Affiliation = iota - 1
	None
	Member
	Admin
	Owner
)

var affiliationNames = map[Affiliation]string{Outcast: "outcast", None: "none", Member: "member", Admin: "admin", Owner: "owner"}

// String returns the name on the wire.
func (a Affiliation) String() string { return affiliationNames[a] }

func parseAffiliation(s string) (Affiliation, bool) {
	for a, name := range affiliationNames {
		if name == s {
			return a, true
		}
	}
	return None, false
}

// Role is what somebody in a room may do there (§5.1).
type Role uint8

// The roles.
const (
	NoRole Role = iota
	Visitor
	Participant
	Moderator
)

var roleNames = [...]string{"none", "visitor", "participant", "moderator"}

// String returns the name on the wire.
func (r Role) String() string { return roleNames[r] }

func parseRole(s string) (Role, bool) {
	for r, name := range roleNames {
		if name == s {
			return Role(r), true
		}
	}
	return NoRole, false
}

// roleOf returns the role that somebody has who enters (§5.1.2).
func (s *Settings) roleOf(a Affiliation) Role {
	switch {
	case a >= Admin:
		return Moderator
	case a == Outcast, a == None && s.MembersOnly:
		return NoRole
	case a == None && s.Moderated:
		return Visitor
	}
	return Participant
}

// The errors that more than one step answers with.
var (
	errNoRoom    = stanza.Err(stanza.ItemNotFound, "there is no such room")
	errForbidden = stanza.Err(stanza.Forbidden, "")
	errOutside   = stanza.Err(stanza.NotAcceptable, "only occupants of the room may do that") // §7.4
	errNick      = stanza.Err(stanza.NotAcceptable, "that nickname is too long, or cannot be told from others")
	errNickTaken = stanza.Err(stanza.Conflict, "that nickname is in use")
	errNoNick    = stanza.Err(stanza.ItemNotFound, "nobody in the room has that nickname")
	errUnserved  = stanza.Err(stanza.ServiceUnavailable, "")
	errBad       = stanza.Err(stanza.BadRequest, "")
)
