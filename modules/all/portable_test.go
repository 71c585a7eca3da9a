package all

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
)

// notPortable are the modules that store something and are not modules.Portable, with the reason.
var notPortable = map[string]string{
	"mod_register":     "the names of deleted accounts: of nobody any more",
	"mod_auth_token":   "credentials: mod_devices tells of them",
	"mod_client_certs": "credentials: mod_devices tells of them",
	"mod_sasl2_fast":   "credentials: mod_devices tells of them",
}

var (
	stores   = regexp.MustCompile(`\bh\.Store\b`)
	provides = regexp.MustCompile(`modules\.Provide\[modules\.Portable\]`)
)

// TestPortable: each module that stores something can be asked what it stores of an account, so that a person gets all of it
// (XEP-0227), or says here why not. A new module fails this test until it does one or the other.
func TestPortable(t *testing.T) {
	for _, in := range Modules {
		dir := folder[in.Name]
		if dir == "" {
			dir = strings.ReplaceAll(strings.TrimPrefix(in.Name, "mod_"), "_", "")
		}
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files in %s, %v", in.Name, dir, err)
		}
		var keeps, offers bool
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			keeps = keeps || stores.Match(src)
			offers = offers || provides.Match(src)
		}
		why, excused := notPortable[in.Name]
		switch {
		case keeps && !offers && !excused:
			t.Errorf("%s stores something and provides no modules.Portable: what is stored of an account must be told to its owner", in.Name)
		case offers && excused:
			t.Errorf("%s is modules.Portable, and excused: %s", in.Name, why)
		}
	}
	for name := range notPortable {
		if !strings.Contains(strings.Join(names(), " "), name) {
			t.Errorf("there is no %s", name)
		}
	}
}

func names() (out []string) {
	for _, in := range Modules {
		out = append(out, in.Name)
	}
	return out
}

// TestClaims: no element of a file is claimed by two modules.
func TestClaims(t *testing.T) {
	h := modtest.New(t, "a.test", Modules...)
	seen := map[string]bool{}
	list := modules.ServicesOf[modules.Portable](h.Loader, "a.test")
	for _, p := range list {
		for _, c := range p.Claims() {
			if ns, name, ok := strings.Cut(c, " "); !ok || ns == "" || name == "" || seen[c] {
				t.Errorf("%T claims %q, which is no element or another's", p, c)
			}
			seen[c] = true
		}
	}
	if len(list) < 7 {
		t.Errorf("%d modules tell what they store", len(list))
	}
}
