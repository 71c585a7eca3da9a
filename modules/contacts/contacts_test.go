package contacts

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
)

func TestForm(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", `[modules.mod_contacts]
abuse = ["mailto:abuse@a.test", "xmpp:abuse@a.test"]
status = ["https://status.a.test/?a=1&b=2"]
`, disco.Info, Info)
	st := h.Session("alice@a.test/r").IQ("get", "a.test", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
	form := st.Payload().Child("jabber:x:data", "x")
	if form == nil || form.Attr("type") != "result" {
		t.Fatalf("no form in %s", st.AppendTo(nil))
	}
	var got []string
	for _, f := range form.Children {
		line := f.Attr("var") + ":"
		for _, v := range f.Children {
			line += " " + v.Text
		}
		got = append(got, line)
	}
	want := "FORM_TYPE: http://jabber.org/network/serverinfo\n" +
		"abuse-addresses: mailto:abuse@a.test xmpp:abuse@a.test\nstatus-addresses: https://status.a.test/?a=1&b=2"
	if strings.Join(got, "\n") != want {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func TestNoAddressesNoForm(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	if _, _, forms := h.Table().Disco(0); len(forms) != 0 {
		t.Error("an empty form")
	}
}

func TestConfig(t *testing.T) {
	_, err := modtest.TryConfig(t, "a.test", "[modules.mod_contacts]\nadmin = [\"admin@a.test\"]\nabuse = [\"%zz:x\"]\n", Info)
	if err == nil || !strings.Contains(err.Error(), `config.toml:2: modules.mod_contacts.admin: "admin@a.test" is no URI: write it as "mailto:admin@a.test"`) ||
		!strings.Contains(err.Error(), "config.toml:3:") {
		t.Errorf("error %v", err)
	}
}
