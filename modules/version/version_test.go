package version

import (
	"runtime"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
)

func TestVersion(t *testing.T) {
	defer func(v string) { Version = v }(Version)
	Version = "1.2.3"
	for _, tt := range []struct{ toml, version, os string }{
		{"", "1.2.3", ""},
		{"[modules.mod_version]\nshow_version = false\n", "", ""},
		{"[modules.mod_version]\nshow_os = true\n", "1.2.3", runtime.GOOS},
	} {
		h := modtest.NewConfig(t, "a.test", tt.toml, Info)
		q := h.Session("alice@a.test/r").IQ("get", "a.test", "<query xmlns='jabber:iq:version'/>").Payload()
		if q.ChildText("name") != "xmppd" || q.ChildText("version") != tt.version || q.ChildText("os") != tt.os {
			t.Errorf("%q: %+v", tt.toml, q)
		}
		if (q.Child("", "os") != nil) != (tt.os != "") || q.Child("", "version") == nil {
			t.Errorf("%q: %+v", tt.toml, q)
		}
	}
	if Version = ""; Current() == "" {
		t.Error("no version at all")
	}
}
