package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestModes: whatever the umask, what the server makes is its own user's alone.
func TestModes(t *testing.T) {
	t.Run("O03 under umask 0", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{Hosts: []string{"localhost", "b.test"}, NoStart: true})
		must(t, os.WriteFile(filepath.Join(s.Dir, "run.sh"), []byte("#!/bin/sh\numask 000\nexec \"$@\"\n"), 0o700))
		s.Start(xtest.Options{Prefix: []string{filepath.Join(s.Dir, "run.sh")}})
		s.AddUsers("ann@localhost")
		s.Online(t, "ann@localhost/x").Quit()
		look := func(when string) {
			t.Helper()
			err := filepath.WalkDir(filepath.Join(s.Dir, "data"), func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				fi, err := d.Info()
				want := fs.FileMode(0o600)
				switch {
				case d.IsDir():
					want = 0o700
				case strings.HasSuffix(path, ".crt"): // for who is to verify the server
					want = 0o644
				}
				if err == nil && fi.Mode().Perm() != want {
					t.Errorf("%s: %s has mode %v, wanted %v", when, path, fi.Mode(), want)
				}
				return err
			})
			must(t, err)
		}
		look("running")
		must(t, s.Stop())
		look("stopped")
	})
}

// TestRoot: doc/decisions says that running as root warns and goes on.
func TestRoot(t *testing.T) {
	const warning = "running as root"
	t.Run("O04 as root", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root")
		}
		s := xtest.New(t, xtest.Options{})
		if !strings.Contains(s.Log(), warning) {
			t.Error("no word of it in the log")
		}
	})
	t.Run("O04 as another user", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{NoStart: true})
		as := xtest.Unprivileged(t, s.Dir, s.Config)
		log, code, ready := s.Serve(t, as)
		if !ready || code != 0 || strings.Contains(log, warning) {
			t.Errorf("ready %v, exit %d\n%s", ready, code, log)
		}
	})
}

// TestMemory: what the server keeps in memory nobody reads but root: it leaves no core dump, processes of the same user cannot
// attach to it, and its keys are not swapped out.
func TestMemory(t *testing.T) {
	s := xtest.New(t, xtest.Options{NoStart: true})
	var o xtest.Options
	if as := xtest.Unprivileged(t, s.Dir, s.Config); as != nil {
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Skip("needs setpriv to start as another user")
		}
		o.Prefix = []string{"setpriv", fmt.Sprintf("--reuid=%d", as.Credential.Uid), fmt.Sprintf("--regid=%d", as.Credential.Gid), "--clear-groups"}
	}
	s.Start(o)
	fi, err := os.Stat(fmt.Sprintf("/proc/%d/mem", s.Pid()))
	if os.IsNotExist(err) {
		t.Skip("needs Linux's /proc")
	}
	must(t, err)
	if owner := fi.Sys().(*syscall.Stat_t).Uid; owner != 0 { // proc(5), PR_SET_DUMPABLE of prctl(2)
		t.Errorf("its memory belongs to user %d", owner)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.Pid()))
	must(t, err)
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are allowed:\n%s", limits)
	}
	if strings.Contains(string(limits), "Max locked memory         0 ") {
		t.Skip("this user may lock no memory")
	}
	if locked := s.Locked(t); locked == 0 {
		t.Error("no memory is locked")
	}
}

// TestUnit: the service unit keeps the process from all that it does not need.
func TestUnit(t *testing.T) {
	file := filepath.Join(xtest.Root(), "doc", "xmppd.service")
	unit, err := os.ReadFile(file)
	must(t, err)
	t.Run("O05 lines", func(t *testing.T) {
		for line := range strings.Lines(`User=xmppd
UMask=0077
StateDirectoryMode=0700
LimitCORE=0
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=/var/lib/xmppd
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectClock=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
`) {
			if !strings.Contains("\n"+string(unit), "\n"+line) {
				t.Errorf("no line %s", line)
			}
		}
	})
	t.Run("O05 exposure", func(t *testing.T) {
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", file).CombinedOutput()
		level := regexp.MustCompile(`exposure level for xmppd.service: ([0-9.]+)`).FindSubmatch(out)
		if err != nil || level == nil {
			t.Skipf("systemd-analyze says nothing of it: %v", err)
		}
		// 1.5 with the systemd that this was written with. Each version weighs a little differently, and finds something more to leave out.
		if n, err := strconv.ParseFloat(string(level[1]), 64); err != nil || n > 2 {
			t.Errorf("systemd-analyze sees an exposure of %s\n%s", level[1], out)
		}
	})
}

