package test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	goparser "go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// guarded are the packages that compare what clients send with secrets. One that comes to do so (dialback keys, handshakes of
// components) goes here.
var guarded = []string{"auth", "modules/authtoken", "modules/fast", "modules/keystore", "modules/muc", "secret"}

// partly are those of them that are mostly about other things: the file that compares a secret is looked at, and elsewhere what
// is called so.
var partly = map[string]struct{ file, secret string }{
	"modules/muc": {"enter.go", "Password"},
}

// hasty are the functions that stop at the first difference, or take their time for part of it only.
var hasty = []string{
	"bytes.Compare", "bytes.Contains", "bytes.Equal", "bytes.EqualFold", "bytes.HasPrefix", "bytes.HasSuffix",
	"cmp.Compare", "maps.Equal", "reflect.DeepEqual", "slices.Compare", "slices.Contains", "slices.Equal", "slices.Index",
	"strings.Compare", "strings.Contains", "strings.EqualFold", "strings.HasPrefix", "strings.HasSuffix",
}

// public are the comparisons in these packages that are of nothing secret, each with what it compares. Whoever adds one has
// thought about it.
var public = map[string]string{
	"auth/accounts.go: slices.Contains(n.hashes, h)":                                    "names of hashes",
	"auth/binding.go: slices.Contains(Bindings(c), kind)":                               "names of channel bindings",
	"auth/binding.go: slices.Contains(c.Bindings, kind)":                                "names of channel bindings",
	"auth/exchange.go: x.identity.JID.Domain() != host.Domain()":                        "domains",
	"auth/lookup.go: slices.Contains(among, h)":                                         "names of hashes",
	"auth/mechanisms.go: d.Domain() != u.host":                                          "domains",
	"auth/mechanisms.go: slices.Contains(a.options.Load().hashes, hash)":                "names of hashes",
	"auth/mechanisms.go: z != j":                                                        "addresses, both sent by the client",
	"auth/record.go: r.Keys[i].Hash == hash":                                            "names of hashes",
	"auth/upgrade.go: slices.Contains(a.Hashes, hash)":                                  "names of hashes",
	"modules/authtoken/authtoken.go: slices.Contains(keystore.Names(cfg, host), o.key)": "names of keys",
	"modules/authtoken/query.go: p.From.Bare() != p.To":                                 "addresses",
	"modules/authtoken/record.go: ref != r.ref()":                                       "numbers of generations",
	"modules/authtoken/record.go: slices.Contains(r.Parents, ref)":                      "names of credentials",
	"modules/authtoken/revoke.go: r.id() == id":                                         "numbers of generations",
	"modules/authtoken/revoke.go: slices.Contains(r.Parents, parent)":                   "names of credentials",
	"modules/authtoken/token.go: j.Domain() == host":                                    "domains",
	"modules/authtoken/token.go: j.String() == string(l.fields[1])":                     "two spellings of an address that the client sent",
	"modules/authtoken/token.go: string(b) == strconv.FormatUint(n, 10)":                "two spellings of a number that the client sent",
	"modules/authtoken/xtoken.go: z != account":                                         "addresses, both sent by the client",
	"modules/fast/fast.go: c.id != spared":                                              "hashes of user agents' ids: names",
	"modules/fast/fast.go: s.JID().Bare() == j.Bare()":                                  "addresses",
	"modules/fast/fast.go: t.name() == mech":                                            "names of mechanisms",
	"modules/fast/mechanism.go: j.Domain() != m.h.Name":                                 "domains",
	"modules/fast/mechanism.go: slices.Contains(auth.Bindings(c), t.kind)":              "names of channel bindings",
	"modules/fast/provider.go: c.id == id":                                              "hashes of user agents' ids: names",
	"modules/fast/provider.go: slices.Contains(s.Parents, parent)":                      "names of credentials",
	"modules/fast/store.go: c.id != id":                                                 "hashes of user agents' ids: names",
	"modules/fast/store.go: c.id == id":                                                 "hashes of user agents' ids: names",
	"modules/fast/store.go: s.Mech == r.mech":                                           "names of mechanisms, after the token has proved right",
	"modules/fast/sweep.go: accounts[len(accounts)-1] != local":                         "names of accounts",
	"modules/keystore/file.go: slices.Contains(u.hosts, host)":                          "domains",
	"modules/keystore/keystore.go: cmp.Compare(a.Name, b.Name)":                         "names of keys",
	"modules/keystore/keystore.go: now.place() == s.place()":                            "names and files of keys",
	"modules/muc/enter.go: o.bare != bare":                                              "addresses",
	"modules/muc/enter.go: o.jid != p.To":                                               "addresses",
	"modules/muc/enter.go: slices.Contains(list, s.occupant)":                           "occupants",
}

