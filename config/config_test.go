package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the .want files anew")

const testdata = "../testdata/config"

// elsewhere are sections of modules that the test files have and whose options their own packages test.
var elsewhere = []Section{anything("mod_client_certs"), anything("mod_sasl2_fast")}

func anything(name string) Section {
	return Section{Name: name, Defaults: struct{}{}, Check: func(*Node, *Errors) {}}
}

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
			_, err := Load(file, elsewhere)
			var errs *Errors
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
	}
	for name, want := range hosts {
		t.Run(name, func(t *testing.T) {
			c, err := Load(testdata+"/good/"+name+".toml", elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(c.General.Hosts, want) {
				t.Errorf("hosts are %q, want %q", c.General.Hosts, want)
			}
			if len(c.Warnings) == 0 {
				t.Error("no warning, though the file has sections that have no effect")
			}
		})
	}
}

// TestGoodValues looks into the blocks with keys.
func TestGoodValues(t *testing.T) {
	keys := func(n *Node) Keystore {
		errs := &Errors{}
		k := Decode(n, Keystore{RAMKeySize: 2048}, errs)
		if len(errs.List) > 0 {
			t.Error(errs)
		}
		return k
	}
	c, err := Load(testdata+"/good/multi_tenant.toml", elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	n, off := c.Module("second.com", "mod_keystore")
	want := Keystore{RAMKeySize: 2048, Keys: []KeystoreKey{
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

	c, err = Load(testdata+"/good/complete.toml", elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	n, _ = c.Module("localhost", "mod_keystore")
	if got := keys(n); got.RAMKeySize != 2048 || len(got.Keys) != 2 || got.Keys[1].Path != "priv/provision_psk" {
		t.Errorf("localhost has %+v", got)
	}
	d := Default()
	d.Path, d.Dir, d.Modules, d.Hosts, d.Warnings = c.Path, c.Dir, c.Modules, c.Hosts, c.Warnings
	if !reflect.DeepEqual(c, d) {
		t.Errorf("the complete file differs from the defaults:\n%+v\n%+v", c, d)
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load("no/such/file.toml", nil)
	if err == nil || err.Error() != "no/such/file.toml: there is no such file" {
		t.Errorf("%v", err)
	}
	if _, err = Load(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%v", err)
	}
}

func TestEmptyFile(t *testing.T) {
	c, err := Parse("/etc/xmppd/config.toml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := Default()
	d.Path, d.Dir = "/etc/xmppd/config.toml", "/etc/xmppd"
	if !reflect.DeepEqual(c, d) {
		t.Errorf("an empty file is not the default: %+v", c)
	}
	for path, want := range map[string]string{"": "", "/x": "/x", "certs": "/etc/xmppd/certs", "../y": "/etc/y"} {
		if got := c.Resolve(path); got != want {
			t.Errorf("Resolve(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestEffectiveLimits(t *testing.T) {
	l := Default().Limits
	if l.Effective() != l {
		t.Error("the default profile changes limits")
	}
	l.Profile = "off"
	e := l.Effective()
	for _, o := range Describe(e) {
		lifted := strings.HasPrefix(o.Key, "rate_") || strings.HasPrefix(o.Key, "burst_") ||
			strings.HasPrefix(o.Key, "auth_") || strings.HasPrefix(o.Key, "connections_")
		if zero := o.Default == "0" || o.Default == `"0s"`; zero != lifted {
			t.Errorf("%s is %s", o.Key, o.Default)
		}
	}
}
