package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fast"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/memory"
)

// logins lets one user in, in all ways.
type logins struct {
	t        testing.TB
	accounts *auth.Accounts
	table    *modules.Table
	conn     *auth.Conn
	login    *modules.Login
	token    string
	salted   []byte
}

const loginPassword = "correct horse battery staple"

func newLogins(t testing.TB) *logins {
	ctx := context.Background()
	l := &logins{t: t, conn: &auth.Conn{Host: "a.test", TLS: &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}}}
	store := memory.New()
	l.accounts = auth.NewAccounts(store, auth.Options{Hashes: []string{"SHA-256"}})
	if err := l.accounts.Host("a.test").Create(ctx, "alice", loginPassword); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("f", []byte("[general]\nhosts = [\"a.test\"]\n"), []config.Section{fast.Info.Section})
	if err != nil {
		t.Fatal(err)
	}
	r := router.New(router.Options{Accounts: func(host string) router.Accounts { return l.accounts.Host(host) }})
	loader := modules.NewLoader([]modules.Info{fast.Info}, modules.Env{Router: r, Store: store, Users: l.accounts.Host,
		Core: l.accounts.Mechanisms, Publish: r.Publish})
	if err := loader.Load(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loader.Stop(ctx) })
	l.table = loader.Table("a.test")
	request, err := stanza.ParseElement([]byte("<authenticate xmlns='urn:xmpp:sasl:2'>" +
		"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/></authenticate>"))
	if err != nil {
		t.Fatal(err)
	}
	l.login = &modules.Login{Conn: l.conn, Request: request, Agent: modules.UserAgent{Client: "c"}}
	l.login.Identity = auth.Identity{JID: stanza.MustJID("alice@a.test"), Mechanism: "PLAIN"}
	acc, err := l.accounts.Host("a.test").Get(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	l.login.PasswordChanged = acc.PasswordChanged
	e, err := stanza.ParseElement(l.table.Inline[0].Success(ctx, l.login))
	if err != nil {
		t.Fatal(err)
	}
	l.token = e.Attr("token")
	return l
}

func (l *logins) exchange(name string) *auth.Exchange {
	for _, m := range l.table.Mechanisms {
		if m.Name == name {
			return auth.NewExchange(m, l.conn)
		}
	}
	l.t.Fatalf("no %s", name)
	return nil
}

func (l *logins) step(x *auth.Exchange, in []byte) []byte {
	out, _, err := x.Step(modules.WithLogin(context.Background(), l.login), in)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *logins) plain() { l.step(l.exchange("PLAIN"), []byte("\x00alice\x00"+loginPassword)) }

func (l *logins) fast() {
	l.step(l.exchange("HT-SHA-256-NONE"), append([]byte("alice\x00"), mac([]byte(l.token), "Initiator")...))
}

// scram is a login with a client that has kept SaltedPassword, as clients may (RFC 5802 §5.1).
func (l *logins) scram() {
	x := l.exchange("SCRAM-SHA-256")
	bare := "n=alice,r=fyko+d2lbbFgONRv9qkxdawL"
	first := string(l.step(x, []byte("n,,"+bare)))
	parts := strings.Split(first, ",")
	if l.salted == nil {
		salt, err := base64.StdEncoding.DecodeString(parts[1][2:])
		if err != nil {
			l.t.Fatal(err)
		}
		if l.salted, err = pbkdf2.Key(sha256.New, loginPassword, salt, 10_000, 32); err != nil {
			l.t.Fatal(err)
		}
	}
	client := mac(l.salted, "Client Key")
	stored := sha256.Sum256(client)
	without := "c=biws," + parts[0]
	proof := mac(stored[:], bare+","+first+","+without)
	for i := range proof {
		proof[i] ^= client[i]
	}
	if out := l.step(x, []byte(without+",p="+base64.StdEncoding.EncodeToString(proof))); !bytes.HasPrefix(out, []byte("v=")) {
		l.t.Fatalf("%s", out)
	}
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// A login with a token costs less than a tenth of one with PLAIN: it derives nothing from a password, and PBKDF2 is nearly all
// of what PLAIN costs. SCRAM leaves that work to the client. Times on a busy machine prove nothing; BenchmarkLogin has them.
func TestLoginWork(t *testing.T) {
	l := newLogins(t)
	n := auth.CountDerivations(l.accounts)
	l.plain()
	plain := n.Swap(0)
	l.fast()
	token := n.Swap(0)
	l.scram()
	scram := n.Swap(0)
	t.Logf("iterations of PBKDF2: PLAIN %d, FAST %d, SCRAM %d", plain, token, scram)
	if plain != 10_000 || token*10 >= plain || scram != 0 {
		t.Errorf("PLAIN %d, FAST %d, SCRAM %d", plain, token, scram)
	}
}

// TestLoginAllocs is the budget of a login's allocations, TLS apart: most are the hashes', one for each HMAC.
func TestLoginAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	for _, m := range []struct {
		name   string
		fn     func(*logins)
		budget float64
	}{{"SCRAM-SHA-256", (*logins).scram, 118}, {"FAST", (*logins).fast, 130}} {
		l := newLogins(t)
		m.fn(l)
		if n := testing.AllocsPerRun(100, func() { m.fn(l) }); n > m.budget {
			t.Errorf("%s: %v allocations, budget %v", m.name, n, m.budget)
		}
	}
}

// BenchmarkLogin is the server's side of a whole login over a store in memory. In PLAIN the memory of verified passwords plays
// no part: each login is of an account that has not been seen for a while.
func BenchmarkLogin(b *testing.B) {
	for _, m := range []struct {
		name string
		fn   func(*logins)
	}{{"SCRAM-SHA-256", (*logins).scram}, {"FAST", (*logins).fast}, {"PLAIN", func(l *logins) {
		auth.ForgetVerified(l.accounts)
		l.plain()
	}}} {
		b.Run(m.name, func(b *testing.B) {
			l := newLogins(b)
			m.fn(l)
			b.ReportAllocs()
			for b.Loop() {
				m.fn(l)
			}
		})
	}
}
