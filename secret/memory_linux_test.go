package secret

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestLockedMemory asks the kernel what it thinks of the memory of a key.
func TestLockedMemory(t *testing.T) {
	k, err := Lock([]byte(hidden))
	if err != nil {
		t.Skip(err) // RLIMIT_MEMLOCK
	}
	flags := mapping(t, uintptr(unsafe.Pointer(&k.Bytes()[0])))
	for _, f := range []string{"lo", "dd"} { // proc_pid_smaps(5): locked, not in core dumps
		if !strings.Contains(flags+" ", " "+f+" ") {
			t.Errorf("VmFlags are %s, without %s", flags, f)
		}
	}
}

// mapping returns the flags of the mapping that an address is in.
func mapping(t *testing.T, at uintptr) string {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	in := false
	for line := range strings.Lines(string(smaps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			in = from <= at && at < to
		}
		if in && strings.HasPrefix(line, "VmFlags:") {
			return " " + strings.TrimSpace(strings.TrimPrefix(line, "VmFlags:"))
		}
	}
	t.Fatal("no such mapping")
	return ""
}

// TestMain is also the process that TestLockForbidden starts.
func TestMain(m *testing.M) {
	if os.Getenv("XMPPD_SECRET_CHILD") == "" {
		os.Exit(m.Run())
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
		fmt.Println("no limit:", err)
	}
	if err := unix.Setresuid(65534, 65534, 65534); err != nil { // root may lock whatever the limit
		fmt.Println("still root:", err)
	}
	k, err := Lock([]byte(hidden))
	fmt.Println(string(k.Bytes()) == hidden, err)
	fmt.Println(Harden())
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	fmt.Println(dumpable, err, unix.Getrlimit(unix.RLIMIT_CORE, &core), core)
}

// A system that forbids to lock memory has the key all the same; and a hardened process cannot be dumped.
func TestLockForbidden(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "XMPPD_SECRET_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := string(out)
	if strings.Contains(got, "still root") {
		got = got[strings.Index(got, "\n")+1:]
	}
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "true secret: memory may be swapped out: ") || lines[1] != "<nil>" || lines[2] != "0 <nil> <nil> {0 0}" {
		t.Errorf("it says\n%s", out)
	}
}
