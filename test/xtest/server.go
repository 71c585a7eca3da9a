// Package xtest runs the built xmppd and talks to it as a client does, over real connections. It uses none of the
// server's own packages, so that both cannot be wrong in the same way.
package xtest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Wait bounds every wait for something that must happen. It is wide: machines are slow, and only failures take it.
const Wait = 20 * time.Second

var (
	buildOnce sync.Once
	binary    string
	buildErr  error
)

// BinaryEnv names a binary that is built already, for a test that runs itself again elsewhere.
const BinaryEnv = "XMPPD_TEST_BINARY"

// Binary builds cmd/xmppd once per test process and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	if built := os.Getenv(BinaryEnv); built != "" {
		return built
	}
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "xmppd-test-")
		if err != nil {
			buildErr = err
			return
		}
		binary = filepath.Join(dir, "xmppd")
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "./cmd/xmppd")...)
		cmd.Dir = Root()
		if out, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("go build: %v\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return binary
}

// raceOptions is for the environment of binaries with the race detector: a race ends them, and their end does not take a
// second longer.
const raceOptions = "GORACE=halt_on_error=1 exitcode=66 atexit_sleep_ms=10"

// Cleanup removes what Binary made; TestMain calls it last.
func Cleanup() {
	if binary != "" {
		os.RemoveAll(filepath.Dir(binary))
	}
}

// Root returns the repository's top directory.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Server is a running xmppd with its own directory.
type Server struct {
	t       testing.TB
	Dir     string
	Config  string // path of config.toml
	Hosts   []string
	C2S     string // address of the STARTTLS port
	C2STLS  string // address of the direct TLS port
	S2S     string // address of the STARTTLS port for servers, where Options.S2S has one
	S2STLS  string // address of the direct TLS port for servers, likewise
	cmd     *exec.Cmd
	stderr  *os.File // where it writes its log
	mu      sync.Mutex
	log     bytes.Buffer // the whole lines of it
	exited  chan struct{}
	waitErr error
	ca      *CA
}

// Options shape a server's configuration.
type Options struct {
	Hosts    []string         // localhost where empty
	Extra    string           // TOML appended to the file
	General  string           // lines of [general] beyond hosts and the like
	Limits   string           // lines of [limits]
	C2S      string           // lines of [c2s] beyond the addresses
	S2S      string           // lines of [s2s]; empty: no listener, and a DNS that knows of nobody
	TLS      string           // lines of [tls]
	Env      []string         // further environment
	LogLevel string           // debug where empty, so that leaks of secrets show
	NoStart  bool             // only write the file
	Prefix   []string         // command line to run the server under, such as prlimit
	Args     []string         // further flags of serve
	Certs    map[string]*Pair // certificates for hosts, else the server makes them
	CA       *CA              // who is to be trusted besides
}

