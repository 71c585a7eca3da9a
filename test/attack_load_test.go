package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackRate: reading slows down, nobody else notices, nothing is lost. R07.
func TestAttackRate(t *testing.T) {
	t.Parallel() // it waits more than it works
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test", "b.test", "c.test"}, Limits: "rate_c2s = \"1MiB\"\nburst_c2s = \"512KiB\"\n"})
	elsewhere := []*xtest.Client{g.Online(t, "alice@b.test/x"), g.Online(t, "alice@c.test/x")}
	for _, name := range []string{"R07 burst of 3 MB", "H08 other hosts"} {
		g.Run(t, name, func(t *testing.T) {
			c := g.Attacker(t, "ok")
			const n = 100
			begin := time.Now()
			sent := make(chan error, 1)
			go func() {
				for i := range n {
					if err := c.TrySend(letter(fmt.Sprint("r", i), 30_000)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			got := make(chan string, 1)
			go func() {
				defer close(got)
				for i := range n {
					if m := g.Victim.Must(); m.Attr("id") != fmt.Sprint("r", i) {
						got <- fmt.Sprintf("number %d is %s", i, m.Attr("id"))
						return
					}
				}
			}()
			if name[0] == 'R' {
				pings(g.Bystander, time.Second).log(t, "one who sends too much")
			} else {
				for _, e := range elsewhere {
					e.T = t
					pings(e, time.Second/2).log(t, "one who sends too much, on another host")
				}
			}
			if why := <-got; why != "" {
				t.Error(why)
			}
			// What is beyond the burst takes its time: (3,000,000 - 524,288) bytes at 1,048,576 a second.
			if took := time.Since(begin); took < 1500*time.Millisecond {
				t.Errorf("3 MB were read in %v", took)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if got := c.Barrier(); len(got) > 0 { // still here
				t.Errorf("the sender got %s", got)
			}
		})
	}
}

// TestAttackConnections: an address has so many connections and no more, all others go on. R09.
func TestAttackConnections(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: "connections_per_address = 64\n"})
	fds := g.FDs(t)
	// knock tells whether a new connection from an address is served.
	knock := func(t *testing.T) (nc net.Conn, served bool) {
		d := net.Dialer{Timeout: xtest.Wait, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		nc, err := d.Dial("tcp", g.C2S)
		if err != nil {
			return nil, false
		}
		nc.SetDeadline(time.Now().Add(xtest.Wait))
		io.WriteString(nc, streamHeader)
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			nc.Close()
			return nil, false
		}
		return nc, true
	}
	g.Run(t, "R09 connections of one address", func(t *testing.T) {
		begin, mark := time.Now(), len(g.Log())
		var open []net.Conn
		refused := 0
		for range 3000 {
			if nc, ok := knock(t); ok {
				open = append(open, nc)
			} else {
				refused++
			}
		}
		if len(open) != 64 {
			t.Errorf("%d connections are open", len(open))
		}
		if n := g.FDs(t); n > fds+64+10 {
			t.Errorf("%d files and sockets, %d before", n, fds)
		}
		g.Login(t, "alice@a.test/x", "127.0.0.3").Quit()
		for _, nc := range open {
			nc.Close()
		}
		g.FewerFDs(t, fds+2)
		// In a minute an address may come 120 times.
		again := 0
		for range 200 {
			if nc, ok := knock(t); ok {
				again++
				nc.Close()
			}
		}
		minute := int(time.Since(begin).Minutes()*120) + 1
		if again == 0 || 64+again > 120+minute {
			t.Errorf("%d connections after 64, in %v", again, time.Since(begin))
		}
		g.Login(t, "alice@a.test/x", "127.0.0.3").Quit()
		lines := strings.Count(g.Log()[mark:], "connections refused")
		if limit := 2 + int(time.Since(begin).Minutes()); lines < 1 || lines > limit {
			t.Errorf("%d lines in the log about %d refusals", lines, refused)
		}
	})
}

// TestAttackDescriptors: without file descriptors new connections wait, standing ones are served. R16.
func TestAttackDescriptors(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip("prlimit is missing")
	}
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Prefix: []string{prlimit, "--nofile=256:256"}})
	fds := g.FDs(t)
	g.Run(t, "R16 no descriptors left", func(t *testing.T) {
		mark := len(g.Log())
		var open []net.Conn
		for range 400 {
			nc, err := net.DialTimeout("tcp", g.C2S, xtest.Wait)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			open = append(open, nc)
		}
		g.WaitLog(t, mark, "cannot accept connections")
		cpu := g.CPU(t)
		pings(g.Bystander, 2*time.Second).log(t, "no descriptors")
		if spent := g.CPU(t) - cpu; spent > 1500*time.Millisecond && !xtest.Race {
			t.Errorf("%v of CPU in two seconds: a busy loop", spent)
		}
		g.Bystander.Send("<message to='bob@a.test' type='chat' id='full'><body>x</body></message>")
		g.Victim.Want("<message id='full'/>")
		g.Bystander.Send("<message to='alice@a.test' type='chat' id='kept'><body>x</body></message>") // on disk
		if got := g.Bystander.Barrier(); len(got) > 0 {
			t.Errorf("to alice: %s", got)
		}
		for _, nc := range open {
			nc.Close()
		}
		g.FewerFDs(t, fds+2)
		alice := g.Login(t, "alice@a.test/x")
		alice.Send("<presence/>")
		alice.Barrier2(func(got []*xtest.Node) {
			if !slices.ContainsFunc(got, func(n *xtest.Node) bool { return n.Attr("id") == "kept" }) {
				t.Errorf("alice got %s", got)
			}
		})
		if n := strings.Count(g.Log()[mark:], "cannot accept connections"); n > 3 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// TestAttackLittleMemory has many attacks at once on a server that is to get by with little memory. XMPPD_SOAK=10m makes it
// last. R19.
func TestAttackLittleMemory(t *testing.T) {
	last := 4 * time.Second
	if s := os.Getenv("XMPPD_SOAK"); s != "" {
		var err error
		if last, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}, Limits: unmanaged, LogLevel: "info", Env: []string{"GOMEMLIMIT=128MiB"}})
	g.Run(t, "R19 little memory", func(t *testing.T) {
		var stop atomic.Bool
		var wg sync.WaitGroup
		attack := func(fn func(i int) bool) {
			wg.Go(func() {
				for i := 0; !stop.Load() && fn(i); i++ {
				}
			})
		}
		var shapes []func(int) string
		for _, f := range unending {
			shapes = append(shapes, f)
		}
		attack(func(i int) bool { // R01
			nc, err := net.Dial("tcp", g.C2S)
			if err == nil {
				io.WriteString(nc, streamHeader+shapes[i%len(shapes)](mib))
				nc.Close()
			}
			return err == nil
		})
		for i := range 2 { // R02 to R04
			attack(func(n int) bool {
				c := again(t, g.Server)
				if c != nil {
					c.TrySend([]string{letter("x", 300_000), deepLetter("bob@a.test", 50_000), "<message>" + strings.Repeat("<a/>", 60_000)}[(n+i)%3])
					c.Conn.Close()
				}
				return c != nil
			})
		}
		for i := range 4 { // R08: who does not read, and is sent much
			to := fmt.Sprintf("mallory@a.test/deaf%d", i)
			attack(func(int) bool {
				deaf := g.DialNarrow(t, 4096)
				deaf.LoginOn(to)
				from := again(t, g.Server)
				if from == nil {
					return false
				}
				for range 30 {
					from.TrySend(strings.Replace(letter("x", 200_000), "bob@a.test", to, 1))
				}
				deaf.Conn.Close()
				from.Conn.Close()
				return true
			})
		}
		var most int64
		var slowest time.Duration
		for end := time.Now().Add(last); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			begin := time.Now()
			g.Login(t, "alice@a.test/x").Quit()
			slowest = max(slowest, time.Since(begin))
			g.Bystander.Barrier()
			most = max(most, g.RSSAnon(t))
		}
		stop.Store(true)
		wg.Wait()
		t.Logf("%d MiB at most; the slowest login took %v", most/mib, slowest)
		if limit := int64(192 * mib); most > limit && !xtest.Race {
			t.Errorf("%d MiB of memory", most/mib)
		}
	})
}
