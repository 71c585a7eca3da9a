package test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// phone is a client that logs in with SASL2 and keeps a FAST token (XEP-0484).
type phone struct {
	s     *xtest.Server
	user  string
	id    string // of the user agent
	name  string
	token string
}

func newPhone(s *xtest.Server, user, name string) *phone {
	return &phone{s: s, user: user, id: rand.Text(), name: name}
}

// login logs in on a stream, asks for a token, and binds a resource. It returns nil and the failure where it may not.
func (p *phone) login(t *testing.T, c *xtest.Client, mech, data string) (*xtest.Client, *xtest.Node) {
	t.Helper()
	c.Name = p.user + "'s " + p.name
	fast := ""
	if strings.HasPrefix(mech, "HT-") {
		fast = "<fast xmlns='urn:xmpp:fast:0'/>"
	}
	c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='%s'><initial-response>%s</initial-response><user-agent id='%s'>"+
		"<software>App</software><device>%s</device></user-agent>%s<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"+
		"<bind xmlns='urn:xmpp:bind:0'><tag>%s</tag></bind></authenticate>", mech, data, p.id, p.name, fast, p.name)
	n := c.Must()
	if n.Name.Local != "success" {
		return nil, n
	}
	if tok := n.Find("token"); tok != nil {
		p.token = tok.Attr("token")
	}
	c.JID = n.Find("authorization-identifier").Text
	c.Must() // features
	return c, n
}

func (p *phone) password(t *testing.T) *xtest.Client {
	t.Helper()
	c, n := p.login(t, p.s.Secure(t, "localhost"), "PLAIN", xtest.B64("\x00"+p.user+"\x00"+xtest.Password))
	if c == nil {
		t.Fatalf("login: %s", n)
	}
	return c
}

func (p *phone) cert(t *testing.T, cc *xtest.ClientCert) *xtest.Client {
	t.Helper()
	c, _ := p.s.Show(t, "localhost", cc)
	in, n := p.login(t, c, "EXTERNAL", "")
	if in == nil {
		t.Fatalf("login: %s", n)
	}
	return in
}

// again logs in with the token; nil where it is worth nothing any more.
func (p *phone) again(t *testing.T) *xtest.Client {
	t.Helper()
	if p.token == "" {
		t.Fatal("there is no token")
	}
	mac := hmac.New(sha256.New, []byte(p.token))
	mac.Write([]byte("Initiator"))
	c, _ := p.login(t, p.s.Secure(t, "localhost"), "HT-SHA-256-NONE", xtest.B64(p.user+"\x00"+string(mac.Sum(nil))))
	return c
}