// TestConstantTime: K12, in the packages that know secrets, texts and bytes are compared with crypto/hmac or crypto/subtle, which
// take the same time wherever the first difference is; all other comparisons of such are listed above. It looks at types, so
// that comparing numbers, errors and the like needs no word, and neither does comparing with a constant: a secret is none.
func TestConstantTime(t *testing.T) {
	exports := exportData(t)
	seen := map[string]bool{}
	for _, pkg := range guarded {
		t.Run("K12 "+pkg, func(t *testing.T) {
			fset := token.NewFileSet()
			var parsed []*ast.File
			sources, err := filepath.Glob(filepath.Join(xtest.Root(), pkg, "*.go"))
			must(t, err)
			for _, name := range sources {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				if ours, err := build.Default.MatchFile(filepath.Split(name)); !ours { // another system's
					must(t, err)
					continue
				}
				f, err := goparser.ParseFile(fset, name, nil, goparser.SkipObjectResolution)
				must(t, err)
				parsed = append(parsed, f)
			}
			info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
			conf := types.Config{Importer: importer.ForCompiler(fset, "gc", exports)}
			_, err = conf.Check(module+"/"+pkg, fset, parsed, info)
			must(t, err)
			for _, f := range parsed {
				file := path.Join(pkg, filepath.Base(fset.Position(f.Pos()).Filename))
				ast.Inspect(f, func(n ast.Node) bool {
					for _, e := range comparisons(info, n) {
						at := file + ": " + source(fset, e)
						if p, ok := partly[pkg]; ok && path.Base(file) != p.file && !strings.Contains(at, p.secret) {
							continue
						}
						seen[at] = true
						if public[at] == "" {
							t.Errorf("%s: %s compares in a time that depends on what is compared: use hmac.Equal or crypto/subtle, "+
								"or say in the list of this test what it is", fset.Position(e.Pos()), source(fset, e))
						}
					}
					return true
				})
			}
		})
	}
	for at := range public {
		if !seen[at] {
			t.Errorf("%q is in the list and not in the code", at)
		}
	}
}

// comparisons returns the comparisons of texts or bytes that a node itself makes, those with constants apart.
func comparisons(info *types.Info, n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		switch n.Op {
		case token.EQL, token.NEQ, token.LSS, token.GTR, token.LEQ, token.GEQ:
			if isText(info, n.X) && isText(info, n.Y) {
				return []ast.Node{n}
			}
		}
	case *ast.SwitchStmt:
		if n.Tag == nil || !isText(info, n.Tag) {
			return nil
		}
		for _, c := range n.Body.List {
			for _, e := range c.(*ast.CaseClause).List {
				if isText(info, e) {
					return []ast.Node{e}
				}
			}
		}
	case *ast.CallExpr:
		f, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		fn, ok := info.Uses[f.Sel].(*types.Func)
		if !ok || fn.Pkg() == nil || !slices.Contains(hasty, fn.Pkg().Name()+"."+fn.Name()) {
			return nil
		}
		for _, arg := range n.Args {
			if info.Types[arg].Value != nil {
				return nil
			}
		}
		return []ast.Node{n}
	}
	return nil
}

// isText tells whether an expression is of a string, or an array or structure that holds bytes, and no constant.
func isText(info *types.Info, e ast.Expr) bool {
	tv := info.Types[e]
	return tv.Value == nil && holds(tv.Type)
}

func holds(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Array:
		b, ok := u.Elem().Underlying().(*types.Basic)
		return ok && b.Kind() == types.Byte || holds(u.Elem())
	case *types.Struct:
		for i := range u.NumFields() {
			if holds(u.Field(i).Type()) {
				return true
			}
		}
	}
	return false
}

func source(fset *token.FileSet, n ast.Node) string {
	var b bytes.Buffer
	printer.Fprint(&b, fset, n)
	return b.String()
}

// exportData finds what the compiler knows of the packages that the guarded ones import.
func exportData(t *testing.T) importer.Lookup {
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, pkg := range guarded {
		args = append(args, "./"+pkg)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = xtest.Root()
	out, err := cmd.Output()
	must(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		files[name] = file
	}
	return func(name string) (io.ReadCloser, error) {
		if files[name] == "" {
			return nil, fmt.Errorf("nothing known of %s", name)
		}
		return os.Open(files[name])
	}
}
