package auth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// The names of the subtests are the lines of group A of the attack list (doc/testing.md).

// TestPlainAttacks sends one PLAIN message each.
func TestPlainAttacks(t *testing.T) {
	a := newAccounts(t, newStore(t))
	must(t, a.Host("b.test").Create(context.Background(), "alice", "other"))
	for _, tc := range []struct{ name, in, want string }{
		{"A01 good", "\x00alice\x00" + testPassword, ""},
		{"A01 good with authzid", "alice@a.test\x00alice\x00" + testPassword, ""},
		{"A01 good with bare JID", "\x00alice@a.test\x00" + testPassword, ""},
		{"A02 acts as bob", "bob@a.test\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A02 acts as bob, no domain", "bob\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A02 acts as the server", "a.test\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A02 full JID", "alice@a.test/x\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A02 no JID", "@@\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A04 same name on another host", "alice@b.test\x00alice\x00" + testPassword, InvalidAuthzid},
		{"A04 credentials of another host", "\x00alice@b.test\x00other", NotAuthorized},
		{"A04 password of another host", "\x00alice\x00other", NotAuthorized},
		{"A05 upper case", "\x00ALICE\x00" + testPassword, ""},
		{"A05 full width", "\x00\uff41lice\x00" + testPassword, ""},
		{"A05 no such name possible", "\x00al ice\x00" + testPassword, MalformedRequest},
		{"A05 slash", "\x00alice/x\x00" + testPassword, MalformedRequest},
		{"A05 two at signs", "\x00a@b@a.test\x00" + testPassword, MalformedRequest},
		{"A05 bad domain", "\x00alice@\x00" + testPassword, NotAuthorized},
		{"A08 nothing", "", MalformedRequest},
		{"A08 no NUL", "alice", MalformedRequest},
		{"A08 one NUL", "alice\x00" + testPassword, MalformedRequest},
		{"A08 three NULs", "\x00alice\x00" + testPassword + "\x00", MalformedRequest},
		{"A08 empty password", "\x00alice\x00", MalformedRequest},
		{"A08 empty name", "\x00\x00" + testPassword, MalformedRequest},
		{"A08 invalid UTF-8 in the password", "\x00alice\x00\xff", MalformedRequest},
		{"A08 invalid UTF-8 in the name", "\x00al\xc3ice\x00x", MalformedRequest},
		{"A08 1 MiB", "\x00alice\x00" + strings.Repeat("x", 1<<20), MalformedRequest},
		{"A08 long password", "\x00alice\x00" + strings.Repeat("x", 2000), NotAuthorized},
		{"A24 unknown", "\x00nobody\x00" + testPassword, NotAuthorized},
		{"A24 wrong", "\x00alice\x00wrong", NotAuthorized},
		{"A25 disabled, right password", "\x00bob\x00" + testPassword, AccountDisabled},
		{"A25 disabled, wrong password", "\x00bob\x00wrong", NotAuthorized},
		{"A31 control character", "\x00alice\x00a\x01b", NotAuthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := NewExchange(mechanism(t, a, testHost, "PLAIN"), &Conn{Host: testHost})
			out, more, err := x.Step(context.Background(), []byte(tc.in))
			if got := condition(t, err); got != tc.want || more || out != nil {
				t.Fatalf("got %q, %q, more %v, want %q", got, out, more, tc.want)
			}
			if tc.want == "" && x.Identity().JID != stanza.MustJID("alice@a.test") {
				t.Errorf("bound to %v", x.Identity().JID)
			}
		})
	}
}