// TestDevicesTogether: an account with tokens, certificates and sessions; one view over them, and what ends with what.
func TestDevicesTogether(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "profile = \"off\"\nresources_per_account = 100"})
	upload := func(t *testing.T, owner *xtest.Client, user, name, more string) *xtest.ClientCert {
		t.Helper()
		cc := xtest.NewClientCert(t, xtest.Login{Names: []string{user + "@localhost"}})
		done(t, owner.IQ("set", "", appendCert(name, cc, more)))
		return cc
	}
	view := func(t *testing.T, owner *xtest.Client) (names []string, ids map[string]string) {
		t.Helper()
		ids = map[string]string{}
		list := done(t, owner.IQ("get", "", "<list xmlns='urn:xmpp:cam:0'/>")).Find("clients")
		for _, n := range list.Children {
			name := n.Find("device").Text
			names, ids[name] = append(names, name), n.Attr("id")
		}
		slices.Sort(names)
		return names, ids
	}

	t.Run("C07 tokens got with a certificate", func(t *testing.T) {
		for _, what := range []string{"disable", "revoke"} {
			user := "c07" + what
			s.AddUsers(user + "@localhost")
			owner := s.Login(t, user+"@localhost/owner")
			p := newPhone(s, user, "phone")
			live := p.cert(t, upload(t, owner, user, "Phone", ""))
			other := newPhone(s, user, "other")
			other.password(t)
			second := p.again(t) // with the token
			if second == nil {
				t.Fatal("the token is worth nothing")
			}
			live.WantStreamError("conflict") // it is the same client
			denied(t, second.IQ("set", "localhost", "<query xmlns='jabber:iq:register'><username>"+user+"</username><password>taken</password></query>"),
				"auth", "not-authorized") // C13 holds for the token as well
			done(t, owner.IQ("set", "", namedCert(what, "Phone")))
			if what == "revoke" {
				second.WantStreamError("not-authorized")
			} else {
				second.Barrier()
			}
			if p.again(t) != nil {
				t.Errorf("%s: the token still lets the client in", what)
			}
			if other.again(t) == nil {
				t.Errorf("%s: another client's token has gone with it", what)
			}
		}
	})
	t.Run("C09 a token got with a restricted certificate", func(t *testing.T) {
		s.AddUsers("c09@localhost")
		owner := s.Login(t, "c09@localhost/owner")
		p := newPhone(s, "c09", "bot")
		p.cert(t, upload(t, owner, "c09", "Bot", "<no-cert-management/>"))
		c := p.again(t)
		denied(t, c.IQ("set", "", namedCert("revoke", "Bot")), "auth", "forbidden")
		_, ids := view(t, owner)
		denied(t, c.IQ("set", "", "<revoke xmlns='urn:xmpp:cam:0' id='"+ids["owner"]+"'/>"), "auth", "forbidden")
	})
	t.Run("C06 a token got with a certificate for one resource", func(t *testing.T) {
		s.AddUsers("c06@localhost")
		owner := s.Login(t, "c06@localhost/owner")
		cc := xtest.NewClientCert(t, xtest.Login{Names: []string{"c06@localhost/pinned"}})
		done(t, owner.IQ("set", "", appendCert("Pinned", cc)))
		p := newPhone(s, "c06", "tag")
		for _, c := range []*xtest.Client{p.cert(t, cc), p.again(t)} {
			if c == nil || c.JID != "c06@localhost/pinned" {
				t.Errorf("in as %v", c)
			}
		}
	})
	t.Run("one view, and an end", func(t *testing.T) {
		s.AddUsers("dev@localhost")
		owner := s.Login(t, "dev@localhost/owner")
		tablet, bot := newPhone(s, "dev", "tablet"), newPhone(s, "dev", "bot")
		live := tablet.password(t)
		botSession := bot.cert(t, upload(t, owner, "dev", "Bot", ""))
		upload(t, owner, "dev", "Spare", "")
		names, ids := view(t, owner)
		if got := strings.Join(names, " "); got != "Spare bot owner tablet" {
			t.Errorf("the view has %s", got)
		}
		// By the owner: its token and session go; that it knows the password is said.
		denied(t, owner.IQ("set", "", "<revoke xmlns='urn:xmpp:cam:0' id='"+ids["tablet"]+"'/>"), "cancel", "service-unavailable")
		live.WantStreamError("not-authorized")
		if tablet.again(t) != nil {
			t.Error("the tablet's token still lets it in")
		}
		// By the admin: certificate, token and session go.
		cli{t, s}.ok("", "device", "revoke", "dev@localhost", ids["bot"])
		botSession.WantStreamError("not-authorized")
		if bot.again(t) != nil {
			t.Error("the bot's token still lets it in")
		}
		if names, _ := view(t, owner); strings.Join(names, " ") != "Spare owner" {
			t.Errorf("the view has %v", names)
		}
	})
	for name, end := range map[string]func(t *testing.T, owner *xtest.Client, user string) (stays bool){
		"changed": func(t *testing.T, owner *xtest.Client, user string) bool {
			done(t, owner.IQ("set", "localhost", "<query xmlns='jabber:iq:register'><username>"+user+"</username><password>changed</password></query>"))
			return true
		},
		"reset": func(t *testing.T, _ *xtest.Client, user string) bool {
			cli{t, s}.ok("changed\n", "user", "passwd", user+"@localhost")
			return false
		},
		"disabled": func(t *testing.T, _ *xtest.Client, user string) bool {
			cli{t, s}.ok("", "user", "disable", user+"@localhost")
			cli{t, s}.ok("", "user", "enable", user+"@localhost")
			return false
		},
		"deleted": func(t *testing.T, _ *xtest.Client, user string) bool {
			cli{t, s}.ok("", "user", "delete", user+"@localhost")
			cli{t, s}.ok(xtest.Password+"\n", "user", "add", user+"@localhost")
			return false
		},
	} {
		t.Run("A26 A27 account "+name, func(t *testing.T) {
			user := "end" + name
			s.AddUsers(user + "@localhost")
			owner := s.Login(t, user+"@localhost/owner")
			tablet, bot := newPhone(s, user, "tablet"), newPhone(s, user, "bot")
			cc := upload(t, owner, user, "Bot", "")
			live := []*xtest.Client{tablet.password(t), bot.cert(t, cc)}
			stays := end(t, owner, user)
			for _, c := range live {
				c.WantStreamError("reset", "not-authorized")
			}
			if stays {
				owner.Barrier()
				if names, _ := view(t, owner); strings.Join(names, " ") != "owner" {
					t.Errorf("the view has %v", names)
				}
			} else {
				owner.WantStreamError("reset", "not-authorized")
			}
			if tablet.again(t) != nil || bot.again(t) != nil {
				t.Error("a token still lets somebody in")
			}
			c, _ := s.Show(t, "localhost", cc)
			refusedWith(t, c.External(""), "invalid-mechanism not-authorized")
			var left []any
			cli{t, s}.json(&left, "", "device", "list", user+"@localhost")
			if stays != (len(left) == 1) || len(left) > 1 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestRevokedOnTheWay: what a client logged in with is taken back before it has a session: the session that follows ends, be it
// a new one or one that slept.
func TestRevokedOnTheWay(t *testing.T) {
	o := xtest.Options{Limits: `profile = "off"`, Extra: "[modules.mod_keystore]\nkeys = [{name = \"token_secret\", type = \"ram\"}]\n[modules.mod_auth_token]\n"}
	s := xtest.New(t, o)
	t.Run("K28 FAST, bind", func(t *testing.T) {
		s.AddUsers("ann@localhost")
		old, token, _ := newToken(t, s, "ann")
		c, _ := direct13(t, s)
		if n := open2(c, "ann", withToken(c, "ann", token, "")); n.Name.Local != "success" {
			t.Fatalf("got %s", n)
		}
		c.Must() // features
		list := (cli{t, s}).ok("", "device", "list", "ann@localhost")
		id, _, _ := strings.Cut(strings.Split(list, "\n")[1], " ")
		cli{t, s}.ok("", "device", "revoke", "ann@localhost", id)
		old.WantStreamError("not-authorized")
		c.Send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
		c.Want("<iq type='result' id='b'>*</iq>")
		c.WantStreamError("not-authorized")
	})
	t.Run("K28 X-OAUTH, resumption", func(t *testing.T) {
		s.AddUsers("bob@localhost")
		access, _ := askTokens(s.Login(t, "bob@localhost/asks"))
		asleep := s.Login(t, "bob@localhost/asleep")
		asleep.Send("<enable %s resume='true'/>", nsSM)
		sm := asleep.Want("<enabled %s/>", nsSM).Attr("id")
		asleep.Conn.Close()
		c := s.Secure(t, "localhost")
		if n := present(c, "X-OAUTH", access); n.Name.Local != "success" {
			t.Fatalf("got %s", n)
		}
		c.Restart()
		c.Open()
		cli{t, s}.ok("", "token", "revoke", "bob@localhost", "-sessions")
		c.Send("<resume %s h='0' previd='%s'/>", nsSM, sm)
		c.Want("<resumed %s/>", nsSM)
		c.WantStreamError("not-authorized")
	})
}
