package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestLoginStorm: all clients of a server that crashed come back at once, each with its password. All get in, and nothing
// that was kept for them is lost; meanwhile the admin is answered. How long it takes is a matter of the machine:
// doc/performance.md has 10,000.
func TestLoginStorm(t *testing.T) {
	const accounts, devices = 30, 10
	s := xtest.New(t, xtest.Options{LogLevel: "info", Limits: "profile = \"off\"\n"})
	var jids []string
	for i := range accounts {
		jids = append(jids, fmt.Sprintf("u%d@localhost", i))
	}
	s.AddUsers(jids...)
	ann := s.Online(t, jids[0]+"/before")
	for _, jid := range jids[1:] {
		ann.Send("<message to='%s' type='chat' id='kept'><body>while you were away</body></message>", jid)
	}
	ann.Barrier() // acknowledged
	s.Kill()
	s.Start(xtest.Options{})

	var wg sync.WaitGroup
	var kept atomic.Int64
	count := func(got []*xtest.Node) {
		for _, n := range got {
			if n.Name.Local == "message" {
				kept.Add(1)
			}
		}
	}
	start := make(chan struct{})
	clients := make([]*xtest.Client, accounts*devices)
	for i := range clients {
		wg.Go(func() {
			<-start
			full := fmt.Sprintf("%s/%d", jids[i%accounts], i/accounts)
			c := s.Login(t, full)
			c.Send("<presence/>")
			clients[i] = c
			count(c.Barrier())
		})
	}
	admin := make(chan struct{})
	go func() {
		defer close(admin)
		<-start
		for range 5 {
			if out, errs, code := s.Run("", "session", "list", "-json"); code != 0 || !json.Valid([]byte(out)) {
				t.Errorf("session list in the storm: exit %d\n%s%s", code, out, errs)
			}
		}
	}()
	close(start)
	wg.Wait()
	<-admin
	if t.Failed() {
		return
	}
	var list []struct{ JID string }
	out, _, _ := s.Run("", "session", "list", "-json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != len(clients) {
		t.Errorf("%d sessions of %d: %v", len(list), len(clients), err)
	}
	for _, c := range clients {
		count(c.Barrier())
	}
	if n := kept.Load(); n < accounts-1 {
		t.Errorf("%d of %d messages came", n, accounts-1)
	}
	if strings.Contains(s.Log(), "connection dropped") || strings.Contains(s.Log(), "connections refused") {
		t.Errorf("clients were turned away:\n%s", s.Log())
	}
}
