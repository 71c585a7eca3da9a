package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

var importCommand = &command{
	name: "import", args: "FILE",
	summary: "make accounts from a file that export, or another server, wrote",
	help: `Makes the accounts of a file of XEP-0227, with what is in it for them; FILE may be - for standard input. An account that is there
already is left as it is. One that cannot be brought in whole is not brought in at all; until it is whole it is disabled. What no
module here knows is told as skipped. Without credentials in the file an account needs a new password: xmppd user passwd.

example: xmppd import you.xml`,
	run: runImport,
}

func runImport(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return usageError("import takes one file")
	}
	in := c.stdin
	if c.args[0] != "-" {
		f, err := os.Open(c.args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	res, err := a.importFile(ctx, in)
	if err != nil {
		return err
	}
	bad := res.Error != ""
	for _, r := range res.Accounts {
		bad = bad || r.Error != ""
	}
	if c.json {
		if err := printJSON(c.stdout, res); err != nil {
			return err
		}
	} else {
		printImport(c, res)
	}
	if bad {
		return errReported
	}
	return nil
}

func printImport(c *call, res importResult) {
	for _, r := range res.Accounts {
		if r.Error != "" {
			fmt.Fprintf(c.stderr, "%s: not imported: %s\n", quoted(r.JID), r.Error)
			continue
		}
		fmt.Fprintf(c.stdout, "%s: imported, %d elements\n", r.JID, r.Elements)
		if len(r.Skipped) > 0 {
			fmt.Fprintf(c.stdout, "  skipped: %s\n", quoted(strings.Join(r.Skipped, ", ")))
		}
		if !r.Password {
			fmt.Fprintf(c.stdout, "  it has no password: xmppd user passwd %s\n", r.JID)
		}
	}
	if res.Error != "" {
		fmt.Fprintln(c.stderr, "xmppd import: "+res.Error)
	}
}

// importFile reads a file into the server.
func (a *admin) importFile(ctx context.Context, r io.Reader) (res importResult, err error) {
	if a.server != nil {
		res.Accounts, err = a.server.importAccounts(ctx, r)
		if err != nil {
			res.Error = err.Error()
		}
		return res, nil
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://xmppd/v1/import", io.NopCloser(r))
	if err != nil {
		return res, err
	}
	answer, err := a.http.Do(req)
	if err != nil {
		return res, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return res, errors.New("the server answered " + answer.Status)
	}
	return res, json.NewDecoder(answer.Body).Decode(&res)
}
