package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/xmppd/xmppd/modules/muc"
)

var roomCommand = &command{
	name: "room", args: "list|destroy [HOST|ROOM]",
	summary: "show and end rooms",
	help: `Shows the rooms of the running server, hidden ones as well, or ends one.

  list [HOST]                those of a host, or all
  destroy ROOM@SERVICE       with its settings, its members and its archive, whatever its owners say. Who is in it is told

example: xmppd room destroy den@conference.example.com`,
	run: runRoom,
}

func runRoom(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list or destroy")
	case c.args[0] == "list" && len(c.args) <= 2:
	case c.args[0] == "list":
		return usageError("list takes one host at most")
	case c.args[0] == "destroy" && len(c.args) == 2:
	case c.args[0] == "destroy":
		return usageError("destroy takes one room")
	default:
		return usageError(fmt.Sprintf("it is list or destroy, not %q", c.args[0]))
	}
	a, err := c.dialServer(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	if c.args[0] == "destroy" {
		var out roomDestroyed
		req := map[string]string{"jid": c.args[1], "reason": "ended by the administrator"}
		if err := a.call(ctx, "POST", "/v1/rooms/destroy", req, &out); err != nil {
			return err
		}
		if c.json {
			return printJSON(c.stdout, out)
		}
		fmt.Fprintf(c.stdout, "destroyed %s\n", out.JID)
		return nil
	}
	path := "/v1/rooms"
	if len(c.args) == 2 {
		path += "?host=" + queryEscape(c.args[1])
	}
	var list []muc.RoomInfo
	if err := a.call(ctx, "GET", path, nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ROOM\tOCCUPANTS\tCREATED\tBY\tWHAT\tNAME")
	for _, r := range list {
		what := "hidden"
		if r.Public {
			what = "public"
		}
		if r.Persistent {
			what += ", persistent"
		}
		if r.Locked {
			what += ", not configured yet"
		}
		// What people wrote is quoted: a terminal must not take it for its own.
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\n", quoted(r.JID), r.Occupants, day(r.Created), quoted(r.Creator), what, quoted(r.Name))
	}
	return tw.Flush()
}
