package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
)

var keyCommand = &command{
	name: "key", args: "list [HOST] | rotate NAME [HOST]",
	summary: "show and replace the keys that tokens are signed with",
	help: `Looks after the keys of mod_keystore. A key itself is never shown: what names it is its fingerprint, the first eight hex
digits of the SHA-256 of its bytes.

  list [HOST]          the keys of all hosts or one, and the server's own keyring
  rotate NAME [HOST]   replace a key of the running server, on all hosts that have one of that name or on one:
                       type ram by a new one, type file by what its file holds now

What the old key signed stays good until the next rotation or a restart of the server.

example: xmppd key list example.com`,
	run: runKey,
}

func runKey(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 0:
		return usageError("what is to be done? list or rotate")
	case c.args[0] == "list" && len(c.args) <= 2:
		return listKeys(ctx, c)
	case c.args[0] == "list":
		return usageError("list takes one host at most")
	case c.args[0] == "rotate" && (len(c.args) == 2 || len(c.args) == 3):
	case c.args[0] == "rotate":
		return usageError("rotate takes the name of a key and, if you like, a host")
	default:
		return usageError(fmt.Sprintf("it is list or rotate, not %q", c.args[0]))
	}
	a, err := c.dialServer(ctx)
	if errors.As(err, new(errNotRunning)) {
		return fmt.Errorf("%w; a server makes and reads its keys when it starts", err)
	}
	if err != nil {
		return err
	}
	defer a.Close()
	req := map[string]string{"name": c.args[1]}
	if len(c.args) == 3 {
		req["host"] = c.args[2]
	}
	var list []keyInfo
	if err := a.call(ctx, "POST", "/v1/keys/rotate", req, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	for _, k := range list {
		fmt.Fprintf(c.stdout, "%s of %s is %s now; what %s signed stays good until the next rotation or a restart\n", quoted(k.Name), k.Host, k.Fingerprint, k.Previous)
	}
	return nil
}

func listKeys(ctx context.Context, c *call) error {
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	path := "/v1/keys"
	if len(c.args) == 2 {
		path += "?host=" + queryEscape(c.args[1])
	}
	var list []keyInfo
	if err := a.call(ctx, "GET", path, nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "HOST\tNAME\tTYPE\tBYTES\tFINGERPRINT\tPREVIOUS\tFILE")
	for _, k := range list {
		size := "-"
		if k.Bytes > 0 {
			size = strconv.Itoa(k.Bytes)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(k.Host, "(all)"), quoted(k.Name), k.Type, size,
			cmp.Or(k.Fingerprint, "made at the start"), cmp.Or(k.Previous, "-"), cmp.Or(k.File, "-"))
	}
	return tw.Flush()
}
