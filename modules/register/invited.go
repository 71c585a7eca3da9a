package register

import (
	"context"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

const nsInvited = "urn:xmpp:ibr-token:0"

// Invitations is the service of a module, listed earlier, that lets invited people make an account (XEP-0445).
type Invitations interface {
	// Invitation returns what a client has shown on its connection and was accepted, or nil.
	Invitation(c *auth.Conn) Invitation
	// Reserved tells whether a name is kept for somebody who is invited (XEP-0445 §4).
	Reserved(ctx context.Context, local string) (bool, error)
}

// Invitation lets one account be made.
type Invitation interface {
	// Username is the only name that it is good for; "": any.
	Username() string
	// Redeem uses it up, before the account is made: what comes at the same time with the same one gets an error. Return
	// takes that back.
	Redeem(ctx context.Context) error
	Return(ctx context.Context)
	// Registered tells of the account that was made.
	Registered(ctx context.Context, j stanza.JID)
}

// invited returns the invitation that a client has shown, or nil.
func (m *module) invited(c *auth.Conn) Invitation {
	if m.invitations == nil {
		return nil
	}
	return m.invitations.Invitation(c)
}

// taken tells whether a name is not to be had: that of an account deleted not long ago, or of somebody else who is invited.
func (m *module) taken(ctx context.Context, local string, inv Invitation) (bool, error) {
	own := inv != nil && inv.Username() == local
	if m.invitations != nil && !own {
		if yes, err := m.invitations.Reserved(ctx, local); yes || err != nil {
			return yes, err
		}
	}
	return m.kept(ctx, local)
}

// redeem makes an account for an invitation. The invitation is used when the account is there, and not by an attempt that
// fails (XEP-0445 §3).
func (m *module) redeem(ctx context.Context, inv Invitation, j stanza.JID, password string) error {
	if name := inv.Username(); name != "" && name != j.Local() {
		return stanza.Err(stanza.NotAcceptable, "the invitation is for "+name)
	}
	if err := inv.Redeem(ctx); err != nil {
		return m.failed(err)
	}
	if err := m.h.Users.Create(ctx, j.Local(), password); err != nil {
		inv.Return(ctx)
		return m.failed(err)
	}
	inv.Registered(ctx, j)
	return nil
}
