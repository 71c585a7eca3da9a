package main

import (
	"context"
	"flag"
	"fmt"
)

var tokenCommand = &command{
	name: "token", args: "revoke JID [-sessions]",
	summary: "take back the tokens that an account logs in with",
	help: `Makes all tokens of an account void that mod_auth_token takes, in the running server or, where none runs, in its storage:
access and refresh tokens, and provision tokens that were used; and what clients got that logged in with one, such as FAST
tokens. Sessions go on unless -sessions is given. A token that another application signs later is good: its keys are changed
with xmppd key rotate.

example: xmppd token revoke you@example.com -sessions`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.BoolVar(&c.sessions, "sessions", false, "end the sessions that logged in with a token, too")
	},
	run: runToken,
}

func runToken(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? revoke")
	case c.args[0] != "revoke":
		return usageError(fmt.Sprintf("it is revoke, not %q", c.args[0]))
	case len(c.args) != 2:
		return usageError("revoke takes one JID")
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	var n struct {
		Ended int `json:"sessions_ended"`
	}
	req := map[string]any{"jid": c.args[1], "sessions": c.sessions}
	if err := a.call(ctx, "POST", "/v1/tokens/revoke", req, &n); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, map[string]any{"jid": c.args[1], "sessions_ended": n.Ended})
	}
	fmt.Fprintf(c.stdout, "revoked the tokens of %s", c.args[1])
	if c.sessions {
		fmt.Fprintf(c.stdout, ", %d sessions ended", n.Ended)
	}
	fmt.Fprintln(c.stdout)
	return nil
}
