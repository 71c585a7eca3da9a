package invites

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/stanza"
)

// inviteContact is the command of users (XEP-0401 §3.1).
func (m *module) inviteContact() modules.Command {
	return modules.Command{Node: nsInvite + "#invite", Name: "Invite a contact", Do: func(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
		local := c.User.Local()
		r := record{Inviter: local, Contact: true, Account: m.cfg.UsersInviteAccounts, Expires: time.Now().UTC().Add(time.Duration(m.cfg.ValidFor))}
		token, err := m.create(ctx, r)
		if err != nil {
			return nil, err
		}
		query := "roster;preauth=" + token
		if r.Account {
			query += ";ibr=y"
		}
		m.h.Log.Info("invitation made", "account", c.User.Bare().String(), "for", "contact", "id", c.Session.ID())
		return answer(Link{m.uri(local, query), r.Expires}), nil
	}}
}

// inviteAccount is the command of admins (XEP-0401 §3.4).
func (m *module) inviteAccount() modules.Command {
	return modules.Command{
		Node: nsInvite + "#create-account", Name: "Invite somebody to make an account", Admin: true,
		Stages: []modules.CommandStage{{
			Form: func(context.Context, *modules.CommandCall) (*stanza.Form, error) {
				return &stanza.Form{Type: nsInvite + "#create-account", Title: "Invite somebody to make an account", Fields: []stanza.FormField{
					{Var: "username", Type: "text-single", Label: "The name; without one, any"},
					{Var: "roster-subscription", Type: "boolean", Label: "Make us contacts", Values: []string{"0"}},
				}}, nil
			},
			Check: func(ctx context.Context, _ *modules.CommandCall, in *stanza.Form) error {
				_, err := m.name(ctx, in.Value("username"))
				return err
			},
		}},
		Do: func(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
			name, err := m.name(ctx, c.Value("username"))
			if err != nil {
				return nil, err
			}
			link, err := m.invite(ctx, record{Inviter: c.User.Local(), Username: name, Account: true, Contact: c.Forms[0].Bool("roster-subscription"),
				Expires: time.Now().UTC().Add(time.Duration(m.cfg.ValidFor))})
			if err != nil {
				return nil, err
			}
			return answer(link), nil
		},
	}
}

// InviteAccount implements Service.
func (m *module) InviteAccount(ctx context.Context, username string, valid time.Duration) (Link, error) {
	name, err := m.name(ctx, username)
	if err != nil {
		return Link{}, err
	}
	if valid <= 0 {
		valid = time.Duration(m.cfg.ValidFor)
	}
	return m.invite(ctx, record{Username: name, Account: true, Expires: time.Now().UTC().Add(valid)})
}

// invite makes an invitation to make an account.
func (m *module) invite(ctx context.Context, r record) (Link, error) {
	token, err := m.create(ctx, r)
	if errors.Is(err, errPending) {
		err = stanza.Err(stanza.Conflict, "this name is kept for somebody who is invited already")
	}
	if err != nil {
		return Link{}, err
	}
	m.h.Log.Info("invitation made", "account", r.Inviter, "for", "account", "name", r.Username)
	return Link{m.uri(r.Username, "register;preauth="+token), r.Expires}, nil
}

// name prepares the name of an account that is to be made. None is any.
func (m *module) name(ctx context.Context, username string) (string, error) {
	if username == "" {
		return "", nil
	}
	j, err := stanza.NewJID(username, m.h.Name, "")
	if err != nil {
		return "", stanza.Err(stanza.NotAcceptable, "this cannot be the name of an account")
	}
	taken, err := m.h.Users.Exists(ctx, j.Local())
	if names, ferr := modules.Find[register.Names](m.h); ferr == nil && err == nil && !taken {
		taken, err = names.Kept(ctx, j.Local())
	}
	if err == nil && taken {
		err = stanza.Err(stanza.Conflict, "this name is taken")
	}
	return j.Local(), err
}

// answer tells of an invitation (XEP-0401 §3.1).
func answer(l Link) *modules.CommandResult {
	return &modules.CommandResult{Form: &stanza.Form{Type: nsInvite + "#invitation", Fields: []stanza.FormField{
		{Var: "uri", Type: "text-single", Label: "The invitation", Values: []string{l.URI}},
		{Var: "expire", Type: "text-single", Label: "Good until", Values: []string{l.Expires.Format("2006-01-02T15:04:05Z")}}, // XEP-0082
	}}}
}
