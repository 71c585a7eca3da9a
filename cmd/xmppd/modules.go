package main

import (
	"context"
	"flag"
	"fmt"
	"text/tabwriter"

	"github.com/xmppd/xmppd/modules"
)

var modulesCommand = &command{
	name: "modules", args: "[-hooks|-commands]", summary: "what is loaded, and in which order its hooks run",
	help: `Lists the modules of each host, whether each is on and why, in the order in which they are asked. With -hooks, lists for each
hook who handles it, in order. With -commands, lists the commands that users, or admins alone, can execute from their clients.

example: xmppd modules -hooks`,
	flags: func(c *call, fs *flag.FlagSet) {
		fs.BoolVar(&c.hooks, "hooks", false, "show the order of the hooks")
		fs.BoolVar(&c.commands, "commands", false, "show the commands for clients")
	},
	run: runModules,
}

func runModules(ctx context.Context, c *call) error {
	if len(c.args) > 0 {
		return usageError("modules takes no argument")
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	var hosts []modules.HostState
	if err := a.call(ctx, "GET", "/v1/modules", nil, &hosts); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, hosts)
	}
	for i, h := range hosts {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		fmt.Fprintln(c.stdout, h.Host)
		tw := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
		switch {
		case c.commands:
			for _, k := range h.Commands {
				who := "users"
				if k.Admin {
					who = "admins"
				}
				fmt.Fprintf(tw, "  %s\t%s\t%s\n", k.Node, who, k.Name)
			}
		case c.hooks:
			for _, hk := range h.Hooks {
				for _, e := range hk.Handlers {
					fmt.Fprintf(tw, "  %s\t%s\t%s\n", hk.Hook, e.Phase, e.Module)
				}
			}
		default:
			for _, m := range h.Modules {
				state := "off"
				if m.On {
					state = "on"
				}
				fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", m.Name, state, m.Why, m.Summary)
			}
		}
		tw.Flush()
	}
	return nil
}
