// Package commands is mod_commands: what modules let users do by commands, executed from their clients (XEP-0050), and those
// with which admins look after the accounts of a host (XEP-0133).
//
// # Implementation notes
//
//   - Who may execute a command is asked at each step of an execution, so that an admin who is none any more is stopped in the
//     middle of one.
//   - An execution waits for its next form in memory, bounded in number and time. What a form holds, a password among it, is
//     there no longer than that, and in no log.
package commands

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "http://jabber.org/protocol/commands"

// Config is [modules.mod_commands].
type Config struct {
	Timeout   config.Duration `toml:"timeout" doc:"how long a command waits for its next form"`
	MaxOpen   int             `toml:"max_open" doc:"commands that wait for a form, of all users of a host"`
	MaxOfUser int             `toml:"max_of_user" doc:"the same for one account; beyond it the oldest is given up"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.Timeout <= 0 {
		errs.Add("timeout", "must be more than nothing")
	}
	for _, f := range []struct {
		key string
		n   int
	}{{"max_open", c.MaxOpen}, {"max_of_user", c.MaxOfUser}} {
		if f.n < 1 {
			errs.Add(f.key, "must be at least 1, is %d", f.n)
		}
	}
}

// Info describes mod_commands.
var Info = modules.Define(modules.Info{
	Name:    "mod_commands",
	Summary: "commands that users, and admins, execute from their clients",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 4, Version: "2.13.2", Note: "forms of commands; media and layout are the clients'"},
		{Number: 50, Version: "1.3.0", Note: "English only: bad-locale is never answered"},
		{Number: 133, Version: "1.3.1", Note: "black and white lists, messages of the day and welcome, rosters of users, shutdown and restart; announcements are sent at once and not kept"},
	},
}, Config{Timeout: config.Duration(10 * time.Minute), MaxOpen: 1000, MaxOfUser: 10},
	func(c Config) modules.Module { return &module{cfg: c, runs: runs{open: map[string]*run{}}} })

type module struct {
	cfg Config
	h   *modules.Host
	runs
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	h.IQ(modules.Server, ns, m.execute)
	h.Disco(modules.Server, ns)
	modules.Provide[disco.ServerNodes](h, m)
	for _, c := range m.admin() {
		h.Command(c)
	}
	return nil
}

// Stop has nothing to do.
func (*module) Stop(context.Context) error { return nil }

var (
	errForbidden = stanza.Err(stanza.Forbidden, "")
	errNoNode    = stanza.Err(stanza.ItemNotFound, "there is no such command")
)

// find returns a command of a node, if it is there.
func (m *module) find(node string) *modules.Command {
	list := m.h.Table().Commands
	for i := range list {
		if list[i].Node == node {
			return &list[i]
		}
	}
	return nil
}

// allowed tells whether who asks may execute a command. Commands are for sessions of the host's own accounts alone: what
// another server says of who asks is not good enough.
func (m *module) allowed(ctx context.Context, q *modules.IQ, c *modules.Command) bool {
	switch {
	case q.Origin == nil || q.From.Domain() != m.h.Name || q.From.Local() == "":
		return false
	case c.Admin:
		return m.h.Admin(q.From)
	case c.Allow != nil:
		return c.Allow(ctx, q.From.Bare())
	}
	return true
}

// DiscoItems implements disco.ServerNodes: the commands that who asks may execute (XEP-0050 §3.2).
func (m *module) DiscoItems(ctx context.Context, q *modules.IQ, node string) ([]byte, error) {
	if node != ns {
		return nil, nil
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoIt, "node", ns)
	list := m.h.Table().Commands
	for i := range list {
		if c := &list[i]; m.allowed(ctx, q, c) {
			x.Empty("item", "jid", m.h.Name, "node", c.Node, "name", c.Name)
		}
	}
	return x.Bytes(), nil
}

// DiscoInfo implements disco.ServerNodes (XEP-0050 §3.2, §3.3).
func (m *module) DiscoInfo(ctx context.Context, q *modules.IQ, node string) ([]byte, error) {
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoInf, "node", node)
	if node == ns {
		x.Empty("identity", "category", "automation", "type", "command-list", "name", "Commands")
		return x.Empty("feature", "var", ns).Bytes(), nil
	}
	c := m.find(node)
	switch {
	case c == nil:
		return nil, nil
	case !m.allowed(ctx, q, c):
		return nil, errForbidden
	}
	x.Empty("identity", "category", "automation", "type", "command-node", "name", c.Name)
	return x.Empty("feature", "var", ns).Empty("feature", "var", stanza.NSData).Bytes(), nil
}
