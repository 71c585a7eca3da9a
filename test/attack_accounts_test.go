package test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackAccounts changes accounts that are in use.
func TestAttackAccounts(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n[modules.mod_register]\nallow_registration = true\n"})
	// sleeper logs in, and loses its connection; the returned function tries to resume it with a password.
	sleeper := func(t *testing.T, user string) (resume func(password string) *xtest.Node) {
		c := s.Login(t, user+"@localhost/sleeper")
		c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		id := c.Want("<enabled xmlns='urn:xmpp:sm:3'/>").Attr("id")
		if id == "" {
			t.Fatal("not to be resumed")
		}
		c.Conn.Close()
		return func(password string) *xtest.Node {
			r := s.Secure(t, "localhost")
			if n := r.TryPlain("\x00" + user + "\x00" + password); n.Name.Local != "success" {
				t.Fatalf("login: %s", n)
			}
			r.Restart()
			r.Open()
			r.Send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>", id)
			return r.Must()
		}
	}
	gone := func(t *testing.T, n *xtest.Node) {
		t.Helper()
		if n.Name.Local != "failed" {
			t.Errorf("the session could be resumed: %s", n)
		}
	}
	admin := func(t *testing.T, stdin string, args ...string) {
		t.Helper()
		if out, errs, code := s.Run(stdin, append([]string{"user"}, args...)...); code != 0 {
			t.Fatalf("%v: %s%s", args, out, errs)
		}
	}
	t.Run("A26 password changed by the admin", func(t *testing.T) {
		s.AddUsers("ann@localhost")
		resume := sleeper(t, "ann")
		live := s.Online(t, "ann@localhost/live")
		admin(t, "changed\n", "passwd", "ann@localhost")
		live.WantStreamError("reset", "not-authorized")
		gone(t, resume("changed"))
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00ann\x00"+xtest.Password), "not-authorized")
	})
	t.Run("A26 password changed by its owner", func(t *testing.T) {
		s.AddUsers("ben@localhost")
		resume := sleeper(t, "ben")
		live, own := s.Online(t, "ben@localhost/live"), s.Online(t, "ben@localhost/own")
		live.Barrier()
		own.Barrier()
		own.Send("<iq type='set' id='pw' to='localhost'><query xmlns='jabber:iq:register'><username>ben</username><password>changed</password></query></iq>")
		for {
			if n := own.Must(); n.Attr("id") == "pw" {
				if n.Attr("type") != "result" {
					t.Fatalf("got %s", n)
				}
				break
			}
		}
		live.WantStreamError("reset", "not-authorized")
		own.Barrier() // who changed it stays
		gone(t, resume("changed"))
	})
	t.Run("A26 login under way while the password changes", func(t *testing.T) {
		s.AddUsers("cleo@localhost")
		c := s.Secure(t, "localhost")
		a := &xtest.Scram{Mechanism: "SCRAM-SHA-1", User: "cleo", Password: xtest.Password}
		a.Stop = func(string) bool {
			admin(t, "changed\n", "passwd", "cleo@localhost")
			return false
		}
		refusedWith(t, c.TryScram(a), "not-authorized")
	})
	t.Run("A25 disabled while in use", func(t *testing.T) {
		s.AddUsers("dan@localhost")
		resume := sleeper(t, "dan")
		live := s.Online(t, "dan@localhost/live")
		admin(t, "", "disable", "dan@localhost")
		live.WantStreamError("not-authorized")
		admin(t, "", "enable", "dan@localhost")
		gone(t, resume(xtest.Password))
	})
	t.Run("A27 deleted account", func(t *testing.T) {
		s.AddUsers("eli@localhost", "friend@localhost")
		friend := s.Online(t, "friend@localhost/x")
		live := s.Online(t, "eli@localhost/live")
		live.Send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='friend@localhost' name='old'/></query></iq>")
		live.Barrier()
		live.Send("</stream:stream>")
		live.WantEnd()
		friend.Send("<message to='eli@localhost' type='chat'><body>for the old one</body></message>")
		friend.Barrier()
		live = s.Login(t, "eli@localhost/live") // without presence: the message stays where it is
		resume := sleeper(t, "eli")
		admin(t, "", "delete", "eli@localhost")
		live.WantStreamError("not-authorized")
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00eli\x00"+xtest.Password), "not-authorized")
		admin(t, xtest.Password+"\n", "add", "eli@localhost")
		gone(t, resume(xtest.Password))
		again := s.Login(t, "eli@localhost/again")
		again.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")
		for _, n := range append(again.Barrier(), again.Barrier()...) {
			if n.Name.Local == "message" || n.Find("item") != nil {
				t.Errorf("the new owner sees %s", n)
			}
		}
	})
	t.Run("A27 account removed by its owner", func(t *testing.T) {
		s.AddUsers("fay@localhost")
		live, own := s.Online(t, "fay@localhost/live"), s.Login(t, "fay@localhost/own")
		own.Send("<iq type='set' id='bye' to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>")
		for n := own.Must(); n.Attr("id") != "bye"; n = own.Must() {
		}
		own.WantStreamError("not-authorized")
		live.WantStreamError("not-authorized")
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00fay\x00"+xtest.Password), "not-authorized")
		c := s.Secure(t, "localhost")
		c.Send("%s", register("fay"))
		c.Want("<iq type='error' id='reg'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	})
}

func register(user string) string {
	return "<iq type='set' id='reg' to='localhost'><query xmlns='jabber:iq:register'><username>" + user + "</username><password>" + rand.Text() + "</password></query></iq>"
}

// TestAttackRegistration: A32 with registration switched on.
func TestAttackRegistration(t *testing.T) {
	s := xtest.New(t, xtest.Options{Extra: "[modules.mod_register]\nallow_registration = true\n"})
	t.Run("A32 never without TLS", func(t *testing.T) {
		c := s.Dial(t)
		if f := c.Open(); f.Find("register") != nil {
			t.Errorf("offered in clear: %s", f)
		}
		c.Send("%s", register("early"))
		if n := c.Must(); n.Attr("type") == "result" {
			t.Errorf("got %s", n)
		}
	})
	t.Run("A32 rate of an address", func(t *testing.T) {
		c := s.Dial(t, "127.0.0.2")
		c.Open()
		if f := c.StartTLS(); !openToAll(f) {
			t.Fatalf("not offered: %s", f)
		}
		made := 0
		for i := range 8 {
			c.Send("%s", register(fmt.Sprintf("user%d", i)))
			if n := c.Must(); n.Attr("type") == "result" {
				made++
			} else if n.Find("not-acceptable") == nil && n.Find("resource-constraint") == nil {
				t.Errorf("got %s", n)
			}
		}
		if made != 3 {
			t.Errorf("%d accounts of one address, the default is 3", made)
		}
		other := s.Secure(t, "localhost", "127.0.0.3")
		other.Send("%s", register("elsewhere"))
		other.Want("<iq type='result' id='reg'/>")
	})
}
