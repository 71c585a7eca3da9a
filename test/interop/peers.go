package interop

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// Addresses of the lab. Each server has one of its own, and the ports that the RFC knows.
const (
	dnsAddr   = "127.0.0.53"
	xmppdAddr = "127.0.1.1"
)

// The hosts of a server of the lab. xmppd excuses those of the second kind for their certificate, and not those of the third.
func good(name string) string   { return name + ".lab" }              // the lab's authority vouches for it
func self(name string) string   { return "self." + name + ".lab" }    // nobody vouches for it
func bad(name string) string    { return "bad." + name + ".lab" }     // nor for this one
func server(name string) string { return "server." + name + ".lab" }  // vouched for as a server and not as a client, as public authorities do by now
func direct(name string) string { return "direct." + name + ".lab" }  // found by direct TLS alone (XEP-0368)
func bidi(name string) string   { return "bidi." + name + ".lab" }    // of Prosody's: has streams for both ways (XEP-0288)
func rooms(name string) string  { return "conference." + good(name) } // the service of the first for rooms; its certificate is good for that too

func hosts(name string) []string {
	return []string{good(name), self(name), bad(name), server(name), direct(name), bidi(name)}
}

// lab is a small internet.
type lab struct {
	t     *testing.T
	dir   string
	ca    *xtest.CA
	roots string // the file of the authority that all trust
	dns   *program
}

// program is a running server.
type program struct {
	name, addr, dir string
	log             string // the file
	command         func() *exec.Cmd
	cmd             *exec.Cmd
	exited          chan struct{}
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir(), ca: xtest.NewCA(t)}
	l.roots = l.ca.File(t)
	conf := fmt.Sprintf(`user=root
listen-address=%s
bind-interfaces
no-resolv
no-hosts
local=/lab/
pid-file=
`, dnsAddr)
	for name, addr := range map[string]string{"xmppd": xmppdAddr, "prosody": "127.0.2.1", "ejabberd": "127.0.3.1"} {
		for _, host := range hosts(name) {
			service, port := "xmpp", 5269
			if host == direct(name) {
				service, port = "xmpps", 5270
			}
			conf += fmt.Sprintf("srv-host=_%s-server._tcp.%s,xmpp.%s,%d\naddress=/xmpp.%s/%s\n", service, host, host, port, host, addr)
		}
		conf += fmt.Sprintf("srv-host=_xmpp-server._tcp.%s,xmpp.%s,5269\n", rooms(name), good(name))
	}
	file := l.write("dnsmasq.conf", conf)
	log := filepath.Join(l.dir, "dnsmasq.log")
	l.dns = &program{name: "dnsmasq", addr: dnsAddr + ":53", dir: l.dir, log: log, command: func() *exec.Cmd {
		return exec.Command("dnsmasq", "--keep-in-foreground", "--log-facility="+log, "--conf-file="+file)
	}}
	l.run(l.dns)
	return l
}

// run starts a program for the whole test, which tells the end of its log if it fails.
func (l *lab) run(p *program) {
	l.t.Helper()
	p.start(l.t)
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Logf("%s:\n%s", p.name, p.tail())
		}
		p.kill()
	})
}

// write writes a file of the lab.
func (l *lab) write(name, text string) string {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// certs makes the certificates of a server, and files of them: HOST.crt, HOST.key and HOST.pem with both.
func (l *lab) certs(name string) map[string]*xtest.Pair {
	made := map[string]*xtest.Pair{}
	for _, host := range hosts(name) {
		what := xtest.Issue{Names: []string{host}, Self: host == self(name) || host == bad(name)}
		if host == good(name) {
			what.Names = append(what.Names, rooms(name))
		}
		if host != server(name) {
			what.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		}
		p := l.ca.Issue(l.t, what)
		made[host] = p
		l.write(host+".crt", string(p.Crt))
		l.write(host+".key", string(p.Key))
		l.write(host+".pem", string(p.Crt)+string(p.Key))
	}
	return made
}

// xmppd starts the server under test.
func (l *lab) xmppd(t *testing.T, limits string) *xtest.Server {
	return xtest.New(t, xtest.Options{
		Hosts: hosts("xmppd"), Certs: l.certs("xmppd"), CA: l.ca, LogLevel: "info",
		TLS:    fmt.Sprintf("trusted_ca_file = %q", l.roots),
		S2S:    fmt.Sprintf("listen = [%q]\nlisten_tls = [%q]\ninsecure_domains = [%q, %q]", xmppdAddr+":5269", xmppdAddr+":5270", self("prosody"), self("ejabberd")),
		Limits: "profile = \"off\"\n" + limits,
	})
}

// prosody starts Prosody.
func (l *lab) prosody() *program {
	l.certs("prosody")
	var virtual string
	for _, h := range hosts("prosody") {
		virtual += fmt.Sprintf("VirtualHost %q\n", h)
		if h == bidi("prosody") {
			virtual += "\tmodules_enabled = { \"s2s_bidi\" }\n"
		}
	}
	virtual += fmt.Sprintf("Component %q \"muc\"\n", rooms("prosody"))
	dir := filepath.Join(l.dir, "prosody")
	file := l.write("prosody/prosody.cfg.lua", fmt.Sprintf(`run_as_root = true
pidfile = "%[1]s/prosody.pid"
data_path = "%[1]s/data"
interfaces = { "127.0.2.1" }
s2s_direct_tls_ports = { 5270 }
modules_enabled = {
	"roster", "saslauth", "tls", "dialback", "disco", "ping", "version", "register_ibr", "offline", "presence", "message", "iq", "smacks"
}
modules_disabled = { "limits" }
allow_registration = true
authentication = "internal_plain"
s2s_secure_auth = false
s2s_secure_domains = { %[2]q, %[3]q }
ssl = { cafile = %[4]q }
certificates = %[6]q
log = { debug = "%[1]s/prosody.log" }
%[5]s`, dir, good("xmppd"), good("ejabberd"), l.roots, virtual, l.dir))
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		l.t.Fatal(err)
	}
	p := &program{name: "prosody", addr: "127.0.2.1:5269", dir: dir, log: filepath.Join(dir, "prosody.log"), command: func() *exec.Cmd {
		return exec.Command("prosody", "--config", file, "-F")
	}}
	l.run(p)
	return p
}

