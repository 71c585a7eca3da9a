package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

const module = "github.com/xmppd/xmppd"

// mayImport is the house's one rule: imports go downwards. A trailing "/…" stands for a package and all below it.
var mayImport = map[string][]string{
	"secret":   {},
	"stanza":   {},
	"stream":   {"stanza"},
	"accept":   {},
	"config":   {"secret", "stanza"},
	"storage":  {"stanza", "storage/…"},
	"auth":     {"secret", "stanza", "storage"},
	"modules":  {"secret", "stanza", "stream", "config", "storage", "auth"},
	"module":   {"modules/…", "secret", "stanza", "stream", "config", "storage", "auth"}, // modules/X
	"router":   {"modules", "stanza", "stream"},
	"c2s":      {"router", "accept", "modules", "auth", "stream", "config", "secret", "stanza"},
	"s2s":      {"router", "accept", "modules", "auth", "stream", "config", "secret", "stanza"},
	"cmd":      {"…"},
	"test":     {"test/…"},
	"modtest":  {"modules", "stanza", "stream", "config", "storage", "storage/memory", "auth", "router"},
	"generate": {"…"},
}

// rule finds the rule of a package of ours.
func rule(pkg string) string {
	switch {
	case strings.HasPrefix(pkg, "cmd/"):
		return "cmd"
	case pkg == "modules/modtest":
		return "modtest"
	case pkg == "modules/all/gen":
		return "generate"
	case strings.HasPrefix(pkg, "modules/"):
		return "module"
	}
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

// TestImports checks the table above: stanza knows nobody, c2s and s2s not each other, only cmd names drivers.
func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = xtest.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if pkg == "" {
			continue
		}
		seen++
		allowed, ok := mayImport[rule(pkg)]
		if !ok {
			t.Errorf("%s: a new package at the top level needs a line in mayImport", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module) {
				continue
			}
			imp = strings.TrimPrefix(imp, module+"/")
			if !slices.ContainsFunc(allowed, func(a string) bool {
				base, deep := strings.CutSuffix(a, "…")
				return imp == a || deep && (base == "" || strings.HasPrefix(imp+"/", base))
			}) {
				t.Errorf("%s may not import %s", pkg, imp)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("saw only %d packages: the test looks in the wrong place", seen)
	}
}

// files lists what git tracks, or would.
func files(t *testing.T, pattern ...string) []string {
	cmd := exec.Command("git", append([]string{"ls-files", "-co", "--exclude-standard", "--"}, pattern...)...)
	cmd.Dir = xtest.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Skip("not a git checkout: nothing to list")
	}
	return strings.Fields(string(out))
}

// TestNames: file names are words of the field, joined by underscores; no package is named by a XEP's number.
func TestNames(t *testing.T) {
	good := regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9]+)?\.go$`)
	for _, f := range files(t, "*.go") {
		if !good.MatchString(path.Base(f)) {
			t.Errorf("%s: use lower case and underscores", f)
		}
		if regexp.MustCompile(`xep_?[0-9]`).MatchString(f) {
			t.Errorf("%s: name it by its function", f)
		}
	}
}

// TestTestingPage: each test that doc/testing.md names is there, and each line of its tables is the name of a subtest.
func TestTestingPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(xtest.Root(), "doc", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all, attacks strings.Builder
	for _, f := range files(t, "*_test.go") {
		src, err := os.ReadFile(filepath.Join(xtest.Root(), f))
		if err != nil {
			continue // listed, and deleted since
		}
		all.Write(src)
		if strings.HasPrefix(f, "test/") {
			attacks.Write(src)
		}
	}
	names := regexp.MustCompile("`(?:\\w+\\.)?((?:Test|Fuzz|Benchmark)[A-Z]\\w*)").FindAllSubmatch(page, -1)
	for _, m := range names {
		if !strings.Contains(all.String(), "func "+string(m[1])+"(") {
			t.Errorf("doc/testing.md names %s, which does not exist", m[1])
		}
	}
	lines := regexp.MustCompile(`(?m)^\| ([A-Z]\d\d) .*`+"`Test").FindAllSubmatch(page, -1)
	for _, m := range lines {
		if !regexp.MustCompile(`["` + "`" + `/]` + string(m[1]) + `\b`).MatchString(attacks.String()) {
			t.Errorf("doc/testing.md has a line %s, which is no subtest's name", m[1])
		}
	}
	if len(names) < 20 || len(lines) < 20 {
		t.Errorf("found %d names and %d lines: the test looks for the wrong thing", len(names), len(lines))
	}
}