// TestScramFirstAttacks sends one client-first-message each; want "" is a challenge.
func TestScramFirstAttacks(t *testing.T) {
	a := newAccounts(t, newStore(t))
	conn13, _ := newTLS(t, tls.VersionTLS13)
	conn12, _ := newTLS(t, tls.VersionTLS12)
	noPlus := &Conn{Host: testHost, Mechanisms: []string{"SCRAM-SHA-256"}}
	const scram, plus = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
	for _, tc := range []struct {
		name      string
		mechanism string
		conn      *Conn
		in        string
		want      string
	}{
		{"A01 good", scram, conn13, "n,,n=alice,r=x", ""},
		{"A01 extension", scram, conn13, "n,,n=alice,r=x,g=1,h=a=b", ""},
		{"A01 y without -PLUS", scram, noPlus, "y,,n=alice,r=x", ""},
		{"A01 plus", plus, conn13, "p=tls-exporter,,n=alice,r=x", ""},
		{"A03 acts as bob", scram, conn13, "n,a=bob@a.test,n=alice,r=x", InvalidAuthzid},
		{"A03 acts as bob, plus", plus, conn13, "p=tls-exporter,a=bob@a.test,n=alice,r=x", InvalidAuthzid},
		{"A03 escaped", scram, conn13, "n,a=bob=2C@a.test,n=alice,r=x", InvalidAuthzid},
		{"A03 own", scram, conn13, "n,a=alice@a.test,n=alice,r=x", ""},
		{"A03 empty", scram, conn13, "n,a=,n=alice,r=x", MalformedRequest},
		{"A03 not an authzid", scram, conn13, "n,b=alice@a.test,n=alice,r=x", MalformedRequest},
		{"A04 other host", scram, conn13, "n,a=alice@b.test,n=alice,r=x", InvalidAuthzid},
		{"A04 name on another host", scram, conn13, "n,,n=alice@b.test,r=x", NotAuthorized},
		{"A05 upper case", scram, conn13, "n,,n=ALICE,r=x", ""},
		{"A05 impossible name", scram, conn13, "n,,n=al ice,r=x", MalformedRequest},
		{"A05 no localpart", scram, conn13, "n,,n=@a.test,r=x", MalformedRequest},
		{"A08 nothing", scram, conn13, "", MalformedRequest},
		{"A08 NUL", scram, conn13, "n,,n=alice,r=x\x00", MalformedRequest},
		{"A08 invalid UTF-8", scram, conn13, "n,,n=al\xffice,r=x", MalformedRequest},
		{"A08 1 MiB", scram, conn13, "n,,n=alice,r=" + strings.Repeat("x", 1<<20), MalformedRequest},
		{"A08 no name", scram, conn13, "n,,n=,r=x", MalformedRequest},
		{"A08 no nonce", scram, conn13, "n,,n=alice", MalformedRequest},
		{"A08 empty nonce", scram, conn13, "n,,n=alice,r=", MalformedRequest},
		{"A08 nonce with a space", scram, conn13, "n,,n=alice,r=x y", MalformedRequest},
		{"A08 nonce beyond ASCII", scram, conn13, "n,,n=alice,r=ä", MalformedRequest},
		{"A08 turned round", scram, conn13, "n,,r=x,n=alice", MalformedRequest},
		{"A08 two names", scram, conn13, "n,,n=alice,r=x,n=bob", MalformedRequest},
		{"A08 no GS2 header", scram, conn13, "n=alice,r=x", MalformedRequest},
		{"A08 unknown flag", scram, conn13, "F,,n=alice,r=x", MalformedRequest},
		{"A08 flag with a tail", scram, conn13, "nn,,n=alice,r=x", MalformedRequest},
		{"A08 mandatory extension", scram, conn13, "n,,m=x,n=alice,r=x", MalformedRequest},
		{"A08 mandatory extension late", scram, conn13, "n,,n=alice,r=x,m=x", MalformedRequest},
		{"A08 empty attribute", scram, conn13, "n,,n=alice,r=x,,g=1", MalformedRequest},
		{"A12 y while -PLUS is offered", scram, conn13, "y,,n=alice,r=x", NotAuthorized},
		{"A12 y on -PLUS", plus, conn13, "y,,n=alice,r=x", NotAuthorized},
		{"A12 n on -PLUS", plus, conn13, "n,,n=alice,r=x", NotAuthorized},
		{"A13 p on a mechanism without", scram, conn13, "p=tls-exporter,,n=alice,r=x", NotAuthorized},
		{"A15 unknown type", plus, conn13, "p=tls-nothing,,n=alice,r=x", NotAuthorized},
		{"A15 no type", plus, conn13, "p=,,n=alice,r=x", MalformedRequest},
		{"A15 bad type", plus, conn13, "p=tls exporter,,n=alice,r=x", MalformedRequest},
		{"A15 tls-unique on TLS 1.3", plus, conn13, "p=tls-unique,,n=alice,r=x", NotAuthorized},
		{"A15 tls-unique on TLS 1.2", plus, conn12, "p=tls-unique,,n=alice,r=x", NotAuthorized},
		{"A15 tls-exporter on TLS 1.2", plus, conn12, "p=tls-exporter,,n=alice,r=x", NotAuthorized},
		{"A15 -PLUS without TLS", plus, noPlus, "p=tls-exporter,,n=alice,r=x", NotAuthorized},
		{"A19 comma", scram, conn13, "n,,n=al=2Cice,r=x", ""}, // a possible name, and nobody's
		{"A19 equals sign", scram, conn13, "n,,n=al=3Dice,r=x", ""},
		{"A19 bad escape", scram, conn13, "n,,n=al=ZZice,r=x", MalformedRequest},
		{"A19 lower case escape", scram, conn13, "n,,n=al=2cice,r=x", MalformedRequest},
		{"A19 bare equals sign", scram, conn13, "n,,n=alice=,r=x", MalformedRequest},
		{"A19 cut escape", scram, conn13, "n,,n=alice=2,r=x", MalformedRequest},
		{"A23 unknown", scram, conn13, "n,,n=nobody,r=x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.conn != noPlus {
				announce(a, tc.conn)
			}
			x := NewExchange(mechanism(t, a, testHost, tc.mechanism), tc.conn)
			out, more, err := x.Step(context.Background(), []byte(tc.in))
			if got := condition(t, err); got != tc.want || more != (tc.want == "") {
				t.Fatalf("got %q, %q, more %v, want %q", got, out, more, tc.want)
			}
			if tc.want != "" {
				if _, _, err := x.Step(context.Background(), []byte("n,,n=alice,r=x")); err == nil {
					t.Error("goes on after a failure")
				}
			}
		})
	}
}

