package authtoken

import (
	"context"
	"errors"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Login is the Details of an auth.Identity that logged in with a token.
type Login struct {
	Token      string // access, refresh, provision or x-token
	generation uint64
	refs       []string
}

// Credentials implements modules.CredentialUser: the generation of tokens, and what others were got by.
func (l *Login) Credentials() []string { return l.refs }

func (r *record) login(kind string) *Login {
	return &Login{Token: kind, generation: r.Generation, refs: append([]string{r.ref()}, r.Parents...)}
}

// oauth is the server side of X-OAUTH: one message, the token.
func (m *module) oauth(x *auth.Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: "X-OAUTH", Next: func(_ *sasl.Negotiator, in []byte, _ any) (bool, []byte, any, error) {
		out, err := m.oauthStep(x, in)
		return false, out, nil, err
	}}
}

// oauthStep checks a token. To a refresh token it answers with a new access token.
func (m *module) oauthStep(x *auth.Exchange, in []byte) ([]byte, error) {
	l, err := open(in)
	if err != nil {
		return nil, refused(err)
	}
	account, ok := l.account(m.h.Name)
	if !ok {
		return nil, refused(errHost)
	}
	who := auth.Identity{JID: account, Mechanism: "X-OAUTH"}
	if err := x.Identify(who); err != nil {
		return nil, err
	}
	name := keyTokens
	if l.kind() == provision {
		name = keyProvision
	}
	keys, err := m.keys.Keys(name)
	switch {
	case errors.Is(err, keystore.ErrNoKey):
		return nil, refused(err)
	case err != nil:
		return nil, err
	case !l.signed(keys.Each()):
		return nil, refused(errMAC)
	}
	t, err := l.read(m.h.Name)
	if err != nil {
		return nil, refused(err)
	}
	a, err := m.accept(x.Context(), t, l)
	if err != nil {
		return nil, verdict(err)
	}
	who.Details, who.Made = a.record.login(t.kind), a.made
	x.SetIdentity(who)
	if t.kind != refresh {
		return nil, nil
	}
	current, err := m.keys.GetKey(keyTokens)
	if err != nil {
		return nil, err
	}
	m.h.Log.Info("token given", append([]any{"account", account.String(), "kind", access, "by", refresh}, modules.AuditLogin(x.Conn, "X-OAUTH")...)...)
	return (&token{kind: access, account: account, expiry: a.expiry}).sign(current), nil
}

// accepted is what comes of a token that is good.
type accepted struct {
	record *record
	expiry uint64 // of the access token that a refresh token gets
	first  bool   // a provision token was not used before
	made   bool   // so was the account
}

// accept decides on a token that is signed.
func (m *module) accept(ctx context.Context, t *token, l *letter) (*accepted, error) {
	now := m.clock.now()
	local := t.account.Local()
	acc, err := m.h.Users.Get(ctx, local)
	made := false
	if errors.Is(err, auth.ErrNoUser) && t.kind == provision && m.cfg.ProvisionCreatesAccount {
		// Is the token good, and not one of an account that was deleted since? Only then there is something to be made.
		err = m.h.Store.View(ctx, func(tx storage.Tx) error {
			_, err := m.judge(tx, t, l, acc, now)
			return err
		})
		if err == nil {
			acc, made, err = m.create(ctx, t.account, provision)
		}
	}
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return nil, errNobody
	case err != nil:
		return nil, err
	case acc.Disabled:
		return nil, auth.ErrDisabled
	}
	if err := m.catchUp(ctx, t.account, acc); err != nil {
		return nil, err
	}
	var a *accepted
	err = m.h.Store.Update(ctx, func(tx storage.Tx) (err error) {
		if a, err = m.judge(tx, t, l, acc, now); err != nil {
			return err
		}
		a.record.Used = now
		a.record.seen(now)
		if a.first {
			if err := remember(tx, l.name(), a.record.Generation, date(now), t.expiry); err != nil {
				return err
			}
		}
		return a.record.save(tx, local)
	})
	if (errors.Is(err, storage.ErrFull) || errors.Is(err, storage.ErrReadOnly)) && t.kind != provision {
		// Nothing can be written down, and nothing needs to be: a full disk keeps nobody out.
		m.h.Log.Warn("use of a token not noted", "account", t.account.String(), "err", err)
		err = m.h.Store.View(ctx, func(tx storage.Tx) (err error) {
			a, err = m.judge(tx, t, l, acc, now)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	a.made = made
	if a.first {
		m.keepVCard(ctx, t)
	}
	return a, nil
}

// name names a token among those used.
func (l *letter) name() []byte { return name(provision, string(l.body)) }

// judge tells whether a signed token is good, by what is known of the account in one state of the store. An account that does
// not exist yet is the zero one.
func (m *module) judge(tx storage.Tx, t *token, l *letter, acc auth.Account, now time.Time) (*accepted, error) {
	r, err := load(tx, t.account.Local())
	if err != nil {
		return nil, err
	}
	if r == nil {
		if t.kind == refresh {
			return nil, errRevoked // nothing of it is known, so it is not from this database
		}
		r = begin()
	}
	validity := m.cfg.Validity.Access.seconds()
	if acc.Local != "" {
		r.settle(acc.PasswordChanged, date(now), validity)
	}
	a := &accepted{record: r}
	switch t.kind {
	case refresh:
		if t.sequence != r.Generation {
			return nil, errRevoked
		}
	case access:
		if t.expiry <= r.Mark {
			return nil, errRevoked
		}
	case provision:
		generation, used, err := firstSeen(tx, l.name())
		if err != nil {
			return nil, err
		}
		if used && (generation != r.Generation || acc.Local == "") {
			return nil, errRevoked
		}
		a.first = !used
	}
	if date(now) >= t.expiry {
		return nil, errExpired
	}
	if t.kind == refresh {
		a.expiry = r.issue(date(now), validity)
	}
	return a, nil
}

// VCards keeps vCards (XEP-0054). A module that does provides it.
type VCards interface {
	SetVCard(ctx context.Context, account stanza.JID, vcard []byte) error
}

// keepVCard hands the vCard of a provision token on. A login does not fail for want of a picture.
func (m *module) keepVCard(ctx context.Context, t *token) {
	keeper, err := modules.Find[VCards](m.h)
	if err == nil {
		err = keeper.SetVCard(ctx, t.account, t.vcard)
	}
	if err != nil {
		m.h.Log.Warn("vCard of a provision token not kept", "account", t.account.String(), "err", err)
	}
}
