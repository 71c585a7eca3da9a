package main

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules/all"
)

var examplePath = filepath.Join("..", "..", "config.example.toml")

func example(t *testing.T) []byte {
	text, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestExampleLoads: the example serves localhost, on the loopback interface, without a warning.
func TestExampleLoads(t *testing.T) {
	c, err := config.Load(examplePath, sections())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("the example draws warnings: %v", c.Warnings)
	}
	if got := c.General.Hosts; !reflect.DeepEqual(got, []string{"localhost"}) {
		t.Errorf("the example serves %v, README says localhost", got)
	}
	for _, addr := range slices.Concat(c.C2S.Listen, c.C2S.ListenTLS, c.S2S.Listen, c.S2S.ListenTLS) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			t.Errorf("%s can be reached by others", addr)
		}
	}
}

// TestExampleIsComplete: the example names every option that this binary knows, its modules' included, and the test would
// notice if it did not.
func TestExampleIsComplete(t *testing.T) {
	every := sections()
	text := example(t)
	for _, key := range config.MissingOptions(text, every) {
		t.Errorf("config.example.toml does not name %s", key)
	}
	without := string(text)
	for _, cut := range []string{"#roster_items", "#show_os", "client_ca_file =", "policy = \"deny\""} {
		without = strings.Replace(without, cut, "#", 1)
	}
	want := []string{"s2s.host_policy[].policy", "limits.roster_items", "modules.mod_version.show_os", "modules.mod_client_certs.client_ca_file"}
	if got := config.MissingOptions([]byte(without), every); !reflect.DeepEqual(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

// TestExampleDefaults: what the example says of defaults is so. Options are commented out as #key, prose has a blank.
func TestExampleDefaults(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#(\S)`).ReplaceAll(example(t), []byte("$1"))
	c, err := config.Parse("config.example.toml", text, sections())
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range config.Diff(config.Default(), c) {
		if change.Takes != config.ListenerRestart && !strings.HasPrefix(change.Key, "modules.") {
			t.Errorf("%s is %s, the default %s", change.Key, change.New, change.Old)
		}
	}
	for _, m := range all.Modules {
		errs := &config.Errors{}
		_, got := m.Make(c.Modules[m.Name], errs)
		_, want := m.Make(nil, errs)
		if m.Name == "mod_disco" || m.Name == "mod_keystore" || m.Name == "mod_extdisco" { // lists are empty by default; the example shows entries
			continue
		}
		if c.Modules[m.Name] == nil || len(errs.List) > 0 || !reflect.DeepEqual(empty(got), empty(want)) {
			t.Errorf("[modules.%s]: %v: the example has %+v, the default is %+v", m.Name, errs, got, want)
		}
	}
}

// empty makes empty lists nil: a list without entries and no list are the same.
func empty(cfg any) any {
	v := reflect.New(reflect.TypeOf(cfg)).Elem()
	v.Set(reflect.ValueOf(cfg))
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 && f.CanSet() {
			f.SetZero()
		}
	}
	return v.Interface()
}
