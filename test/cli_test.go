package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// commands are those that `xmppd help` must list, each with calls that are wrong.
var commands = map[string][][]string{
	"serve":   {{"now"}, {"-nonsense"}},
	"check":   {{"everything"}, {"config", "tls"}, {"-nonsense"}},
	"user":    {{}, {"make", "a@localhost"}, {"add"}, {"add", "a@localhost", "b@localhost"}, {"list", "a", "b"}, {"import", "file"}, {"passwd"}, {"delete"}, {"enable"}, {"disable"}, {"invite"}, {"invite", "a", "b"}, {"invite", "-days", "-1", "localhost"}},
	"export":  {{}, {"a", "b"}, {"-secrets", "a"}},
	"import":  {{}, {"a", "b"}},
	"report":  {{}, {"show"}, {"list", "a", "b"}},
	"room":    {{}, {"show"}, {"list", "a", "b"}, {"destroy"}, {"destroy", "a", "b"}},
	"session": {{}, {"kill"}, {"close"}, {"list", "a", "b"}, {"close", "a", "b"}},
	"device":  {{}, {"kill"}, {"list"}, {"list", "a", "b"}, {"revoke", "a"}, {"revoke", "a", "b", "c"}},
	"cert":    {{}, {"kill"}, {"list"}, {"list", "a", "b"}, {"revoke", "a"}, {"revoke", "a", "b", "c"}},
	"token":   {{}, {"list"}, {"revoke"}, {"revoke", "a", "b"}, {"revoke", "a", "-session"}},
	"key":     {{}, {"show"}, {"list", "a", "b"}, {"rotate"}, {"rotate", "a", "b", "c"}},
	"backup":  {{}, {"a", "b"}, {"-secrets", "a"}},
	"verify":  {{"a", "b"}},
	"restore": {{}, {"a", "b"}},
	"modules": {{"list"}, {"-hook"}, {"-command"}},
	"reload":  {{"now"}, {"-dry"}},
	"version": {{"-nonsense"}, {"-config"}},
}

