package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// What is printed of a value of the file, and of the configuration as a whole, is where it stands and not what it is.
func TestNodesPrintNoValue(t *testing.T) {
	const secret = "JYXEX4IQOEYFYQ2S3MC5P4ZT4SDHYEA7"
	sections := []Section{{Name: "mod_x", Check: func(*Node, *Errors) {}}}
	cfg, err := Parse("f", []byte("[modules.mod_x]\npassword = \""+secret+"\"\nlist = [\""+secret+"\"]\n"), sections)
	if err != nil {
		t.Fatal(err)
	}
	section := cfg.Modules["mod_x"]
	var said strings.Builder
	for _, v := range []any{section, *section, section.Keys["password"], *section.Keys["password"], section.Keys["list"], cfg, cfg.Modules, (*Node)(nil)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&said, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&said, nil), slog.NewJSONHandler(&said, nil)} {
			slog.New(h).Info("m", "v", v)
		}
		b, _ := json.Marshal(v)
		said.Write(b)
	}
	if strings.Contains(said.String(), secret) {
		t.Errorf("a value is printed:\n%s", said.String())
	}
	if want := "line 2: modules.mod_x.password (a string)"; !strings.Contains(said.String(), want) {
		t.Errorf("not said: %s\n%s", want, said.String())
	}
}
