package test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// What an idle connection may cost: see doc/performance.md.
const (
	idleConns    = 2000
	idleAccounts = 200
)

// idleBudget is in bytes of the server's memory for each, by transport.
var idleBudget = map[string]int64{"goroutine": 12 << 10, "epoll": 6 << 10}

// TestIdleConnections logs in thousands of clients under TLS, with presence, and measures what they cost once they are silent.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if xtest.Race {
		t.Skip("the race detector has a memory of its own")
	}
	var nofile syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &nofile); err != nil || nofile.Max < idleConns+200 {
		t.Skipf("needs %d file descriptors, has %d (%v)", idleConns+200, nofile.Max, err)
	}
	for transport, budget := range idleBudget {
		t.Run(transport, func(t *testing.T) { idleConnections(t, transport, budget) })
	}
}

func idleConnections(t *testing.T, transport string, budget int64) {
	s := xtest.New(t, xtest.Options{
		C2S:    fmt.Sprintf("transport = %q", transport),
		Limits: "profile = \"off\"\nresources_per_account = 100", LogLevel: "info",
		Extra: "[auth]\nscram_hashes = [\"SHA-256\"]\nscram_iterations = 4096\n",
	})
	var jids []string
	for i := range idleAccounts {
		jids = append(jids, fmt.Sprintf("user%d@localhost", i))
	}
	s.AddUsers(jids...)
	// One login first: what the first of all needs is no connection's.
	first := idleLogin(t, s, 0)
	first.Quit()
	before := s.RSS(t)
	clients := make([]*xtest.Client, idleConns)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < idleConns; i += 4 {
				clients[i] = idleLogin(t, s, i)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	after := s.RSS(t)
	t.Logf("at once: %d bytes for each connection", (after-before)/idleConns)
	// A server that has become quiet gives back what it needed for the logins.
	each := int64(0)
	for range 20 {
		time.Sleep(time.Second)
		after = s.RSS(t)
		if each = (after - before) / idleConns; each <= budget {
			break
		}
	}
	t.Logf("idle: %d bytes for each of %d connections (%d kB in all, %d kB before)", each, idleConns, after>>10, before>>10)
	if each > budget {
		t.Errorf("an idle connection costs %d bytes, more than %d", each, budget)
	}
	for i := 0; i < idleConns; i += 97 { // they are really there
		clients[i].Barrier()
	}
	if out, errs, code := s.Run("", "session", "list"); code != 0 || strings.Count(out, "@localhost/") < idleConns {
		t.Errorf("%d sessions are listed: %s", strings.Count(out, "@localhost/"), errs)
	}
}

// idleLogin brings client i online, from one of eight addresses.
func idleLogin(t *testing.T, s *xtest.Server, i int) *xtest.Client {
	c := s.Secure(t, "localhost", fmt.Sprintf("127.0.0.%d", 2+i%8))
	user := fmt.Sprintf("user%d", i%idleAccounts)
	if n := c.TryScram(&xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", User: user, Password: xtest.Password}); n.Name.Local != "success" {
		t.Errorf("%s: %s", user, n)
		return c
	}
	c.Restart()
	c.Open()
	c.Bind(fmt.Sprintf("idle%d", i))
	c.Send("<presence/>")
	c.Barrier()
	return c
}
