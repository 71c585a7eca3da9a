package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

const smNS = "xmlns='urn:xmpp:sm:3'"

// bareOf and userOf take a JID apart.
func bareOf(jid string) string { bare, _, _ := strings.Cut(jid, "/"); return bare }
func userOf(jid string) string { user, _, _ := strings.Cut(jid, "@"); return user }

// befriend makes watcher see the presence of shown.
func befriend(t testing.TB, watcher, shown *xtest.Client) {
	t.Helper()
	watcher.Send("<presence to='%s' type='subscribe'/>", bareOf(shown.JID))
	watcher.Barrier()
	shown.Send("<presence to='%s' type='subscribed'/>", bareOf(watcher.JID))
	shown.Barrier()
	watcher.Barrier()
}

// TestResumption is XEP-0198 where it goes on behind the end of a connection; conversations on one are in scenarios/sm.
func TestResumption(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys})
	n := 0
	// pair makes two accounts: friend sees the presence of c, which has switched stream management on.
	pair := func(t *testing.T, attrs string) (c, friend *xtest.Client) {
		t.Helper()
		n++
		a, b := fmt.Sprintf("a%d@localhost", n), fmt.Sprintf("b%d@localhost", n)
		s.AddUsers(a, b)
		c, friend = s.Online(t, a+"/r"), s.Online(t, b+"/r")
		befriend(t, friend, c)
		c.Barrier()
		c.EnableSM(attrs)
		return c, friend
	}
	gone := func(t *testing.T, friend, c *xtest.Client) {
		t.Helper()
		friend.Want("<presence type='unavailable' from='%s'/>", c.JID)
	}
	t.Run("offered after login", func(t *testing.T) {
		s.AddUsers("offer@localhost")
		c := s.Dial(t)
		if f := c.Open(); f.Child("sm") != nil {
			t.Errorf("offered in clear: %s", f)
		}
		if f := c.StartTLS(); f.Child("sm") != nil {
			t.Errorf("offered before login: %s", f)
		}
		if f := c.Auth(sasl.Plain, "offer", xtest.Password); f.Child("sm") == nil {
			t.Errorf("not offered: %s", f)
		}
	})
	t.Run("before login", func(t *testing.T) {
		c, _ := pair(t, "")
		for _, what := range []string{"enable", "resume"} {
			x := s.Secure(t, "localhost")
			x.Send("<%s %s resume='true' h='0' previd='%s'/>", what, smNS, c.SMID)
			if got := x.Must(); got.Name.Local != "failed" && got.Name.Local != "error" {
				t.Errorf("%s: got %s", what, got)
			}
		}
		c.Barrier()
	})
	t.Run("before binding", func(t *testing.T) {
		s.AddUsers("early@localhost")
		c := s.Secure(t, "localhost")
		c.Auth(sasl.Plain, "early", xtest.Password)
		c.Send("<enable %s/>", smNS)
		c.Want("<failed %s><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", smNS)
		c.Bind("r")
		c.EnableSM("")
	})
	t.Run("unknown and others' sessions", func(t *testing.T) {
		c, friend := pair(t, "")
		c.Send("<message to='%s'/>", friend.JID) // so that a number of stanzas would tell something
		c.Barrier()
		friend.Want("<message from='%s'/>", c.JID)
		for _, id := range []string{"", "nonsense", c.SMID} {
			x := s.Secure(t, "localhost")
			x.Auth(sasl.Plain, userOf(friend.JID), xtest.Password)
			x.Send("<resume %s h='0' previd='%s'/>", smNS, id)
			x.Want("<failed %s h='-'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", smNS)
			x.Bind("x") // XEP-0198 §5: who cannot resume may bind
			x.Barrier()
		}
		c.Barrier()
		friend.Quiet()
	})
	t.Run("no number", func(t *testing.T) {
		c, friend := pair(t, "")
		c.Cut()
		x := s.Secure(t, "localhost")
		x.Auth(sasl.Plain, userOf(c.JID), xtest.Password)
		x.Send("<resume %s previd='%s'/>", smNS, c.SMID)
		x.WantStreamError("bad-format")
		c.Resume(t).Barrier()
		friend.Quiet()
	})
	t.Run("too high", func(t *testing.T) {
		c, friend := pair(t, "")
		friend.Send("<message to='%s' id='m1'/>", c.JID)
		friend.Barrier()
		c.Cut()
		c.Handled = 7
		_, got := c.TryResume(t, userOf(c.JID))
		want, _ := xtest.Parse("<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><handled-count-too-high " + smNS + " h='7' send-count='*'/></stream:error>")
		if why := xtest.Match(want, got); why != "" {
			t.Errorf("%s: %s", why, got)
		}
		c.Handled = 0 // the mistake of a client is not the end of the session
		c = c.Resume(t)
		c.Want("<message id='m1'/>")
		friend.Quiet()
	})
	t.Run("live", func(t *testing.T) {
		old, friend := pair(t, "")
		c := old.Resume(t)
		old.WantStreamError("conflict")
		friend.Send("<message to='%s' type='chat' id='m1'/>", c.JID)
		c.Want("<message id='m1'/>")
		c.Send("<message to='%s' type='chat' id='m2'/>", friend.JID)
		friend.Want("<message id='m2' from='%s'/>", c.JID)
		friend.Quiet()
	})
	t.Run("closed", func(t *testing.T) {
		c, friend := pair(t, "")
		c.Send("<message to='%s' id='m1'/>", friend.JID)
		friend.Want("<message id='m1'/>")
		c.Quit()
		gone(t, friend, c)
		_, got := c.TryResume(t, userOf(c.JID))
		want, _ := xtest.Parse("<failed " + smNS + " h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		if why := xtest.Match(want, got); why != "" {
			t.Errorf("%s: %s", why, got)
		}
		_, got = c.TryResume(t, userOf(friend.JID))
		if got.Name.Local != "failed" || got.Attr("h") != "" {
			t.Errorf("somebody else learns of the session: %s", got)
		}
	})
	t.Run("resource bound anew", func(t *testing.T) {
		c, friend := pair(t, "")
		friend.Send("<message to='%s' type='chat' id='m1'><body>1</body></message>", c.JID)
		friend.Barrier()
		c.Cut()
		again := s.Login(t, c.JID)
		gone(t, friend, c)
		again.Send("<presence/>")
		got := append(again.Barrier(), again.Barrier()...)
		if i := slices.IndexFunc(got, func(n *xtest.Node) bool { return n.Attr("id") == "m1" }); i < 0 {
			t.Errorf("the message that nobody had acknowledged is not there: %s", got)
		}
		friend.Want("<presence from='%s' type='-'/>", again.JID)
		if _, n := c.TryResume(t, userOf(c.JID)); n.Name.Local != "failed" {
			t.Errorf("the replaced session was resumed: %s", n)
		}
	})
	t.Run("time is over, nobody else there", func(t *testing.T) {
		c, friend := pair(t, " max='1'")
		for _, typ := range []string{"chat", "normal", "headline", "groupchat"} {
			friend.Send("<message to='%s' type='%s' id='%[2]s'><body>x</body></message>", c.JID, typ)
		}
		friend.Send("<message to='%s' type='chat' id='bare'><body>x</body></message>", bareOf(c.JID))
		friend.Send("<iq to='%s' type='get' id='q'><query xmlns='urn:example:x'/></iq><iq to='%[1]s' type='result' id='p'/>", c.JID)
		friend.Quiet()
		c.Cut()
		gone(t, friend, c)
		// What is bounced comes behind the presence: the session is gone when it is given back.
		friend.Want("<message type='error' id='groupchat' from='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", c.JID)
		friend.Want("<iq type='error' id='q' from='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", c.JID)
		friend.Quiet()
		again := s.Login(t, c.JID)
		again.Send("<presence/>")
		again.Want("<presence from='%s'/>", c.JID)
		for _, id := range []string{"chat", "normal", "bare"} {
			again.Want("<message id='%s' from='%s'><body>x</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='*'/></message>", id, friend.JID)
		}
		again.Quiet()
		if _, n := c.TryResume(t, userOf(c.JID)); n.Name.Local != "failed" || n.Attr("h") == "" || n.Child("item-not-found") == nil {
			t.Errorf("wanted <failed/> with a number, got %s", n)
		}
	})
	t.Run("time is over, another resource there", func(t *testing.T) {
		c, friend := pair(t, " max='1'")
		other := s.Online(t, bareOf(c.JID)+"/other")
		friend.Want("<presence from='%s'/>", other.JID)
		friend.Send("<message to='%s' type='chat' id='m1'><body>1</body></message><message to='%[1]s' type='chat' id='m2'><body>2</body></message>", c.JID)
		friend.Quiet()
		c.Cut()
		gone(t, friend, c)
		other.Want("<presence type='unavailable' from='%s'/>", c.JID)
		other.Want("<message id='m1' from='%s'/>", friend.JID)
		other.Want("<message id='m2' from='%s'/>", friend.JID)
		friend.Quiet()
		other.Quiet()
	})
}