// polite reads until the server ends the stream, answers as RFC 6120 §4.4 asks, and returns the stream errors it got.
func polite(c *xtest.Client) <-chan []string {
	out := make(chan []string, 1)
	go func() {
		var conditions []string
		for {
			n, err := c.Next()
			if err != nil {
				break
			}
			if n.Name.Local == "error" && len(n.Children) > 0 {
				conditions = append(conditions, n.Children[0].Name.Local)
			}
		}
		c.TrySend("</stream:stream>")
		c.Conn.Close()
		out <- conditions
	}()
	return out
}

// TestStop ends servers with SIGTERM.
func TestStop(t *testing.T) {
	// stop returns how long the server took. The bounds below are wide: what they catch is waiting for nobody.
	stop := func(t *testing.T, s *xtest.Server) time.Duration {
		t.Helper()
		begin := time.Now()
		if err := s.Stop(); err != nil {
			t.Errorf("exit: %v", err)
		}
		if !strings.Contains(s.Log(), `"msg":"stopped"`) {
			t.Error("the log does not say that it has stopped")
		}
		return time.Since(begin)
	}
	quick := 4 * time.Second
	t.Run("O06 nobody is connected", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{})
		s.AddUsers("ann@localhost")
		s.Online(t, "ann@localhost/quit").Quit()
		s.Online(t, "ann@localhost/closed").Conn.Close()
		sleeper := s.Online(t, "ann@localhost/asleep")
		sleeper.Send("<enable %s resume='true'/>", nsSM)
		sleeper.Want("<enabled %s/>", nsSM)
		sleeper.Conn.Close()
		logged(t, s, 0, "session waits to be resumed")
		if took := stop(t, s); took > quick {
			t.Errorf("took %v", took)
		}
	})
	t.Run("O06 clients that behave", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{Limits: "resources_per_account = 100"})
		s.AddUsers("ann@localhost")
		var told []<-chan []string
		for range 20 {
			told = append(told, polite(s.Online(t, "ann@localhost/")))
		}
		early := []*xtest.Client{s.Secure(t, "localhost"), s.Dial(t)}
		early[1].Open()
		for _, c := range early {
			told = append(told, polite(c))
		}
		if took := stop(t, s); took > quick {
			t.Errorf("took %v", took)
		}
		for i, ch := range told {
			if got := <-ch; !slices.Equal(got, []string{"system-shutdown"}) {
				t.Errorf("client %d was told %q", i, got)
			}
		}
	})
	t.Run("O06 clients that do not", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{Limits: "resources_per_account = 100"})
		s.AddUsers("ann@localhost", "bob@localhost")
		silent := s.Online(t, "ann@localhost/silent")
		stuck := s.Login(t, "bob@localhost/stuck")
		stuck.Send("<presence/>")
		for range 200 { // more than sockets hold, and nobody reads it
			silent.Send("<message to='bob@localhost/stuck' type='headline'><body>%s</body></message>", strings.Repeat("x", 20_000))
		}
		half := s.Dial(t) // in the middle of something
		half.Send("<stream:stream xmlns='jabber:client'")
		mute, err := net.Dial("tcp", s.C2STLS)
		must(t, err)
		defer mute.Close()
		if took := stop(t, s); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		silent.WantStreamError("system-shutdown")
	})
	t.Run("O06 what nobody acknowledged is kept", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{})
		s.AddUsers("ann@localhost", "bob@localhost")
		ann := s.Online(t, "ann@localhost/x")
		var told []<-chan []string
		for _, name := range []string{"bob@localhost/live", "bob@localhost/asleep"} {
			bob := s.Online(t, name)
			bob.Send("<enable %s resume='true'/>", nsSM)
			bob.Want("<enabled %s/>", nsSM)
			if name == "bob@localhost/asleep" {
				bob.Conn.Close()
				logged(t, s, 0, "session waits to be resumed")
			}
			ann.Send("<message to='%s' type='chat' id='%s'><body>hi</body></message>", name, name)
			ann.Barrier()
			if name == "bob@localhost/live" {
				told = append(told, polite(bob))
			}
		}
		told = append(told, polite(ann))
		if took := stop(t, s); took > quick {
			t.Errorf("took %v", took)
		}
		for _, ch := range told {
			if got := <-ch; !slices.Equal(got, []string{"system-shutdown"}) {
				t.Errorf("told %q", got)
			}
		}
		s.Start(xtest.Options{})
		bob := s.Login(t, "bob@localhost/again")
		bob.Send("<presence/>")
		var got []string
		for _, n := range append(bob.Barrier(), bob.Barrier()...) {
			if n.Name.Local == "message" {
				got = append(got, n.Attr("id"))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"bob@localhost/asleep", "bob@localhost/live"}) {
			t.Errorf("kept: %q", got)
		}
		bob.Quit()
	})
	t.Run("O06 second SIGTERM", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{})
		s.AddUsers("ann@localhost")
		s.Online(t, "ann@localhost/silent") // for whom the first one waits
		from := len(s.Log())
		s.Signal(syscall.SIGTERM)
		logged(t, s, from, `"msg":"shutting down"`)
		for !strings.Contains(s.Log()[from:], "second signal") { // the first may not be noticed yet
			if strings.Contains(s.Log()[from:], `"msg":"stopped"`) {
				t.Fatal("the server did not wait for its client")
			}
			s.Signal(syscall.SIGTERM)
			time.Sleep(5 * time.Millisecond)
		}
		if err := s.Exited(); err == nil {
			t.Error("it left as if nothing had been cut off")
		}
		if strings.Contains(s.Log()[from:], `"msg":"stopped"`) {
			t.Error("it went on waiting")
		}
		s.Start(xtest.Options{})
		s.Login(t, "ann@localhost/x").Quit()
	})
	t.Run("O06 SIGINT", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{})
		s.Signal(syscall.SIGINT)
		if err := s.Exited(); err != nil {
			t.Errorf("exit: %v", err)
		}
	})
}