// TestScramEscapedName logs in as accounts whose names need escaping.
func TestScramEscapedName(t *testing.T) {
	a := newAccounts(t, newStore(t))
	for _, name := range []string{"a=b", "a,b", "=2c", "=,="} {
		must(t, a.Host(testHost).Create(context.Background(), name, testPassword))
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-1"), &Conn{Host: testHost})
		c := &testClient{hash: "SHA-1", user: name, password: testPassword}
		if _, err := c.run(t, x); err != nil || x.Identity().JID.Local() != name {
			t.Errorf("A19 %q: %v, %v", name, x.Identity().JID, err)
		}
	}
}

// TestScramFinalAttacks alters the client-final-message of a client that knows the password.
func TestScramFinalAttacks(t *testing.T) {
	a := newAccounts(t, newStore(t))
	conn, client := newTLS(t, tls.VersionTLS13)
	announce(a, conn)
	cb, err := client.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	must(t, err)
	_, elsewhere := newTLS(t, tls.VersionTLS13)
	otherCB, err := elsewhere.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	must(t, err)
	endPoint, err := Binding(conn, tlsServerEndPoint)
	must(t, err)

	// before: changed by the client itself, under a proof that covers it; after: on its way.
	before := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	proof := func(p string) func(string, string) string {
		return func(final, _ string) string { return final + ",p=" + p }
	}
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tc := range []struct {
		name       string
		plus       bool
		data       []byte
		alter      func(string) string
		alterProof func(string, string) string
		want       string
	}{
		{"A01 good", true, cb, nil, nil, ""},
		{"A01 extension", true, cb, func(s string) string { return s + ",x=1,t=a=b" }, nil, ""},
		{"A15 wrong data", true, make([]byte, 32), nil, nil, NotAuthorized},
		{"A15 empty data", true, nil, nil, nil, NotAuthorized},
		{"A15 half of the data", true, cb[:16], nil, nil, NotAuthorized},
		{"A15 more data", true, append(cb[:32:32], 0), nil, nil, NotAuthorized},
		{"A15 another connection's data", true, otherCB, nil, nil, NotAuthorized},
		{"A15 another type's data", true, endPoint, nil, nil, NotAuthorized},
		{"A15 data without -PLUS", false, cb, nil, nil, NotAuthorized},
		{"A16 c= of another header", false, nil, before("c=biws", "c=eSws"), nil, NotAuthorized}, // y,,
		{"A16 c= empty", false, nil, before("c=biws", "c="), nil, NotAuthorized},
		{"A16 c= not base64", false, nil, before("c=biws", "c=bi!s"), nil, MalformedRequest},
		{"A16 c= with a line end", false, nil, before("c=biws", "c=bi\r\nws"), nil, MalformedRequest},
		{"A16 c= missing", false, nil, before("c=biws,", ""), nil, MalformedRequest},
		{"A16 nonce cut", false, nil, func(s string) string { return s[:len(s)-1] }, nil, NotAuthorized},
		{"A16 nonce longer", false, nil, func(s string) string { return s + "x" }, nil, NotAuthorized},
		{"A16 client's nonce only", false, nil, func(string) string { return "c=biws,r=clientnonce" }, nil, NotAuthorized},
		{"A16 nonce changed", false, nil, before("r=c", "r=d"), nil, NotAuthorized},
		{"A16 nonce empty", false, nil, func(string) string { return "c=biws,r=" }, nil, NotAuthorized},
		{"A16 mandatory extension", false, nil, func(s string) string { return s + ",m=x" }, nil, MalformedRequest},
		{"A16 proof empty", false, nil, nil, proof(""), NotAuthorized},
		{"A16 proof short", false, nil, nil, proof("AAAA"), NotAuthorized},
		{"A16 proof of zeros", false, nil, nil, proof(zero), NotAuthorized},
		{"A16 proof not base64", false, nil, nil, proof("!"), MalformedRequest},
		{"A16 proof missing", false, nil, nil, func(f, _ string) string { return f }, MalformedRequest},
		{"A16 proof long", false, nil, nil, func(f, p string) string {
			b, _ := base64.StdEncoding.DecodeString(p)
			return f + ",p=" + base64.StdEncoding.EncodeToString(append(b, 0))
		}, NotAuthorized},
		{"A16 two proofs", false, nil, nil, func(f, p string) string { return f + ",p=" + p + ",p=" + p }, MalformedRequest},
		{"A16 after the proof", false, nil, nil, func(f, p string) string { return f + ",p=" + p + ",x=1" }, MalformedRequest},
		{"A16 comma after the proof", false, nil, nil, func(f, p string) string { return f + ",p=" + p + "," }, MalformedRequest},
		{"A16 empty message", false, nil, nil, func(string, string) string { return "" }, MalformedRequest},
		{"A16 invalid UTF-8", false, nil, nil, func(f, p string) string { return f + ",x=\xff,p=" + p }, MalformedRequest},
		{"A21 first message again, for another", false, nil, nil,
			func(string, string) string { return "n,,n=bob,r=x" }, MalformedRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, c := "SCRAM-SHA-256", &testClient{hash: "SHA-256", user: "alice", password: testPassword, data: tc.data,
				alter: tc.alter, alterProof: tc.alterProof}
			if tc.plus {
				m, c.flag = m+"-PLUS", "p=tls-exporter"
			}
			x := NewExchange(mechanism(t, a, testHost, m), conn)
			_, err := c.run(t, x)
			if got := condition(t, err); got != tc.want {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
			if _, _, err := x.Step(context.Background(), []byte("c=biws,r=x,p=x")); err == nil {
				t.Error("goes on after the end")
			}
		})
	}
}

