package roster

import "github.com/xmppd/xmppd/stanza"

// Subscription is the subscription attribute of a roster item (RFC 6121 §2.1.2.5).
type Subscription uint8

// The subscriptions: To means that the owner sees the contact's presence, From that the contact sees the owner's.
const (
	None Subscription = 0
	To   Subscription = 1
	From Subscription = 2
	Both Subscription = To | From
)

// String returns the value of the attribute.
func (s Subscription) String() string { return [...]string{"none", "to", "from", "both"}[s&Both] }

// state is one of the nine states of RFC 6121 §A.1, written as what it is made of, and the pre-approval of §3.4 beside it.
type state uint8

const (
	subTo      = state(To)   // we are subscribed to the contact
	subFrom    = state(From) // the contact is subscribed to us
	pendingOut = state(4)    // we asked; ask='subscribe'
	pendingIn  = state(8)    // the contact asked
	approved   = state(16)   // what the contact asks is granted
)

// String names a state as RFC 6121 §A.1 does.
func (s state) String() string {
	name := [...]string{"None", "To", "From", "Both"}[s&(subTo|subFrom)]
	switch s & (pendingOut | pendingIn) {
	case pendingOut:
		name += " + Pending Out"
	case pendingIn:
		name += " + Pending In"
	case pendingOut | pendingIn:
		name += " + Pending Out+In"
	}
	if s&approved != 0 {
		name += ", approved"
	}
	return name
}

// outbound says what a subscription stanza of the owner does (RFC 6121 §A.2): the new state, and whether the contact's
// server gets it.
func (s state) outbound(t stanza.Type) (next state, route bool) {
	switch t {
	case stanza.TypeSubscribe: // §A.2.1
		if s&subTo == 0 {
			s |= pendingOut
		}
		return s, true
	case stanza.TypeUnsubscribe: // §A.2.2
		return s &^ (subTo | pendingOut), true
	case stanza.TypeSubscribed: // §A.2.3
		switch {
		case s&pendingIn != 0:
			return s&^(pendingIn|approved) | subFrom, true
		case s&subFrom != 0:
			return s, false
		}
		return s | approved, false // §3.4.2
	case stanza.TypeUnsubscribed: // §A.2.4, and §3.4.2 for the end of a pre-approval
		return s &^ (subFrom | pendingIn | approved), s&(subFrom|pendingIn) != 0
	}
	return s, false
}

// inbound says what a subscription stanza of the contact does (RFC 6121 §A.3): the new state, whether the owner's
// resources get it, and the type of the answer that the server gives by itself (TypeNone: none).
func (s state) inbound(t stanza.Type) (next state, deliver bool, reply stanza.Type) {
	switch t {
	case stanza.TypeSubscribe: // §A.3.1
		switch {
		case s&subFrom != 0:
			return s, false, stanza.TypeSubscribed
		case s&pendingIn != 0:
			return s, false, stanza.TypeNone
		case s&approved != 0:
			// The approval is used up: a contact that left must ask again.
			return s&^approved | subFrom, false, stanza.TypeSubscribed
		}
		return s | pendingIn, true, stanza.TypeNone
	case stanza.TypeUnsubscribe: // §A.3.2
		if s&(subFrom|pendingIn) != 0 {
			return s &^ (subFrom | pendingIn), true, stanza.TypeUnsubscribed
		}
	case stanza.TypeSubscribed: // §A.3.3
		if s&pendingOut != 0 {
			return s&^pendingOut | subTo, true, stanza.TypeNone
		}
	case stanza.TypeUnsubscribed: // §A.3.4
		if s&(subTo|pendingOut) != 0 {
			return s &^ (subTo | pendingOut), true, stanza.TypeNone
		}
	}
	return s, false, stanza.TypeNone
}

// isSubscription tells subscription stanzas from other presence.
func isSubscription(t stanza.Type) bool {
	switch t {
	case stanza.TypeSubscribe, stanza.TypeSubscribed, stanza.TypeUnsubscribe, stanza.TypeUnsubscribed:
		return true
	}
	return false
}
