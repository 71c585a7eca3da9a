package modules

import (
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

// Packet is a stanza on its way. From and To are the prepared addresses in force; a hook that changes them also calls
// Stanza.SetFrom or SetTo. A handler that keeps a Packet copies it: when the handlers have returned, another stanza uses
// it again.
type Packet struct {
	Stanza   *stanza.Stanza
	From, To stanza.JID
	// Origin is the local session that sent it, nil for stanzas of other servers and of modules.
	Origin Session
	// Session is the receiving session in Hooks.ToClient, else nil.
	Session Session
	// Sent is the message of a local client as the client's account has it, with the ID that the account's archive gave: what
	// the account's other devices get to see. nil: as Stanza is.
	Sent *stanza.Stanza
	// NoCopy says that modules must not make further copies of it (carbons, XEP-0280 §6).
	NoCopy bool
	// Again says that the module that sends it has just sent the same message to another device of the account, whose archive has it and
	// gave it the ID that it has.
	Again bool
}

// Return is a message that comes back from a session; To is the session's full JID.
type Return struct {
	*Packet
	// At is when it was handed to that session and, as far as it was for them, to all others of the account. Zero: the session
	// alone got it.
	At time.Time
}

// Before tells whether something that holds since then held when the message came. Both may have happened at once: only what
// is well before counts, since a message had twice is better than one had never.
func (r *Return) Before(since time.Time) bool {
	return !since.IsZero() && since.Add(time.Second).Before(r.At)
}

// NewPacket wraps a stanza that a module sends.
func NewPacket(st *stanza.Stanza) *Packet {
	return &Packet{Stanza: st, From: st.From(), To: st.To()}
}

// IQ is a request to an IQHandler.
type IQ struct {
	*Packet
	// Payload is the request's only child, read as a tree.
	Payload *stanza.Element
	// Conn is the connection of a request At Preauth, where there is no session yet; else nil.
	Conn *auth.Conn
}

// Set tells a set from a get.
func (q *IQ) Set() bool { return q.Stanza.Type == stanza.TypeSet }

// WantGet checks that the request is a get with a payload of that name, and returns the error to answer with where it is not.
func (q *IQ) WantGet(name string) error {
	if q.Set() || q.Payload == nil || q.Payload.Name != name {
		return stanza.Err(stanza.FeatureNotImplemented, "") // RFC 6120 §8.3.3.3
	}
	return nil
}

// Own tells whether a request to an account comes from one of its own sessions.
func (q *IQ) Own() bool { return q.From.Bare() == q.To.Bare() && q.To.Local() != "" }
