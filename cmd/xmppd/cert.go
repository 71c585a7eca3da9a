package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

var certCommand = &command{
	name: "cert", args: "list JID | revoke JID NAME",
	summary: "show and take back the certificates that an account logs in with",
	help: `Looks after the certificates that a user gave to the server for logging in (mod_client_certs), in the running server or,
where none runs, in its storage.

  list JID          the certificates of an account
  revoke JID NAME   take one back: it lets nobody in any more, and the sessions that logged in with it end

example: xmppd cert revoke you@example.com Phone`,
	run: listOrRevoke{"the name of a certificate; quote a name with blanks", listCerts, revokeCert}.run,
}

func revokeCert(ctx context.Context, c *call, a *admin, jid, name string) error {
	if err := a.call(ctx, "POST", "/v1/certs/revoke", map[string]string{"jid": jid, "name": name}, nil); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, map[string]string{"jid": jid, "revoked": name})
	}
	fmt.Fprintf(c.stdout, "revoked %q of %s\n", name, jid)
	return nil
}

func listCerts(ctx context.Context, c *call, a *admin, jid string) error {
	var list []certInfo
	if err := a.call(ctx, "GET", "/v1/certs?jid="+queryEscape(jid), nil, &list); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, list)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tADDED\tLAST USED\tEXPIRES\tSTATE\tIN USE BY\tSHA-256")
	for _, x := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", quoted(x.Name), day(x.Added), day(x.LastUsed), day(x.NotAfter), x.state(),
			quoted(strings.Join(x.Resources, ", ")), x.Fingerprint)
	}
	return tw.Flush()
}

func (x *certInfo) state() string {
	state := "enabled"
	switch {
	case x.Disabled:
		state = "disabled"
	case time.Now().After(x.NotAfter):
		state = "expired"
	}
	if x.Restricted {
		state += ", no management"
	}
	return state
}

// quoted makes what users wrote fit for a terminal: nothing in it moves the cursor.
func quoted(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}
