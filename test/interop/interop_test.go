package interop

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

const wait = 40 * time.Second

// account is what a client needs to log in.
type account struct {
	jid, host, resource, password, addr, ca, mech string
	direct                                        bool
	roots                                         *x509.CertPool
	env                                           []string // of a client that is a process
}

func (a account) bare() string { return strings.SplitN(a.jid, "/", 2)[0] }

func (a account) mode() string {
	if a.direct {
		return "direct"
	}
	return "starttls"
}

// bot is a client at work. Do takes: subscribe JID, chat JID TEXT, show SHOW, quit.
type bot interface {
	Do(cmd string, args ...string) error
}

// user is a client in a test, with what it has told so far.
type user struct {
	t      *testing.T
	name   string
	a      account
	b      bot
	events chan []string
	past   [][]string
}

// clients are those that the server is tested with. Each runs once over STARTTLS and once over direct TLS, with the server's
// certificate verified against the file that the server made.
var clients = []struct {
	name  string
	start func(account, func(...string)) (bot, error)
	mechs []string // per mode; empty: the client's choice
}{
	{"go-xmpp", startGoXMPP, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"}},
	{"slixmpp", startSlixmpp, []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}},
	{"mellium", startMellium, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS"}},
	{"xmpp.js", startXMPPJS, []string{"", ""}},
	{"profanity", startProfanity, []string{"", ""}},
}

func start(t *testing.T, s *xtest.Server, i int, jid string, direct bool) *user {
	t.Helper()
	c := clients[i]
	bare, res, _ := strings.Cut(jid, "/")
	_, host, _ := strings.Cut(bare, "@")
	a := account{jid: jid, host: host, resource: res, password: xtest.Password, addr: s.C2S, ca: s.CertFile(host), roots: s.Roots(), direct: direct, mech: c.mechs[0]}
	if direct {
		a.addr, a.mech = s.C2STLS, c.mechs[1]
	}
	u := &user{t: t, name: c.name + " " + a.mode(), a: a, events: make(chan []string, 1000)}
	b, err := c.start(a, func(words ...string) { u.events <- words })
	if err != nil {
		t.Fatalf("%s: %v", u.name, err)
	}
	u.b = b
	t.Cleanup(func() { b.Do("quit") })
	u.want("ready", bare)
	return u
}

func (u *user) do(cmd string, args ...string) {
	u.t.Helper()
	if err := u.b.Do(cmd, args...); err != nil {
		u.t.Fatalf("%s: %s %v: %v", u.name, cmd, args, err)
	}
}

// want waits for an event whose words begin with the given ones, and returns it: the first is equal, the others are prefixes.
func (u *user) want(words ...string) []string {
	u.t.Helper()
	fits := func(ev []string) bool {
		for i, w := range words {
			if i >= len(ev) || (i == 0 && ev[i] != w) || !strings.HasPrefix(ev[i], w) {
				return false
			}
		}
		return true
	}
	for i, ev := range u.past {
		if fits(ev) {
			u.past = append(u.past[:i:i], u.past[i+1:]...)
			return ev
		}
	}
	for end := time.After(wait); ; {
		select {
		case ev := <-u.events:
			if fits(ev) {
				return ev
			}
			if ev[0] == "failed" {
				u.t.Fatalf("%s: %v", u.name, ev)
			}
			u.past = append(u.past, ev)
		case <-end:
			screen := ""
			if p, ok := u.b.(*profanity); ok {
				screen = "\n" + strings.TrimSpace(p.screen())
			}
			u.t.Fatalf("%s: nothing like %q; it told %q%s", u.name, words, u.past, screen)
			return nil
		}
	}
}

// TestClients lets each client meet the next one, over STARTTLS one and over direct TLS the other: they add each other to
// their rosters, see each other's presence change, and chat both ways; then a second resource gets the chat too.
func TestClients(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	for i := range clients {
		for _, direct := range []bool{false, true} {
			j := (i + 1) % len(clients)
			a, b := fmt.Sprintf("a%d%v@localhost", i, direct), fmt.Sprintf("b%d%v@localhost", i, direct)
			mode := "starttls"
			if direct {
				mode = "direct"
			}
			t.Run(clients[i].name+" "+mode+" with "+clients[j].name, func(t *testing.T) {
				s.AddUsers(a, b)
				alice := start(t, s, i, a+"/one", direct)
				bob := start(t, s, j, b+"/two", !direct)
				meet(t, s, alice, bob)
			})
		}
	}
}

func meet(t *testing.T, s *xtest.Server, alice, bob *user) {
	a, b := alice.a.bare(), bob.a.bare()
	alice.do("subscribe", b)
	alice.want("subscribed", b)
	bob.do("subscribe", a)
	bob.want("subscribed", a)
	bob.do("show", "away")
	alice.want("presence", b)
	alice.do("show", "dnd")
	bob.want("presence", a)
	alice.do("chat", b, "hello from alice")
	bob.want("message", a, "hello from alice")
	bob.do("chat", a, "hello from bob")
	alice.want("message", b, "hello from bob")

	second := s.Online(t, b+"/second")
	if _, ok := alice.b.(*profanity); !ok {
		// profanity keeps writing to the resource that answered it last.
		alice.do("chat", b, "to both")
		bob.want("message", a, "to both")
		for {
			n := second.Must()
			if n.Name.Local == "message" && n.Find("body") != nil && n.Find("body").Text == "to both" {
				break
			}
		}
	}
	alice.do("chat", b+"/second", "to the second")
	for {
		n := second.Must()
		if n.Name.Local == "message" && n.Find("body") != nil && n.Find("body").Text == "to the second" {
			break
		}
	}
}

// TestRosterSurvives kills the server after two of these clients have met: accounts and rosters are still there.
func TestRosterSurvives(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("alice@localhost", "bob@localhost")
	alice, bob := start(t, s, 0, "alice@localhost/one", false), start(t, s, 1, "bob@localhost/two", true)
	alice.do("subscribe", "bob@localhost")
	alice.want("subscribed", "bob@localhost")
	bob.do("subscribe", "alice@localhost")
	bob.want("subscribed", "alice@localhost")
	s.Kill()
	s.Start(xtest.Options{})
	c := s.Login(t, "alice@localhost/after")
	c.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	c.Want("<iq type='result' id='r'><query xmlns='jabber:iq:roster'><item jid='bob@localhost' subscription='both'/></query></iq>")
	again := start(t, s, 1, "bob@localhost/three", false)
	again.do("show", "xa")
}

func TestMain(m *testing.M) {
	code := m.Run()
	xtest.Cleanup()
	os.Exit(code)
}
