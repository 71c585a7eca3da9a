package fast

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
)

// leaf is a certificate of the server's, in DER.
var leaf = func() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.test"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), SignatureAlgorithm: x509.ECDSAWithSHA256}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return der
}()

// device is a client that logs in, with the connection and the id of an installation.
type device struct {
	t    testing.TB
	h    *modtest.Host
	conn auth.Conn
	id   string // of the client; empty: none
}

func newDevice(t testing.TB, h *modtest.Host, id string) *device {
	d := &device{t: t, h: h, id: id, conn: auth.Conn{Host: h.Name, Leaf: leaf,
		TLS: &tls.ConnectionState{Version: tls.VersionTLS12, HandshakeComplete: true}}}
	d.conn.Bindings = auth.Bindings(&d.conn)
	return d
}

// login begins one; inner is what stands in <authenticate/>.
func (d *device) login(inner string) *modules.Login {
	d.t.Helper()
	e, err := stanza.ParseElement([]byte("<authenticate xmlns='urn:xmpp:sasl:2'>" + inner + "</authenticate>"))
	if err != nil {
		d.t.Fatal(err)
	}
	return &modules.Login{Conn: &d.conn, Request: e, Agent: modules.UserAgent{Client: d.id, Software: "App", Device: "Phone"}}
}

// finish lets a client in whose credentials were right, and returns the token that it is given.
func (d *device) finish(l *modules.Login, id auth.Identity) (token string, expiry time.Time) {
	d.t.Helper()
	acc, err := d.h.Users.Get(context.Background(), id.JID.Local())
	if err != nil {
		d.t.Fatal(err)
	}
	l.Identity, l.PasswordChanged = id, acc.PasswordChanged
	for _, f := range d.h.Table().Inline {
		if b := f.Success(context.Background(), l); b != nil {
			e, err := stanza.ParseElement(b)
			if err != nil || e.NS != ns || e.Name != "token" || len(e.Attr("token")) > 255 {
				d.t.Fatalf("%s: %v", b, err)
			}
			if expiry, err = time.Parse(time.RFC3339, e.Attr("expiry")); err != nil || !strings.HasSuffix(e.Attr("expiry"), "Z") {
				d.t.Fatalf("%s: %v", b, err)
			}
			token = e.Attr("token")
		}
	}
	return token, expiry
}

const none, endp, expr = "HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-EXPR"

// password logs in with the password and asks for a token.
func (d *device) password(user, mech string) string {
	d.t.Helper()
	token, _ := d.finish(d.login("<request-token xmlns='urn:xmpp:fast:0' mechanism='"+mech+"'/>"),
		auth.Identity{JID: stanza.MustJID(user + "@" + d.h.Name), Mechanism: "SCRAM-SHA-256"})
	return token
}

// fast logs in with a token. It returns the token that it is given, or the condition of the failure.
func (d *device) fast(user, mech, token, inner string) (next, condition string) {
	d.t.Helper()
	l := d.login(inner)
	id, condition := d.exchange(l, user, mech, token)
	if condition != "" {
		return "", condition
	}
	next, _ = d.finish(l, id)
	return next, ""
}

func (d *device) exchange(l *modules.Login, user, mech, token string) (auth.Identity, string) {
	d.t.Helper()
	var binding []byte
	if mech == endp {
		sum := sha256.Sum256(leaf)
		binding = sum[:]
	}
	for _, m := range d.h.Table().Mechanisms {
		if m.Name != mech || !m.Offer(&d.conn) {
			continue
		}
		x := auth.NewExchange(m, &d.conn)
		out, more, err := x.Step(modules.WithLogin(context.Background(), l), append([]byte(user+"\x00"), initiator(token, binding)...))
		if err != nil {
			var f *auth.Failure
			if !errors.As(err, &f) {
				d.t.Fatal(err)
			}
			if f.Cause != nil {
				d.t.Logf("cause: %v", f.Cause)
			}
			return x.Identity(), f.Condition
		}
		if more || !bytes.Equal(out, responder(token, binding)) { // K02
			d.t.Errorf("success data %x", out)
		}
		return x.Identity(), ""
	}
	return auth.Identity{}, auth.InvalidMechanism
}

// works and fails say what a token is worth. works returns the token given in exchange.
func (d *device) works(user, mech, token, inner string) string {
	d.t.Helper()
	next, condition := d.fast(user, mech, token, inner)
	if condition != "" {
		d.t.Fatalf("%s: %s", mech, condition)
	}
	return next
}

func (d *device) fails(user, mech, token, inner, want string) {
	d.t.Helper()
	if _, condition := d.fast(user, mech, token, inner); condition != want {
		d.t.Fatalf("%s: %q, want %s", mech, condition, want)
	}
}

func newHost(t testing.TB) *modtest.Host {
	h := modtest.New(t, "a.test", Info)
	h.User("alice")
	h.User("bob")
	return h
}

func newMinter(b byte) *minter { return &minter{secret.NewKey(bytes.Repeat([]byte{b}, 32))} }

// newModule is newHost with the running instance.
func newModule(t testing.TB) (*modtest.Host, *module) {
	p := &probe{}
	h := modtest.New(t, "a.test", Info, p.info())
	h.User("alice")
	svc, err := modules.Find[modules.Credentials](p.h)
	if err != nil {
		t.Fatal(err)
	}
	return h, svc.(provider).m
}