// TestResumptionLimits: what is kept for who may come back is bounded, and what is beyond is not lost.
func TestResumptionLimits(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "profile = \"off\"\nsm_queue = 5\nhibernated_per_account = 2", Extra: weakKeys})
	s.AddUsers("a@localhost", "b@localhost", "c@localhost")
	friend := s.Online(t, "b@localhost/r")
	t.Run("sessions", func(t *testing.T) {
		first := s.Online(t, "a@localhost/1")
		befriend(t, friend, first)
		for i := 1; i <= 3; i++ {
			c := first
			if i > 1 {
				c = s.Online(t, fmt.Sprintf("a@localhost/%d", i))
				friend.Want("<presence from='%s' type='-'/>", c.JID)
			}
			c.EnableSM("")
			at := len(s.Log())
			c.Cut()
			s.WaitLog(t, at, "session waits to be resumed")
		}
		friend.Want("<presence from='a@localhost/1' type='unavailable'/>") // the oldest makes room
		friend.Quiet()
	})
	t.Run("stanzas", func(t *testing.T) {
		c := s.Online(t, "c@localhost/r")
		befriend(t, friend, c)
		c.Barrier()
		c.EnableSM("")
		at := len(s.Log())
		c.Cut()
		s.WaitLog(t, at, "session waits to be resumed")
		for i := range 9 {
			friend.Send("<message to='c@localhost' type='chat' id='m%d'><body>x</body></message>", i)
		}
		friend.Want("<presence from='c@localhost/r' type='unavailable'/>")
		friend.Quiet()
		again := s.Login(t, "c@localhost/r")
		again.Send("<presence/>")
		var ids []string
		for _, n := range append(again.Barrier(), again.Barrier()...) {
			if n.Name.Local == "message" {
				ids = append(ids, n.Attr("id"))
			}
		}
		slices.Sort(ids) // what came while the session ended may be before what it gives back; the stamps tell
		if want := []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"}; !slices.Equal(ids, want) {
			t.Errorf("got %v, wanted each message once", ids)
		}
	})
}
