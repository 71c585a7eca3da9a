package interop

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goxmpp "github.com/xmppo/go-xmpp"

	"github.com/xmppd/xmppd/test/xtest"
)

const userAgent = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// dialGoXMPP logs in with go-xmpp, which uses SASL2, Bind 2, FAST and upgrades where it is offered them.
func dialGoXMPP(s *xtest.Server, jid string, change func(*goxmpp.Options)) (*goxmpp.Client, error) {
	_, host, _ := strings.Cut(jid, "@")
	o := goxmpp.Options{
		Host: s.C2S, User: jid, Password: xtest.Password, NoTLS: true, StartTLS: true, NoPLAIN: true, SSDP: true,
		TLSConfig:   &tls.Config{RootCAs: s.Roots(), ServerName: host},
		UserAgentSW: "interop", UserAgentDev: "test", UserAgentID: userAgent,
	}
	change(&o)
	return o.NewClient()
}

// logins are the mechanisms that an account has logged in with, one line of the log for each.
func logins(s *xtest.Server, jid string) (list []string) {
	for line := range strings.SplitSeq(s.Log(), "\n") {
		var l struct{ Msg, Account, Mechanism string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "login" && l.Account == jid {
			list = append(list, l.Mechanism)
		}
	}
	return list
}

// TestFASTGoXMPP gets a token with a password, comes back with it, and gives it up, over both channel bindings.
func TestFASTGoXMPP(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	for _, c := range []struct {
		mech string
		max  uint16
	}{{"HT-SHA-256-EXPR", tls.VersionTLS13}, {"HT-SHA-256-ENDP", tls.VersionTLS12}} {
		t.Run(c.mech, func(t *testing.T) {
			user := strings.ToLower(c.mech) + "@localhost"
			s.AddUsers(user)
			dial := func(change func(*goxmpp.Options)) (*goxmpp.Client, error) {
				return dialGoXMPP(s, user, func(o *goxmpp.Options) {
					o.Fast, o.TLSConfig.MaxVersion = true, c.max
					change(o)
				})
			}
			first, err := dial(func(*goxmpp.Options) {})
			if err != nil {
				t.Fatal(err)
			}
			token := first.Fast
			if token.Token == "" || token.Mechanism != c.mech || token.Expiry.IsZero() || !strings.HasPrefix(first.Mechanism, "SCRAM-") {
				t.Fatalf("%s got %+v", first.Mechanism, token)
			}
			if !strings.HasPrefix(first.JID(), user+"/interop.") {
				t.Errorf("bound %s", first.JID())
			}
			jid := first.JID()
			first.Close()
			with := func(o *goxmpp.Options) {
				o.FastToken, o.FastMechanism, o.Password = token.Token, c.mech, "no longer known"
			}
			for range 2 {
				again, err := dial(with)
				if err != nil {
					t.Fatal(err)
				}
				if again.Mechanism != c.mech || again.JID() != jid || again.Fast.Token != "" {
					t.Errorf("%s as %s, token %t", again.Mechanism, again.JID(), again.Fast.Token != "")
				}
				again.Close()
			}
			last, err := dial(func(o *goxmpp.Options) { with(o); o.FastInvalidate = true })
			if err != nil {
				t.Fatal(err)
			}
			last.Close()
			if c, err := dial(with); err == nil || !strings.Contains(err.Error(), "not-authorized") {
				t.Errorf("with a token that was given up: %v", err)
				if c != nil {
					c.Close()
				}
			}
			if got := logins(s, user); len(got) != 4 || got[1] != c.mech || got[3] != c.mech {
				t.Errorf("logged in with %q", got)
			}
		})
	}
}

// TestUpgradeGoXMPP: a client whose account has keys for SHA-1 only brings those for SHA-256 (XEP-0480).
func TestUpgradeGoXMPP(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: "[auth]\nscram_hashes = [\"SHA-1\"]\n"})
	s.AddUsers("old@localhost")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(file), `scram_hashes = ["SHA-1"]`, `scram_hashes = ["SHA-1", "SHA-256"]`, 1)
	if err := os.WriteFile(s.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start(xtest.Options{})
	login := func(mech string) error {
		c, err := dialGoXMPP(s, "old@localhost", func(o *goxmpp.Options) { o.Mechanism = mech })
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := login("SCRAM-SHA-256-PLUS"); err == nil {
		t.Error("there are no keys for this as yet")
	}
	if err := login("SCRAM-SHA-1-PLUS"); err != nil {
		t.Fatal(err)
	}
	if err := login("SCRAM-SHA-256-PLUS"); err != nil {
		t.Fatal(err)
	}
}

// TestFASTXMPPJS: an app that keeps its token in a file comes back with it, also with a token that is worth nothing.
func TestFASTXMPPJS(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	s.AddUsers("app@localhost")
	file := filepath.Join(t.TempDir(), "token")
	login := func(tells ...string) {
		t.Helper()
		u := &user{t: t, name: "xmpp.js", events: make(chan []string, 1000), a: account{jid: "app@localhost/app", host: "localhost",
			password: xtest.Password, addr: s.C2S, ca: s.CertFile("localhost"), env: []string{"XMPPD_FAST=" + file}}}
		b, err := startXMPPJS(u.a, func(words ...string) { u.events <- words })
		if err != nil {
			t.Fatal(err)
		}
		u.b = b
		for _, word := range tells {
			u.want(word)
		}
		u.want("ready", "app@localhost/")
		u.do("quit")
		u.want("end")
	}
	login("token")
	login()
	login()
	if got := logins(s, "app@localhost"); len(got) != 3 || !strings.HasPrefix(got[0], "SCRAM") || got[1] != "HT-SHA-256-NONE" || got[2] != got[1] {
		t.Fatalf("logged in with %q", got)
	}
	// The password changes: the app needs it again, and gets another token.
	if out, errs, code := s.Run(xtest.Password+"\n", "user", "passwd", "app@localhost"); code != 0 {
		t.Fatal(out, errs)
	}
	login("no token", "token")
	login()
	if got := logins(s, "app@localhost"); len(got) != 5 || !strings.HasPrefix(got[3], "SCRAM") || got[4] != "HT-SHA-256-NONE" {
		t.Errorf("logged in with %q", got)
	}
}
