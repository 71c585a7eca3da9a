package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/xmppd/xmppd/secret"
)

var userCommand = &command{
	name: "user", args: "add|passwd|delete|disable|enable|list|import|invite [JID]",
	summary: "add, change, delete and list accounts",
	help: `Changes accounts, in the running server or, where none runs, in its storage.

  add JID      make an account
  passwd JID   set its password; its other sessions end
  delete JID   delete the account and all that is stored for it; its sessions end
  disable JID  let nobody log in; its sessions end
  enable JID   let them log in again
  list [JID|HOST]
  invite JID|HOST [-days N]
               print a link with which somebody makes the account, or one of his choice, from a client, once
  import       make many: lines "JID PASSWORD" on standard input; what was refused is listed at the end

A password is asked for on a terminal; otherwise it is read as one line from standard input. It is never an argument, where
everybody on the machine could see it.

example: xmppd user add you@example.com`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.IntVar(&c.days, "days", 0, "how many days an invitation is good; 0: as valid_for of mod_invites says")
	},
	run: runUser,
}

func runUser(ctx context.Context, c *call) error {
	if len(c.args) == 0 {
		return usageError("what is to be done? add, passwd, delete, disable, enable, list, import or invite")
	}
	what, rest := c.args[0], c.args[1:]
	switch what {
	case "list":
		if len(rest) > 1 {
			return usageError("list takes one JID or host at most")
		}
	case "import":
		if len(rest) > 0 {
			return usageError("import reads standard input and takes no argument")
		}
	case "add", "passwd", "delete", "disable", "enable", "invite":
		if len(rest) != 1 {
			return usageError(what + " takes one JID")
		}
		if c.days < 0 || c.days > 3650 {
			return usageError("-days is from 1 to 3650")
		}
	default:
		return usageError(fmt.Sprintf("it is add, passwd, delete, disable, enable, list, import or invite, not %q", what))
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	switch what {
	case "list":
		return listUsers(ctx, c, a, rest)
	case "import":
		return importUsers(ctx, c, a)
	case "invite":
		return inviteUser(ctx, c, a, rest[0])
	}
	var password secret.Text
	if what == "add" || what == "passwd" {
		if password, err = c.readPassword(rest[0]); err != nil {
			return err
		}
	}
	if err := a.call(ctx, "POST", "/v1/users/"+what, userCall(rest[0], password), nil); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, map[string]string{"jid": rest[0], "done": what})
	}
	done := map[string]string{"add": "added", "passwd": "password set for", "delete": "deleted", "disable": "disabled", "enable": "enabled"}
	fmt.Fprintf(c.stdout, "%s %s\n", done[what], rest[0])
	return nil
}

// inviteUser prints a link to make an account with (XEP-0445).
func inviteUser(ctx context.Context, c *call, a *admin, who string) error {
	var inv inviteInfo
	if err := a.call(ctx, "POST", "/v1/users/invite", map[string]any{"jid": who, "days": c.days}, &inv); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, inv)
	}
	fmt.Fprintf(c.stdout, "%s\ngood once, until %s UTC\n", inv.URI, day(inv.Expires))
	return nil
}

// readPassword asks for a password twice on a terminal, else reads one line.
func (c *call) readPassword(jid string) (none secret.Text, err error) {
	f, ok := c.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("no password: give it as one line on standard input, or run the command on a terminal")
			}
			return none, err
		}
		return secret.NewText(line), nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(c.stderr, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.stderr)
		return string(b), err
	}
	first, err := ask("Password for " + jid + ": ")
	if err != nil {
		return none, err
	}
	second, err := ask("Once more: ")
	if err != nil {
		return none, err
	}
	if first != second {
		return none, errors.New("the two passwords differ; nothing was changed")
	}
	if first == "" {
		return none, errors.New("an empty password is none; nothing was changed")
	}
	return secret.NewText(first), nil
}

func listUsers(ctx context.Context, c *call, a *admin, args []string) error {
	path := "/v1/users"
	if len(args) == 1 {
		path += "?jid=" + queryEscape(args[0])
	}
	var users []userInfo
	if err := a.call(ctx, "GET", path, nil, &users); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, users)
	}
	tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ACCOUNT\tCREATED\tLAST LOGIN\tSESSIONS\tSTATE")
	for _, u := range users {
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", u.JID, day(u.Created), day(u.LastLogin), u.Sessions, state)
	}
	return tw.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// importUsers makes accounts from lines "JID PASSWORD"; the password is all that follows the first run of blanks.
func importUsers(ctx context.Context, c *call, a *admin) error {
	sc := bufio.NewScanner(c.stdin)
	var made, n int
	refused := []string{}
	for sc.Scan() {
		n++
		line := strings.TrimRight(sc.Text(), "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		jid, pw, _ := strings.Cut(strings.TrimLeft(line, " \t"), " ")
		pw = strings.TrimLeft(pw, " \t")
		if pw == "" {
			refused = append(refused, fmt.Sprintf("line %d: %s: no password", n, jid))
			continue
		}
		if err := a.call(ctx, "POST", "/v1/users/add", userCall(jid, secret.NewText(pw)), nil); err != nil {
			refused = append(refused, fmt.Sprintf("line %d: %s: %s", n, jid, err))
			continue
		}
		if made++; made%100 == 0 {
			fmt.Fprintf(c.stderr, "%d accounts made\n", made)
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if c.json {
		if err := printJSON(c.stdout, map[string]any{"made": made, "refused": refused}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.stdout, "%d accounts made, %d refused\n", made, len(refused))
		for _, r := range refused {
			fmt.Fprintln(c.stdout, r)
		}
	}
	if len(refused) > 0 {
		return errReported
	}
	return nil
}
