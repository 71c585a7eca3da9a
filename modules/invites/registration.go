package invites

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/stanza"
)

// maxShown is how many tokens one connection may show.
const maxShown = 5

// guest is what a connection remembers.
type guest struct {
	m     *module
	tries int
	key   []byte  // of the invitation that was accepted
	inv   *record // nil: none
}

// shown takes the token of a client that wants to make an account (XEP-0445 §3).
func (m *module) shown(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Conn == nil || q.Conn.TLS == nil {
		return nil, stanza.Err(stanza.NotAllowed, "registration needs TLS")
	}
	if q.Payload == nil || q.Payload.Name != "preauth" || !q.Set() {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	g, _ := q.Conn.Invitation.(*guest)
	if g == nil {
		g = &guest{m: m}
		q.Conn.Invitation = g
	}
	if g.tries++; g.tries > maxShown {
		return nil, stanza.Err(stanza.PolicyViolation, "too many invitations on one connection")
	}
	key := hash(q.Payload.Attr("token"))
	r, err := m.find(ctx, key)
	if err != nil {
		return nil, err
	}
	if r == nil || !r.Account || !r.good(time.Now()) {
		return nil, errGone // one answer for all: unknown, used, expired, not for accounts
	}
	g.key, g.inv = key, r
	return nil, nil
}

// Invitation implements register.Invitations.
func (m *module) Invitation(c *auth.Conn) register.Invitation {
	if c == nil {
		return nil
	}
	g, _ := c.Invitation.(*guest)
	if g == nil || g.inv == nil {
		return nil
	}
	return g
}

// Username implements register.Invitation.
func (g *guest) Username() string { return g.inv.Username }

// Redeem implements register.Invitation. Whether it has expired was looked at when it was shown (XEP-0445 §3).
func (g *guest) Redeem(ctx context.Context) error {
	r, err := g.m.use(ctx, g.key, func(r *record) bool { return r.Account })
	if err == nil && r == nil {
		g.inv = nil
		err = errGone
	}
	return err
}

// Return implements register.Invitation.
func (g *guest) Return(ctx context.Context) { g.m.giveBack(ctx, g.key, g.inv) }

// Registered implements register.Invitation: the inviter has a new contact, and is told by a push (XEP-0401 §4.3).
func (g *guest) Registered(ctx context.Context, j stanza.JID) {
	r := g.inv
	g.inv = nil
	g.m.h.Log.Info("invitation used", "account", j.String(), "inviter", r.Inviter)
	if !r.Contact || r.Inviter == "" {
		return
	}
	inviter, err := stanza.NewJID(r.Inviter, g.m.h.Name, "")
	if err == nil {
		err = g.m.roster.Befriend(ctx, inviter, j)
	}
	if err != nil {
		g.m.h.Log.Error("invited and inviter are not contacts", "account", j.String(), "inviter", r.Inviter, "err", err)
	}
}
