package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
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

// TestCrashResults: what was answered with a result, or with exit code 0, is on disk.
func TestCrashResults(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`,
		Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n[modules.mod_register]\nallow_registration = true\nrequire_encryption = true\n"})
	rounds := max(1, crashLoops(t)/10)
	n := 0
	login := func(user, password string) string {
		return xtest.Condition(s.Secure(t, "localhost").TryPlain("\x00" + user + "\x00" + password))
	}
	roster := func(user string) []string {
		c := s.Login(t, user+"@localhost/look")
		c.Send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>")
		var out []string
		for _, it := range c.Want("<iq type='result' id='look'><query xmlns='jabber:iq:roster'/></iq>").Find("query").Children {
			out = append(out, it.Attr("jid")+" "+it.Attr("name")+" "+it.Attr("subscription")+it.Attr("ask"))
		}
		slices.Sort(out)
		return out
	}
	wantRoster := func(t *testing.T, user string, want ...string) {
		t.Helper()
		if got := roster(user); !slices.Equal(got, want) {
			t.Errorf("the roster has %q, wanted %q", got, want)
		}
	}
	// result sends a request and kills the server as soon as its result is there.
	result := func(t *testing.T, c *xtest.Client, request string) {
		t.Helper()
		c.Send("%s", request)
		for {
			if n := c.Must(); n.Attr("id") == "now" {
				s.Kill()
				if n.Attr("type") != "result" {
					t.Fatalf("got %s", n)
				}
				return
			}
		}
	}
	set := func(ns, payload string) string {
		return "<iq type='set' id='now'><query xmlns='" + ns + "'>" + payload + "</query></iq>"
	}
	command := func(t *testing.T, stdin string, args ...string) {
		t.Helper()
		out, errs, code := s.Run(stdin, append([]string{"user"}, args...)...)
		s.Kill()
		if code != 0 {
			t.Fatalf("%v: %s%s", args, out, errs)
		}
	}
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, user string) (after func(t *testing.T))
	}{
		{"roster set", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:roster", "<item jid='b@localhost' name='B'/>"))
			return func(t *testing.T) { wantRoster(t, user, "b@localhost B none") }
		}},
		{"roster remove", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			for _, jid := range []string{"b@localhost", "c@localhost"} {
				c.Send("%s", strings.Replace(set("jabber:iq:roster", "<item jid='"+jid+"'/>"), "now", "first", 1))
			}
			c.Barrier()
			result(t, c, set("jabber:iq:roster", "<item jid='b@localhost' subscription='remove'/>"))
			return func(t *testing.T) { wantRoster(t, user, "c@localhost  none") }
		}},
		{"subscription", func(t *testing.T, user string) func(*testing.T) {
			s.AddUsers("peer-" + user + "@localhost")
			a, b := s.Online(t, user+"@localhost/x"), s.Online(t, "peer-"+user+"@localhost/x")
			a.Send("<iq type='get' id='ask'><query xmlns='jabber:iq:roster'/></iq>") // interested in pushes from here on
			a.Barrier()
			a.Send("<presence to='peer-%s@localhost' type='subscribe'/>", user)
			for n := b.Must(); n.Attr("type") != "subscribe"; n = b.Must() {
			}
			b.Send("<presence to='%s@localhost' type='subscribed'/>", user)
			for {
				n := a.Must()
				if it := n.Find("item"); it != nil && it.Attr("subscription") == "to" {
					break // the push is the server's word
				}
			}
			s.Kill()
			return func(t *testing.T) { wantRoster(t, user, "peer-"+user+"@localhost  to") }
		}},
		{"publish", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			node := func(what, inside string) string {
				return "<iq type='set' id='now'><pubsub xmlns='http://jabber.org/protocol/pubsub'><" + what + " node='urn:example:n'" + inside + "</" + what + "></pubsub></iq>"
			}
			for _, id := range []string{"x", "y"} {
				c.Send("%s", strings.Replace(strings.Replace(node("publish", "><item id='"+id+"'><a xmlns='urn:example:a'/></item>"), "now", "first", 1), "</pubsub>",
					"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'><value>max</value></field></x></publish-options></pubsub>", 1))
			}
			c.Barrier()
			c.Send("%s", strings.Replace(node("retract", "><item id='x'/>"), "now", "second", 1))
			c.Barrier()
			result(t, c, node("publish", "><item id='z'><b xmlns='urn:example:b'/></item>"))
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:n'/></pubsub>")
				var ids []string
				for _, it := range n.Find("items").Children {
					ids = append(ids, it.Attr("id"))
				}
				if !slices.Equal(ids, []string{"y", "z"}) {
					t.Errorf("the node has %q", ids)
				}
			}
		}},
		{"node configuration", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			form := "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>%s</value></field></x>"
			c.IQ("set", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='urn:example:n'/><configure>"+fmt.Sprintf(form, "open")+"</configure></pubsub>")
			result(t, c, "<iq type='set' id='now'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:example:n'>"+fmt.Sprintf(form, "whitelist")+"</configure></pubsub></iq>")
			return func(t *testing.T) {
				s.AddUsers("other-" + user + "@localhost")
				n := s.Login(t, "other-"+user+"@localhost/look").IQ("get", user+"@localhost", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:n'/></pubsub>")
				if n.Find("closed-node") == nil {
					t.Errorf("the node is open again: %s", n)
				}
			}
		}},
		{"vCard", func(t *testing.T, user string) func(*testing.T) {
			// The avatar and the rest are two places: a result means both.
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><vCard xmlns='vcard-temp'><FN>F</FN><PHOTO><BINVAL>R0lGODlh</BINVAL></PHOTO></vCard></iq>")
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<vCard xmlns='vcard-temp'/>")
				if n.Find("FN") == nil || n.Find("BINVAL") == nil {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"private data", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:private", "<a xmlns='urn:example:a'>x</a>"))
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<query xmlns='jabber:iq:private'><a xmlns='urn:example:a'/></query>")
				if a := n.Find("a"); a == nil || a.Text != "x" {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"archive preferences", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>b@localhost</jid></always><never/></prefs></iq>")
			return func(t *testing.T) {
				n := s.Login(t, user+"@localhost/look").IQ("get", "", "<prefs xmlns='urn:xmpp:mam:2'/>")
				if p := n.Find("prefs"); p == nil || p.Attr("default") != "never" || p.Find("jid") == nil || p.Find("jid").Text != "b@localhost" {
					t.Errorf("there is %s", n)
				}
			}
		}},
		{"bookmarks", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:private", "<storage xmlns='storage:bookmarks'><conference jid='r@muc.localhost'/></storage>"))
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/look")
				for _, node := range []string{"urn:xmpp:bookmarks:1", "storage:bookmarks"} {
					n := c.IQ("get", "", "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='"+node+"'/></pubsub>")
					if n.Find("conference") == nil {
						t.Errorf("%s has %s", node, n)
					}
				}
			}
		}},
		{"block", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><block xmlns='urn:xmpp:blocking'><item jid='mallory.example'/></block></iq>")
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/y")
				if n := c.IQ("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>"); n.Find("item") == nil || n.Find("item").Attr("jid") != "mallory.example" {
					t.Errorf("the list is %s", n)
				}
			}
		}},
		{"unblock", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			done(t, c.IQ("set", "", "<block xmlns='urn:xmpp:blocking'><item jid='mallory.example'/></block>"))
			result(t, c, "<iq type='set' id='now'><unblock xmlns='urn:xmpp:blocking'/></iq>")
			return func(t *testing.T) {
				c := s.Login(t, user+"@localhost/y")
				if n := c.IQ("get", "", "<blocklist xmlns='urn:xmpp:blocking'/>"); n.Find("item") != nil {
					t.Errorf("the list is %s", n)
				}
			}
		}},
		{"push service", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), "<iq type='set' id='now'><enable xmlns='urn:xmpp:push:0' jid='peer-"+user+"@localhost/push' node='n'/></iq>")
			return func(t *testing.T) {
				s.AddUsers("peer-" + user + "@localhost")
				p := s.Online(t, "peer-"+user+"@localhost/push")
				p.Send("<message to='%s@localhost' type='chat'><body>x</body></message>", user)
				for n := p.Must(); n.Name.Local != "iq"; n = p.Must() {
				}
			}
		}},
		{"invitation", func(t *testing.T, user string) func(*testing.T) {
			var link string
			c := s.Login(t, user+"@localhost/x")
			c.Send("<iq type='set' id='now' to='localhost'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite'/></iq>")
			link = c.Want("<iq type='result' id='now'><command xmlns='http://jabber.org/protocol/commands' status='completed'/></iq>").String()
			s.Kill()
			token := regexp.MustCompile(`preauth=([A-Z2-7]+)`).FindStringSubmatch(link)
			if token == nil {
				t.Fatalf("no token in %s", link)
			}
			return func(t *testing.T) {
				s.AddUsers("peer-" + user + "@localhost")
				p := s.Online(t, "peer-"+user+"@localhost/x")
				p.Send("<presence type='subscribe' to='%s@localhost'><preauth xmlns='urn:xmpp:pars:0' token='%s'/></presence>", user, token[1])
				p.Barrier()
				wantRoster(t, user, "peer-"+user+"@localhost  fromsubscribe")
			}
		}},
		{"import", func(t *testing.T, user string) func(*testing.T) {
			out, errs, code := s.Run("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='new-"+user+"' password='made'>"+
				"<query xmlns='jabber:iq:roster'><item jid='b@localhost' name='B'/></query></user></host></server-data>", "import", "-")
			s.Kill()
			if code != 0 {
				t.Fatalf("%s%s", out, errs)
			}
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"password change", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:register", "<username>"+user+"</username><password>changed</password>"))
			return func(t *testing.T) {
				if got := login(user, "changed") + " " + login(user, xtest.Password); got != "success not-authorized" {
					t.Errorf("new and old password: %s", got)
				}
			}
		}},
		{"registration", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Secure(t, "localhost"), set("jabber:iq:register", "<username>new-"+user+"</username><password>made</password>"))
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"removal", func(t *testing.T, user string) func(*testing.T) {
			result(t, s.Login(t, user+"@localhost/x"), set("jabber:iq:register", "<remove/>"))
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "not-authorized" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user add", func(t *testing.T, user string) func(*testing.T) {
			command(t, "made\n", "add", "new-"+user+"@localhost")
			return func(t *testing.T) {
				if got := login("new-"+user, "made"); got != "success" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user passwd", func(t *testing.T, user string) func(*testing.T) {
			command(t, "changed\n", "passwd", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, "changed") + " " + login(user, xtest.Password); got != "success not-authorized" {
					t.Errorf("new and old password: %s", got)
				}
			}
		}},
		{"user disable", func(t *testing.T, user string) func(*testing.T) {
			command(t, "", "disable", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "account-disabled" {
					t.Errorf("login: %s", got)
				}
			}
		}},
		{"user delete", func(t *testing.T, user string) func(*testing.T) {
			c := s.Login(t, user+"@localhost/x")
			c.Send("%s", set("jabber:iq:roster", "<item jid='b@localhost'/>"))
			c.Barrier()
			command(t, "", "delete", user+"@localhost")
			return func(t *testing.T) {
				if got := login(user, xtest.Password); got != "not-authorized" {
					t.Errorf("login: %s", got)
				}
				s.AddUsers(user + "@localhost")
				wantRoster(t, user) // nothing of the old one (A27)
			}
		}},
		{"user import", func(t *testing.T, user string) func(*testing.T) {
			var in strings.Builder
			for i := range 20 {
				fmt.Fprintf(&in, "%s-%d@localhost made\n", user, i)
			}
			command(t, in.String(), "import")
			return func(t *testing.T) {
				out, _, _ := s.Run("", "user", "list")
				if n := strings.Count(out, user+"-"); n != 20 {
					t.Errorf("%d of 20 accounts are there", n)
				}
			}
		}},
	} {
		t.Run("D02 "+tc.name, func(t *testing.T) {
			for range rounds {
				n++
				user := fmt.Sprintf("user%d", n)
				s.AddUsers(user + "@localhost")
				after := tc.do(t, user)
				s.Start(xtest.Options{})
				after(t)
			}
		})
	}
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