// ejabberd starts ejabberd, without a name among Erlang's nodes and so without the processes beside it.
func (l *lab) ejabberd() *program {
	l.certs("ejabberd")
	dir := filepath.Join(l.dir, "ejabberd")
	file := l.write("ejabberd/ejabberd.yml", fmt.Sprintf(`loglevel: debug
hosts: ["%[2]s"]
certfiles: ["%[1]s/%[3]s.pem"]
ca_file: %[4]q
s2s_cafile: %[4]q
listen:
  - {port: 5222, ip: "127.0.3.1", module: ejabberd_c2s, starttls_required: true}
  - {port: 5269, ip: "127.0.3.1", module: ejabberd_s2s_in}
  - {port: 5270, ip: "127.0.3.1", module: ejabberd_s2s_in, tls: true}
s2s_use_starttls: required
auth_method: internal
registration_timeout: infinity
access_rules: {anyone: {allow: all}}
modules:
  mod_disco: {}
  mod_muc: {hosts: [%[5]q]}
  mod_offline: {access_max_user_messages: infinity}
  mod_ping: {}
  mod_register: {access: anyone, ip_access: anyone}
  mod_roster: {}
  mod_s2s_dialback: {}
  mod_version: {}
`, l.dir, strings.Join(hosts("ejabberd"), `", "`), strings.Join(hosts("ejabberd"), `.pem", "`+l.dir+"/"), l.roots, rooms("ejabberd")))
	p := &program{name: "ejabberd", addr: "127.0.3.1:5269", dir: dir, log: filepath.Join(dir, "ejabberd.log"), command: func() *exec.Cmd {
		cmd := exec.Command("erl", "-noinput", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-mnesia", "dir", `"`+dir+`/db"`, "-s", "ejabberd")
		cmd.Env = append(os.Environ(), "HOME="+dir, "EJABBERD_CONFIG_PATH="+file, "EJABBERD_LOG_PATH="+filepath.Join(dir, "ejabberd.log"),
			"ERL_LIBS=/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu", "ERL_CRASH_DUMP_BYTES=0")
		return cmd
	}}
	l.run(p)
	return p
}

// start starts the program and waits until it listens.
func (p *program) start(t *testing.T) {
	t.Helper()
	p.cmd = p.command()
	p.cmd.Dir = p.dir
	var out bytes.Buffer
	p.cmd.Stdout, p.cmd.Stderr = &out, &out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	p.exited = exited
	go func(cmd *exec.Cmd) {
		cmd.Wait()
		close(exited)
	}(p.cmd)
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", p.addr); err == nil {
			nc.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("%s ended: %s\n%s", p.name, out.String(), p.tail())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen on %s\n%s", p.name, p.addr, p.tail())
		}
	}
}

// kill ends the program at once.
func (p *program) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// pause stops the program as it stands, resume lets it go on.
func (p *program) pause()  { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) }
func (p *program) resume() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) }

// read returns the log.
func (p *program) read() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

func (p *program) tail() string {
	s := p.read()
	return s[max(0, len(s)-6000):]
}

// client is somebody at one of the lab's servers.
func (p *program) client(t *testing.T, user, host string) *xtest.Client {
	t.Helper()
	addr, _, _ := strings.Cut(p.addr, ":")
	return login(t, addr+":5222", user, host)
}
