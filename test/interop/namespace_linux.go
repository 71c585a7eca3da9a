package interop

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

const (
	labEnv      = "XMPPD_IN_LAB"       // set for the test program inside the lab's namespaces
	requiredEnv = "XMPPD_LAB_REQUIRED" // a lab that cannot be had fails the test
)

// apart runs a test again, in network, mount and process namespaces of its own, and returns true there. What it starts can
// be reached from nowhere else, has the standard ports, and ends with it.
func apart(t *testing.T) bool {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if os.Getenv(labEnv) != "" {
		inside(t)
		return true
	}
	skip := t.Skipf
	if os.Getenv(requiredEnv) != "" {
		skip = t.Fatalf
	}
	for _, p := range []string{"prosody", "erl", "dnsmasq", "ip"} {
		if _, err := exec.LookPath(p); err != nil {
			skip("%s is missing: no federation with other people's servers", p)
		}
	}
	run := "^" + t.Name() + "$"
	if _, sub, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		run += "/" + sub
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run="+run, "-test.v="+flag.Lookup("test.v").Value.String(), "-test.timeout="+flag.Lookup("test.timeout").Value.String())
	cmd.Env = append(os.Environ(), labEnv+"=1", xtest.BinaryEnv+"="+xtest.Binary(t))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread() // whose end would be the parent's for Pdeathsig
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		skip("no namespaces for the lab, it takes root: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("in the lab: %v", err)
	}
	return false
}

// inside makes the namespaces fit to live in: a loopback interface, a /proc of these processes, names from the lab's own
// DNS server.
func inside(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for file, text := range map[string]string{
		"/etc/resolv.conf": "nameserver " + dnsAddr + "\noptions timeout:2 attempts:1\n",
		"/etc/hosts":       fmt.Sprintf("127.0.0.1 localhost %s\n", host),
	} {
		mine := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(mine, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount(mine, file, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}