// TestLog: what comes from the network cannot forge lines of the log, nor fill it.
func TestLog(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n[modules.mod_register]\nallow_registration = true\nregistrations_per_hour = 100\n"})
	s.AddUsers("ann@localhost")
	// What would begin a line, end one, or colour a terminal.
	evil := []string{"\n{\"level\":\"INFO\",\"msg\":\"forged\"}\n", "\r\n forged", "\x1b[31mforged\x1b[0m", "\u2028forged", "\u0085forged", "\u202eforged", "\" forged=\"1", "\x9bforged"}
	t.Run("O08 no control characters, one line each", func(t *testing.T) {
		for _, e := range evil {
			c := s.Secure(t, "localhost")
			c.TryPlain("\x00ann" + e + "\x00x")
			c.TryPlain("ann@localhost" + e + "\x00ann\x00x")
			esc := func(r *strings.Replacer) string { return r.Replace(e) }
			attr := esc(strings.NewReplacer("\n", "&#10;", "\r", "&#13;", "\x1b", "", "\x9b", "", "\"", "&quot;"))
			c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X%s'>=</auth>", attr)
			c.Must()
			c.Send("<iq type='set' id='r' to='localhost'><query xmlns='jabber:iq:register'><username>u%s</username><password>x</password></query></iq>", attr)
			c.Must()
			c.TrySend("<presence xml:lang='" + attr + "' id='" + attr + "'/>")
			c.Conn.Close()

			c = s.Secure(t, "localhost")
			c.Auth(sasl.Plain, "ann", xtest.Password)
			c.Send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r%s</resource></bind></iq>", attr)
			c.Must()
			c.TrySend("<message to='nobody" + attr + "@localhost' id='" + attr + "'><body>" + attr + "</body></message>")
			c.TrySend("<x xmlns='" + attr + "' forged='" + attr + "'/>")
			c.Conn.Close()

			c = s.Dial(t)
			c.TrySend("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='h" + attr + "' from='" + attr + "' xml:lang='" + attr + "'>" + e)
			c.Conn.Close()
			c = s.Dial(t)
			c.TrySend(e)
			c.Conn.Close()
			s.Run("x\n", "user", "add", "cli"+strings.ReplaceAll(e, "\x00", "")+"@localhost")
		}
		s.Login(t, "ann@localhost/last").Quit()
		n := 0
		for sc := bufio.NewScanner(strings.NewReader(s.Log())); sc.Scan(); n++ {
			var line map[string]any
			if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
				t.Errorf("not JSON: %q", sc.Text())
				continue
			}
			for _, key := range []string{"time", "level", "msg"} {
				if line[key] == nil {
					t.Errorf("a line without %s: %s", key, sc.Text())
				}
			}
			if line["msg"] == "forged" || line["forged"] != nil {
				t.Errorf("a forged line: %s", sc.Text())
			}
			for _, r := range sc.Text() {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0x202e || r == 0xfffd {
					t.Errorf("%U in %q", r, sc.Text())
				}
			}
		}
		if n < 2*len(evil) {
			t.Errorf("only %d lines", n)
		}
	})
	t.Run("O08 lines that could be many", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{Limits: "connections_per_minute = 3"})
		refused := 0
		for range 50 {
			c := s.Dial(t, "127.0.0.2")
			c.TrySend("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>")
			if _, err := c.Next(); err != nil {
				refused++
			}
			c.Conn.Close()
		}
		if refused < 40 {
			t.Fatalf("only %d connections were refused", refused)
		}
		if n := strings.Count(s.Log(), "too many from one address"); n != 1 {
			t.Errorf("%d lines for %d refused connections", n, refused)
		}
	})
	t.Run("O08 a log that cannot be written", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("this system has no /dev/full")
		}
		defer full.Close()
		s := xtest.New(t, xtest.Options{NoStart: true})
		cmd := exec.Command(xtest.Binary(t), "serve", "-config", s.Config)
		cmd.Stderr = full
		must(t, cmd.Start())
		defer cmd.Process.Kill()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for end := time.Now().Add(xtest.Wait); ; time.Sleep(10 * time.Millisecond) {
			if _, _, code := s.Run("", "session", "list"); code == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the server does not answer")
			}
		}
		s.AddUsers("ann@localhost") // which logs
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := soon(t, done); err != nil {
			t.Errorf("exit: %v", err)
		}
	})
}

