package xtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mellium.im/sasl"
)

// proc reads a file of the server's process.
func (s *Server) proc(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.Pid(), name))
	if os.IsNotExist(err) {
		t.Skip("needs Linux's /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RSS returns the memory that the server has resident, in bytes.
func (s *Server) RSS(t testing.TB) int64 { t.Helper(); return s.memory(t, "VmRSS:") }

// RSSAnon is RSS without what is mapped of files: neither the program nor the database.
func (s *Server) RSSAnon(t testing.TB) int64 { t.Helper(); return s.memory(t, "RssAnon:") }

// Locked returns how much memory the server keeps from being swapped out.
func (s *Server) Locked(t testing.TB) int64 { t.Helper(); return s.memory(t, "VmLck:") }

func (s *Server) memory(t testing.TB, field string) int64 {
	t.Helper()
	for line := range bytes.Lines(s.proc(t, "status")) {
		if v, ok := bytes.CutPrefix(line, []byte(field)); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(v)), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in /proc/PID/status", field)
	return 0
}

// FDs returns how many files and sockets the server has open.
func (s *Server) FDs(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if os.IsNotExist(err) {
		t.Skip("needs Linux's /proc")
	}
	if os.IsPermission(err) {
		t.Skip("needs root: a server's process is closed to others of its user")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// CPU returns the time that the server has computed.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	b := s.proc(t, "stat")
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third field of proc(5) on
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on all machines of today
}

// FewerFDs waits until the server has no more than n files and sockets open.
func (s *Server) FewerFDs(t testing.TB, n int) {
	t.Helper()
	var got int
	for end := time.Now().Add(Wait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = s.FDs(t); got <= n {
			return
		}
	}
	t.Errorf("%d files and sockets are open, wanted %d", got, n)
}

// DialNarrow is Dial with room for n bytes at the client's end, so that a client who does not read is noticed soon.
func (s *Server) DialNarrow(t testing.TB, n int) *Client {
	t.Helper()
	d := net.Dialer{Timeout: Wait, Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, n)
		}); cerr != nil {
			return cerr
		}
		return err
	}}
	nc, err := d.Dial("tcp", s.C2S)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{T: t, S: s, Host: s.Hosts[0], Name: "narrow"}
	c.use(nc)
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

// LoginOn logs in on a connection of Dial's, up to the bound resource.
func (c *Client) LoginOn(full string) {
	c.T.Helper()
	bare, resource, _ := strings.Cut(full, "/")
	user, host, _ := strings.Cut(bare, "@")
	c.Name, c.Host = full, host
	c.Open()
	c.StartTLS()
	c.Auth(sasl.Plain, user, Password)
	c.Bind(resource)
}

// Race tells whether the binary is built with the race detector, whose memory and pace are its own.
const Race = raceEnabled
