package main

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/xmppd/xmppd/config"
)

// newLog logs to standard error: text for people on a terminal, JSON for machines.
func newLog(c *call, cfg *config.Config) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.UnmarshalText([]byte(cfg.General.LogLevel)) // checked by config
	o := &slog.HandlerOptions{Level: level}
	if f, ok := c.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(f, o)), level // which quotes what is not printable
	}
	o.ReplaceAttr = printable
	return slog.New(slog.NewJSONHandler(c.stderr, o)), level
}

// printable escapes what JSON lets through and a terminal may take for a command, or which makes text look like another:
// C1 controls, marks of direction, invisible characters. The network names much of what is logged.
func printable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); !isPrintable(s) {
			a.Value = slog.StringValue(escapeText(s))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(escapeText(err.Error()))
		}
	}
	return a
}

func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !printableRune(r) }) < 0
}

// Below space the JSON encoder escapes everything.
func printableRune(r rune) bool { return r < ' ' || unicode.IsPrint(r) }

func escapeText(s string) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if printableRune(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}
