package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// What was acknowledged must be there after a crash. A crash is a SIGKILL; power cuts are storage/bolt's tests.

// crashLoops is how often the server is killed: 10 times, or what XMPPD_CRASH_LOOPS says.
func crashLoops(t testing.TB) int {
	s := os.Getenv("XMPPD_CRASH_LOOPS")
	if s == "" {
		return 10
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("XMPPD_CRASH_LOOPS: %q is no number", s)
	}
	return n
}

const nsSM = "xmlns='urn:xmpp:sm:3'"

// TestCrashOffline: a message for somebody who is offline is on disk before its sender is told that the server has it.
func TestCrashOffline(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n"})
	s.AddUsers("alice@localhost", "carol@localhost")
	const messages = 200 // more than are sent before most of the kills
	total := 0
	t.Run("D01 acknowledged messages survive", func(t *testing.T) {
		for loop := range crashLoops(t) {
			delay := time.Duration(rand.IntN(500)) * time.Millisecond
			acked := sendUntilKilled(t, s, loop, messages, delay)
			total += acked
			s.Start(xtest.Options{})
			carol := s.Login(t, "carol@localhost/x")
			carol.Send("<presence/>")
			var got []string
			for _, n := range append(carol.Barrier(), carol.Barrier()...) {
				if n.Name.Local == "message" {
					got = append(got, n.Attr("id"))
				}
			}
			carol.Quit()
			if len(got) < acked {
				t.Errorf("%d messages were acknowledged, %d are there", acked, len(got))
			}
			for i, id := range got { // all, once, in order; those that were not acknowledged may be there as well
				if want := fmt.Sprintf("%d-%d", loop, i); id != want {
					t.Errorf("message %d is %s, wanted %s", i, id, want)
				}
			}
			if t.Failed() {
				t.Fatalf("in round %d, killed after %v with %d acknowledged; there are %v", loop, delay, acked, got)
			}
		}
	})
	if total == 0 {
		t.Error("nothing was ever acknowledged")
	}
	t.Logf("%d messages were acknowledged", total)
}

