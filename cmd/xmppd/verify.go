package main

import (
	"context"
	"fmt"
	"net/http"
)

var verifyCommand = &command{
	name: "verify", args: "[FILE]",
	summary: "read a backup, or all that the server stores, and look for damage",
	help: `Reads every page and every record of a backup, or without FILE of the database, of a running server too, and says what is
damaged. Nothing is changed.

example: xmppd verify /var/backups/xmppd.tar`,
	run: runVerify,
}

func runVerify(ctx context.Context, c *call) error {
	if len(c.args) > 1 {
		return usageError("verify takes one file at most")
	}
	what := "the database"
	if len(c.args) == 1 {
		what = c.args[0]
		if err := withSnapshot(ctx, what, func(*snapshot) error { return nil }); err != nil {
			return err
		}
	} else {
		a, err := c.dialAdmin(ctx)
		if err != nil {
			return err
		}
		defer a.Close()
		if err := a.call(ctx, "GET", "/v1/verify", nil, nil); err != nil {
			return err
		}
	}
	if c.json {
		return printJSON(c.stdout, map[string]any{"verified": what})
	}
	fmt.Fprintf(c.stdout, "%s is sound\n", what)
	return nil
}

func (s *server) apiVerify(r *http.Request, _ struct{}) (struct{}, error) {
	if err := s.store.Verify(r.Context()); err != nil {
		s.log.Error("the database is damaged", "err", err)
		return struct{}{}, &adminError{http.StatusConflict, err.Error()}
	}
	return struct{}{}, nil
}
