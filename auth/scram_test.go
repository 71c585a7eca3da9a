package auth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/stanza"
)

// TestVectors plays the examples of the specifications, with the server's nonce of each.
func TestVectors(t *testing.T) {
	var exporter []byte
	for b := byte(0x20); b <= 0x3f; b++ {
		exporter = append(exporter, b)
	}
	for _, tc := range []struct {
		name, mechanism, hash, salt string
		nonce                       string // what the server adds
		conn                        Conn
		messages                    []string // client, server, client, server
	}{{
		name: "RFC 5802 §5", mechanism: "SCRAM-SHA-1", hash: "SHA-1", salt: "QSXCR+Q6sek8bf92",
		nonce: "3rfcNHYJY1ZVvWVs7j",
		messages: []string{
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
	}, {
		name: "RFC 7677 §3", mechanism: "SCRAM-SHA-256", hash: "SHA-256", salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
		nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		messages: []string{
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	}, {
		name: "XEP-0474 and tls-exporter", mechanism: "SCRAM-SHA-256-PLUS", hash: "SHA-256", salt: "QV9TWENSWFE2c2VrOGJmX1o=",
		nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		conn: Conn{
			Mechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"},
			Bindings:   []string{"tls-server-end-point", "tls-exporter"},
		},
		messages: []string{
			"p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=QV9TWENSWFE2c2VrOGJmX1o=,i=4096," +
				"h=WeIn+GOkxTaanG7LQZFDM0bI+cBZDjkfT7yS3mrRcS4=",
			"c=cD10bHMtZXhwb3J0ZXIsLCAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/," +
				"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=4JrHuG7VYky99PG7Fk/cRTe9T5N8Rm654KVOr6Kr9O4=",
			"v=sWEfFh43VA7oXvf+R6oZ8qYGCMQMaYd60qNuqB2QB9s=",
		},
	}, {
		name: "XEP-0474 §2.3", mechanism: "SCRAM-SHA-1-PLUS", hash: "SHA-1", salt: "QSXCR+Q6sek8bf92",
		nonce: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
		conn: Conn{
			Mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"},
			Bindings:   []string{"tls-server-end-point", "tls-exporter"},
		},
		messages: []string{
			"p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
			"r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096," +
				"h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
		},
	}} {
		t.Run(tc.name, func(t *testing.T) {
			a := NewAccounts(newStore(t), Options{Secret: testSecret})
			put(t, a, "example.org", "user", "pencil", tc.hash, tc.salt, 4096)
			tc.conn.Host = "example.org"
			x := NewExchange(mechanism(t, a, "example.org", tc.mechanism), &tc.conn)
			x.nonce = func() string { return tc.nonce }
			x.binding = func(*Conn, string) ([]byte, error) { return exporter, nil }
			for i := 0; i < len(tc.messages); i += 2 {
				out, more, err := x.Step(context.Background(), []byte(tc.messages[i]))
				must(t, err)
				if string(out) != tc.messages[i+1] || more != (i == 0) {
					t.Fatalf("got %q, more %v\nwant %q", out, more, tc.messages[i+1])
				}
			}
			if len(tc.messages) < 4 {
				return
			}
			if id := x.Identity(); id.JID != stanza.MustJID("user@example.org") || id.Mechanism != tc.mechanism {
				t.Errorf("identity %+v", id)
			}
		})
	}
}

// TestStoredKeys compares what is stored with an example, for E.3's password.
func TestStoredKeys(t *testing.T) {
	d := newDeriver(1)
	salt, _ := base64.StdEncoding.DecodeString("QV9TWENSWFE2c2VrOGJmX1o=")
	k, err := d.keys(context.Background(), "SHA-256", "pencil", salt, 4096)
	must(t, err)
	if got := base64.StdEncoding.EncodeToString(k.stored); got != "UmufdGmFhcdofzkK9hVxGg7LH8OzmH7tl0kH8MHFbSw=" {
		t.Errorf("StoredKey %s", got)
	}
	if got := base64.StdEncoding.EncodeToString(k.server); got != "kKW2YP4mO7nR51YgQ57O1H+Zn9S6x68NTp3V0Zmd4l8=" {
		t.Errorf("ServerKey %s", got)
	}
}

// TestLogin logs in with each mechanism and binding over real TLS connections.
func TestLogin(t *testing.T) {
	a := newAccounts(t, newStore(t))
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		conn, client := newTLS(t, version)
		announce(a, conn)
		endPoint, err := Binding(conn, tlsServerEndPoint)
		must(t, err)
		type binding struct {
			flag string
			data []byte
		}
		plus := []binding{{"p=tls-server-end-point", endPoint}}
		if version == tls.VersionTLS13 {
			ekm, err := client.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
			must(t, err)
			plus = append(plus, binding{"p=tls-exporter", ekm})
		}
		for _, hash := range allHashes {
			for _, b := range append(plus, binding{"n", nil}) {
				m := "SCRAM-" + hash
				if b.data != nil {
					m += "-PLUS"
				}
				t.Run(name+" "+m+" "+b.flag, func(t *testing.T) {
					x := NewExchange(mechanism(t, a, testHost, m), conn)
					c := &testClient{hash: hash, user: "alice", password: testPassword, flag: b.flag, data: b.data}
					_, err := c.run(t, x)
					must(t, err)
					if id := x.Identity(); id.JID != stanza.MustJID("alice@a.test") || id.Mechanism != m {
						t.Errorf("identity %+v", id)
					}
					c.password = "wrong"
					x = NewExchange(mechanism(t, a, testHost, m), conn)
					if _, err := c.run(t, x); condition(t, err) != NotAuthorized {
						t.Errorf("wrong password: %v", err)
					}
					if x.Identity().JID != stanza.MustJID("alice@a.test") {
						t.Error("a failure does not tell who tried")
					}
				})
			}
		}
	}
}

// TestInterop lets the SASL client of mellium log in, over a real TLS 1.3 connection (tls-exporter) and over TLS 1.2.
func TestInterop(t *testing.T) {
	a := newAccounts(t, newStore(t))
	conn13, client13 := newTLS(t, tls.VersionTLS13)
	conn12, client12 := newTLS(t, tls.VersionTLS12)
	_, elsewhere := newTLS(t, tls.VersionTLS13)
	for _, tc := range []struct {
		name      string
		mechanism sasl.Mechanism
		conn      *Conn
		client    tls.ConnectionState
		user      string
		password  string
		identity  string
		want      string
	}{
		{"plus", sasl.ScramSha256Plus, conn13, client13, "alice", testPassword, "", ""},
		{"plus sha-1", sasl.ScramSha1Plus, conn13, client13, "alice", testPassword, "", ""},
		{"scram", sasl.ScramSha256, conn13, client13, "alice", testPassword, "", ""},
		{"scram sha-1 1.2", sasl.ScramSha1, conn12, client12, "alice", testPassword, "", ""},
		{"plain", sasl.Plain, conn12, client12, "alice", testPassword, "", ""},
		{"plain authzid", sasl.Plain, conn12, client12, "alice", testPassword, "alice@a.test", ""},
		{"authzid", sasl.ScramSha256Plus, conn13, client13, "alice", testPassword, "alice@a.test", ""},
		{"bare JID", sasl.ScramSha256Plus, conn13, client13, "alice@a.test", testPassword, "", ""},
		{"wrong password", sasl.ScramSha256Plus, conn13, client13, "alice", "x", "", NotAuthorized},
		{"unknown user", sasl.ScramSha256Plus, conn13, client13, "nobody", testPassword, "", NotAuthorized},
		{"disabled", sasl.ScramSha256Plus, conn13, client13, "bob", testPassword, "", AccountDisabled},
		{"somebody in the middle", sasl.ScramSha256Plus, conn13, elsewhere, "alice", testPassword, "", NotAuthorized},
		{"tls-unique", sasl.ScramSha256Plus, conn12, client12, "alice", testPassword, "", NotAuthorized},
		{"plain wrong", sasl.Plain, conn12, client12, "alice", "x", "", NotAuthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			announce(a, tc.conn)
			client := sasl.NewClient(tc.mechanism, sasl.TLSState(tc.client), sasl.RemoteMechanisms(tc.conn.Mechanisms...),
				sasl.Credentials(func() (user, password, identity []byte) {
					return []byte(tc.user), []byte(tc.password), []byte(tc.identity)
				}))
			x := NewExchange(mechanism(t, a, testHost, tc.mechanism.Name), tc.conn)
			clientMore, resp, err := client.Step(nil)
			must(t, err)
			for {
				out, more, err := x.Step(context.Background(), resp)
				if err != nil || tc.want != "" && !more {
					if got := condition(t, err); got != tc.want {
						t.Fatalf("got %q, want %q", got, tc.want)
					}
					return
				}
				if clientMore {
					clientMore, resp, err = client.Step(out)
					must(t, err) // the server's signature, in the end
				}
				if !more {
					break
				}
			}
			if clientMore || x.Identity().JID != stanza.MustJID("alice@a.test") {
				t.Errorf("client more %v, identity %v", clientMore, x.Identity())
			}
		})
	}
}

