// Package accounts ends the sessions of an account that must not go on: its password changed, it was disabled or deleted,
// whoever did that.
package accounts

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// Config is [modules.mod_accounts]: there is nothing to configure.
type Config struct{}

// Info describes mod_accounts.
var Info = modules.Define(modules.Info{
	Name:    "mod_accounts",
	Summary: "ends the sessions of an account whose password changes, or that is disabled or deleted",
	Default: true,
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct{ h *modules.Host }

// Start implements modules.Module. The sessions end first, while other modules still have what they know of the account:
// its contacts see it go (RFC 6121 §4.5.4).
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	h.Hooks.PasswordChanged.On(modules.Check, m.end(&stream.Error{Condition: "reset", Text: "Password changed"})) // RFC 6120 §4.9.3.16
	h.Hooks.UserDisabled.On(modules.Check, m.end(&stream.Error{Condition: "not-authorized", Text: "Account disabled"}))
	h.Hooks.UserDeleted.On(modules.Check, m.end(&stream.Error{Condition: "not-authorized", Text: "Account deleted"})) // XEP-0077 §3.2
	return nil
}

// Stop implements modules.Module.
func (*module) Stop(context.Context) error { return nil }

// end closes all sessions of an account, also those that wait to be resumed, but for the one that asked for the change:
// it still gets its answer.
func (m *module) end(why *stream.Error) func(context.Context, stanza.JID) {
	return func(ctx context.Context, j stanza.JID) {
		actor := modules.ActorOf(ctx)
		for _, s := range m.h.Router.Sessions(j.Bare()) {
			if s != actor {
				s.Close(why)
			}
		}
	}
}
