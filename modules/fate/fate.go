// Package fate decides by type, hint and content what becomes of a message beyond its delivery: whether it is kept for who
// is offline (mod_offline), archived (mod_mam), shown to the other devices of an account (mod_carbons). All that the three
// have in common stands here, so that they cannot disagree.
package fate

import "github.com/xmppd/xmppd/stanza"

// The namespaces that only this package and the modules of its subject speak of.
const (
	NSCarbons = "urn:xmpp:carbons:2" // XEP-0280
	NSMAM     = "urn:xmpp:mam:2"     // XEP-0313
)

const (
	nsChatStates = "http://jabber.org/protocol/chatstates"   // XEP-0085
	nsReceipts   = "urn:xmpp:receipts"                       // XEP-0184
	nsMarkers    = "urn:xmpp:chat-markers:0"                 // XEP-0333
	nsInvitation = "jabber:x:conference"                     // XEP-0249
	nsMUCUser    = "http://jabber.org/protocol/muc#user"     // XEP-0045 §16.1
	nsOccupantID = "urn:xmpp:occupant-id:0"                  // XEP-0421
	nsEvents     = "http://jabber.org/protocol/pubsub#event" // XEP-0060 §15.1
)

// What becomes of a message that no session took.
type Absent uint8

// The fates of a message for who is not there.
const (
	Store  Absent = iota
	Refuse        // the sender is told that it was not delivered
	Forget        // nobody misses it
)

// Offline decides whether a message is kept for who is not there, by type (XEP-0160 §3), hint (XEP-0334 §4) and content.
func Offline(st *stanza.Stanza) Absent {
	switch {
	case !conversation(st.Type):
		return Refuse
	case st.Has(stanza.NSHints, "no-store"): // XEP-0334 §4.2: not even until the recipient comes
		return Refuse
	case says(st, ""):
		return Store
	}
	return Forget // XEP-0160 §3: nothing but a chat state, or nothing at all
}

// Archived tells whether a message belongs in the archives of the accounts that it is from and to (XEP-0313 §6.1.1). That is
// all that would be kept for who is offline, but for what must not be kept for good and for notices of a change elsewhere.
// What rooms send to all is in the rooms' archives.
func Archived(st *stanza.Stanza) bool {
	return st.Kind == stanza.KindMessage && conversation(st.Type) &&
		!st.Has(stanza.NSHints, "no-store") && !st.Has(stanza.NSHints, "no-permanent-store") && // XEP-0334 §4.1
		says(st, nsEvents)
}

// conversation tells the types of what people say to each other (RFC 6121 §5.2.2); an unknown one is normal.
func conversation(t stanza.Type) bool {
	switch t {
	case stanza.TypeNone, stanza.TypeUnknown, stanza.TypeNormal, stanza.TypeChat:
		return true
	}
	return false
}

// says tells whether a message says something that is worth keeping: a body, or an element that is not passing. other is one
// more namespace that says nothing.
func says(st *stanza.Stanza, other string) bool {
	if st.Has("", "body") || st.Has(stanza.NSHints, "store") { // XEP-0334 §4.4
		return true
	}
	for i, c := range st.Children {
		if !passing(st, i, c) && c.NS != other {
			return true
		}
	}
	return false
}

// passing tells whether an element says something only to who sees it at once, or nothing of its own.
func passing(st *stanza.Stanza, i int, c stanza.Child) bool {
	switch c.NS {
	case nsChatStates, stanza.NSHints, stanza.NSDelay, stanza.NSSID, nsOccupantID:
		return true
	case NSCarbons, NSMAM: // of a server's own making, or a forgery of that
		return true
	}
	return c.NS == st.NS && st.ChildName(i) == "thread" // RFC 6121 §5.2.5
}

// Copied tells whether a message is one that all devices of an account are to see (XEP-0280 §6.1), and is no error. inbound
// says that it is for the account, not from it.
func Copied(st *stanza.Stanza, inbound bool) bool {
	switch {
	case st.Kind != stanza.KindMessage, st.Type == stanza.TypeGroupchat, st.Type == stanza.TypeError:
		return false
	case st.Has(NSCarbons, ""): // <private/> (XEP-0280 §9); and nothing that was copied is copied again
		return false
	case st.Has(NSMAM, ""):
		return false
	case st.Has(stanza.NSHints, "no-copy"): // XEP-0334 §4.3
		return false
	case st.Type == stanza.TypeChat:
		return !(inbound && fromOccupant(st))
	case st.Has(nsReceipts, ""), st.Has(nsChatStates, ""), st.Has(nsMarkers, ""):
		return true
	case st.Has(nsInvitation, ""), invites(st):
		return true
	}
	return conversation(st.Type) && st.Has("", "body")
}

// fromOccupant tells a private message of somebody in a room: the room sends it to each device that is there (XEP-0280 §6.1).
func fromOccupant(st *stanza.Stanza) bool {
	return !st.From().IsBare() && st.Has(nsMUCUser, "x") && !invites(st)
}

// invites tells a room's invitation (XEP-0045 §7.8.2).
func invites(st *stanza.Stanza) bool {
	i := st.Find(nsMUCUser, "x")
	return i >= 0 && st.Element(i).Child(nsMUCUser, "invite") != nil
}

// InRoom tells whether what is said in a room to all is worth keeping, in its archive and for who enters later (XEP-0313 §6.1.2,
// XEP-0045 §7.2.13).
func InRoom(st *stanza.Stanza) bool {
	return st.Kind == stanza.KindMessage && st.Type == stanza.TypeGroupchat && !st.Has(stanza.NSHints, "no-store") && says(st, "")
}
