package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

var deviceCommand = &command{
	name: "device", args: "list JID | revoke JID ID",
	summary: "show what has access to an account, and take it away",
	help: `Shows what has access to an account, each device with its sessions, FAST tokens, certificates and other tokens, and takes
it away, in the running server or, where none runs, in its storage.

  list JID        the devices of an account, last used first
  revoke JID ID   end a device's sessions and make void what it logs in with

A device that knows the password can come back: then change that too (xmppd user passwd JID).

example: xmppd device list you@example.com`,
	run: runDevice,
}

func runDevice(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list or revoke")
	case c.args[0] == "list" && len(c.args) == 2:
		return listDevices(ctx, c)
	case c.args[0] == "list":
		return usageError("list takes one JID")
	case c.args[0] == "revoke" && len(c.args) == 3:
	case c.args[0] == "revoke":
		return usageError("revoke takes a JID and the id of a device")
	default:
		return usageError(fmt.Sprintf("it is list or revoke, not %q", c.args[0]))
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	var d deviceInfo
	if err := a.call(ctx, "POST", "/v1/devices/revoke", map[string]string{"jid": c.args[1], "id": c.args[2]}, &d); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, d)
	}
	fmt.Fprintf(c.stdout, "revoked %s of %s, %d sessions ended\n", quoted(d.Name), c.args[1], len(d.Sessions))
	if slices.Contains(d.Auth, "password") {
		fmt.Fprintf(c.stdout, "it knows the password and can come back with it: xmppd user passwd %s\n", c.args[1])
	}
	return nil
}

func listDevices(ctx context.Context, c *call) error {
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	var list []deviceInfo
	if err := a.call(ctx, "GET", "/v1/devices?jid="+queryEscape(c.args[1]), nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tNAME\tSOFTWARE\tLOGS IN WITH\tFIRST SEEN\tLAST SEEN\tSESSIONS")
	for _, d := range list {
		var sessions []string
		for _, full := range d.Sessions {
			_, resource, _ := strings.Cut(full, "/")
			sessions = append(sessions, resource)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, quoted(d.Name), quoted(d.Software), strings.Join(d.Auth, ", "),
			day(d.FirstSeen), day(d.LastSeen), quoted(strings.Join(sessions, ", ")))
	}
	return tw.Flush()
}
