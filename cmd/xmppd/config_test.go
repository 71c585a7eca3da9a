package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules/keystore"
)

var update = flag.Bool("update", false, "write the .want files anew")

const testdata = "../../testdata/config"

// TestBad compares what is said of each bad file with the file of the same name that ends in .want, which has DIR for the
// directory.
func TestBad(t *testing.T) {
	files, err := filepath.Glob(testdata + "/bad/*.toml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(file, sections())
			var errs *config.Errors
			if !errors.As(err, &errs) {
				t.Fatalf("loads: %v", err)
			}
			data, _ := os.ReadFile(file)
			lines := strings.Count(string(data), "\n") + 1
			for i, m := range errs.List {
				if m.Line < 1 || m.Line > lines || i > 0 && m.Line < errs.List[i-1].Line {
					t.Errorf("mistake %d is on line %d of %d", i, m.Line, lines)
				}
			}
			dir, _ := filepath.Abs(filepath.Dir(file))
			got := strings.ReplaceAll(errs.Error(), filepath.Dir(file)+"/", "") + "\n"
			got = strings.ReplaceAll(got, dir, "DIR")
			wantFile := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("says\n%swant\n%s", got, want)
			}
		})
	}
}

// TestGood loads the files that must load as they are.
func TestGood(t *testing.T) {
	hosts := map[string][]string{
		"single_tenant":      {"localhost"},
		"multi_tenant":       {"first.com", "second.com"},
		"minimal_auth_token": {"localhost"},
		"complete":           {"localhost"},
		"federation":         {"first.example", "second.example"},
	}
	for name, want := range hosts {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(testdata+"/good/"+name+".toml", sections())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(c.General.Hosts, want) {
				t.Errorf("hosts are %q, want %q", c.General.Hosts, want)
			}
			if name == "complete" { // it has a section for a host that it does not serve
				c.Warnings = c.Warnings[1:]
			}
			if len(c.Warnings) > 0 {
				t.Errorf("warnings: %v", c.Warnings)
			}
		})
	}
}

// TestGoodValues looks into the blocks with keys.
func TestGoodValues(t *testing.T) {
	keys := func(n *config.Node) keystore.Config {
		errs := &config.Errors{}
		k := config.Decode(n, keystore.Config{RAMKeySize: 2048}, errs)
		if len(errs.List) > 0 {
			t.Error(errs)
		}
		return k
	}
	c, err := config.Load(testdata+"/good/multi_tenant.toml", sections())
	if err != nil {
		t.Fatal(err)
	}
	n, off := c.Module("second.com", "mod_keystore")
	want := keystore.Config{RAMKeySize: 2048, Keys: []keystore.KeyConfig{
		{Name: "access_secret", Type: "ram"},
		{Name: "access_psk", Type: "file", Path: "priv/second_access_psk"},
		{Name: "provision_psk", Type: "file", Path: "priv/second_provision_psk"},
	}}
	if got := keys(n); off || !reflect.DeepEqual(got, want) {
		t.Errorf("second.com has %+v, off %v, want %+v", got, off, want)
	}
	if n, _ := c.Module("third.com", "mod_keystore"); n != nil {
		t.Errorf("third.com has a section")
	}

	c, err = config.Load(testdata+"/good/complete.toml", sections())
	if err != nil {
		t.Fatal(err)
	}
	n, _ = c.Module("localhost", "mod_keystore")
	if got := keys(n); got.RAMKeySize != 2048 || len(got.Keys) != 2 || got.Keys[1].Path != "priv/provision_psk" {
		t.Errorf("localhost has %+v", got)
	}
	d := config.Default()
	d.Path, d.Dir, d.Modules, d.Hosts, d.Warnings = c.Path, c.Dir, c.Modules, c.Hosts, c.Warnings
	if !reflect.DeepEqual(c, d) {
		t.Errorf("the complete file differs from the defaults:\n%+v\n%+v", c, d)
	}
}
