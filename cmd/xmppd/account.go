package main

import (
	"context"
	"fmt"
)

// listOrRevoke is a command of the form `list JID | revoke JID X`: what an account has, and taking one of it back. x says what X
// is.
type listOrRevoke struct {
	x      string
	list   func(ctx context.Context, c *call, a *admin, jid string) error
	revoke func(ctx context.Context, c *call, a *admin, jid, x string) error
}

func (l listOrRevoke) run(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list or revoke")
	case c.args[0] != "list" && c.args[0] != "revoke":
		return usageError(fmt.Sprintf("it is list or revoke, not %q", c.args[0]))
	case c.args[0] == "list" && len(c.args) != 2:
		return usageError("list takes one JID")
	case c.args[0] == "revoke" && len(c.args) != 3:
		return usageError("revoke takes a JID and " + l.x)
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	if c.args[0] == "list" {
		return l.list(ctx, c, a, c.args[1])
	}
	return l.revoke(ctx, c, a, c.args[1], c.args[2])
}
