package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestCrashCredentials is TestCrashResults for what lets clients in besides the password: what a result, a success or exit code 0
// has told of a token or certificate is on disk.
func TestCrashCredentials(t *testing.T) {
	o := xtest.Options{Limits: `profile = "off"`, NoStart: true, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n" +
		"[modules.mod_keystore]\nkeys = [{name = \"token_secret\", type = \"file\", path = \"priv/tokens\"}]\n" + xtokenTOML}
	s := xtest.New(t, o)
	priv(t, s, "tokens", randomKey())
	s.Start(o)

	type user struct {
		name, jid string
		c         *xtest.Client // logged in by password
	}
	upload := func(t *testing.T, u user) *xtest.ClientCert {
		t.Helper()
		cc := xtest.NewClientCert(t, xtest.Login{Names: []string{u.jid}})
		done(t, u.c.IQ("set", "", appendCert("Phone", cc)))
		return cc
	}
	external := func(t *testing.T, cc *xtest.ClientCert) string {
		t.Helper()
		c, _ := s.Show(t, "localhost", cc)
		return xtest.Condition(c.External(""))
	}
	oauth := func(t *testing.T, token string) string {
		t.Helper()
		return xtest.Condition(present(s.Secure(t, "localhost"), "X-OAUTH", token))
	}
	fast := func(t *testing.T, u user, token, inner string) string {
		t.Helper()
		c, _ := direct13(t, s)
		return condition2(open2(c, u.name, withToken(c, u.name, token, inner)))
	}
	command := func(t *testing.T, args ...string) {
		t.Helper()
		out, errs, code := s.Run("", args...)
		s.Kill()
		if code != 0 {
			t.Fatalf("%v: %s%s", args, out, errs)
		}
	}
	// expect fails the test unless logins end as they ought to.
	expect := func(t *testing.T, want string, got ...string) {
		t.Helper()
		if g := strings.Join(got, " "); g != want {
			t.Errorf("logins end with %q, wanted %q", g, want)
		}
	}

	n := 0
	for name, do := range map[string]func(t *testing.T, u user) (after func(t *testing.T)){
		"certificate added": func(t *testing.T, u user) func(*testing.T) {
			cc := upload(t, u)
			s.Kill()
			return func(t *testing.T) { expect(t, "success", external(t, cc)) }
		},
		"certificate disabled": func(t *testing.T, u user) func(*testing.T) {
			cc := upload(t, u)
			done(t, u.c.IQ("set", "", namedCert("disable", "Phone")))
			s.Kill()
			return func(t *testing.T) { expect(t, "invalid-mechanism", external(t, cc)) }
		},
		"certificate revoked": func(t *testing.T, u user) func(*testing.T) {
			cc := upload(t, u)
			command(t, "cert", "revoke", u.jid, "Phone")
			return func(t *testing.T) { expect(t, "invalid-mechanism", external(t, cc)) }
		},
		"tokens given": func(t *testing.T, u user) func(*testing.T) {
			access, refresh := askTokens(u.c)
			s.Kill()
			return func(t *testing.T) { expect(t, "success success", oauth(t, access), oauth(t, refresh)) }
		},
		"tokens revoked": func(t *testing.T, u user) func(*testing.T) {
			access, refresh := askTokens(u.c)
			command(t, "token", "revoke", u.jid)
			return func(t *testing.T) { expect(t, "not-authorized not-authorized", oauth(t, access), oauth(t, refresh)) }
		},
		"one-time token used": func(t *testing.T, u user) func(*testing.T) {
			message := "\x00" + u.name + "\x00" + xToken(u.jid, tokenSecret, 0)
			got := xtest.Condition(present(s.Secure(t, "localhost"), "X-TOKEN", message))
			s.Kill()
			return func(t *testing.T) {
				expect(t, "success not-authorized", got, xtest.Condition(present(s.Secure(t, "localhost"), "X-TOKEN", message)))
			}
		},
		"FAST token given": func(t *testing.T, u user) func(*testing.T) {
			_, token, _ := newToken(t, s, u.name)
			s.Kill()
			return func(t *testing.T) { expect(t, "success", fast(t, u, token, "")) }
		},
		"FAST count": func(t *testing.T, u user) func(*testing.T) {
			_, token, _ := newToken(t, s, u.name)
			const counted = "<fast xmlns='urn:xmpp:fast:0' count='7'/>"
			got := fast(t, u, token, counted)
			s.Kill()
			return func(t *testing.T) { expect(t, "success not-authorized", got, fast(t, u, token, counted)) }
		},
		"FAST token given up": func(t *testing.T, u user) func(*testing.T) {
			_, token, _ := newToken(t, s, u.name)
			got := fast(t, u, token, "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>")
			s.Kill()
			return func(t *testing.T) { expect(t, "success not-authorized", got, fast(t, u, token, "")) }
		},
		"device revoked": func(t *testing.T, u user) func(*testing.T) {
			_, token, _ := newToken(t, s, u.name)
			list := done(t, u.c.IQ("get", "", "<list xmlns='urn:xmpp:cam:0'/>")).Find("clients")
			id := ""
			for _, d := range list.Children {
				if d.Find("fast") != nil {
					id = d.Attr("id")
				}
			}
			command(t, "device", "revoke", u.jid, id)
			return func(t *testing.T) { expect(t, "not-authorized", fast(t, u, token, "")) }
		},
		"password changed": func(t *testing.T, u user) func(*testing.T) {
			cc := upload(t, u)
			_, token, _ := newToken(t, s, u.name)
			access, refresh := askTokens(u.c)
			done(t, u.c.IQ("set", "localhost", "<query xmlns='jabber:iq:register'><username>"+u.name+"</username><password>another</password></query>"))
			s.Kill()
			return func(t *testing.T) {
				expect(t, "invalid-mechanism not-authorized not-authorized not-authorized",
					external(t, cc), fast(t, u, token, ""), oauth(t, access), oauth(t, refresh))
			}
		},
	} {
		t.Run("D02 "+name, func(t *testing.T) {
			for range max(1, crashLoops(t)/10) {
				n++
				u := user{name: fmt.Sprintf("cred%d", n)}
				u.jid = u.name + "@localhost"
				s.AddUsers(u.jid)
				u.c = s.Login(t, u.jid+"/own")
				after := do(t, u)
				s.Start(xtest.Options{})
				after(t)
			}
		})
	}
}
