package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/xmppd/xmppd/modules/blocking"
)

var reportCommand = &command{
	name: "report", args: "list [HOST]",
	summary: "show whom users have reported",
	help: `Lists the reports that users sent with a block (XEP-0377), oldest first: who reported whom, why, and what he wrote. How long
they are kept says keep_reports of mod_blocking.

example: xmppd report list`,
	run: runReport,
}

func runReport(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list")
	case c.args[0] != "list":
		return usageError(fmt.Sprintf("it is list, not %q", c.args[0]))
	case len(c.args) > 2:
		return usageError("list takes one host at most")
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	path := "/v1/reports"
	if len(c.args) == 2 {
		path += "?host=" + queryEscape(c.args[1])
	}
	var list []blocking.Report
	if err := a.call(ctx, "GET", path, nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "AT\tBY\tREPORTED\tREASON\tMESSAGES\tTEXT")
	for _, r := range list {
		// What people wrote is quoted: a terminal must not take it for its own.
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", day(r.At), r.By, quoted(r.JID), r.Reason, quoted(strings.Join(r.Messages, " ")), quoted(r.Text))
	}
	return tw.Flush()
}
