package modules

import "github.com/xmppd/xmppd/stanza"

// Hooks are all the places where a module can step in on one virtual host. Each fires at exactly one place. doc/hooks.md
// is made of the comments below.
type Hooks struct {
	// Outgoing: a local client sent a stanza; from is stamped. c2s, hop 2.
	Outgoing Chain[*Packet]
	// ToBare: a stanza arrived for a bare JID of the host (or the host itself). router, hop 4.
	ToBare Chain[*Packet]
	// ToFull: a stanza arrived for a full JID of the host. router, hop 4.
	ToFull Chain[*Packet]
	// Unclaimed: a message found no session that takes it (RFC 6121 §8.5.2.2.1). router, hop 4.
	Unclaimed Chain[*Packet]
	// Returned: a message comes back from a session that ended, whose client never acknowledged it (XEP-0198 §4), before it goes to
	// others or is unclaimed; Done says that the account has it elsewhere. router, hop 4.
	Returned Chain[Return]
	// ToClient: a stanza is about to be queued for a session. Packet.Session is that session. c2s, hop 5.
	ToClient Chain[*Packet]
	// FromPeer: another server sent a stanza to this host, or to a module's subdomain of it. s2s.
	FromPeer Chain[*Packet]
	// ToPeer: a stanza of this host, or of a module's subdomain of it, leaves for another server. router, hop 3.
	ToPeer Chain[*Packet]

	// Presence: a session's presence changed, and the router knows it already. c2s.
	Presence Notice[Presence]
	// SessionOpened: a resource was bound (RFC 6120 §7). c2s.
	SessionOpened Notice[Session]
	// SessionHibernated: a session has lost its connection, and waits to be resumed (XEP-0198 §5). c2s.
	SessionHibernated Notice[Session]
	// SessionResumed: a hibernated session has a connection again (XEP-0198 §5). c2s.
	SessionResumed Notice[Session]
	// SessionClosed: a session is gone for good. c2s.
	SessionClosed Notice[Session]

	// UserCreated: an account was made, and is on disk. Whoever changes accounts tells it by Table.Notify.
	UserCreated Notice[stanza.JID]
	// UserDeleted: an account is no more. A new one of the same name must see nothing of it.
	UserDeleted Notice[stanza.JID]
	// UserDisabled: an account may not log in any more.
	UserDisabled Notice[stanza.JID]
	// PasswordChanged: an account has a new password.
	PasswordChanged Notice[stanza.JID]
}

// each visits all hooks in the order of the struct.
func (h *Hooks) each(fn func(name string, k hook)) {
	fn("Outgoing", &h.Outgoing)
	fn("ToBare", &h.ToBare)
	fn("ToFull", &h.ToFull)
	fn("Unclaimed", &h.Unclaimed)
	fn("Returned", &h.Returned)
	fn("ToClient", &h.ToClient)
	fn("FromPeer", &h.FromPeer)
	fn("ToPeer", &h.ToPeer)
	fn("Presence", &h.Presence)
	fn("SessionOpened", &h.SessionOpened)
	fn("SessionHibernated", &h.SessionHibernated)
	fn("SessionResumed", &h.SessionResumed)
	fn("SessionClosed", &h.SessionClosed)
	fn("UserCreated", &h.UserCreated)
	fn("UserDeleted", &h.UserDeleted)
	fn("UserDisabled", &h.UserDisabled)
	fn("PasswordChanged", &h.PasswordChanged)
}

// merge adds what one module registered.
func (h *Hooks) merge(from *Hooks) {
	var theirs []hook
	from.each(func(_ string, k hook) { theirs = append(theirs, k) })
	i := 0
	h.each(func(_ string, k hook) { k.add(theirs[i]); i++ })
}
