package commands

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const nsAdmin = "http://jabber.org/protocol/admin"

// maxListed is how many accounts a list names.
const maxListed = 200

// admin returns the commands of XEP-0133 §4.
func (m *module) admin() []modules.Command {
	one := stanza.FormField{Var: "accountjid", Type: "jid-single", Label: "The account", Required: true}
	many := stanza.FormField{Var: "accountjids", Type: "jid-multi", Label: "The accounts", Required: true}
	password := stanza.FormField{Var: "password", Type: "text-private", Label: "The password", Required: true}
	again := stanza.FormField{Var: "password-verify", Type: "text-private", Label: "The password once more", Required: true}
	limit := stanza.FormField{Var: "max_items", Type: "list-single", Label: "How many to show", Values: []string{"25"},
		Options: []stanza.FormOption{{Label: "25", Value: "25"}, {Label: "50", Value: "50"}, {Label: "100", Value: "100"}, {Label: "200", Value: strconv.Itoa(maxListed)}}}
	text := stanza.FormField{Var: "announcement", Type: "text-multi", Label: "The announcement", Required: true}

	add := m.command("add-user", "Add a user", m.addUser, one, password, again)
	add.Stages[0].Check = sameTwice
	return []modules.Command{
		add,
		m.command("delete-user", "Delete users", m.each("delete", m.delete), many),
		m.command("disable-user", "Disable users", m.each("disable", m.disable(true)), many),
		m.command("reenable-user", "Enable users again", m.each("enable", m.disable(false)), many),
		m.command("end-user-session", "End sessions", m.endSessions, many),
		m.command("change-user-password", "Change a user's password", m.setPassword, one, password),
		m.command("user-stats", "Statistics of a user", m.stats, one),
		m.command("get-registered-users-num", "Number of users", m.countUsers),
		m.command("get-online-users-num", "Number of users online", m.countOnline),
		m.command("get-online-users-list", "Users online", m.listOnline, limit),
		m.command("announce", "Announce to users online", m.announce, text),
	}
}

// command makes a command for admins with one form of those fields, or none.
func (m *module) command(name, title string, do func(context.Context, *modules.CommandCall) (*modules.CommandResult, error), fields ...stanza.FormField) modules.Command {
	c := modules.Command{Node: nsAdmin + "#" + name, Name: title, Admin: true, Do: do}
	if len(fields) > 0 {
		c.Stages = []modules.CommandStage{{Form: func(context.Context, *modules.CommandCall) (*stanza.Form, error) {
			return &stanza.Form{Type: nsAdmin, Title: title, Fields: append([]stanza.FormField(nil), fields...)}, nil
		}}}
	}
	return c
}

func sameTwice(_ context.Context, _ *modules.CommandCall, in *stanza.Form) error {
	if in.Value("password") != in.Value("password-verify") {
		return errors.New("the two passwords differ")
	}
	return nil
}

// account reads the address of an account of this host.
func (m *module) account(text string) (stanza.JID, error) {
	j, err := stanza.ParseJID(text)
	if err != nil || j.Local() == "" || j.Domain() != m.h.Name {
		return j, stanza.Err(stanza.NotAcceptable, fmt.Sprintf("%s is no account of %s", text, m.h.Name))
	}
	return j, nil
}

// told makes the answer to a failure of the accounts.
func told(err error) error {
	switch {
	case errors.Is(err, auth.ErrExists):
		return stanza.Err(stanza.Conflict, "there is such an account")
	case errors.Is(err, auth.ErrNoUser):
		return stanza.Err(stanza.ItemNotFound, "there is no such account")
	case errors.Is(err, auth.ErrPolicy):
		return stanza.Err(stanza.NotAcceptable, "this name or password is not allowed")
	}
	return err
}

func (m *module) addUser(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	j, err := m.account(c.Value("accountjid"))
	if err != nil {
		return nil, err
	}
	if err := m.h.Users.Create(ctx, j.Local(), c.Value("password")); err != nil {
		return nil, told(err)
	}
	m.changed(c, j, "add")
	return &modules.CommandResult{Note: j.Bare().String() + " is there"}, nil
}

func (m *module) setPassword(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	j, err := m.account(c.Value("accountjid"))
	if err != nil {
		return nil, err
	}
	if err := m.h.Users.SetPassword(modules.WithActor(ctx, c.Session), j.Local(), c.Value("password")); err != nil {
		return nil, told(err)
	}
	m.changed(c, j, "password")
	return nil, nil
}

func (m *module) delete(ctx context.Context, local string) error { return m.h.Users.Delete(ctx, local) }

func (m *module) disable(yes bool) func(context.Context, string) error {
	return func(ctx context.Context, local string) error { return m.h.Users.SetDisabled(ctx, local, yes) }
}

// changed leaves an audit line: who did what to whom.
func (m *module) changed(c *modules.CommandCall, j stanza.JID, what string) {
	m.h.Log.Info("account changed by an admin", "account", j.Bare().String(), "change", what, "by", c.User.Bare().String(), "id", c.Session.ID())
}

