package fast

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// ht is the server side of HT-SHA-256 with one kind of channel binding (draft-schmaus-kitten-sasl-ht-09), in the form that
// is in use: later drafts answer in others under the same name, which clients refuse.
type ht struct {
	m    *module
	kind string // empty: none
}

func (t *ht) name() string {
	switch t.kind {
	case "tls-exporter":
		return "HT-SHA-256-EXPR"
	case "tls-server-end-point":
		return "HT-SHA-256-ENDP"
	}
	return "HT-SHA-256-NONE"
}

// offer needs TLS (XEP-0484 §6), and the binding. tls-exporter is there with TLS 1.3 only, see auth.Bindings.
func (t *ht) offer(c *auth.Conn) bool {
	return c.TLS != nil && (t.kind == "" || slices.Contains(auth.Bindings(c), t.kind))
}

func (t *ht) server(x *auth.Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: t.name(), Next: func(_ *sasl.Negotiator, in []byte, _ any) (bool, []byte, any, error) {
		out, err := t.step(x, in)
		return false, out, nil, err
	}}
}

// Login is the Details of an auth.Identity that logged in with a token.
type Login struct {
	client      string
	mech        string
	line        uint64 // of the tokens: client.Line
	parents     []string
	resource    string // the only one that the client may have; "": any
	old         bool   // the token is to be replaced
	invalidated bool   // the client wanted it to be
}

// Credentials implements modules.CredentialUser.
func (l *Login) Credentials() []string {
	return append([]string{modules.CredentialRef(Kind, l.client)}, l.parents...)
}

// failures of a login. What is not said is whether there is such an account, such a client or such a token.
var (
	errWrong   = &auth.Failure{Condition: auth.NotAuthorized}
	errExpired = &auth.Failure{Condition: auth.CredentialsExpired} // only for who knows the token
)

func malformed(text string) error { return &auth.Failure{Condition: auth.MalformedRequest, Text: text} }

// step checks the one message of the client.
func (t *ht) step(x *auth.Exchange, in []byte) ([]byte, error) {
	authcid, mac, err := parseMessage(in)
	if err != nil {
		return nil, err
	}
	l := modules.LoginOf(x.Context())
	if l == nil || l.Agent.Client == "" {
		return nil, malformed("a token needs the id of the user agent") // XEP-0484 §4.1
	}
	ask, err := readFast(l.Request.Child(ns, "fast"))
	if err != nil {
		return nil, err
	}
	j, err := t.m.account(authcid)
	if err != nil {
		return nil, err
	}
	id := auth.Identity{JID: j, Mechanism: t.name()}
	if err := x.Identify(id); err != nil {
		return nil, err
	}
	var binding []byte
	if t.kind != "" {
		if binding, err = auth.Binding(x.Conn, t.kind); err != nil {
			return nil, &auth.Failure{Condition: auth.NotAuthorized, Cause: err}
		}
	}
	ask.local, ask.client, ask.mech = j.Local(), l.Agent.Client, t.name()
	ask.knows = func(token string) bool { return hmac.Equal(initiator(token, binding), mac) }
	token, login, err := t.m.login(x.Context(), ask, time.Now())
	if err != nil {
		return nil, err
	}
	if login.invalidated {
		t.m.h.Log.Info("tokens given up", about(j, l, t.name())...)
	}
	id.Details, id.Resource = login, login.resource
	x.SetIdentity(id)
	return responder(token, binding), nil
}

// account reads whom a message is about: a localpart, or a bare JID.
func (m *module) account(authcid string) (stanza.JID, error) {
	local, domain := authcid, m.h.Name
	if i := strings.LastIndexByte(authcid, '@'); i >= 0 { // COMPAT: some clients send the bare JID
		local, domain = authcid[:i], authcid[i+1:]
	}
	j, err := stanza.NewJID(local, domain, "")
	if err != nil || j.Local() == "" {
		return j, malformed("no such user name is possible")
	}
	if j.Domain() != m.h.Name {
		return j, errWrong
	}
	return j, nil
}

// parseMessage splits authcid NUL initiator-hashed-token (draft-schmaus-kitten-sasl-ht-09 §3.1).
func parseMessage(in []byte) (authcid string, mac []byte, err error) {
	user, mac, ok := bytes.Cut(in, []byte{0})
	if !ok || len(user) == 0 || !utf8.Valid(user) || len(mac) != sha256.Size {
		return "", nil, malformed("not a message of HT-SHA-256")
	}
	return string(user), mac, nil
}

// request is what a login asks of the tokens.
type request struct {
	local, client, mech string
	knows               func(token string) bool
	count               uint64 // 0: none given
	invalidate          bool
}

// readFast reads <fast/> (XEP-0484 §3.4, §3.6). COMPAT: without it, the mechanism says what is meant.
func readFast(e *stanza.Element) (r request, err error) {
	if e == nil {
		return r, nil
	}
	if v := e.Attr("count"); v != "" {
		if r.count, err = strconv.ParseUint(v, 10, 63); err != nil || r.count == 0 {
			return r, malformed("count is a positive number")
		}
	}
	v := e.Attr("invalidate")
	r.invalidate = v == "1" || v == "true"
	return r, nil
}

// login looks for the token and notes its use. The error is the answer, or a fault of the store.
func (m *module) login(ctx context.Context, r request, now time.Time) (token string, l *Login, err error) {
	acc, err := m.h.Users.Get(ctx, r.local)
	known := err == nil
	if err != nil && !errors.Is(err, auth.ErrNoUser) {
		return "", nil, err
	}
	token, s, line, err := m.use(ctx, r, acc.PasswordChanged, now)
	switch {
	case err != nil:
		return "", nil, err
	case !known || s == nil:
		return "", nil, errWrong
	}
	l = &Login{client: r.client, mech: r.mech, line: line, parents: s.Parents, resource: s.Resource, invalidated: r.invalidate,
		old: now.Sub(s.Issued) > time.Duration(m.cfg.MinTTL)}
	j, err := stanza.NewJID(r.local, m.h.Name, "")
	if err != nil {
		return "", nil, err
	}
	if alive, err := m.alive(ctx, j, s.Parents, now); err != nil {
		return "", nil, err
	} else if !alive {
		return "", nil, errExpired
	}
	return token, l, nil
}

// alive tells whether all credentials are still good.
func (m *module) alive(ctx context.Context, j stanza.JID, refs []string, now time.Time) (bool, error) {
	for _, ref := range refs {
		c, err := modules.FindCredential(ctx, m.h, j, ref)
		switch {
		case errors.Is(err, modules.ErrNoCredential):
			return false, nil
		case err != nil:
			return false, err
		case !c.Valid(now):
			return false, nil
		}
	}
	return true, nil
}

// mayHave tells whether a login is one for which there are tokens: with the password, or with credentials that the token
// hangs on (a certificate, an account's generation of other tokens). What nobody can take back must not become a token for weeks.
func mayHave(id auth.Identity) bool {
	return id.Mechanism == "PLAIN" || strings.HasPrefix(id.Mechanism, "SCRAM-") || len(modules.CredentialsOf(id.Details)) > 0
}
