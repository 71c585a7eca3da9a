// Command xmppd is an XMPP server in one binary: it serves, and it is the tool that looks after what it serves.
//
//	xmppd COMMAND [-config FILE] [ARGS]
//
// One file per command; server.go wires the packages together, top to bottom.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

// command is one of xmppd's commands.
type command struct {
	name    string
	args    string // after the flags, for the usage line
	summary string // one line
	help    string // what -h says beyond the flags; ends with an example
	run     func(ctx context.Context, c *call) error
	flags   func(c *call, fs *flag.FlagSet) // further flags, or nil
}

// commands are shown in this order.
var commands = []*command{
	serveCommand, checkCommand, userCommand, exportCommand, importCommand, reportCommand, sessionCommand, deviceCommand, certCommand, tokenCommand,
	keyCommand, roomCommand, backupCommand, verifyCommand, restoreCommand, modulesCommand, reloadCommand, versionCommand,
}

// call is one use of a command.
type call struct {
	cmd    *command
	config string // -config
	json   bool   // -json
	args   []string
	flags  *flag.FlagSet

	stdin          io.Reader
	stdout, stderr io.Writer

	days   int    // of user invite
	output string // of export

	dryRun, hooks, commands, sessions, secrets, pprof bool // of the commands that have them
}

// usageError is a mistake in the way a command was called; it is answered with the usage line.
type usageError string

func (e usageError) Error() string { return string(e) }

// errReported says that all there was to say has been printed; the exit code is 1.
var errReported = errors.New("reported")

func main() {
	umask() // before the first file is made: nothing of ours is for others to read
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		usage(stdout)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	for _, cmd := range commands {
		if cmd.name != args[0] {
			continue
		}
		return invoke(ctx, cmd, args[1:], stdin, stdout, stderr)
	}
	fmt.Fprintf(stderr, "xmppd: there is no command %q; `xmppd help` lists them\n", args[0])
	return 2
}

func invoke(ctx context.Context, cmd *command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &call{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr}
	fs := flag.NewFlagSet("xmppd "+cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&c.config, "config", "", "the configuration `FILE`; without it $XMPPD_CONFIG, ./config.toml, /etc/xmppd/config.toml")
	fs.BoolVar(&c.json, "json", false, "print JSON")
	if cmd.flags != nil {
		cmd.flags(c, fs)
	}
	c.flags = fs
	var err error
	c.args, err = parseFlags(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		cmd.usage(stdout, fs)
		return 0
	}
	if err == nil {
		err = cmd.run(ctx, c)
	} else {
		err = usageError(err.Error())
	}
	var ue usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
	case errors.As(err, &ue):
		fmt.Fprintf(stderr, "xmppd %s: %s\nusage: xmppd %s [-config FILE] %s   (more: xmppd %s -h)\n", cmd.name, ue, cmd.name, cmd.args, cmd.name)
		return 2
	default:
		fmt.Fprintln(stderr, prefixed(cmd.name, err))
	}
	return 1
}

// prefixed puts the command's name before a message; the lines of a faulty configuration already begin with file and line.
func prefixed(name string, err error) string {
	if isConfigError(err) {
		return err.Error()
	}
	return "xmppd " + name + ": " + err.Error()
}

// parseFlags reads flags before, between and after the arguments, so that `user add x@y -config f` works too.
func parseFlags(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		args = fs.Args()
		if len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "xmppd is an XMPP server.\n\nusage: xmppd COMMAND [-config FILE] [ARGS]\n\n")
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(tw, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	tw.Flush()
	fmt.Fprint(w, "\nWithout -config: $XMPPD_CONFIG, ./config.toml, /etc/xmppd/config.toml, in that order.\n`xmppd COMMAND -h` says more and shows an example.\n")
}

func (cmd *command) usage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "usage: xmppd %s [-config FILE] %s\n\n%s\n\n", cmd.name, cmd.args, strings.TrimSpace(cmd.help))
	fs.SetOutput(w)
	fs.PrintDefaults()
}