// TestScramReplay: the messages of one login are worth nothing in the next.
func TestScramReplay(t *testing.T) {
	a := newAccounts(t, newStore(t))
	conn := &Conn{Host: testHost}
	m := mechanism(t, a, testHost, "SCRAM-SHA-256")
	var final string
	c := &testClient{hash: "SHA-256", user: "alice", password: testPassword}
	c.alterProof = func(f, p string) string { final = f + ",p=" + p; return final }
	_, err := c.run(t, NewExchange(m, conn))
	must(t, err)
	x := NewExchange(m, conn)
	_, _, err = x.Step(context.Background(), []byte("n,,n=alice,r=clientnonce"))
	must(t, err)
	if _, _, err = x.Step(context.Background(), []byte(final)); condition(t, err) != NotAuthorized {
		t.Errorf("replayed: %v", err)
	}
}

// TestScramDisabled: A25.
func TestScramDisabled(t *testing.T) {
	a := newAccounts(t, newStore(t))
	for password, want := range map[string]string{testPassword: AccountDisabled, "wrong": NotAuthorized} {
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-256"), &Conn{Host: testHost})
		c := &testClient{hash: "SHA-256", user: "bob", password: password}
		if _, err := c.run(t, x); condition(t, err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestScramChangedMeanwhile: A26, a change between the two messages counts.
func TestScramChangedMeanwhile(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		change func(u Users) error
		want   string
	}{
		"nothing":       {func(u Users) error { return nil }, ""},
		"password":      {func(u Users) error { return u.SetPassword(ctx, "alice", "new") }, NotAuthorized},
		"same password": {func(u Users) error { return u.SetPassword(ctx, "alice", testPassword) }, NotAuthorized},
		"disabled":      {func(u Users) error { return u.SetDisabled(ctx, "alice", true) }, AccountDisabled},
		"deleted":       {func(u Users) error { return u.Delete(ctx, "alice") }, NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccounts(t, newStore(t))
			x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-256"), &Conn{Host: testHost})
			c := &testClient{hash: "SHA-256", user: "alice", password: testPassword}
			c.alter = func(s string) string { must(t, tc.change(a.Host(testHost))); return s }
			if _, err := c.run(t, x); condition(t, err) != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestFakeSalt: A23 and A30, unknown accounts look like known ones, always the same way.
func TestFakeSalt(t *testing.T) {
	first := func(a *Accounts, hash, user string) (salt []byte, iterations string) {
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-"+hash), &Conn{Host: testHost})
		c := &testClient{hash: hash, user: user, password: testPassword}
		out, err := c.run(t, x)
		if (err == nil) != (user == "alice") || err != nil && condition(t, err) != NotAuthorized {
			t.Fatalf("%s: %v", user, err)
		}
		_, s, _ := strings.Cut(out, ",s=")
		s, iterations, _ = strings.Cut(s, ",i=")
		salt, err = base64.StdEncoding.DecodeString(s)
		must(t, err)
		return salt, iterations
	}
	st := newStore(t)
	a := newAccounts(t, st)
	restarted := NewAccounts(st, Options{Iterations: testIterations, Secret: testSecret})
	elsewhere := NewAccounts(newStore(t), Options{Iterations: testIterations, Secret: otherSecret})
	seen := map[string]string{}
	for _, hash := range allHashes {
		real, realI := first(a, hash, "alice")
		for _, user := range []string{"nobody", "someone"} {
			fake, i := first(a, hash, user)
			if len(fake) != len(real) || i != realI {
				t.Errorf("%s: %d bytes, %s iterations; real ones have %d, %s", hash, len(fake), i, len(real), realI)
			}
			if other := seen[string(fake)]; other != "" {
				t.Errorf("%s of %s has the salt of %s", hash, user, other)
			}
			seen[string(fake)] = hash + " of " + user
			for range 3 {
				if again, _ := first(a, hash, user); string(again) != string(fake) {
					t.Errorf("%s: another salt the next time", hash)
				}
			}
			if again, _ := first(restarted, hash, user); string(again) != string(fake) {
				t.Errorf("%s: another salt after a restart", hash)
			}
			if again, _ := first(elsewhere, hash, user); string(again) == string(fake) {
				t.Errorf("%s: a salt that anybody can compute", hash)
			}
		}
	}
	if upper, _ := first(a, "SHA-256", "NOBODY"); seen[string(upper)] != "SHA-256 of nobody" {
		t.Error("the salt depends on the spelling")
	}
}

// TestScramHashMissing: an account without keys for a hash looks like one that is not there.
func TestScramHashMissing(t *testing.T) {
	st := newStore(t)
	old := NewAccounts(st, Options{Iterations: testIterations, Secret: testSecret, Hashes: []string{"SHA-1"}})
	must(t, old.Host(testHost).Create(context.Background(), "alice", testPassword))
	a := NewAccounts(st, Options{Iterations: testIterations, Secret: testSecret, Hashes: []string{"SHA-256"}})
	var salts []string
	for range 2 {
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-256"), &Conn{Host: testHost})
		c := &testClient{hash: "SHA-256", user: "alice", password: testPassword}
		out, err := c.run(t, x)
		if condition(t, err) != NotAuthorized {
			t.Fatalf("got %v", err)
		}
		_, out, _ = strings.Cut(out, ",s=")
		salts = append(salts, out)
	}
	if salts[0] != salts[1] || !strings.HasSuffix(salts[0], ",i=16") {
		t.Errorf("challenges %q", salts)
	}
	if err := a.Host(testHost).Check(context.Background(), "alice", testPassword); err != nil {
		t.Errorf("PLAIN with the keys that there are: %v", err)
	}
}