// TestSource: O10, what the binary is made of.
func TestSource(t *testing.T) {
	t.Run("O10 no cgo, and unsafe in one file that can be left out", func(t *testing.T) {
		for _, c := range []struct{ tags, unsafe string }{
			{"", "stream/tls_fields.go"}, // see there what it is for
			{"safe", ""},
		} {
			cmd := exec.Command("go", "list", "-tags="+c.tags, "-json=ImportPath,Dir,GoFiles,CgoFiles", "./...")
			cmd.Dir = xtest.Root()
			out, err := cmd.Output()
			must(t, err)
			n := 0
			for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); n++ {
				var p struct {
					ImportPath, Dir   string
					GoFiles, CgoFiles []string
				}
				must(t, d.Decode(&p))
				if len(p.CgoFiles) > 0 {
					t.Errorf("%s uses cgo", p.ImportPath)
				}
				for _, name := range p.GoFiles {
					f, err := goparser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, goparser.ImportsOnly)
					must(t, err)
					uses := slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"unsafe"` })
					if file := strings.TrimPrefix(p.ImportPath, module+"/") + "/" + name; uses != (file == c.unsafe) {
						t.Errorf("tags %q: %s: unsafe %v", c.tags, file, uses)
					}
				}
			}
			if n < 10 {
				t.Errorf("only %d packages", n)
			}
		}
		cmd := exec.Command("go", "vet", "-tags=safe", "./stream", "./c2s", "./cmd/xmppd")
		cmd.Dir = xtest.Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("with the tag safe: %v\n%s", err, out)
		}
	})
}
