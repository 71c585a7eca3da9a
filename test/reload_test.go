package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

type reloadReport struct {
	DryRun  bool `json:"dry_run"`
	Keys    []struct{ Key, Old, New, Takes string }
	Modules []struct{ Host, Module, What string }
}

// key returns a line of the report, as old -> new (takes).
func (r *reloadReport) key(name string) string {
	for _, k := range r.Keys {
		if k.Key == name {
			return fmt.Sprintf("%s -> %s (%s)", k.Old, k.New, k.Takes)
		}
	}
	return ""
}

func (r *reloadReport) module(host, name string) string {
	for _, m := range r.Modules {
		if m.Host == host && m.Module == name {
			return m.What
		}
	}
	return ""
}

// logged waits until the log has a text that it did not have at an earlier length.
func logged(t testing.TB, s *xtest.Server, from int, text string) {
	t.Helper()
	for end := time.Now().Add(xtest.Wait); !strings.Contains(s.Log()[from:], text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q:\n%s", text, s.Log()[from:])
		}
	}
}

// TestReload changes the file of a running server. Nobody who is connected notices.
func TestReload(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "profile = \"off\"", Extra: "[modules.mod_register]\n# options\n"})
	c := cli{t, s}
	s.AddUsers("ann@localhost", "bob@localhost")
	ann := s.Online(t, "ann@localhost/x")
	reload := func(t *testing.T, args ...string) *reloadReport {
		t.Helper()
		var rep reloadReport
		cli{t, s}.json(&rep, "", append([]string{"reload"}, args...)...)
		return &rep
	}
	registration := func(t *testing.T) bool {
		c := s.Dial(t)
		c.Open()
		return openToAll(c.StartTLS())
	}

	t.Run("nothing changed", func(t *testing.T) {
		if rep := reload(t); len(rep.Keys)+len(rep.Modules) != 0 {
			t.Errorf("%+v", rep)
		}
		if out := c.ok("", "reload"); !strings.Contains(out, "nothing changed") {
			t.Errorf("says %s", out)
		}
	})
	t.Run("option of a module", func(t *testing.T) {
		if registration(t) {
			t.Fatal("registration is on by default")
		}
		edit(t, s, "# options", "allow_registration = true")
		for _, flag := range []string{"-dry-run", "--dry-run"} {
			rep := reload(t, flag)
			if !rep.DryRun || !strings.Contains(rep.key("modules.mod_register.allow_registration"), "true (live)") || rep.module("localhost", "mod_register") == "" || len(rep.Modules) != 1 {
				t.Errorf("%s: %+v", flag, rep)
			}
			if registration(t) {
				t.Fatalf("%s changed something", flag)
			}
		}
		if out := c.ok("", "reload", "--dry-run"); !strings.Contains(out, "nothing was done") || !strings.Contains(out, "mod_register") {
			t.Errorf("says %s", out)
		}
		if rep := reload(t); rep.DryRun || rep.module("localhost", "mod_register") == "" {
			t.Errorf("%+v", rep)
		}
		if !registration(t) {
			t.Error("the change is not in force")
		}
		ann.Barrier()
	})
	t.Run("module switched off and on", func(t *testing.T) {
		bare := func() string {
			ann.Send("<iq type='get' id='v' to='localhost'><query xmlns='jabber:iq:version'/></iq>")
			return ann.Must().Attr("type")
		}
		if got := bare(); got != "result" {
			t.Fatalf("version: %s", got)
		}
		edit(t, s, "\n[modules.mod_register]", "\n[[host_config]]\nhost = \"localhost\"\ndisabled_modules = [\"mod_version\"]\n[modules.mod_register]")
		if rep := reload(t); rep.module("localhost", "mod_version") != "stop" {
			t.Errorf("%+v", rep)
		}
		if got := bare(); got != "error" {
			t.Errorf("version of a module that is off: %s", got)
		}
		edit(t, s, "disabled_modules = [\"mod_version\"]", "disabled_modules = []")
		if rep := reload(t); rep.module("localhost", "mod_version") != "start" {
			t.Errorf("%+v", rep)
		}
		if got := bare(); got != "result" {
			t.Errorf("version: %s", got)
		}
	})
	t.Run("host added and removed", func(t *testing.T) {
		edit(t, s, `hosts = ["localhost"]`, `hosts = ["localhost","added.test"]`)
		rep := reload(t)
		if !strings.Contains(rep.key("general.hosts"), "(live)") || rep.module("added.test", "mod_roster") != "start" {
			t.Errorf("%+v", rep)
		}
		s.Hosts = []string{"localhost", "added.test"}
		s.AddUsers("ann@added.test")
		other := s.Online(t, "ann@added.test/y")
		other.Send("<message to='ann@localhost/x'><body>hi</body></message>")
		if n := ann.Must(); n.Attr("from") != "ann@added.test/y" {
			t.Errorf("got %s", n)
		}
		edit(t, s, `hosts = ["localhost","added.test"]`, `hosts = ["localhost"]`)
		if rep := reload(t); rep.module("added.test", "mod_roster") != "stop" {
			t.Errorf("%+v", rep)
		}
		other.WantStreamError("host-gone") // RFC 6120 §4.9.3.5
		raw := s.Dial(t)
		raw.Host = "added.test"
		raw.Send("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='added.test' version='1.0'>")
		raw.WantStreamError("host-unknown", "host-gone")
		s.Hosts = []string{"localhost"}
		ann.Barrier()
		// It comes back with its accounts.
		edit(t, s, `hosts = ["localhost"]`, `hosts = ["localhost","added.test"]`)
		reload(t)
		s.Hosts = []string{"localhost", "added.test"}
		s.Login(t, "ann@added.test/z").Quit()
		edit(t, s, `hosts = ["localhost","added.test"]`, `hosts = ["localhost"]`)
		reload(t)
		s.Hosts = []string{"localhost"}
	})
	t.Run("listener", func(t *testing.T) {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		addr := free.Addr().String()
		edit(t, s, `listen = ["127.0.0.1:0"]`, `listen = ["`+addr+`"]`)

		// A port that is taken: all stays as it is.
		c.fails("", []string{"reload"}, "c2s.listen", addr, "in use")
		s.Login(t, "bob@localhost/before").Quit()

		must(t, free.Close())
		if rep := reload(t); !strings.Contains(rep.key("c2s.listen"), "(listener restart)") {
			t.Errorf("%+v", rep)
		}
		ann.Barrier() // came in by the old one
		if nc, err := net.DialTimeout("tcp", s.C2S, xtest.Wait); err == nil {
			nc.Close()
			t.Error("the old port is still open")
		}
		s.C2S = addr
		s.Login(t, "bob@localhost/after").Quit()
	})
	t.Run("limits", func(t *testing.T) {
		edit(t, s, `profile = "off"`, "profile = \"off\"\nresources_per_account = 1")
		if rep := reload(t); !strings.Contains(rep.key("limits.resources_per_account"), "10 -> 1 (live)") {
			t.Errorf("%+v", rep)
		}
		second := s.Secure(t, "localhost")
		second.Auth(sasl.Plain, "ann", xtest.Password)
		second.Send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
		second.Want("<iq type='error' id='b'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		ann.Barrier()
	})
	t.Run("log level", func(t *testing.T) {
		edit(t, s, `log_level = "debug"`, `log_level = "error"`)
		reload(t)
		from := len(s.Log())
		s.Login(t, "bob@localhost/quiet").Quit()
		if log := s.Log()[from:]; log != "" {
			t.Errorf("at level error: %s", log)
		}
		edit(t, s, `log_level = "error"`, `log_level = "debug"`)
		reload(t)
	})
	t.Run("what needs a restart", func(t *testing.T) {
		edit(t, s, `data_dir = "data"`, `data_dir = "other"`)
		c.fails("", []string{"reload"}, "no server is running", "/other") // the file says so
		c.fails("", []string{"session", "list"}, "no server is running", "/other")
		from := len(s.Log())
		s.Signal(syscall.SIGHUP)
		logged(t, s, from, `"msg":"configuration reloaded"`)
		if !strings.Contains(s.Log()[from:], "waits for a restart") || !strings.Contains(s.Log()[from:], "general.data_dir") {
			t.Errorf("the log does not tell that a restart is needed:\n%s", s.Log()[from:])
		}
		s.Login(t, "bob@localhost/x").Quit() // from the old directory
		if _, err := os.Stat(s.Dir + "/other"); !os.IsNotExist(err) {
			t.Errorf("the new directory is there: %v", err)
		}
		edit(t, s, `data_dir = "other"`, `data_dir = "data"`)
		reload(t)
	})
	t.Run("O02 SIGHUP", func(t *testing.T) {
		text, err := os.ReadFile(s.Config)
		must(t, err)
		from := len(s.Log())
		edit(t, s, "allow_registration = true", "allow_registration = false")
		s.Signal(syscall.SIGHUP)
		logged(t, s, from, `"msg":"configuration reloaded"`)
		if registration(t) {
			t.Error("the change is not in force")
		}
		for name, broken := range map[string][]byte{
			"syntax":      []byte("[general\n"),
			"unknown key": append([]byte("nonsense = 1\n"), text...),
			"no hosts":    bytes.Replace(text, []byte(`hosts = ["localhost"]`), []byte(`hosts = []`), 1),
			"no file":     nil,
			"certificate": bytes.Replace(text, []byte(`hosts = ["localhost"]`), []byte("hosts = [\"localhost\", \"new.test\"]"), 1),
		} {
			switch name {
			case "no file":
				must(t, os.Remove(s.Config))
			case "certificate": // a host that cannot have one
				broken = bytes.Replace(broken, []byte("[tls]"), []byte("[tls]\nself_signed = false"), 1)
				fallthrough
			default:
				must(t, os.WriteFile(s.Config, broken, 0o600))
			}
			from := len(s.Log())
			s.Signal(syscall.SIGHUP)
			logged(t, s, from, "reload refused, the old configuration stays in force")
			if name != "no file" {
				out, errs, code := s.Run("", "reload")
				if code != 1 && name != "certificate" || out != "" {
					t.Errorf("%s: exit %d\n%s%s", name, code, out, errs)
				}
			}
			ann.Barrier()
			s.Login(t, "bob@localhost/y").Quit()
			raw := s.Dial(t)
			raw.Send("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='new.test' version='1.0'>")
			raw.WantStreamError("host-unknown")
		}
		must(t, os.WriteFile(s.Config, text, 0o600))
		from = len(s.Log())
		s.Signal(syscall.SIGHUP)
		logged(t, s, from, `"msg":"configuration reloaded"`)
		if !registration(t) {
			t.Error("the good file is not in force")
		}
	})
	// Many at once, and with traffic.
	t.Run("again and again", func(t *testing.T) {
		for i := range 20 {
			s.Signal(syscall.SIGHUP)
			if i%2 == 0 {
				edit(t, s, "allow_registration = true", "allow_registration = false")
			} else {
				edit(t, s, "allow_registration = false", "allow_registration = true")
			}
			ann.Barrier()
		}
		reload(t)
		if !registration(t) {
			t.Error("the last file is not in force")
		}
	})
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(s.Log()), "\n") {
		if !json.Valid([]byte(l)) {
			lines = append(lines, l)
		}
	}
	if len(lines) > 0 {
		t.Errorf("not JSON: %s", slices.Compact(lines))
	}
}
