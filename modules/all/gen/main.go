// Command gen writes doc/hooks.md, doc/xeps.md and doc/config.md from the modules of modules/all:
//
//	go run ./modules/all/gen HOOKS.GO DOC_DIR
package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/all"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/storage/memory"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gen HOOKS.GO DOC_DIR")
		os.Exit(2)
	}
	files, err := render(os.Args[1])
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[2], name), text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// render makes the pages, by file name. hooksGo is the source whose comments describe the hooks.
func render(hooksGo string) (map[string][]byte, error) {
	docs, err := comments(hooksGo)
	if err != nil {
		return nil, err
	}
	hooks, err := registered()
	if err != nil {
		return nil, err
	}
	var h, x bytes.Buffer
	if err := modules.RenderHooks(&h, docs, hooks); err != nil {
		return nil, err
	}
	if err := modules.RenderXEPs(&x, append(core, all.Modules...)); err != nil {
		return nil, err
	}
	renderCompliance(&x)
	var sections []config.Section
	for _, m := range all.Modules {
		sections = append(sections, m.Section)
	}
	return map[string][]byte{"hooks.md": h.Bytes(), "xeps.md": x.Bytes(), "config.md": config.Markdown(sections)}, nil
}

// core is what the packages under the modules implement.
var core = []modules.Info{
	{Name: "stanza", RFCs: []string{"RFC 6120 §4.9, §8, §11", "RFC 7622"}},
	{Name: "stream", RFCs: []string{"RFC 6120 §4, §5"}, XEPs: []modules.XEP{{Number: 368, Version: "1.1.0", Note: "ALPN; the SRV records are the admin's"}}},
	{Name: "auth", RFCs: []string{"RFC 4616", "RFC 5802", "RFC 7677", "RFC 5929", "RFC 9266", "RFC 8265"}, XEPs: []modules.XEP{
		{Number: 440, Version: "1.0.0"},
		{Number: 474, Version: "0.5.0"},
	}},
	{Name: "router", RFCs: []string{"RFC 6120 §10", "RFC 6121 §8"}},
	{Name: "c2s", RFCs: []string{"RFC 6120 §4 to §8"}, XEPs: []modules.XEP{
		{Number: 198, Version: "1.6.3"},
		{Number: 352, Version: "1.0.0"},
		{Number: 386, Version: "1.1.0", Note: "offline messages that are in no archive are delivered, not dropped"},
		{Number: 388, Version: "1.0.4"},
		{Number: 480, Version: "0.2.0", Note: "the tasks of SCRAM; not for SHA-1"},
	}},
	{Name: "s2s", RFCs: []string{"RFC 6120 §3 to §6, §8.1, §10.4"}, XEPs: []modules.XEP{
		{Number: 178, Version: "1.2", Note: "between servers; the authorization identity is always sent, and may be empty or missing"},
		{Number: 185, Version: "1.0"},
		{Number: 198, Version: "1.6.3", Note: "between servers without resumption: what was not acknowledged is sent again on the next stream"},
		{Number: 220, Version: "1.1.1", Note: "one stream for each pair of domains that this server sends for: other servers may multiplex, it does not"},
		{Number: 288, Version: "1.0.1", Note: "on a stream that another server opened, stanzas go back for the pairs that it has proved"},
		{Number: 344, Version: "0.4", Note: "a valid certificate makes the key needless; certificates are not compared with those of DNS (DANE, POSH)"},
		{Number: 368, Version: "1.1.0", Note: "both as who connects and as who listens"},
		{Number: 478, Version: "0.2.0"},
	}},
	{Name: "cmd/xmppd", XEPs: []modules.XEP{
		{Number: 227, Version: "1.1", Note: "one account at a time; privacy lists of other servers are skipped; archives get IDs of this server, so that what waits for an offline account and is in its archive reaches a client from both"},
	}},
}

// comments reads the text over each field of the struct Hooks.
func comments(hooksGo string) (map[string]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), hooksGo, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok || ts.Name.Name != "Hooks" {
			return true
		}
		for _, field := range ts.Type.(*ast.StructType).Fields.List {
			for _, name := range field.Names {
				text := strings.Join(strings.Fields(field.Doc.Text()), " ")
				text = strings.TrimPrefix(text, name.Name+": ")
				docs[name.Name] = strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):]
			}
		}
		return false
	})
	return docs, nil
}

// registered starts all modules on a host in memory, those that are off by default too, and tells who runs where.
func registered() ([]modules.HookState, error) {
	const host = "example.org"
	cfg := config.Default()
	cfg.General.Hosts = []string{host}
	cfg.Modules = map[string]*config.Node{}
	for _, in := range all.Modules {
		cfg.Modules[in.Name] = &config.Node{Keys: map[string]*config.Node{}}
	}
	r := router.New(router.Options{Accounts: func(string) router.Accounts { return nil }})
	l := modules.NewLoader(all.Modules, modules.Env{
		Router:  r,
		Store:   memory.New(),
		Users:   func(string) auth.Users { return nil },
		Publish: r.Publish,
	})
	ctx := context.Background()
	if err := l.Load(ctx, cfg); err != nil {
		return nil, err
	}
	hooks := l.Table(host).DescribeHooks()
	return hooks, l.Stop(ctx)
}