// each does the same to several accounts, and tells which it could not be done to.
func (m *module) each(what string, fn func(ctx context.Context, local string) error) func(context.Context, *modules.CommandCall) (*modules.CommandResult, error) {
	return func(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
		var list []stanza.JID
		for _, v := range c.Values("accountjids") {
			if v == "" {
				continue
			}
			j, err := m.account(v)
			switch {
			case err != nil:
				return nil, err
			case j.Bare() == c.User.Bare():
				return nil, stanza.Err(stanza.NotAllowed, "not to your own account")
			}
			list = append(list, j)
		}
		done := 0
		var failed []string
		for _, j := range list {
			err := told(fn(ctx, j.Local()))
			var se *stanza.Error
			switch {
			case errors.As(err, &se):
				failed = append(failed, j.Bare().String()+": "+se.Text)
			case err != nil:
				return nil, err
			default:
				done++
				m.changed(c, j, what)
			}
		}
		res := &modules.CommandResult{Note: fmt.Sprintf("done to %d", done)}
		if len(failed) > 0 {
			res.Note, res.Error = res.Note+"; "+strings.Join(failed, "; "), true
		}
		return res, nil
	}
}

// endSessions ends all sessions of an account, or one (XEP-0133 §4.5).
func (m *module) endSessions(_ context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	var list []modules.Session
	for _, v := range c.Values("accountjids") {
		if v == "" {
			continue
		}
		j, err := m.account(v)
		if err != nil {
			return nil, err
		}
		for _, s := range m.h.Router.Sessions(j.Bare()) {
			if j.IsBare() || s.JID() == j {
				list = append(list, s)
			}
		}
	}
	for _, s := range list {
		m.changed(c, s.JID(), "end session "+s.ID())
		s.Close(&stream.Error{Condition: "reset", Text: "Ended by an admin"}) // RFC 6120 §4.9.3.16
	}
	return &modules.CommandResult{Note: fmt.Sprintf("%d sessions ended", len(list))}, nil
}

// result makes the form of an answer.
func result(fields ...stanza.FormField) *modules.CommandResult {
	return &modules.CommandResult{Form: &stanza.Form{Type: nsAdmin, Fields: fields}}
}

// stats tells what there is of an account (XEP-0133 §4.10).
func (m *module) stats(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	j, err := m.account(c.Value("accountjid"))
	if err != nil {
		return nil, err
	}
	if _, err := m.h.Users.Get(ctx, j.Local()); err != nil {
		return nil, told(err)
	}
	var addresses, resources []string
	for _, s := range m.h.Router.Sessions(j.Bare()) {
		if r := s.Info().Remote; r != nil {
			addresses = append(addresses, r.String())
		}
		resources = append(resources, s.JID().Resource())
	}
	size := 0
	if svc, err := modules.Find[roster.Service](m.h); err == nil {
		contacts, err := svc.Contacts(ctx, j.Bare())
		if err != nil {
			return nil, err
		}
		size = len(contacts)
	}
	return result(
		stanza.FormField{Var: "ipaddresses", Type: "text-multi", Label: "Addresses", Values: addresses},
		stanza.FormField{Var: "rostersize", Type: "text-single", Label: "Contacts", Values: []string{strconv.Itoa(size)}},
		stanza.FormField{Var: "onlineresources", Type: "text-multi", Label: "Resources", Values: resources},
	), nil
}

func (m *module) countUsers(ctx context.Context, _ *modules.CommandCall) (*modules.CommandResult, error) {
	n := 0
	if err := m.h.Users.List(ctx, func(auth.Account) bool { n++; return true }); err != nil {
		return nil, err
	}
	return result(stanza.FormField{Var: "registeredusersnum", Type: "text-single", Label: "Users", Values: []string{strconv.Itoa(n)}}), nil
}

// online visits the accounts that have a session that is there.
func (m *module) online(fn func(account stanza.JID)) {
	seen := map[stanza.JID]bool{}
	m.h.Router.Each(m.h.Name, func(s modules.Session) bool {
		if j := s.JID().Bare(); !seen[j] {
			seen[j] = true
			fn(j)
		}
		return true
	})
}

func (m *module) countOnline(context.Context, *modules.CommandCall) (*modules.CommandResult, error) {
	n := 0
	m.online(func(stanza.JID) { n++ })
	return result(stanza.FormField{Var: "onlineusersnum", Type: "text-single", Label: "Users online", Values: []string{strconv.Itoa(n)}}), nil
}

func (m *module) listOnline(_ context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	limit, err := strconv.Atoi(c.Value("max_items"))
	if err != nil || limit > maxListed {
		limit = 25
	}
	var list []string
	m.online(func(j stanza.JID) {
		if len(list) < limit {
			list = append(list, j.String())
		}
	})
	return result(stanza.FormField{Var: "onlineuserjids", Type: "text-multi", Label: "Users online", Values: list}), nil
}

// announce sends a message to all sessions (XEP-0133 §4.23).
func (m *module) announce(ctx context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
	host, err := stanza.ParseJID(m.h.Name)
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Leaf("subject", "Announcement").Leaf("body", strings.Join(c.Values("announcement"), "\n"))
	st := stanza.New(stanza.KindMessage, stanza.TypeHeadline, "", host, stanza.JID{}, x.Bytes())
	ctx = stream.WithBatch(ctx, nil) // nobody waits for a client that reads slowly
	n := 0
	m.h.Router.Each(m.h.Name, func(s modules.Session) bool {
		if s.Presence() != nil {
			st.SetTo(s.JID())
			if s.Send(ctx, st) == nil {
				n++
			}
		}
		return true
	})
	m.h.Log.Info("announced by an admin", "by", c.User.Bare().String(), "sessions", n)
	return &modules.CommandResult{Note: fmt.Sprintf("sent to %d sessions", n)}, nil
}