// sendUntilKilled sends messages to carol, asking for an acknowledgement after each, kills the server after the delay, and
// returns how many had been acknowledged.
func sendUntilKilled(t *testing.T, s *xtest.Server, loop, messages int, delay time.Duration) (acked int) {
	t.Helper()
	alice := s.Login(t, "alice@localhost/x")
	alice.Send("<enable %s/>", nsSM)
	alice.Want("<enabled %s/>", nsSM)
	kill := time.AfterFunc(delay, func() { s.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	go func() {
		for i := range messages {
			if alice.TrySend(fmt.Sprintf("<message to='carol@localhost' type='chat' id='%d-%d'><body>%s</body></message><r %s/>", loop, i, xtest.Marker, nsSM)) != nil {
				return
			}
		}
	}()
	for {
		n, err := alice.Next()
		if err != nil {
			break
		}
		if n.Name.Local != "a" {
			t.Errorf("alice got %s", n)
			continue
		}
		h, err := strconv.Atoi(n.Attr("h"))
		if err != nil || h < acked {
			t.Errorf("h=%q after %d", n.Attr("h"), acked)
		}
		acked = h
	}
	if err := s.Exited(); err == nil {
		t.Error("the server was not killed")
	}
	return acked
}

// TestCrashArchive: a message is in both archives before its sender is told that the server has it, and before its recipient
// sees it.
func TestCrashArchive(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n"})
	s.AddUsers("alice@localhost", "carol@localhost")
	archive := func(who string, loop int) (ids []string, bodies []string) {
		c := s.Login(t, who+"@localhost/look")
		defer c.Quit()
		for after := ""; ; {
			c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>100</max>%s</set></query></iq>", after)
			n := c.Must()
			for ; n.Name.Local == "message"; n = c.Must() {
				id := n.Find("result").Attr("id")
				after = "<after>" + id + "</after>"
				if m := n.Find("forwarded").Find("message"); strings.HasPrefix(m.Attr("id"), fmt.Sprint(loop, "-")) {
					ids, bodies = append(ids, id), append(bodies, m.Attr("id"))
				}
			}
			if n.Find("fin").Attr("complete") == "true" {
				return ids, bodies
			}
		}
	}
	const messages = 200
	total := 0
	t.Run("D02 archives", func(t *testing.T) {
		for loop := range crashLoops(t) {
			carol := s.Online(t, "carol@localhost/x")
			seen := make(chan []string, 1)
			go func() {
				var live []string
				for {
					n, err := carol.Next()
					if err != nil {
						seen <- live
						return
					}
					if n.Name.Local == "message" {
						live = append(live, n.Find("stanza-id").Attr("id"))
					}
				}
			}()
			delay := time.Duration(rand.IntN(300)) * time.Millisecond
			acked := sendUntilKilled(t, s, loop, messages, delay)
			total += acked
			live := <-seen
			s.Start(xtest.Options{})
			ids, got := archive("carol", loop)
			_, sent := archive("alice", loop)
			if len(got) < acked || !slices.Equal(got, sent) {
				t.Fatalf("round %d, killed after %v: %d messages were acknowledged, carol has %v, alice %v", loop, delay, acked, got, sent)
			}
			for i, id := range got { // all, once, in order
				if want := fmt.Sprintf("%d-%d", loop, i); id != want {
					t.Fatalf("round %d: message %d is %s, wanted %s", loop, i, id, want)
				}
			}
			if len(live) > len(ids) || !slices.Equal(live, ids[:len(live)]) { // what was delivered is what is archived
				t.Fatalf("round %d: live %v, archived %v", loop, live, ids)
			}
		}
	})
	if total == 0 {
		t.Error("nothing was ever acknowledged")
	}
	t.Logf("%d messages were acknowledged", total)
}

// TestCrashAtFirstStart kills a server while it makes its files: the next one starts all the same, and with them.
func TestCrashAtFirstStart(t *testing.T) {
	t.Run("D12 first start", func(t *testing.T) {
		for range crashLoops(t) {
			s := xtest.New(t, xtest.Options{NoStart: true})
			for range 3 {
				s.StartUnready()
				time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
				s.Kill()
			}
			s.Start(xtest.Options{})
			s.AddUser("ann@localhost", "secret")
			c := s.Secure(t, "localhost")
			if n := c.TryPlain("\x00ann\x00secret"); n.Name.Local != "success" {
				t.Errorf("login: %s", n)
			}
			c.Conn.Close()
			must(t, s.Stop())
			err := filepath.WalkDir(filepath.Join(s.Dir, "data"), func(path string, d os.DirEntry, err error) error {
				if strings.HasSuffix(path, ".new") {
					t.Errorf("%s is left", path)
				}
				return err
			})
			must(t, err)
		}
	})
}

// TestDiskFull fills the disk under a running server.
func TestDiskFull(t *testing.T) {
	s := xtest.New(t, xtest.Options{NoStart: true, Limits: "profile = \"off\"\noffline_messages = 100000\noffline_size = \"1GiB\"",
		Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n"})
	data := filepath.Join(s.Dir, "data")
	xtest.Tmpfs(t, data, "size=4m,mode=700")
	put(t, filepath.Join(data, "filler"), make([]byte, 2<<20), 0o600)
	s.Start(xtest.Options{})
	s.AddUsers("alice@localhost", "bob@localhost", "carol@localhost")
	alice, bob := s.Online(t, "alice@localhost/x"), s.Online(t, "bob@localhost/x")
	alice.Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='friend@localhost'/></query></iq>")
	alice.Barrier()
	kept := 0
	full, err := xtest.Parse("<message type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	must(t, err)
	fill := func(t *testing.T) { // with ever smaller things
		t.Helper()
		for size := 20_000; size > 100; size /= 5 {
			for i := 0; ; i++ {
				if i == 1000 {
					t.Fatal("the disk does not get full")
				}
				alice.Send("<message to='carol@localhost' type='chat' id='m%d'><body>%s</body></message>", i, strings.Repeat("x", size))
				got := slices.DeleteFunc(alice.Barrier(), func(n *xtest.Node) bool { return n.Name.Local != "message" })
				if len(got) > 0 {
					if why := xtest.Match(full, got[0]); why != "" {
						t.Fatalf("a full disk: %s", why)
					}
					break
				}
				kept++
			}
		}
	}
	t.Run("D04 writes are refused", func(t *testing.T) {
		fill(t)
		for i := 0; ; i++ {
			if i == 1000 {
				t.Fatal("the disk does not get full")
			}
			alice.Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='other%d@localhost' name='%s'/></query></iq>", i, strings.Repeat("n", 900))
			n := alice.Must()
			for n.Attr("id") != "r" {
				n = alice.Must()
			}
			if n.Attr("type") == "error" {
				if e := n.Find("error"); e.Attr("type") != "wait" || e.Find("resource-constraint") == nil {
					t.Errorf("got %s", n)
				}
				break
			}
		}
		var refused string
		for i := range 200 { // what little space is left goes to small things
			_, errs, code := s.Run("x\n", "user", "add", fmt.Sprintf("new%d@localhost", i))
			if code == 1 {
				refused = errs
				break
			}
		}
		if !strings.Contains(refused, "no space left") {
			t.Errorf("user add on a full disk: %q", refused)
		}
	})
	t.Run("D04 the rest goes on", func(t *testing.T) {
		bob.Send("<message to='alice@localhost/x' id='kept'><body>hi</body></message>") // it belongs in archives
		bob.Want("<message type='error' id='kept'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		bob.Send("<message to='alice@localhost/x'><body>hi</body><no-store xmlns='urn:xmpp:hints'/></message>")
		for n := alice.Must(); n.Name.Local != "message"; n = alice.Must() {
		}
		again := s.Login(t, "alice@localhost/again") // its time cannot be noted
		again.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
		again.Want("<iq type='result' id='r'><query xmlns='jabber:iq:roster'><item jid='friend@localhost'/></query></iq>")
		again.Quit()
		if out, errs, code := s.Run("", "user", "list"); code != 0 || !strings.Contains(out, "alice@localhost") {
			t.Errorf("user list: %s%s", out, errs)
		}
	})
	t.Run("D04 space that is freed is used, without a restart", func(t *testing.T) {
		must(t, os.Remove(filepath.Join(data, "filler")))
		alice.Send("<message to='carol@localhost' type='chat' id='last'><body>x</body></message>")
		if got := alice.Barrier(); len(got) > 0 {
			t.Fatalf("got %s", got)
		}
		kept++
		s.AddUsers("late@localhost")
	})
	t.Run("D04 a full disk loses nothing", func(t *testing.T) {
		fill(t) // again, to the brim
		s.Kill()
		s.Start(xtest.Options{}) // on a full disk
		carol := s.Login(t, "carol@localhost/x")
		carol.Send("<presence/>")
		got := 0
		for got < kept { // what is taken makes room
			if n := carol.Must(); n.Name.Local == "message" {
				got++
			}
		}
		for _, n := range carol.Barrier() {
			if n.Name.Local == "message" {
				t.Errorf("more than was kept: %.100s", n)
			}
		}
		carol.Quit()
		s.AddUsers("later@localhost")
		alice = s.Online(t, "alice@localhost/x")
		alice.Send("<message to='carol@localhost' type='chat' id='again'><body>x</body></message>")
		if got := alice.Barrier(); len(got) > 0 {
			t.Errorf("got %s", got)
		}
	})
	must(t, s.Stop())
}

// TestOneServerOnly: a data directory has one server (D10), and its files are not opened by a second.
func TestOneServerOnly(t *testing.T) {
	s := xtest.New(t, xtest.Options{})
	s.AddUsers("ann@localhost")
	t.Run("D10 other ports", func(t *testing.T) {
		told, code, ready := s.Serve(t, nil)
		if ready || code != 1 || strings.Count(told, "\n") != 1 || !strings.Contains(told, fmt.Sprintf("process %d", s.Pid())) {
			t.Errorf("exit %d: %s", code, told)
		}
	})
	t.Run("D10 same ports", func(t *testing.T) {
		edit(t, s, `listen = ["127.0.0.1:0"]`, `listen = ["`+s.C2S+`"]`)
		told, code, ready := s.Serve(t, nil)
		if ready || code != 1 || strings.Count(told, "\n") != 1 || !strings.Contains(told, "runs already") {
			t.Errorf("exit %d: %s", code, told)
		}
	})
	s.Login(t, "ann@localhost/x").Barrier()
	if out, errs, code := s.Run("", "user", "list"); code != 0 || !strings.Contains(out, "ann@localhost") {
		t.Errorf("the first server's socket: %s%s", out, errs)
	}
}
