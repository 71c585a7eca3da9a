package config

import (
	"reflect"
	"strings"
	"testing"
)

// testdata are files that cmd/xmppd tests, which knows the modules that they speak of.
const testdata = "../testdata/config"

// anything is a section whose options are not looked at.
func anything(name string) Section {
	return Section{Name: name, Defaults: struct{}{}, Check: func(*Node, *Errors) {}}
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
