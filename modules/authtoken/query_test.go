package authtoken

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/stanza"
)

func TestQuery(t *testing.T) {
	w := newWorld(t, "a.test", "")
	alice := w.Session("alice@a.test/x")
	for _, typ := range []string{"get", "set"} {
		for _, to := range []string{"", "alice@a.test"} {
			st := alice.IQ(typ, to, "<query xmlns='"+ns+"'/>")
			if st.Type != stanza.TypeResult || st.From().String() != "alice@a.test" || st.To().String() != "alice@a.test/x" {
				t.Errorf("%s to %q: %s", typ, to, st.AppendTo(nil))
			}
			items := st.Payload()
			if items.NS != ns || items.Name != "items" || len(items.Children) != 2 || items.ChildText("access_token") == "" || items.ChildText("refresh_token") == "" {
				t.Errorf("%s to %q: %s", typ, to, st.AppendTo(nil))
			}
		}
	}
	short, long := w.tokens(alice)
	if !bytes.HasPrefix(short, []byte("access\x00alice@a.test\x00")) || !bytes.HasPrefix(long, []byte("refresh\x00alice@a.test\x00")) {
		t.Errorf("not of the bare JID: %q %q", short, long)
	}
	if !strings.Contains(w.Log(), "tokens given") || !strings.Contains(w.Log(), "account=alice@a.test") {
		t.Errorf("the log does not tell: %s", w.Log())
	}
	w.silent(string(short[len(short)-96:]), string(long[len(long)-96:]))
}

func TestQueryRefused(t *testing.T) {
	w := newWorld(t, "a.test", "")
	w.User("bob")
	alice := w.Session("alice@a.test/x")
	clear := w.Session("alice@a.test/clear")
	clear.Change(func(i *modules.SessionInfo) { i.TLS = nil })
	ask := "<query xmlns='" + ns + "'/>"
	for name, tc := range map[string]struct {
		st   *stanza.Stanza
		typ  stanza.ErrorType
		want stanza.Condition
	}{
		"K31 another account": {alice.IQ("get", "bob@a.test", ask), stanza.Auth, stanza.Forbidden},
		"K31 nobody":          {alice.IQ("get", "nobody@a.test", ask), stanza.Auth, stanza.Forbidden},
		"other element":       {alice.IQ("get", "alice@a.test", "<tokens xmlns='"+ns+"'/>"), stanza.Modify, stanza.BadRequest},
		"without TLS":         {clear.IQ("get", "alice@a.test", ask), stanza.Cancel, stanza.NotAllowed},
	} {
		if e := tc.st.StanzaError(); e == nil || e.Type != tc.typ || e.Condition != tc.want {
			t.Errorf("%s: %s", name, tc.st.AppendTo(nil))
		}
	}
	// From another server, whatever it says that it is from.
	for _, from := range []string{"eve@b.test/x", "alice@a.test/x", "alice@a.test"} {
		w.Send("<iq type='get' id='1' from='" + from + "' to='alice@a.test'>" + ask + "</iq>")
		for _, st := range append(w.Sent(), alice.Sent()...) {
			if st.Type != stanza.TypeError || strings.Contains(string(st.AppendTo(nil)), "_token") {
				t.Errorf("%s gets %s", from, st.AppendTo(nil))
			}
		}
	}
	for _, err := range []error{keystore.ErrNoKey, keystore.ErrBackend} {
		w.keys.err = err
		if e := alice.IQ("get", "", ask).StanzaError(); e == nil || e.Type != stanza.Wait || e.Condition != stanza.InternalServerError || e.Text != "" {
			t.Errorf("%v: %v", err, e)
		}
	}
}

// TestUseless: a module that can do nothing says so; one that has no keystore claims nothing.
func TestUseless(t *testing.T) {
	w := &world{t: t}
	w.Host = newHost(t, "", w.info())
	if !strings.Contains(w.Log(), "nobody can log in with a token") {
		t.Errorf("the log: %s", w.Log())
	}
	if len(w.Table().Mechanisms) > 0 || w.Table().IQ(modules.Account, ns) != nil {
		t.Error("something is offered")
	}
	if _, features, _ := w.Table().Disco(modules.Server); len(features) > 0 {
		t.Errorf("announced %v", features)
	}
}

// TestOpenFile: secrets in a file that everybody can read draw a warning that does not repeat them.
func TestOpenFile(t *testing.T) {
	text := "[modules.mod_auth_token]\notp_seed = \"" + seedText + "\"\ntoken_secret = \"" + secretText + "\"\n"
	path := filepath.Join(t.TempDir(), "config.toml")
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 2} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, []config.Section{Info.Section})
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.Warnings) != want {
			t.Errorf("mode %04o: %v", mode, cfg.Warnings)
		}
		for _, w := range cfg.Warnings {
			if line := w.In("f"); !strings.Contains(line, "chmod") || strings.Contains(line, seedText) || strings.Contains(line, secretText) || w.Line < 2 {
				t.Error(line)
			}
		}
	}
}