// TestAnnounced checks XEP-0474 against lists that are only partly there.
func TestAnnounced(t *testing.T) {
	a := newAccounts(t, newStore(t))
	first := func(c *Conn) string {
		c.Host = testHost
		x := NewExchange(mechanism(t, a, testHost, "SCRAM-SHA-256"), c)
		out, _, err := x.Step(context.Background(), []byte("n,,n=alice,r=x"))
		must(t, err)
		_, h, _ := strings.Cut(string(out), ",h=")
		return h
	}
	b64 := base64.StdEncoding.EncodeToString
	h, _ := hashFunc("SHA-256")
	mechanisms := []string{"SCRAM-SHA-256", "PLAIN"}
	if got, want := first(&Conn{Mechanisms: mechanisms}), b64(sumOf(h, []byte("PLAIN\x1eSCRAM-SHA-256"))); got != want {
		t.Errorf("without XEP-0440: %s, want %s", got, want)
	}
	got := first(&Conn{Mechanisms: mechanisms, Bindings: []string{"x"}})
	if want := b64(sumOf(h, []byte("PLAIN\x1eSCRAM-SHA-256\x1fx"))); got != want {
		t.Errorf("one binding: %s, want %s", got, want)
	}
	if !slices.Equal(mechanisms, []string{"SCRAM-SHA-256", "PLAIN"}) {
		t.Error("sorted the connection's own list")
	}
	if got := first(&Conn{}); got != "" {
		t.Errorf("nothing announced: %s", got)
	}
}
