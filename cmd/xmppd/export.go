package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
)

var exportCommand = &command{
	name: "export", args: "[-with-secrets] [-o FILE] JID",
	summary: "write all that is stored of an account to a file",
	help: `Writes all that is stored of an account as a file of XEP-0227, with what modules keep beyond that in elements of their own: to
standard output, or to a file that must not be there yet and is for this user alone. What lets somebody log in, here or
elsewhere, is left out unless -with-secrets is given; a file with it lets the account log in elsewhere with its password.

example: xmppd export -o you.xml you@example.com`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.BoolVar(&c.secrets, "with-secrets", false, "also what passwords are checked with, and what push services are told")
		fs.StringVar(&c.output, "o", "", "the `FILE` to write")
	},
	run: runExport,
}

func runExport(ctx context.Context, c *call) (err error) {
	if len(c.args) != 1 {
		return usageError("export takes one JID")
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	out := c.stdout
	if c.output != "" {
		f, err := os.OpenFile(c.output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		done := false
		defer func() {
			f.Close()
			if !done {
				os.Remove(c.output)
			}
		}()
		w := bufio.NewWriter(f)
		if err := a.export(ctx, c.args[0], c.secrets, w); err != nil {
			return err
		}
		if err := errors.Join(w.Flush(), f.Sync()); err != nil {
			return err
		}
		done = true
		fmt.Fprintf(c.stderr, "wrote %s\n", c.output)
		return nil
	}
	return a.export(ctx, c.args[0], c.secrets, out)
}

// export writes an account's file.
func (a *admin) export(ctx context.Context, jid string, secrets bool, w io.Writer) error {
	if a.server != nil {
		j, _, err := a.server.account(jid)
		if err != nil {
			return err
		}
		return a.server.exportAccount(ctx, w, j, secrets)
	}
	out := &lateWriter{w: w}
	_, err := a.fetch(ctx, fmt.Sprintf("/v1/export?jid=%s&secrets=%t", url.QueryEscape(jid), secrets), out)
	if err != nil && out.begun {
		err = fmt.Errorf("the export ended in the middle, its reason is in the server's log: %w", err)
	}
	return err
}
