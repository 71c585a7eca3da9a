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
	run: listOrRevoke{"the id of a device", listDevices, revokeDevice}.run,
}

func revokeDevice(ctx context.Context, c *call, a *admin, jid, id string) error {
	var d deviceInfo
	if err := a.call(ctx, "POST", "/v1/devices/revoke", map[string]string{"jid": jid, "id": id}, &d); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, d)
	}
	fmt.Fprintf(c.stdout, "revoked %s of %s, %d sessions ended\n", quoted(d.Name), jid, len(d.Sessions))
	if slices.Contains(d.Auth, "password") {
		fmt.Fprintf(c.stdout, "it knows the password and can come back with it: xmppd user passwd %s\n", jid)
	}
	return nil
}

func listDevices(ctx context.Context, c *call, a *admin, jid string) error {
	var list []deviceInfo
	if err := a.call(ctx, "GET", "/v1/devices?jid="+queryEscape(jid), nil, &list); err != nil {
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
