package c2s

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestChurn has clients that come and go in all the ways there are, at once, on one account (H05): binding the same
// resource, resuming each other's sessions, vanishing, being closed, while messages arrive. In the end every session that
// was opened has been closed, once, and nothing is left.
func TestChurn(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nprofile = 'off'\nhibernated_per_account = 3\nresources_per_account = 6\n")
	r.listen()
	before := runtime.NumGoroutine()
	var mu sync.Mutex
	var tokens []string
	var wg sync.WaitGroup
	rounds := 20
	if testing.Short() {
		rounds = 10
	}
	for w := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				p := r.dial()
				p.login("alice")
				mu.Lock()
				var previd string
				if len(tokens) > 0 {
					previd = tokens[rnd.IntN(len(tokens))]
				}
				mu.Unlock()
				if rnd.IntN(2) == 0 && previd != "" {
					p.send("<resume %s previd='%s' h='0'/>", nsSM, previd)
					got := p.next()
					if strings.HasPrefix(got, "<resumed") {
						p.send("<r %s/>", nsSM)
					}
					if !strings.HasPrefix(got, "<failed") {
						p.c.Close()
						continue
					}
				}
				p.send("%s<resource>r%d</resource></bind></iq><enable %s resume='true'/><presence/>", bindOpen, rnd.IntN(4), nsSM)
				for {
					got := p.next()
					if _, id, ok := strings.Cut(got, "<enabled "+nsSM+" id='"); ok {
						id, _, _ = strings.Cut(id, "'")
						mu.Lock()
						tokens = append(tokens, id)
						mu.Unlock()
						break
					}
					if got == "" || strings.HasPrefix(got, "</") || strings.Contains(got, "resource-constraint") {
						break
					}
				}
				switch rnd.IntN(4) {
				case 0:
					p.c.Write([]byte("</stream:stream>"))
					p.c.Close()
				case 1:
					for _, s := range r.router.Sessions(jid("alice@a.test")) {
						s.Close(nil)
						break
					}
				case 2:
					p.c.Write([]byte("<foo/>"))
				}
				p.c.Close()
			}
		})
		wg.Go(func() {
			for i := range rounds * 5 {
				r.say("alice@a.test", fmt.Sprintf("w%d-%d.", w, i))
				for _, s := range r.router.Sessions(jid("alice@a.test")) {
					s.Info()
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := map[string]int{}
	total := 0
	for _, e := range r.watch.seen() {
		if who, ok := strings.CutPrefix(e, "opened "); ok {
			if open[who]++; open[who] > 1 {
				t.Errorf("%s opened twice", who)
			}
			total++
		}
		if who, ok := strings.CutPrefix(e, "closed "); ok {
			if open[who]--; open[who] < 0 {
				t.Errorf("%s closed twice", who)
			}
		}
	}
	for who, n := range open {
		if n != 0 {
			t.Errorf("%s is open", who)
		}
	}
	if total < rounds {
		t.Errorf("only %d sessions", total)
	}
	// Nobody acknowledged anything, so every message was kept.
	kept := strings.Join(get(r.watch, &r.watch.kept), "")
	for w := range 6 {
		for i := range rounds * 5 {
			if !strings.Contains(kept, fmt.Sprintf("w%d-%d.", w, i)) {
				t.Fatalf("message %d of %d is lost", i, w)
			}
		}
	}
	if st := r.srv.Stats(); st != (Stats{}) {
		t.Errorf("%+v", st)
	}
	if p := r.srv.o.Poller; p != nil {
		p.Close()
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}
