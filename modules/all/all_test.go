package all

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
)

// folder is where a module lives, where that is not its name without mod_.
var folder = map[string]string{"mod_time": "entitytime", "mod_sasl2_fast": "fast"}

var tomlBlock = regexp.MustCompile("(?s)```toml\n(.*?)```")

// Each module has a README that explains all its options, and whose examples load.
func TestReadmes(t *testing.T) {
	sections := modules.Sections(Modules)
	for _, in := range Modules {
		t.Run(in.Name, func(t *testing.T) {
			dir := folder[in.Name]
			if dir == "" {
				dir = strings.ReplaceAll(strings.TrimPrefix(in.Name, "mod_"), "_", "")
			}
			b, err := os.ReadFile(filepath.Join("..", dir, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if !strings.HasPrefix(text, "# "+in.Name+"\n") {
				t.Errorf("the first line is not # %s", in.Name)
			}
			options := config.Describe(in.Section.Defaults)
			for _, o := range options {
				key := o.Key[strings.LastIndex(o.Key, ".")+1:]
				if !strings.Contains(text, "`"+key+"`") && !strings.Contains(text, "\n"+key+" = ") {
					t.Errorf("option %s is not explained", o.Key)
				}
			}
			blocks := tomlBlock.FindAllStringSubmatch(text, -1)
			if len(blocks) == 0 && len(options) > 0 {
				t.Error("no example")
			}
			for _, m := range blocks {
				toml := m[1]
				if !strings.Contains(toml, "[general]") {
					toml = "[general]\nhosts = [\"example.com\"]\n" + toml
				}
				if _, err := config.Parse("README.md", []byte(toml), sections); err != nil {
					t.Errorf("example:\n%s\n%v", m[1], err)
				}
			}
		})
	}
}

func TestNamesAndSummaries(t *testing.T) {
	seen := map[string]bool{}
	for _, in := range Modules {
		if !strings.HasPrefix(in.Name, "mod_") || seen[in.Name] || in.Summary == "" || in.Make == nil {
			t.Errorf("%q: no name with mod_, twice, without a summary or not made by Define", in.Name)
		}
		seen[in.Name] = true
	}
}

// What a module serves is what its section says: certificates, DNS and names taken twice are looked at by that alone.
func TestServices(t *testing.T) {
	h := modtest.New(t, "a.test", Modules...)
	cfg, err := h.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, s := range modules.ServedBy(Modules, cfg) {
		said[s.Domain] = true
		if h.Table().Domains[s.Domain].Handle == nil {
			t.Errorf("%s is said to serve %s, which nobody does", s.Module, s.Domain)
		}
	}
	for d := range h.Table().Domains {
		if !said[d] {
			t.Errorf("%s is served, but the section of no module says so (a method Services of its Config)", d)
		}
	}
}
