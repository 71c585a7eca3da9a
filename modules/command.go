package modules

import (
	"context"

	"github.com/xmppd/xmppd/stanza"
)

// Command is a command that users execute from their clients (XEP-0050). A module that executes them asks who may, walks
// through the stages, and checks what is submitted against the form that was shown; what is left to a command is the deed.
type Command struct {
	Node string // its name on the wire, unique on the host
	Name string // for people
	// Admin: for admins of the host alone (Host.Admin). Else Allow decides; nil: each account of the host may.
	Admin bool
	Allow func(ctx context.Context, account stanza.JID) bool
	// Stages are the forms to be filled in, one after the other; none: the command is done at once.
	Stages []CommandStage
	// Do does it, when all forms are filled in. A *stanza.Error is the answer; other errors are logged.
	Do func(ctx context.Context, c *CommandCall) (*CommandResult, error)
}

// CommandStage is one form of a command.
type CommandStage struct {
	// Form makes the form; what was submitted at earlier stages is in c.
	Form func(ctx context.Context, c *CommandCall) (*stanza.Form, error)
	// Check looks at what was submitted, beyond its types. An error that it returns shows the form again. May be nil.
	Check func(ctx context.Context, c *CommandCall, in *stanza.Form) error
}

// CommandCall is one execution of a command.
type CommandCall struct {
	User    stanza.JID // full
	Session Session
	// Forms are what was submitted, stage by stage.
	Forms []*stanza.Form
}

// Value returns the first value of a field of that name that was submitted at any stage, or ""; Values returns all.
func (c *CommandCall) Value(name string) string {
	if v := c.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Values returns the values of a field that was submitted at any stage.
func (c *CommandCall) Values(name string) []string {
	for _, f := range c.Forms {
		if fd := f.Field(name); fd != nil {
			return fd.Values
		}
	}
	return nil
}

// CommandResult is what a command has to say when it is done.
type CommandResult struct {
	Form  *stanza.Form // of kind result; may be nil
	Note  string       // for people; may be empty
	Error bool         // it has not worked out, and Note says why (XEP-0050 §3.6)
}

// Command offers a command. Two of the same node are a start error naming both modules.
func (h *Host) Command(c Command) {
	record(h.reg, "command "+c.Node, func(string) { h.reg.commands = append(h.reg.commands, c) })
}

// Admin tells whether an account of this host is one of general.admins, as the file is now. An admin of another host of this
// server is none of this one.
func (h *Host) Admin(j stanza.JID) bool {
	if j.Domain() != h.Name || j.Local() == "" {
		return false
	}
	for _, a := range h.File().General.Admins {
		if adm, err := stanza.ParseJID(a); err == nil && adm == j.Bare() {
			return true
		}
	}
	return false
}
