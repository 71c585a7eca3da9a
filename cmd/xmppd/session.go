package main

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"
)

var sessionCommand = &command{
	name: "session", args: "list|close [JID]",
	summary: "show and end sessions",
	help: `Shows who is connected to the running server, or ends sessions: clients, and other servers.

  list [JID|HOST]   all, or those of an account, a full JID, a host, or another server's domain
  close JID|ID      end those of an account, a full JID, a host, another server's domain, or of an id

example: xmppd session list you@example.com`,
	run: runSession,
}

func queryEscape(s string) string { return url.QueryEscape(s) }

func runSession(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list or close")
	case c.args[0] == "list" && len(c.args) <= 2:
	case c.args[0] == "close" && len(c.args) == 2:
	case c.args[0] == "close":
		return usageError("close takes one JID, domain or id")
	default:
		return usageError("it is list [JID] or close JID")
	}
	a, err := c.dialServer(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	if c.args[0] == "close" {
		var n struct {
			Closed int `json:"closed"`
		}
		if err := a.call(ctx, "POST", "/v1/sessions/close", map[string]string{"jid": c.args[1], "text": "closed by the administrator"}, &n); err != nil {
			return err
		}
		if c.json {
			return printJSON(c.stdout, n)
		}
		fmt.Fprintf(c.stdout, "%d closed\n", n.Closed)
		return nil
	}
	path := "/v1/sessions"
	if len(c.args) == 2 {
		path += "?jid=" + queryEscape(c.args[1])
	}
	var list []sessionInfo
	if err := a.call(ctx, "GET", path, nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tJID\tADDRESS\tTLS\tLOGIN\tSINCE\tSTATE")
	for _, s := range list {
		state := "connected"
		switch {
		case s.Hibernated:
			state = "waits to be resumed"
		case s.Available:
			state = fmt.Sprintf("available, priority %d", s.Priority)
		}
		if s.Inactive {
			state += ", inactive"
		}
		if s.Peer != nil {
			state = s.Peer.describe()
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.JID, s.Address, s.TLS, s.Mechanism, time.Since(s.Started).Round(time.Second), state)
	}
	return tw.Flush()
}