// New writes a configuration with free ports into a fresh directory and starts the server. The test's end stops it and
// checks that it left properly and that its log shows neither panic nor race.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"localhost"}
	}
	if o.LogLevel == "" {
		o.LogLevel = "debug"
	}
	if o.S2S == "" { // and nobody is asked about names of others that tests make up
		o.S2S = fmt.Sprintf("listen = []\ndns_server = %q", NewDNS(t).Addr)
	}
	if tr := os.Getenv("XMPPD_TEST_TRANSPORT"); tr != "" && !strings.Contains(o.C2S, "transport") {
		o.C2S += fmt.Sprintf("\ntransport = %q\n", tr)
	}
	s := &Server{t: t, Dir: t.TempDir(), Hosts: o.Hosts}
	if err := os.Chmod(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	hosts, _ := json.Marshal(o.Hosts)
	s.Config = filepath.Join(s.Dir, "config.toml")
	text := fmt.Sprintf(`[general]
hosts = %s
data_dir = "data"
log_level = %q
%s

[tls]
%s

[c2s]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
%s

[s2s]
%s

[limits]
%s

%s
`, hosts, o.LogLevel, o.General, o.TLS, o.C2S, o.S2S, o.Limits, o.Extra)
	if err := os.WriteFile(s.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for host, p := range o.Certs {
		s.Install(host, p)
	}
	s.ca = o.CA
	if !o.NoStart {
		s.Start(o)
	}
	return s
}

// Start starts the server, again after Kill or Stop, and waits for its ready line.
func (s *Server) Start(o Options) {
	s.t.Helper()
	args := append(append(append([]string{}, o.Prefix...), Binary(s.t), "serve", "-config", s.Config), o.Args...)
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append(append(os.Environ(), raceOptions), o.Env...)
	if s.stderr == nil { // a file, not a pipe: what the server has written is there, and waits for nobody to read it
		f, err := os.OpenFile(filepath.Join(s.t.TempDir(), "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { f.Close() })
		s.stderr = f
	}
	s.cmd.Stderr = s.stderr
	from := len(s.Log())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		s.waitErr = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	s.t.Cleanup(s.cleanup)
	for end := time.Now().Add(Wait); !s.ready(s.Log()[from:]); time.Sleep(time.Millisecond) {
		select {
		case <-s.exited:
			s.t.Fatalf("the server ended before it was ready: %v\n%s", s.waitErr, s.Log())
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("the server is not ready after %v\n%s", Wait, s.Log())
		}
	}
}

// ready takes the addresses from the ready line of a log, if it is there.
func (s *Server) ready(log string) bool {
	i := strings.Index(log, `"msg":"ready"`)
	if i < 0 {
		return false
	}
	text, _, _ := strings.Cut(log[strings.LastIndexByte(log[:i], '\n')+1:], "\n")
	var line struct {
		C2S    []string
		C2STLS []string `json:"c2s_tls"`
		S2S    []string
		S2STLS []string `json:"s2s_tls"`
	}
	if json.Unmarshal([]byte(text), &line) != nil {
		return false
	}
	for at, list := range map[*string][]string{&s.C2S: line.C2S, &s.C2STLS: line.C2STLS, &s.S2S: line.S2S, &s.S2STLS: line.S2STLS} {
		if len(list) > 0 {
			*at = list[0]
		}
	}
	return true
}

// Log returns the log so far: all that the server wrote before anything that a test has seen of it since.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stderr == nil {
		return ""
	}
	more, err := io.ReadAll(io.NewSectionReader(s.stderr, int64(s.log.Len()), 1<<40))
	if err != nil {
		s.t.Error(err)
	}
	s.log.Write(more[:bytes.LastIndexByte(more, '\n')+1])
	return s.log.String()
}

// Pid returns the server's process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Signal sends a signal to the server.
func (s *Server) Signal(sig os.Signal) { s.cmd.Process.Signal(sig) }

// Kill ends the server with SIGKILL, as a power cut does.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// Stop ends the server with SIGTERM and returns how it ended.
func (s *Server) Stop() error {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(Wait):
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.exited
		s.t.Fatalf("the server does not stop\n%s", tail(s.Log()))
	}
	return s.waitErr
}

// Exited waits for the server to end by itself.
func (s *Server) Exited() error {
	select {
	case <-s.exited:
		return s.waitErr
	case <-time.After(Wait):
		s.t.Fatal("the server is still running")
		return nil
	}
}

func (s *Server) cleanup() {
	select {
	case <-s.exited:
	default:
		if err := s.Stop(); err != nil {
			s.t.Errorf("the server ended with %v\n%s", err, tail(s.Log()))
		}
	}
	log := s.Log()
	if bad := badLog(log); bad != "" {
		s.t.Errorf("the log has %s:\n%s", bad, tail(log))
	}
}

func tail(s string) string {
	if len(s) > 6000 {
		return "…" + s[len(s)-6000:]
	}
	return s
}

// Run runs an xmppd command on this server's configuration and returns what it printed.
func (s *Server) Run(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return Xmppd(s.t, stdin, append([]string{args[0], "-config", s.Config}, args[1:]...)...)
}

// Xmppd runs the binary. It is a command that ends by itself, a server that should refuse to start included.
func Xmppd(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*Wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = append(os.Environ(), raceOptions)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if ee, ok := err.(*exec.ExitError); ok {
		code = ee.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// AddUser makes an account with the command an admin uses.
func (s *Server) AddUser(jid, password string) {
	s.t.Helper()
	if out, errs, code := s.Run(password+"\n", "user", "add", jid); code != 0 {
		s.t.Fatalf("user add %s: exit %d\n%s%s", jid, code, out, errs)
	}
}

// AddUsers makes many accounts at once, all with the password Password.
func (s *Server) AddUsers(jids ...string) {
	s.t.Helper()
	var in strings.Builder
	for _, j := range jids {
		fmt.Fprintf(&in, "%s %s\n", j, Password)
	}
	if out, errs, code := s.Run(in.String(), "user", "import"); code != 0 {
		s.t.Fatalf("user import: exit %d\n%s%s", code, out, errs)
	}
}

// Password is every test account's.
const Password = "correct horse"

// CertFile is the certificate that the server made for a host.
func (s *Server) CertFile(host string) string {
	return filepath.Join(s.Dir, "data", "certs", host+".crt")
}

// Roots trusts the server's own certificates, and Options.CA, and nothing else.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	if s.ca != nil {
		pool = s.ca.Pool.Clone()
	}
	for _, h := range s.Hosts {
		if pem, err := os.ReadFile(s.CertFile(h)); err == nil {
			pool.AppendCertsFromPEM(pem)
		}
	}
	return pool
}