// TestHelp: every command is listed, explains itself with an example that is a command, and answers a wrong call with its
// usage and exit code 2.
func TestHelp(t *testing.T) {
	help, errs, code := xtest.Xmppd(t, "", "help")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %s", code, errs)
	}
	for _, other := range []string{"-h", "--help"} {
		if out, _, code := xtest.Xmppd(t, "", other); code != 0 || out != help {
			t.Errorf("%s: exit %d\n%s", other, code, out)
		}
	}
	if out, errs, code := xtest.Xmppd(t, ""); code != 2 || out+errs != help {
		t.Errorf("nothing: exit %d\n%s%s", code, out, errs)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+)`).FindAllStringSubmatch(help, -1) {
		listed = append(listed, m[1])
	}
	for name := range commands {
		if !slices.Contains(listed, name) {
			t.Errorf("help does not list %s", name)
		}
	}
	for _, name := range listed {
		t.Run(name, func(t *testing.T) {
			wrong, ok := commands[name]
			if !ok {
				t.Fatal("this command has no test: give it a line in commands")
			}
			for _, h := range []string{"-h", "-help", "--help"} {
				out, errs, code := xtest.Xmppd(t, "", name, h)
				if code != 0 || errs != "" {
					t.Errorf("%s: exit %d, %s", h, code, errs)
				}
				m := regexp.MustCompile(`(?m)^example: xmppd (\w+)`).FindStringSubmatch(out)
				if m == nil || m[1] != name {
					t.Errorf("%s has no example of its own:\n%s", h, out)
				}
				for _, flag := range []string{"-config FILE", "-json", "usage: xmppd " + name} {
					if !strings.Contains(out, flag) {
						t.Errorf("%s does not tell of %q:\n%s", h, flag, out)
					}
				}
			}
			for _, args := range wrong {
				out, errs, code := xtest.Xmppd(t, "", append([]string{name}, args...)...)
				if code != 2 || out != "" || !strings.Contains(errs, "usage: xmppd "+name) || !strings.HasPrefix(errs, "xmppd "+name+": ") {
					t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
				}
			}
		})
	}
	if out, errs, code := xtest.Xmppd(t, "", "sevre"); code != 2 || out != "" || !strings.Contains(errs, `"sevre"`) || !strings.Contains(errs, "xmppd help") {
		t.Errorf("no such command: exit %d\n%s%s", code, out, errs)
	}
}

// cli runs commands on a server's configuration and checks how they end.
type cli struct {
	t *testing.T
	s *xtest.Server
}

// ok runs a command that must succeed, and returns what it printed.
func (c cli) ok(stdin string, args ...string) string {
	c.t.Helper()
	out, errs, code := c.s.Run(stdin, args...)
	if code != 0 || errs != "" {
		c.t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

// fails runs a command that must exit with 1 and say words on standard error.
func (c cli) fails(stdin string, args []string, words ...string) {
	c.t.Helper()
	out, errs, code := c.s.Run(stdin, args...)
	if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "xmppd "+args[0]+": ") {
		c.t.Errorf("%v: exit %d, wanted 1 and one line\n%s%s", args, code, out, errs)
	}
	for _, w := range words {
		if !strings.Contains(errs, w) {
			c.t.Errorf("%v does not say %q: %s", args, w, errs)
		}
	}
}

// json runs a command with -json and reads its answer.
func (c cli) json(into any, stdin string, args ...string) {
	c.t.Helper()
	out := c.ok(stdin, append(args, "-json")...)
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(into); err != nil || d.More() {
		c.t.Errorf("%v: %v\n%s", args, err, out)
	}
}

type account struct {
	JID      string
	Disabled bool
	Sessions int
}

// users is what must work alike with and without a running server.
func (c cli) users() {
	t, s := c.t, c.s
	t.Helper()
	c.ok("first secret\n", "user", "add", "ann@localhost")
	c.fails("x\n", []string{"user", "add", "ANN@localhost"}, "ann@localhost exists already", "user passwd")
	c.fails("x\n", []string{"user", "add", "ann@elsewhere.test"}, "elsewhere.test", "general.hosts", "localhost")
	c.fails("x\n", []string{"user", "add", "localhost"}, "you@localhost")
	c.fails("x\n", []string{"user", "add", "ann@localhost/x"}, "you@localhost")
	c.fails("x\n", []string{"user", "add", "a nn@localhost"}, "not a JID")
	c.fails("", []string{"user", "add", "bob@localhost"}, "no password", "standard input")
	c.fails("\n", []string{"user", "add", "bob@localhost"}, "no password")
	c.fails("x\n", []string{"user", "passwd", "nobody@localhost"}, "no account nobody@localhost")
	for _, what := range []string{"delete", "disable", "enable"} {
		c.fails("", []string{"user", what, "nobody@localhost"}, "no account nobody@localhost")
	}
	// The whole line is the password, but for its end; a file of an editor on another system will do, and one without end.
	c.ok("  two  words \r\n", "user", "passwd", "ann@localhost")
	c.ok("second secret", "user", "passwd", "ann@localhost")
	c.ok("", "user", "disable", "ann@localhost")

	var list []account
	find := func(jid string) *account {
		t.Helper()
		c.json(&list, "", "user", "list")
		for i := range list {
			if list[i].JID == jid {
				return &list[i]
			}
		}
		return nil
	}
	if a := find("ann@localhost"); a == nil || !a.Disabled {
		t.Errorf("list: %+v", list)
	}
	c.ok("", "user", "enable", "ann@localhost")
	if a := find("ann@localhost"); a == nil || a.Disabled {
		t.Errorf("list: %+v", list)
	}
	if out := c.ok("", "user", "list", "ann@localhost"); !strings.Contains(out, "ann@localhost") || !strings.Contains(out, "never") {
		t.Errorf("list: %s", out)
	}
	if c.json(&list, "", "user", "list", "localhost"); len(list) == 0 {
		t.Error("nobody is on the host")
	}
	if c.json(&list, "", "user", "list", "nobody@localhost"); len(list) != 0 {
		t.Errorf("list of nobody: %+v", list)
	}
	var done struct{ JID, Done string }
	if c.json(&done, "x\n", "user", "add", "cleo@localhost"); done.JID != "cleo@localhost" || done.Done != "add" {
		t.Errorf("add: %+v", done)
	}
	c.ok("", "user", "delete", "ann@localhost")
	c.ok("", "user", "delete", "cleo@localhost")
	if a := find("ann@localhost"); a != nil {
		t.Errorf("deleted: %+v", a)
	}

	out, errs, code := s.Run("one@localhost pass word\n\n  two@localhost\tx\nthree@localhost  y\none@localhost z\nfour@elsewhere.test z\nfive@localhost\n", "user", "import")
	if code != 1 || errs != "" || !strings.HasPrefix(out, "2 accounts made, 4 refused\n") && !strings.HasPrefix(out, "3 accounts made, 3 refused\n") {
		t.Errorf("import: exit %d\n%s%s", code, out, errs)
	}
	for _, w := range []string{"line 5: one@localhost", "line 6: four@elsewhere.test", "line 7: five@localhost: no password"} {
		if !strings.Contains(out, w) {
			t.Errorf("import does not say %q:\n%s", w, out)
		}
	}
	if strings.Contains(out, "pass word") {
		t.Errorf("import tells a password:\n%s", out)
	}
	var imported struct {
		Made    int
		Refused []string
	}
	if c.json(&imported, "six@localhost x\n", "user", "import"); imported.Made != 1 || len(imported.Refused) != 0 {
		t.Errorf("import: %+v", imported)
	}
	for _, name := range []string{"one", "three", "six"} {
		c.ok("", "user", "delete", name+"@localhost")
	}
	s.Run("", "user", "delete", "two@localhost")
}

type moduleList []struct {
	Host    string
	Modules []struct {
		Name string
		On   bool
		Why  string
	}
	Hooks []struct {
		Hook     string
		Handlers []struct{ Phase, Module string }
	}
}

// modules is the same with and without a running server.
func (c cli) modules() {
	t := c.t
	t.Helper()
	out := c.ok("", "modules")
	for _, w := range []string{"localhost\n", "mod_roster ", "mod_offline ", "on "} {
		if !strings.Contains(out, w) {
			t.Errorf("modules does not say %q:\n%s", w, out)
		}
	}
	hooks := c.ok("", "modules", "-hooks")
	if hooks == out || !strings.Contains(hooks, "mod_offline") {
		t.Errorf("-hooks:\n%s", hooks)
	}
	if again := c.ok("", "modules", "--hooks"); again != hooks {
		t.Errorf("--hooks is not -hooks:\n%s", again)
	}
	for _, name := range []string{`"hooks"`, `"phase": "Keep"`, `"why": "default"`} {
		if out := c.ok("", "modules", "-json"); !strings.Contains(out, name) {
			t.Errorf("modules -json has no %s:\n%s", name, out)
		}
	}
	var list moduleList
	if c.json(&list, "", "modules"); len(list) != 1 || list[0].Host != "localhost" || len(list[0].Modules) < 5 || len(list[0].Hooks) < 3 {
		t.Errorf("%+v", list)
	}
}

func (c cli) check() {
	t := c.t
	t.Helper()
	all := c.ok("", "check")
	for _, w := range []string{"config", "files", "tls", "has no mistake", "owner and mode are right", "localhost.crt", "intermediate"} {
		if !strings.Contains(all, w) {
			t.Errorf("check does not say %q:\n%s", w, all)
		}
	}
	parts := ""
	for _, part := range []string{"config", "files", "tls"} {
		parts += c.ok("", "check", part)
	}
	if parts != all || strings.Contains(all, "BAD") {
		t.Errorf("the parts are not the whole:\n%s\n%s", parts, all)
	}
	var list []struct {
		Check, Text string
		OK          bool
	}
	if c.json(&list, "", "check"); len(list) != strings.Count(all, "\n") {
		t.Errorf("%d findings, %d lines", len(list), strings.Count(all, "\n"))
	}
}

func TestCommandsWithoutServer(t *testing.T) {
	s := xtest.New(t, xtest.Options{NoStart: true})
	c := cli{t, s}
	c.fails("", []string{"session", "list"}, "no server is running")
	c.fails("", []string{"session", "close", "a@localhost"}, "no server is running")
	c.fails("", []string{"reload"}, "no server is running", "xmppd check")
	c.fails("", []string{"reload", "--dry-run"}, "no server is running")
	c.users()
	c.modules()
	if _, err := os.Stat(filepath.Join(s.Dir, "data", "xmppd.sock")); !os.IsNotExist(err) {
		t.Errorf("a command left an admin socket: %v", err)
	}
	version := c.ok("", "version")
	if !strings.HasPrefix(version, "xmppd ") || !strings.Contains(version, "go1.") {
		t.Errorf("version: %s", version)
	}
	var v struct{ Version, Go string }
	if c.json(&v, "", "version"); v.Version == "" || !strings.HasPrefix(v.Go, "go1.") {
		t.Errorf("version: %+v", v)
	}
	// What was made without a server is there with one; flags may stand anywhere.
	if out, errs, code := xtest.Xmppd(t, "secret\n", "user", "add", "zoe@localhost", "--config", s.Config); code != 0 {
		t.Fatalf("flag at the end: %s%s", out, errs)
	}
	s.Start(xtest.Options{})
	c.check()
	if n := s.Secure(t, "localhost").TryPlain("\x00zoe\x00secret"); n.Name.Local != "success" {
		t.Errorf("login: %s", n)
	}
}

func TestCommandsWithServer(t *testing.T) {
	s := xtest.New(t, xtest.Options{})
	c := cli{t, s}
	c.users()
	c.modules()
	c.check()

	// What is changed is in force at once.
	c.ok("one\n", "user", "add", "ann@localhost")
	login := func(password string) string {
		return xtest.Condition(s.Secure(t, "localhost").TryPlain("\x00ann\x00" + password))
	}
	for _, step := range []struct {
		stdin, what, password, want string
	}{
		{"", "", "one", "success"}, {"two\n", "passwd", "one", "not-authorized"}, {"", "", "two", "success"},
		{"", "disable", "two", "account-disabled"}, {"", "enable", "two", "success"}, {"", "delete", "two", "not-authorized"},
	} {
		if step.what != "" {
			c.ok(step.stdin, "user", step.what, "ann@localhost")
		}
		if got := login(step.password); got != step.want {
			t.Errorf("after %q with %q: %s, wanted %s", step.what, step.password, got, step.want)
		}
	}

	s.AddUsers("bob@localhost", "carol@localhost")
	desk, phone, carol := s.Online(t, "bob@localhost/desk"), s.Login(t, "bob@localhost/phone"), s.Online(t, "carol@localhost/x")
	type session struct {
		ID, JID, Address, TLS, Mechanism string
		Available                        bool
	}
	var list []session
	c.json(&list, "", "session", "list")
	if len(list) != 3 {
		t.Errorf("sessions: %+v", list)
	}
	c.json(&list, "", "session", "list", "bob@localhost")
	if len(list) != 2 || list[0].Mechanism != "PLAIN" || list[0].TLS != "TLS 1.3" || !strings.HasPrefix(list[0].Address, "127.0.0.1:") {
		t.Errorf("bob's sessions: %+v", list)
	}
	c.json(&list, "", "session", "list", "bob@localhost/desk")
	if len(list) != 1 || !list[0].Available || list[0].JID != "bob@localhost/desk" {
		t.Errorf("bob's desk: %+v", list)
	}
	if out := c.ok("", "session", "list"); strings.Count(out, "\n") != 4 || !strings.Contains(out, "carol@localhost/x") {
		t.Errorf("session list:\n%s", out)
	}
	var users []account
	if c.json(&users, "", "user", "list", "bob@localhost"); len(users) != 1 || users[0].Sessions != 2 {
		t.Errorf("user list: %+v", users)
	}
	if out := c.ok("", "session", "close", "bob@localhost/desk"); out != "1 closed\n" {
		t.Errorf("close: %s", out)
	}
	desk.WantStreamError("reset")
	phone.Barrier()
	c.json(&list, "", "session", "list", "carol@localhost")
	if len(list) != 1 {
		t.Fatalf("carol's sessions: %+v", list)
	}
	var closed struct{ Closed int }
	if c.json(&closed, "", "session", "close", list[0].ID); closed.Closed != 1 {
		t.Errorf("close by id: %+v", closed)
	}
	carol.WantStreamError("reset")
	if c.json(&closed, "", "session", "close", "localhost"); closed.Closed != 1 {
		t.Errorf("close of all: %+v", closed)
	}
	phone.WantStreamError("reset")
	if out := c.ok("", "session", "close", "bob@localhost"); out != "0 closed\n" {
		t.Errorf("close of nobody: %s", out)
	}

	// The admin socket is for the server's own user alone (O03).
	fi, err := os.Stat(filepath.Join(s.Dir, "data", "xmppd.sock"))
	if err != nil || fi.Mode() != os.ModeSocket|0o600 {
		t.Errorf("admin socket: %v %v", fi, err)
	}
	if os.Geteuid() == 0 {
		as := xtest.Unprivileged(t)
		must(t, os.Chmod(filepath.Dir(s.Dir), 0o755))
		must(t, os.Chmod(s.Dir, 0o755))
		must(t, os.Chmod(s.Config, 0o644))
		out, errs, code := xtest.XmppdAs(t, as, nil, "/", "", "user", "list", "-config", s.Config)
		if code != 1 || out != "" || !strings.Contains(errs, "run xmppd as the user that owns") {
			t.Errorf("another user: exit %d\n%s%s", code, out, errs)
		}
		must(t, os.Chmod(s.Dir, 0o700))
	}
	must(t, s.Stop())
	if _, err := os.Stat(filepath.Join(s.Dir, "data", "xmppd.sock")); !os.IsNotExist(err) {
		t.Errorf("the admin socket is still there: %v", err)
	}
}

// TestProfiles: profiles are there for who starts the server with -pprof, on the admin socket.
func TestProfiles(t *testing.T) {
	for _, on := range []bool{false, true} {
		o := xtest.Options{}
		if on {
			o.Args = []string{"-pprof"}
		}
		s := xtest.New(t, o)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.Dir, "data", "xmppd.sock"))
		}}}
		for _, path := range []string{"heap", "goroutine", "profile?seconds=1"} {
			res, err := client.Get("http://xmppd/debug/pprof/" + path)
			must(t, err)
			body, err := io.ReadAll(res.Body)
			must(t, err)
			res.Body.Close()
			if got := res.StatusCode == http.StatusOK && bytes.HasPrefix(body, []byte{0x1f, 0x8b}); got != on { // gzip: a profile
				t.Errorf("with -pprof %v, %s: %s %.80q", on, path, res.Status, body)
			}
		}
		if out := (cli{t, s}).ok("", "session", "list"); !strings.HasPrefix(out, "ID ") {
			t.Errorf("with -pprof %v: session list: %s", on, out)
		}
	}
}

// TestDeepDirectory: the admin socket works where its path is too long for a socket's address.
func TestDeepDirectory(t *testing.T) {
	s := xtest.New(t, xtest.Options{NoStart: true})
	edit(t, s, `data_dir = "data"`, `data_dir = "`+strings.Repeat("deep/", 30)+`data"`)
	s.Start(xtest.Options{})
	cli{t, s}.ok("x\n", "user", "add", "ann@localhost")
	if out := (cli{t, s}).ok("", "session", "list"); !strings.HasPrefix(out, "ID ") {
		t.Errorf("session list: %s", out)
	}
}

// TestMemoryDriver keeps nothing beyond its end, and says so to who asks for more.
func TestMemoryDriver(t *testing.T) {
	s := xtest.New(t, xtest.Options{NoStart: true, Extra: "[storage]\ndriver = \"memory\"\n"})
	c := cli{t, s}
	c.fails("x\n", []string{"user", "add", "ann@localhost"}, "no server is running", "memory")
	c.fails("", []string{"restore", s.Config}, "memory")
	s.Start(xtest.Options{})
	c.users()
	c.fails("", []string{"backup", filepath.Join(s.Dir, "copy.tar")}, "memory")
	s.AddUsers("ann@localhost", "bob@localhost")
	ann := s.Online(t, "ann@localhost/x")
	ann.Send("<message to='bob@localhost' type='chat'><body>later</body></message>")
	ann.Barrier()
	bob := s.Login(t, "bob@localhost/x")
	bob.Send("<presence/>")
	got := append(bob.Barrier(), bob.Barrier()...)
	if !slices.ContainsFunc(got, func(n *xtest.Node) bool { return n.Name.Local == "message" && n.Child("body").Text == "later" }) {
		t.Errorf("offline: %s", got)
	}
	must(t, s.Stop())
	if _, err := os.Stat(filepath.Join(s.Dir, "data", "xmppd.db")); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
	s.Start(xtest.Options{})
	if out := c.ok("", "user", "list"); strings.Contains(out, "@") {
		t.Errorf("after a restart:\n%s", out)
	}
}
